"""What every service with resources below a profile needs: the guard against orphans (see `parents`) and its upkeep.

A child is stored unconfirmed. Its create looks at the profile and answers; confirming, which costs a write, is left to
upkeep, and to a replay that answers from it. What a killed process or a lost commit leaves is unconfirmed too, so
upkeep finds it and removes what has no profile. `mongo_children` is the storage that goes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol, TypeVar

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.deadline import set_deadline
from rhythmiq_mesh.errors import Aborted, DeadlineExceeded, MeshError, Unavailable
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import profile_name
from rhythmiq_mesh.paging import Place
from rhythmiq_mesh.parents import Profiles, ProfileState, refuse_unless_active
from rhythmiq_mesh.rounds import rounds

CREATE_TAKES = timedelta(seconds=30)
"""More than a create may take from its insert to its end; upkeep does not look at what is younger."""
_UPKEEP_BATCH = 500
_ATTEMPTS = 5


class Child(NamedTuple):
    """Which child, below which profile."""

    profile_id: str
    id: str


class Resource(Protocol):
    """What every child has."""

    @property
    def id(self) -> str: ...

    @property
    def profile_id(self) -> str: ...


R = TypeVar("R", bound=Resource)
T = TypeVar("T")


class Children(Protocol):
    """What guard and upkeep need from storage. What is inserted is unconfirmed at first."""

    async def present(self, ids: Sequence[str]) -> bool:
        """Whether all of them are there."""
        ...

    async def confirm(self, ids: Sequence[str]) -> bool:
        """Keeps them from being taken back from now on; False when one is gone."""
        ...

    async def take_back(self, profile_id: str, ids: Sequence[str]) -> bool:
        """Undoes what was inserted, with its request_id record; False, and nothing, when one is confirmed."""
        ...

    async def unconfirmed(self, created_before: datetime, limit: int) -> list[Child]:
        """The oldest that nobody has confirmed."""
        ...


class ChildRepository(Children, Protocol[R]):
    """Children in storage, as resources."""

    async def create(self, child: R, key: RequestKey | None) -> tuple[R, bool]:
        """Stores a new child; or returns the first answer of a replay, and True. Raises RequestIdConflict."""
        ...

    async def get(self, profile_id: str, child_id: str) -> R | None:
        """The child, if it is this profile's."""
        ...

    async def page(self, profile_id: str, after: Place | None, limit: int) -> list[R]:
        """At most `limit` after a place, in the order of create time and id."""
        ...

    async def count(self, profile_id: str) -> int:
        """How many the profile has."""
        ...


@dataclass(frozen=True)
class Guard:
    """Inserts children, then asks for their profile's state, and takes them back unless it is ACTIVE."""

    children: Children
    profiles: Profiles
    # The event loop holds tasks weakly.
    _running: set[asyncio.Task[Any]] = field(default_factory=set)

    async def refuse_unless_active(self, profile_id: str) -> None:
        """Raises NotFound (PROFILE_NOT_FOUND), FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable."""
        refuse_unless_active(await self.profiles.state(profile_id), profile_id)

    async def create(self, new: R, insert: Callable[[], Awaitable[tuple[R, bool]]]) -> R:
        """Runs the insert of one child, and returns it or a replay's first answer, which is confirmed.

        Raises what `insert` raises, or as `refuse_unless_active`, and the child is not there then; or Aborted.
        """
        replayed_id = ""
        for _ in range(_ATTEMPTS):
            stored, replayed = await self.insert(new.profile_id, [new.id], insert)
            # The record has outlived the child, so its listener has deleted it: the first answer stands.
            if not replayed or stored.id == replayed_id or await self._stands(stored):
                return stored
            replayed_id = stored.id
        raise Aborted(
            f"other calls with this request_id get in the way below {profile_name(new.profile_id)}: try again"
        )

    async def insert(
        self, profile_id: str, ids: Sequence[str], insert: Callable[[], Awaitable[tuple[T, bool]]]
    ) -> tuple[T, bool]:
        """Runs an insert of children with these ids, or some of them; returns its answer and whether it is a replay.

        A replay is not looked at. It goes on to its end when the caller cancels or runs out of time: an insert must not
        stay unchecked. Raises as `create`.
        """
        task = asyncio.create_task(self._insert(profile_id, ids, insert))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _insert(
        self, profile_id: str, ids: Sequence[str], insert: Callable[[], Awaitable[tuple[T, bool]]]
    ) -> tuple[T, bool]:
        set_deadline(None)  # of this task alone
        try:
            answer, replayed = await insert()
        except (Unavailable, DeadlineExceeded):
            # It may have taken place. While storage is away it cannot be undone, and is upkeep's.
            with contextlib.suppress(MeshError):
                await self.children.take_back(profile_id, ids)
            raise
        if not replayed:
            await self._check(profile_id, ids)
        return answer, replayed

    async def _check(self, profile_id: str, ids: Sequence[str]) -> None:
        try:
            await self.refuse_unless_active(profile_id)
        except BaseException:
            if await self.children.take_back(profile_id, ids):
                raise

    async def _stands(self, stored: Resource) -> bool:
        if not await self.children.present([stored.id]):
            return False
        # The first call may still be about to take its child back: it must not after this answer.
        await self.refuse_unless_active(stored.profile_id)
        return await self.children.confirm([stored.id])


@dataclass(frozen=True)
class Upkeep:
    """Confirms children below active profiles and removes those below none, in rounds `seconds` apart.

    Any number may run at once. A profile that is being deleted is looked at again: its deletion may be refused.
    """

    children: Children
    profiles: Profiles
    clock: Clock
    seconds: float

    async def __call__(self) -> None:
        """Rounds without end."""
        await rounds(self.once, self.seconds)

    async def once(self) -> None:
        """One round."""
        found = defaultdict(list)
        for child in await self.children.unconfirmed(self.clock.now() - CREATE_TAKES, _UPKEEP_BATCH):
            found[child.profile_id].append(child.id)
        for profile_id, ids in found.items():
            state = await self.profiles.state(profile_id)
            if state is ProfileState.ACTIVE:
                await self.children.confirm(ids)
            elif state is ProfileState.ABSENT:
                for child_id in ids:
                    await self.children.take_back(profile_id, [child_id])
