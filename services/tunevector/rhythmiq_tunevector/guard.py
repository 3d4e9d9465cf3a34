"""Keeps tune vectors from outliving their profile (see rhythmiq_mesh.parents)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from rhythmiq_mesh.deadline import set_deadline
from rhythmiq_mesh.errors import DeadlineExceeded, MeshError, Unavailable
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import Profiles, refuse_unless_active
from rhythmiq_tunevector.model import TuneVector
from rhythmiq_tunevector.ports import TuneVectorRepository

Created = tuple[TuneVector, bool]


@dataclass(frozen=True)
class Guard:
    """Inserts, then asks for the profile's state, and takes the tune vector back unless the profile is ACTIVE."""

    vectors: TuneVectorRepository
    profiles: Profiles
    # The event loop holds tasks weakly.
    _running: set[asyncio.Task[Created]] = field(default_factory=set)

    async def refuse_unless_active(self, profile_id: str) -> None:
        """Raises NotFound (PROFILE_NOT_FOUND), FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable."""
        refuse_unless_active(await self.profiles.state(profile_id), profile_id)

    async def insert(self, vector: TuneVector, key: RequestKey | None) -> Created:
        """The stored tune vector and whether it is a replay, which is not looked at.

        Goes on to its end when the caller hangs up: an insert must not stay unchecked. Raises TuneVectorLimitReached,
        or as `refuse_unless_active`; the tune vector is not there then.
        """
        task = asyncio.create_task(self._insert(vector, key))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _insert(self, vector: TuneVector, key: RequestKey | None) -> Created:
        try:
            stored, replayed = await self.vectors.create(vector, key)
        except (Unavailable, DeadlineExceeded):
            # The insert may have taken place. While storage is away it cannot be undone; the first error tells more.
            set_deadline(None)
            with contextlib.suppress(MeshError):
                await self.vectors.take_back(vector, key)
            raise
        if not replayed:
            await self._check(stored, key)
        return stored, replayed

    async def _check(self, stored: TuneVector, key: RequestKey | None) -> None:
        # A caller without patience must not decide over what is stored: a retry may be about to answer with it.
        set_deadline(None)
        try:
            await self.refuse_unless_active(stored.profile_id)
        except BaseException:
            if await self.vectors.take_back(stored, key):
                raise
