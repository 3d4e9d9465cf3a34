"""Readings in MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from pymongo import DESCENDING, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.deadline import remaining
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import OPERATION_SECONDS, Database, Document, Session, Transactions, operation
from rhythmiq_mesh.paging import Place
from rhythmiq_variable.documents import READINGS, VARIABLES, reading_document, reading_of, variable_of
from rhythmiq_variable.model import (
    Draft,
    ExpiredReading,
    Kind,
    Reading,
    Recorded,
    Span,
    Variable,
    VariableNotOptedIn,
    check_age,
)

_DUPLICATE_KEY = 11000


@dataclass
class _Recording:
    """One recording on its way through storage. `look` says to look first for readings that are there.

    Readings that are new are the common case, so the first attempt just inserts.
    """

    profile_id: str
    drafts: Sequence[Draft]
    now: datetime
    look: bool = False
    done: Recorded | None = None
    kinds: list[Kind] = field(init=False)

    def __post_init__(self) -> None:
        self.kinds = sorted({draft.kind for draft in self.drafts}, key=lambda kind: kind.value)


class MongoReadings:
    """ReadingRepository on the collection `readings`, whose primary key makes recording idempotent.

    Every recording also writes the variables' documents (`latest` and a counter), so that it conflicts with an opt-out:
    one of the two is retried and sees the other.
    """

    def __init__(self, database: Database, *, changing: Changing = unwatched) -> None:
        self._changing = changing
        self._variables = database[VARIABLES]
        self._readings = database[READINGS]
        self._transactions = Transactions(database)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def record(self, profile_id: str, drafts: Sequence[Draft], now: datetime, key: RequestKey | None) -> Recorded:
        recording = _Recording(profile_id, drafts, now)
        async with self._turn(profile_id):
            try:
                answer, _ = await self._once(recording, key)
            except (DuplicateKeyError, BulkWriteError) as error:
                if not _only_duplicates(error):
                    raise
                recording.look = True
                answer, _ = await self._once(recording, key)
        return recording.done if recording.done is not None else await self._replay(recording, answer)

    async def page(
        self, variable: Variable, span: Span, now: datetime, after: Place | None, limit: int
    ) -> list[Reading]:
        observed: Document = {"$gt": variable.expired_until(now)}
        if span.start is not None:
            observed["$gte"] = span.start
        if span.end is not None:
            observed["$lt"] = span.end
        query: Document = {"variable_id": variable.id, "observe_time": observed}
        if after is not None:
            time, last = after
            query["$or"] = [{"observe_time": {"$lt": time}}, {"observe_time": time, "_id": {"$lt": last}}]
            # The index can start at the page, which it cannot see in the $or.
            observed["$lte"] = time
        async with operation():
            found = self._readings.find(query).sort([("observe_time", DESCENDING), ("_id", DESCENDING)]).limit(limit)
            return [reading_of(document, variable) for document in await found.to_list()]

    @asynccontextmanager
    async def _turn(self, profile_id: str) -> AsyncIterator[None]:
        """Recordings of one listener would only get into each other's way in the database, so they take turns."""
        lock = self._turns.setdefault(profile_id, asyncio.Lock())
        try:
            async with asyncio.timeout(remaining(OPERATION_SECONDS)):
                await lock.acquire()
        except TimeoutError:
            remaining(OPERATION_SECONDS)
            raise Unavailable("too many recordings of this listener are waiting: try again") from None
        try:
            async with self._changing(profile_id):
                yield
        finally:
            lock.release()

    async def _once(self, recording: _Recording, key: RequestKey | None) -> tuple[Document, bool]:
        async def work(session: Session) -> Document:
            return await self._write(recording, session)

        return await self._transactions.once(key, work)

    async def _write(self, recording: _Recording, session: Session) -> Document:
        variables = await self._touch(recording, session)
        readings: dict[str, Reading] = {}
        ids: list[str] = []
        for index, draft in enumerate(recording.drafts):
            variable = variables.get(draft.kind)
            if variable is None:
                raise VariableNotOptedIn(recording.profile_id, draft, index)
            check_age(draft, index, variable, recording.now)
            reading = variable.reading(draft, recording.now)
            readings.setdefault(reading.id, reading)
            ids.append(reading.id)
        stored = await self._stored(readings, variables.values(), session) if recording.look else {}
        new = [reading for reading in readings.values() if reading.id not in stored]
        if new:
            generation = {variable.id: variable.generation for variable in variables.values()}
            await self._readings.insert_many(
                [reading_document(reading, generation[reading.variable_id]) for reading in new], session=session
            )
        readings.update(stored)
        recording.done = Recorded([readings[found] for found in ids], len(new), _late(new, variables))
        return {"variables": {kind.value: variable.id for kind, variable in variables.items()}, "new": len(new)}

    async def _touch(self, recording: _Recording, session: Session) -> dict[Kind, Variable]:
        """Writes the documents of the kinds that are opted into; returns the variables as they were before."""
        latest: dict[Kind, Draft] = {}
        for draft in recording.drafts:
            found = latest.get(draft.kind)
            if found is None or (draft.observe_time, draft.source) > (found.observe_time, found.source):
                latest[draft.kind] = draft
        if len(recording.kinds) == 1:
            kind = recording.kinds[0]
            query = {"profile_id": recording.profile_id, "kind": kind.value}
            before = await self._variables.find_one_and_update(
                query, _touched(latest[kind], recording.now), return_document=ReturnDocument.BEFORE, session=session
            )
            return {} if before is None else {kind: variable_of(before)}
        of_profile = {"profile_id": recording.profile_id, "kind": {"$in": [kind.value for kind in recording.kinds]}}
        variables = [variable_of(found) for found in await self._variables.find(of_profile, session=session).to_list()]
        if variables:
            await self._variables.bulk_write(
                [UpdateOne({"_id": found.id}, _touched(latest[found.kind], recording.now)) for found in variables],
                session=session,
            )
        return {variable.kind: variable for variable in variables}

    async def _stored(
        self, ids: Iterable[str], variables: Iterable[Variable], session: Session | None = None
    ) -> dict[str, Reading]:
        by_id = {variable.id: variable for variable in variables}
        found = await self._readings.find({"_id": {"$in": list(ids)}}, session=session).to_list()
        return {
            document["_id"]: reading_of(document, by_id[document["variable_id"]])
            for document in found
            if document["variable_id"] in by_id
        }

    async def _replay(self, recording: _Recording, answer: Document) -> Recorded:
        """The first answer again. No record keeps values, so that an opt-out and an expiry leave none behind."""
        query = {"_id": {"$in": list(answer["variables"].values())}}
        async with operation():
            found = [variable_of(document) for document in await self._variables.find(query).to_list()]
            variables = {variable.kind: variable for variable in found}
            for index, draft in enumerate(recording.drafts):
                if draft.kind not in variables:
                    raise VariableNotOptedIn(recording.profile_id, draft, index)
            ids = [variables[draft.kind].reading_id(draft.observe_time, draft.source) for draft in recording.drafts]
            stored = await self._stored(ids, found)
        for index, draft in enumerate(recording.drafts):
            check_age(draft, index, variables[draft.kind], recording.now)
            if ids[index] not in stored:
                raise ExpiredReading(draft, index)
        return Recorded([stored[found_id] for found_id in ids], answer["new"], 0)


