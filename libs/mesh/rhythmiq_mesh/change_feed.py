"""Names the profiles below which something changes, for whoever keeps copies of what a service tells of them.

Two things tell of a change. The repository that is about to write says so itself (`changing`): copies are void before
the write is acknowledged. MongoDB's change stream tells of all writes, those of other replicas and of upkeep too, once
a majority has them. See docs/decisions/0013-copies-of-what-others-own.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

from pymongo.asynchronous.change_stream import AsyncChangeStream

from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.mongo import Database, Document, operation

log = logging.getLogger("rhythmiq.changes")

Changing = Callable[[str], AbstractAsyncContextManager[None]]
"""What a repository wraps around a write below the profile with this id."""

HEARTBEAT: Final = 1.0
"""Seconds of quiet after which watchers are told that nothing was missed."""
HOLD: Final = 1.0
"""Seconds for which a watcher copies nothing of a profile after it was named: the change is about to come."""
SILENCE: Final = 3 * HEARTBEAT
"""Seconds without a word after which a feed no longer vouches for copies, nor a watcher has any."""
ACKNOWLEDGED: Final = 0.1
"""Seconds that a write waits for watchers to have heard of it."""
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
        for watch in self._watches if self._open else ():
            watch.tell(profile_ids)

    @asynccontextmanager
    async def changing(self, profile_id: str) -> AsyncIterator[None]:
        """Names the profile before the write inside, and ends when all who watch have acted on it, or dawdle."""
        begun = asyncio.get_running_loop().time()
        told = self._name(profile_id, {})
        try:
            yield
        finally:
            # What was named before is on hold meanwhile, unless the write took as long.
            slow = asyncio.get_running_loop().time() - begun > HOLD / 2
            told = self._name(profile_id, {} if slow else told)
        for watch, number in told.items():
            await watch.heard(number)

    def _name(self, profile_id: str, told: Mapping[_Watch, int]) -> dict[_Watch, int]:
        """Names the profile to those who have not been told; by watch the number of the item that names it."""
        watches = self._watches if self._open else ()
        return {watch: told.get(watch) or watch.tell((profile_id,)) for watch in watches}

    async def watch(self) -> AsyncGenerator[Sequence[str], None]:
        """Ids of profiles as they are told, each once an item; first an empty item, then empty ones as heartbeats.

        From the first item on nothing is missed. Who asks for the next item has acted on the last one. Raises
        Unavailable when that is over.
        """
        if self._over:
            raise _ended()
        watch = _Watch()
        self._watches.add(watch)
        self._wanted.set()
        if self._open:
            watch.begun.set()
        try:
            yield await watch.begin()
            while True:
                yield await watch.next()
        finally:
            self._watches.discard(watch)
            watch.end()
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
    """What one watcher has still to be told, in numbered items, and how far it has acted on them."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self._news = asyncio.Event()
        self._ids: set[str] = set()
        self._taken = 0
        self._acted_on = 0
        self._acts = asyncio.Event()
        self._dawdles = False
        self._ended = False

    async def begin(self) -> list[str]:
        """The empty item, once nothing is missed any more. Raises Unavailable where that takes long."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.begun.wait()
        except TimeoutError:
            raise _ended() from None
        if self._ended:
            raise _ended()
        return []

    async def next(self) -> list[str]:
        """The next item, once there is something to tell, or quiet. Raises Unavailable after the end."""
        self._acted_on, self._dawdles = self._taken, False
        self._acts.set()
        self._acts = asyncio.Event()
        await self._news.wait()
        if self._ended:
            raise _ended()
        self._news.clear()
        self._taken += 1
        ids = list(self._ids)
        self._ids.clear()
        return ids

    def tell(self, profile_ids: Collection[str]) -> int:
        """Adds them to what is to be told; the number of the item that will tell it."""
        self._ids.update(profile_ids)
        self._news.set()
        if len(self._ids) > _MOST:
            self.end()
        return self._taken + 1

    async def heard(self, number: int) -> None:
        """Waits until an item has been acted on, but not for long, and not for one who lets others wait in vain."""
        try:
            async with asyncio.timeout(ACKNOWLEDGED):
                while self._acted_on < number and not (self._ended or self._dawdles):
                    await self._acts.wait()
        except TimeoutError:
            self._dawdles = True

    def end(self) -> None:
        self._ended = True
        self._ids.clear()
        for event in (self.begun, self._news, self._acts):
            event.set()


def unwatched(profile_id: str) -> AbstractAsyncContextManager[None]:
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
