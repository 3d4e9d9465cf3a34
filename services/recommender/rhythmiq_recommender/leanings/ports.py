"""What the worker needs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rhythmiq_recommender.leanings.model import Learned
from rhythmiq_recommender.leanings.shelf import Ids, Shelf
from rhythmiq_recommender.learning.history import History


class Task(NamedTuple):
    """A profile whose leanings are due, and the `revision` of what is known of it: a mark changes it."""

    profile_id: str
    revision: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far recordings are followed.

    `position` is where to go on. While all profiles are gone through, `scanned` is the last of those that have been
    marked, empty before the first; None when that is over.
    """

    position: object
    scanned: str | None = None


@dataclass(frozen=True, slots=True)
class Recordings:
    """Profiles that something was recorded of, and where in the history that leads to."""

    profile_ids: frozenset[str]
    position: object


class DueLeanings(Protocol):
    """Which profiles are due when: the worker's work, kept until it is done."""

    async def mark(self, profile_ids: Sequence[str], due: datetime) -> None:
        """Makes profiles due at that time, unless they are earlier. Raises Unavailable."""
        ...

    async def due(self, now: datetime, limit: int) -> list[Task]:
        """Those due longest. Raises Unavailable."""
        ...

    async def done(self, task: Task, again: datetime | None, *, changed: datetime) -> None:
        """Work is done: next due at `again`, or never; but at `changed` if there was a mark meanwhile."""
        ...


class Bookmarks(Protocol):
    """Where the bookmark is kept."""

    async def load(self) -> Bookmark | None: ...

    async def save(self, bookmark: Bookmark) -> None: ...


class RecordingFeed(Protocol):
    """Recordings as they happen."""

    async def position(self) -> object:
        """The present end of the history. Raises Unavailable."""
        ...

    def recordings(self, since: object) -> AsyncGenerator[Recordings, None]:
        """What is recorded after a position; now and then also without a profile, to move the position on.

        Raises HistoryLost, Unavailable.
        """
        ...


class Listening(Protocol):
    """What listeners did, and the catalogue."""

    async def profiles_after(self, profile_id: str, limit: int) -> list[str]:
        """Ids of profiles with interactions, in order, after that one. Raises Unavailable."""
        ...

    async def history(self, profile_id: str) -> History:
        """The newest that a profile's listener did, impressions left out. Raises Unavailable."""
        ...

    async def shelf(self, ids: Ids) -> Shelf:
        """The catalogue and what everybody has heard of it, recent enough to have these items. Raises Unavailable."""
        ...


class Outcome(NamedTuple):
    """What became of what was written: whether there is such a profile, and whether it can be written now."""

    exists: bool
    written: bool


class LearnedPreferences(Protocol):
    """Learned preferences, in the preference service."""

    async def replace(self, profile_id: str, learned: Sequence[Learned]) -> Outcome:
        """Makes these the learned ones of a profile.

        Raises Unavailable, and MeshError for what is refused for another reason than the profile's state.
        """
        ...


class Lease(Protocol):
    """The right to be the one that works, for a time."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        ...

    async def take(self) -> bool:
        """Gets or renews it; False while another has it. Raises Unavailable."""
        ...

    async def release(self) -> None:
        """Gives it up, so that another need not wait until it ends."""
        ...