def _touched(draft: Draft, now: datetime) -> list[Document]:
    """Counts a recording, and makes `draft` the latest where it has a greater rank.

    MongoDB compares arrays by their first difference, and nothing at all (null) is less than any time.
    """
    rank = [draft.observe_time, {"$literal": draft.source}]
    reading = {
        "value": {"$literal": draft.value},
        "observe_time": draft.observe_time,
        "source": {"$literal": draft.source},
        "create_time": now,
        "expire_time": {"$add": [draft.observe_time, "$retention_ms"]},
    }
    newer = {"$gt": [rank, ["$latest.observe_time", "$latest.source"]]}
    return [
        {
            "$set": {
                "recordings": {"$add": ["$recordings", 1]},
                "latest": {"$cond": [newer, reading, "$latest"]},
            }
        }
    ]


def _late(new: Sequence[Reading], variables: Mapping[Kind, Variable]) -> int:
    latest = {variable.id: variable.latest for variable in variables.values()}
    late = 0
    for reading in new:
        before = latest[reading.variable_id]
        if before is None or reading.rank > before.rank:
            latest[reading.variable_id] = reading
        elif reading.observe_time < before.observe_time:
            late += 1
    return late


def _only_duplicates(error: DuplicateKeyError | BulkWriteError) -> bool:
    if isinstance(error, DuplicateKeyError):
        return True
    problems = (error.details or {}).get("writeErrors", [])
    return bool(problems) and all(problem.get("code") == _DUPLICATE_KEY for problem in problems)
