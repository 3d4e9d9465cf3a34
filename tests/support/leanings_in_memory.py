"""What the worker needs, in memory; and a crash at any step that a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any

from rhythmiq_mesh.errors import MeshError, Unavailable
from rhythmiq_recommender.leanings.model import Learned
from rhythmiq_recommender.leanings.ports import Bookmark, Outcome, Recordings, Task
from rhythmiq_recommender.leanings.shelf import Ids, Shelf, shelf_of
from rhythmiq_recommender.learning.history import EMPTY, History
from rhythmiq_recommender.ports import HistoryLost


class Crash(BaseException):
    """The process is gone."""


class Storage:
    """All that outlives a worker: the database and the preference service.

    `crash_at` ends the worker at that step from now, before it takes effect or after it has.
    """

    def __init__(self, shelf: Shelf | None = None) -> None:
        self.histories: dict[str, History] = {}
        self.broken: dict[str, Exception] = {}
        """Profiles whose history cannot be read, and why."""
        self.read: list[str] = []
        self.log: list[str] = []
        self.first = 0
        """Recordings before this one are no longer told."""
        self.tasks: dict[str, tuple[datetime, int]] = {}
        self.saved: Bookmark | None = None
        self.preferences: dict[str, list[Learned]] = {}
        self.outcomes: dict[str, Outcome | MeshError] = {}
        self.writes: list[str] = []
        self.shelves = shelf or shelf_of(())
        self.crash_at: tuple[int, bool] | None = None
        self.steps = 0
        self.on_write: Any = None

    def record(self, profile_id: str, history: History) -> None:
        self.histories[profile_id] = history
        self.log.append(profile_id)

    def step(self) -> Step:
        self.steps += 1
        return Step(self)

    # DueLeanings

    async def mark(self, profile_ids: Sequence[str], due: datetime) -> None:
        with self.step():
            for profile_id in profile_ids:
                before, revision = self.tasks.get(profile_id, (due, 0))
                self.tasks[profile_id] = (min(before, due), revision + 1)

    async def due(self, now: datetime, limit: int) -> list[Task]:
        with self.step():
            found = sorted((due, profile, revision) for profile, (due, revision) in self.tasks.items() if due <= now)
            return [Task(profile, revision) for _, profile, revision in found[:limit]]

    async def done(self, task: Task, again: datetime | None, *, changed: datetime) -> None:
        with self.step():
            _, revision = self.tasks[task.profile_id]
            if revision != task.revision:
                self.tasks[task.profile_id] = (changed, revision)
            elif again is None:
                del self.tasks[task.profile_id]
            else:
                self.tasks[task.profile_id] = (again, revision)

    # Bookmarks

    async def load(self) -> Bookmark | None:
        with self.step():
            return self.saved

    async def save(self, bookmark: Bookmark) -> None:
        with self.step():
            self.saved = bookmark

    # RecordingFeed

    async def position(self) -> object:
        with self.step():
            return len(self.log)

    async def recordings(self, since: object) -> AsyncGenerator[Recordings, None]:
        place = since
        assert isinstance(place, int)
        while True:
            with self.step():
                if place < self.first:
                    raise HistoryLost
                found, place = frozenset(self.log[place : place + 2]), min(place + 2, len(self.log))
            yield Recordings(found, place)
            await asyncio.sleep(0)

    # Listening

    async def profiles_after(self, profile_id: str, limit: int) -> list[str]:
        with self.step():
            # Two at a time, so that there are pages.
            return sorted(each for each in self.histories if each > profile_id)[: min(limit, 2)]

    async def history(self, profile_id: str) -> History:
        with self.step():
            self.read.append(profile_id)
            if profile_id in self.broken:
                raise self.broken[profile_id]
            return self.histories.get(profile_id, EMPTY)

    async def shelf(self, ids: Ids) -> Shelf:
        return self.shelves

    # LearnedPreferences

    async def replace(self, profile_id: str, learned: Sequence[Learned]) -> Outcome:
        with self.step():
            self.writes.append(profile_id)
            if self.on_write is not None:
                self.on_write(profile_id)
            outcome = self.outcomes.get(profile_id, Outcome(exists=True, written=True))
            if isinstance(outcome, MeshError):
                raise outcome
            if outcome.written:
                self.preferences[profile_id] = list(learned)
            return outcome


class Step:
    """One effect, with a crash before it or after it where a test wants one."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __enter__(self) -> None:
        self._end(after=False)

    def __exit__(self, *_: object) -> None:
        self._end(after=True)

    def _end(self, *, after: bool) -> None:
        storage = self._storage
        if storage.crash_at == (storage.steps, after):
            storage.crash_at = None
            raise Crash


class InMemoryLease:
    """Lease that a test gives and takes away."""

    seconds = 0.2

    def __init__(self) -> None:
        self.mine: bool | MeshError = True

    async def take(self) -> bool:
        if isinstance(self.mine, Unavailable):
            raise self.mine
        return bool(self.mine)

    async def release(self) -> None:
        self.mine = False
