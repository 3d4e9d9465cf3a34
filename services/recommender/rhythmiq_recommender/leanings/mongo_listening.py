"""What listeners did and the catalogue, read from the recommender's collections; and recordings as they happen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.errors import OperationFailure

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.mongo import Collection, Database, Document, operation
from rhythmiq_recommender.interactions.mongo import EPOCHS, INTERACTIONS
from rhythmiq_recommender.leanings.model import ItemFacts
from rhythmiq_recommender.leanings.ports import Recordings
from rhythmiq_recommender.leanings.shelf import Ids, Shelf, shelf_of
from rhythmiq_recommender.learning.encoding import CATEGORIES
from rhythmiq_recommender.learning.history import EMPTY, History
from rhythmiq_recommender.learning.listening import IMPRESSION, VERDICTS
from rhythmiq_recommender.model import Kind
from rhythmiq_recommender.ports import HistoryLost

log = logging.getLogger("rhythmiq.leanings")

LONGEST: Final = 5_000
"""Events of a listener that are looked at: the newest. They are read anew each time, so there is a bound."""
_KINDS: Final = {kind.value: number for number, kind in enumerate(Kind, 1)}
_HEARD: Final = sorted(set(VERDICTS) - {IMPRESSION})
_LIKED: Final = [type_ for type_, verdict in VERDICTS.items() if verdict > 0]
_NEWEST_FIRST: Final = [("event_time", -1), ("_id", -1)]
_OF_EVENTS: Final = {"_id": 0, "item_id": 1, "type": 1, "event_time": 1}
_OF_ITEMS: Final = {"kind": 1, "genres": 1, "artists": 1, "instruments": 1, "features.tempo": 1, "popularity": 1}
_ITEMS_BATCH: Final = 2_000
_MANY_SECONDS: Final = 60.0
_COUNTED: Final = 2_000_000
"""Up to so many interactions all are counted; of more a sample of …"""
_SAMPLE: Final = 100_000
"""… so many: below 5%, for which the database picks at random without reading the rest."""
_FRESH: Final = timedelta(hours=1)


class MongoListening:
    """Listening on the collections `interactions` and `items`, which other parts of the service write.

    The shelf is read anew every hour; and earlier, when the catalogue has grown or shrunk and a listener has heard an
    item that the shelf does not have.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._interactions: Collection = database[INTERACTIONS]
        self._items: Collection = database["items"]
        self._clock = clock
        self._shelf = shelf_of(())
        self._items_then = -1
        self._read_at = -_FRESH.total_seconds()

    async def profiles_after(self, profile_id: str, limit: int) -> list[str]:
        found: list[str] = []
        while len(found) < limit:
            query = {"profile_id": {"$gt": profile_id}}
            async with operation():
                first = await self._interactions.find_one(query, {"profile_id": 1}, sort=[("profile_id", 1)])
            if first is None:
                break
            profile_id = first["profile_id"]
            found.append(profile_id)
        return found

    async def history(self, profile_id: str) -> History:
        query = {"profile_id": profile_id, "type": {"$in": _HEARD}, "expire_time": {"$gt": self._clock.now()}}
        async with operation():
            found = await self._interactions.find(query, _OF_EVENTS).sort(_NEWEST_FIRST).limit(LONGEST).to_list()
        return _history(found)

    async def shelf(self, ids: Ids) -> Shelf:
        age = time.monotonic() - self._read_at
        if age < _FRESH.total_seconds():
            if not (self._shelf.rows_of(ids) < 0).any():
                return self._shelf
            async with operation():
                if await self._items.estimated_document_count() == self._items_then:
                    return self._shelf  # what is missing has been deleted
        self._shelf = await self._read()
        self._read_at = time.monotonic()
        return self._shelf

    async def _read(self) -> Shelf:
        start = time.monotonic()
        async with operation():
            self._items_then = await self._items.estimated_document_count()
        facts: list[ItemFacts] = []
        cursor = self._items.find({}, _OF_ITEMS, batch_size=_ITEMS_BATCH)
        async with cursor:
            while True:
                async with operation():
                    batch = await cursor.to_list(_ITEMS_BATCH)
                if not batch:
                    break
                facts += map(_facts, batch)
        shelf = await asyncio.to_thread(shelf_of, facts)
        ids, plays, sampled = await self._plays()
        log.info("catalog read", extra={"items": len(shelf), "seconds": round(time.monotonic() - start, 2)})
        return shelf.heard(ids, plays, sampled)

    async def _plays(self) -> tuple[Ids, np.ndarray[Any, np.dtype[np.float64]], float]:
        """How often everybody has heard what, and the share of all interactions that this was counted from."""
        async with operation():
            total = await self._interactions.estimated_document_count()
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"type": {"$in": _LIKED}}},
            {"$group": {"_id": "$item_id", "plays": {"$sum": 1}}},
        ]
        sampled = 1.0
        if total > _COUNTED:
            pipeline.insert(0, {"$sample": {"size": _SAMPLE}})
            sampled = _SAMPLE / total
        async with operation(_MANY_SECONDS), await self._interactions.aggregate(pipeline) as found:
            counts = await found.to_list()
        return (
            np.array([_bytes(count["_id"]) for count in counts], "S16"),
            np.array([count["plays"] for count in counts], np.float64),
            sampled,
        )


