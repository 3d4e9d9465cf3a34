"""Names the profiles below which something changes, for whoever keeps copies of what a service tells of them.

Two things tell of a change. The repository that is about to write says so itself, before and after (`changing`): copies
are void some milliseconds before the write can be acknowledged. MongoDB's change stream tells of all writes, those of
other replicas and of upkeep too, once a majority has them. See docs/decisions/0013-copies-of-what-others-own.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from pymongo.asynchronous.change_stream import AsyncChangeStream

from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.mongo import Database, Document, operation

log = logging.getLogger("rhythmiq.changes")

Changing = Callable[[str], AbstractContextManager[None]]
"""What a repository wraps around a write below the profile with this id."""

HEARTBEAT: Final = 1.0
"""Seconds of quiet after which watchers are told that nothing was missed."""
_PATIENCE: Final = HEARTBEAT + 2.0
"""Seconds that the database may take for an answer about changes; then nobody knows what was missed."""
_MOST: Final = 10_000
"""Profiles that a watcher may be behind; one that is slower than that is sent away, and starts anew."""
_PAUSE: Final = 0.2
_BATCH: Final = 100
_OF_ONE: Final = {"insert", "update", "replace", "delete"}


class ChangeFeed:
    """The changes of some collections of one database. One change stream a process, and only while someone watches."""

    def __init__(self, database: Database, named_in: Mapping[str, str]) -> None:
        """`named_in` says for each collection in which field its documents name their profile.

        Where that is not `_id`, a deletion names nobody: have the deleting transaction write another of the
        collections.
        """
        self._database = database
        self._named_in = dict(named_in)
        self._watches: set[_Watch] = set()
        self._wanted = asyncio.Event()
        self._open = False
        self._over = False

    def tell(self, profile_ids: Collection[str]) -> None:
        """Names profiles to everyone who watches; none: says that nothing was missed."""
        if self._open:
            for watch in self._watches:
                watch.tell(profile_ids)

    @contextmanager
    def changing(self, profile_id: str) -> Iterator[None]:
        """Names the profile before and after the write inside, whether that succeeds or not."""
        self.tell((profile_id,))
        try:
            yield
        finally:
            self.tell((profile_id,))

    async def watch(self) -> AsyncGenerator[Sequence[str], None]:
        """Ids of profiles as they are told, each once an item; first an empty item, then empty ones as heartbeats.

        From the first item on nothing is missed. Raises Unavailable when that is over.
        """
        if self._over:
            raise _ended()
        watch = _Watch()
        self._watches.add(watch)
        self._wanted.set()
        if self._open:
            watch.begun.set()
        try:
            await watch.begin()
            yield watch.take(nothing=True)
            while True:
                await watch.news.wait()
                yield watch.take()
        finally:
            self._watches.discard(watch)
            if not self._watches:
                self._wanted.clear()

    async def follow(self) -> None:
        """Follows the database while someone watches, until cancelled. For `Server.background`."""
        while True:
            try:
                await self._wanted.wait()
                await self._follow()
            except Unavailable as error:
                log.warning("changes cannot be followed", extra={"detail": error.message})
            except asyncio.CancelledError:
                self._over = True
                raise
            finally:
                self._end()
            await asyncio.sleep(_PAUSE)

    async def _follow(self) -> None:
        async with operation():
            stream = await self._database.watch(
                _pipeline(self._named_in),
                # Costs a look-up for each update. Not pre-images: they would keep what a listener has had erased.
                full_document="updateLookup" if set(self._named_in.values()) - {"_id"} else None,
                max_await_time_ms=round(HEARTBEAT * 1000),
                batch_size=_BATCH,
            )
        async with stream:
            self._open = True
            for watch in self._watches:
                watch.begun.set()
            while self._watches:
                self.tell(await self._next(stream))
                _heed_cancellation()

    async def _next(self, stream: AsyncChangeStream[Document]) -> Sequence[str]:
        async with operation(_PATIENCE):
            change = await stream.try_next()
        if change is None:
            if not stream.alive:
                raise _ended()
            return ()
        if change["operationType"] not in _OF_ONE:
            # A collection was dropped or renamed.
            raise _ended()
        field = self._named_in[change["ns"]["coll"]]
        if field == "_id":
            return (change["documentKey"]["_id"],)
        document = change.get("fullDocument")
        # Without a document it was deleted since, and the deletion tells of itself.
        return (document[field],) if document else ()

    def _end(self) -> None:
        self._open = False
        for watch in self._watches:
            watch.end()


class _Watch:
    """What one watcher has still to be told."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.news = asyncio.Event()
        self._ids: set[str] = set()
        self._ended = False

    async def begin(self) -> None:
        """Waits until nothing is missed any more. Raises Unavailable where that takes long."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.begun.wait()
        except TimeoutError:
            raise _ended() from None

    def tell(self, profile_ids: Collection[str]) -> None:
        self._ids.update(profile_ids)
        if len(self._ids) > _MOST:
            self.end()
        self.news.set()

    def end(self) -> None:
        self._ended = True
        self._ids.clear()
        self.begun.set()
        self.news.set()

    def take(self, *, nothing: bool = False) -> list[str]:
        """What there is to tell now. Raises Unavailable after the end."""
        if self._ended:
            raise _ended()
        if nothing:
            return []
        self.news.clear()
        ids = list(self._ids)
        self._ids.clear()
        return ids


def unwatched(profile_id: str) -> AbstractContextManager[None]:
    """A `Changing` for repositories whose changes nobody watches."""
    return nullcontext()


def _pipeline(named_in: Mapping[str, str]) -> list[Mapping[str, Any]]:
    by_id = [name for name, field in named_in.items() if field == "_id"]
    by_field = [name for name, field in named_in.items() if field != "_id"]
    wanted = [
        {"ns.coll": {"$in": by_id}},
        {"ns.coll": {"$in": by_field}, "operationType": {"$ne": "delete"}},
        {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
    ]
    fields = {f"fullDocument.{named_in[name]}": 1 for name in by_field}
    return [
        {"$match": {"$or": wanted}},
        {"$project": {"operationType": 1, "ns.coll": 1, "documentKey._id": 1, **fields}},
    ]


def _ended() -> Unavailable:
    return Unavailable("changes can no longer be told without a gap: watch again", reason="CHANGES_UNAVAILABLE")


def _heed_cancellation() -> None:
    """Ends a task that was cancelled inside the driver, where a cancellation can get lost while it cleans up."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
