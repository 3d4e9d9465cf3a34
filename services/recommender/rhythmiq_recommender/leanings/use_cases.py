"""What the worker does: follow what is recorded, derive what is due, one worker at a time.

A recording makes its profile *due*; that is stored before the place in the history is. What is due stays so until the
preferences made of it are written. So a worker that is killed at any moment repeats work and loses none: at least once.
Each derivation starts from all stored interactions and replaces all learned preferences, so repeating it is harmless.
A profile whose derivation fails stays due too, but later each time, so that all others have their turn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import MeshError, Unavailable
from rhythmiq_recommender.leanings.derive import derive
from rhythmiq_recommender.leanings.model import Learned
from rhythmiq_recommender.leanings.ports import (
    Bookmark,
    Bookmarks,
    DueLeanings,
    LearnedPreferences,
    Lease,
    Listening,
    RecordingFeed,
    Task,
)
from rhythmiq_recommender.ports import HistoryLost

log = logging.getLogger("rhythmiq.leanings")

_PAGE: Final = 500
_BATCH: Final = 20
_IDLE_SECONDS: Final = 0.25
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 5.0
_NOT_ACTIVE_AGAIN: Final = timedelta(minutes=1)
_REFUSED_AGAIN: Final = timedelta(hours=1)
_FAILED_AGAIN: Final = timedelta(minutes=1)
"""After the first failure of a profile; twice as long after each further one …"""
_MOST_DOUBLINGS: Final = 9
"""… up to so many times: 8.5 hours."""

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class FollowRecordings:
    """Makes profiles due as something is recorded of them, without end.

    Without a bookmark, or when the history since it is lost, all profiles with interactions become due: a page at a
    time, and from where it stopped when it is interrupted. Raises Unavailable.
    """

    feed: RecordingFeed
    bookmarks: Bookmarks
    due: DueLeanings
    listening: Listening
    clock: Clock
    debounce: timedelta
    pause: Pause = asyncio.sleep

    async def __call__(self) -> None:
        """Follows until cancelled."""
        bookmark = await self.bookmarks.load()
        while True:
            if bookmark is None:
                # Taken first: what is recorded while all profiles are gone through is told afterwards.
                bookmark = Bookmark(await self.feed.position(), scanned="")
                await self.bookmarks.save(bookmark)
            if bookmark.scanned is not None:
                bookmark = await self._resync(bookmark, bookmark.scanned)
            try:
                await self._follow(bookmark)
            except HistoryLost:
                _heed_cancellation()
                log.warning("the history of recordings is lost: all profiles are due")
                bookmark = None
                await self.pause(_FIRST_PAUSE)

    async def _resync(self, bookmark: Bookmark, scanned: str) -> Bookmark:
        count = 0
        while profiles := await self.listening.profiles_after(scanned, _PAGE):
            await self.due.mark(profiles, self.clock.now())
            scanned, count = profiles[-1], count + len(profiles)
            await self.bookmarks.save(Bookmark(bookmark.position, scanned))
        log.info("all profiles are due", extra={"profiles": count})
        done = Bookmark(bookmark.position)
        await self.bookmarks.save(done)
        return done

    async def _follow(self, bookmark: Bookmark) -> None:
        async with aclosing(self.feed.recordings(bookmark.position)) as feed:
            async for found in feed:
                _heed_cancellation()
                if found.profile_ids:
                    await self.due.mark(sorted(found.profile_ids), self.clock.now() + self.debounce)
                await self.bookmarks.save(Bookmark(found.position))


@dataclass(frozen=True)
class DeriveDue:
    """Derives the leanings of profiles that are due and writes them, without end. Raises Unavailable.

    Profiles with interactions are due again after `refresh`: leanings fade, and interactions expire. One that fails for
    a reason nobody foresaw is put off, for longer each time, and stays due: it does not hold up the others.
    """

    due: DueLeanings
    listening: Listening
    preferences: LearnedPreferences
    clock: Clock
    debounce: timedelta
    refresh: timedelta
    pause: Pause = asyncio.sleep
    _failures: dict[str, int] = field(default_factory=dict, init=False)
    """How often in a row each profile has failed, since this worker started: a new one may be able to do it."""

    async def __call__(self) -> None:
        """Works until cancelled."""
        while True:
            tasks = await self.due.due(self.clock.now(), _BATCH)
            for task in tasks:
                _heed_cancellation()
                await self._try(task)
            if not tasks:
                await self.pause(_IDLE_SECONDS)

    async def _try(self, task: Task) -> None:
        """Derives, or puts it off. Raises Unavailable: then it is nothing about this profile."""
        try:
            again = await self._derive(task)
            self._failures.pop(task.profile_id, None)
        except Unavailable:
            raise
        except Exception:
            _heed_cancellation()
            again = self._later(task.profile_id)
            log.exception("preferences could not be derived", extra={"again_seconds": again.total_seconds()})
        at = self.clock.now()
        await self.due.done(task, None if again is None else at + again, changed=at + self.debounce)

    def _later(self, profile_id: str) -> timedelta:
        """How long a profile is put off that has failed once more."""
        failures = self._failures.get(profile_id, 0)
        self._failures[profile_id] = min(failures + 1, _MOST_DOUBLINGS)
        return _FAILED_AGAIN * (1 << failures)

    async def _derive(self, task: Task) -> timedelta | None:
        """Derives and writes, and says after how long to do so again; None: never."""
        history = await self.listening.history(task.profile_id)
        now = self.clock.now()
        shelf = await self.listening.shelf(history.item)
        learned = await asyncio.to_thread(derive, history, shelf, now.timestamp())
        return await self._write(task.profile_id, learned, known=len(history) > 0)

    async def _write(self, profile_id: str, learned: Sequence[Learned], *, known: bool) -> timedelta | None:
        """Writes, and says after how long to derive again; never, where nothing is `known` of the listener."""
        try:
            outcome = await self.preferences.replace(profile_id, learned)
        except Unavailable:
            raise
        except MeshError as error:
            # Of this one profile: the others must not wait for somebody to find out why.
            log.exception("learned preferences were refused", extra={"detail": error.message})
            return _REFUSED_AGAIN
        if not outcome.exists:
            return None
        if not outcome.written:
            return _NOT_ACTIVE_AGAIN
        return self.refresh if known else None


@dataclass
class Worker:
    """Does `works` for as long as it has the lease; waits for it otherwise. Any number of workers may run."""

    lease: Lease
    works: tuple[Callable[[], Awaitable[None]], ...]
    pause: Pause = asyncio.sleep
    active: bool = False

    async def __call__(self) -> None:
        """Works and waits until cancelled."""
        while True:
            if await self._taken():
                await self._work()
            await self.pause(self.lease.seconds / 5)

    async def _work(self) -> None:
        log.info("working")
        self.active = True
        tasks = [asyncio.create_task(self._again(work)) for work in self.works]
        try:
            ends = time.monotonic() + self.lease.seconds
            while time.monotonic() < ends:
                await asyncio.wait(tasks, timeout=self.lease.seconds / 3)
                asked = time.monotonic()
                if await self._taken():
                    ends = asked + self.lease.seconds
        finally:
            self.active = False
            await ended(tasks)
            log.info("not working")

    async def _taken(self) -> bool:
        """Whether this worker has the lease now; when nobody can tell, it has not been renewed."""
        try:
            return await self.lease.take()
        except Unavailable as error:
            log.warning("the lease cannot be taken", extra={"reason": error.reason})
            return False

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Starts work again when something that it needs is away, or fails: nothing is lost by that."""
        seconds = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await work()
            except Unavailable as error:
                _heed_cancellation()
                log.warning("waiting", extra={"reason": error.reason, "detail": error.message})
            except Exception:
                _heed_cancellation()
                log.exception("work failed; it starts again")
            seconds = _FIRST_PAUSE if time.monotonic() - began > _LAST_PAUSE else min(2 * seconds, _LAST_PAUSE)
            await self.pause(seconds)


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancels tasks until they obey: PyMongo can lose a cancellation that comes while it times an operation."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.1)


def _heed_cancellation() -> None:
    """Ends a task that was cancelled inside the driver, where a cancellation can get lost while it cleans up."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