def _history(found: Iterable[Document]) -> History:
    rows = list(found)[::-1]
    if not rows:
        return EMPTY
    return History(
        np.array([_bytes(row["item_id"]) for row in rows], "S16"),
        np.array([row["event_time"].timestamp() for row in rows]),
        np.array([VERDICTS[row["type"]] for row in rows], np.float32),
        # Surroundings are not even read: no leaning is made of them.
        np.full((len(rows), len(CATEGORIES)), -1, np.int8),
    )


def _facts(document: Document) -> ItemFacts:
    get = document.get
    return ItemFacts(
        _bytes(document["_id"]),
        _KINDS[document["kind"]],
        tuple(get("genres", ())),
        tuple(get("artists", ())),
        tuple(get("instruments", ())),
        get("features", {}).get("tempo"),
        get("popularity"),
    )


def _bytes(item_id: str) -> bytes:
    return bytes.fromhex(item_id.replace("-", ""))


_QUIET_MILLISECONDS: Final = 500
_GATHER_SECONDS: Final = 0.5
_MOVE_ON_SECONDS: Final = 10.0
_MOST_AT_ONCE: Final = 1_000
_CHANGES: Final = ("insert", "update", "replace")
_RECORDED: Final[list[Mapping[str, Any]]] = [
    {"$match": {"operationType": {"$in": [*_CHANGES, "drop", "rename", "dropDatabase", "invalidate"]}}},
    {"$project": {"operationType": 1, "documentKey": 1}},
]
# ChangeStreamFatalError and ChangeStreamHistoryLost.
_LOST_CODES: Final = {280, 286}


class MongoRecordingFeed:
    """RecordingFeed on the change stream of `interaction_epochs`.

    Every recording changes its profile's epoch in its transaction, and every erasure after it (see MongoInteractions).
    So this stream has one event for a recording of up to a thousand interactions, and its key is the profile; one of
    `interactions` would have a thousand, and could not tell whose were deleted. A position is a resume token.
    """

    def __init__(self, database: Database) -> None:
        self._epochs: Collection = database[EPOCHS]

    async def position(self) -> object:
        async with operation(), await self._watch(None) as stream:
            while stream.resume_token is None:
                await stream.try_next()
            return stream.resume_token

    async def recordings(self, since: object) -> AsyncGenerator[Recordings, None]:
        try:
            async with operation():
                stream = await self._watch(since)
        except OperationFailure as error:
            # Whatever is wrong with a token (there are a dozen codes), it leads nowhere.
            raise HistoryLost from error
        try:
            async with stream:
                told = time.monotonic()
                while True:
                    found = await self._gather(stream)
                    # Also where nothing was recorded: a token that stands still grows too old in time.
                    if found.profile_ids or time.monotonic() > told + _MOVE_ON_SECONDS:
                        told = time.monotonic()
                        yield found
        except OperationFailure as error:
            if error.code in _LOST_CODES:
                raise HistoryLost from error
            raise

    async def _gather(self, stream: AsyncCollectionChangeStream[Document]) -> Recordings:
        profiles: set[str] = set()
        end = time.monotonic() + _GATHER_SECONDS
        async with operation():
            while len(profiles) < _MOST_AT_ONCE and time.monotonic() < end:
                change = await stream.try_next()
                if change is None:
                    break
                if change["operationType"] not in _CHANGES:
                    raise HistoryLost
                profiles.add(change["documentKey"]["_id"])
        return Recordings(frozenset(profiles), stream.resume_token)

    async def _watch(self, since: object) -> AsyncCollectionChangeStream[Document]:
        return await self._epochs.watch(
            _RECORDED,
            resume_after=since,  # type: ignore[arg-type]
            max_await_time_ms=_QUIET_MILLISECONDS,
        )
