"""MongoDB for all services.

Majority writes, a deadline on every operation, driver errors turned into ours, and transactions that carry a request_id
record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import pymongo
from bson import Binary
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from rhythmiq_mesh.deadline import remaining, set_deadline
from rhythmiq_mesh.errors import Aborted, DeadlineExceeded, RequestIdConflict, Unavailable
from rhythmiq_mesh.idempotency import RECORD_LIFETIME, RequestKey

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Database = AsyncDatabase[Document]
Collection = AsyncCollection[Document]
Session = AsyncClientSession
T = TypeVar("T")

OPERATION_SECONDS = 5.0
# Codes that a server answers with while it stops, steps down or starts.
_AWAY_CODES = {6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}
_WRITE_CONFLICT = 112


def connect(uri: str, *, app: str) -> Client:
    """A client whose writes are acknowledged by a majority and whose reads see only such writes."""
    return AsyncMongoClient(
        uri,
        appname=app,
        tz_aware=True,
        w="majority",
        readConcernLevel="majority",
        retryWrites=True,
        retryReads=True,
        serverSelectionTimeoutMS=2_000,
        connectTimeoutMS=2_000,
        maxPoolSize=50,
    )


def database(client: Client, name: str) -> Database:
    """The database, reading from the primary in UTC."""
    return client.get_database(
        name,
        codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern(w="majority"),
        read_concern=ReadConcern("majority"),
    )


@asynccontextmanager
async def operation(seconds: float = OPERATION_SECONDS) -> AsyncIterator[None]:
    """Bounds what runs inside by `seconds` and the caller's deadline, and maps the driver's errors.

    DuplicateKeyError passes through: the repository knows which rule it stands for. Raises Unavailable when the
    database is away, Aborted on a lost race, DeadlineExceeded when the caller's time is over.
    """
    allowed = remaining(seconds)
    try:
        with pymongo.timeout(allowed):
            yield
    except PyMongoError as error:
        if isinstance(error, DuplicateKeyError):
            raise
        if _away(error):
            # PyMongo gives up a little before the time is over, when what is left cannot be enough.
            if error.timeout and allowed < seconds:
                raise DeadlineExceeded from error
            remaining(seconds)
            raise Unavailable("the database is away: try again", reason="STORAGE_UNAVAILABLE") from error
        if isinstance(error, OperationFailure) and (
            error.code == _WRITE_CONFLICT or error.has_error_label("TransientTransactionError")
        ):
            raise Aborted("another call changed the same resource at the same time: try again") from error
        raise


async def read(
    collection: Collection,
    query: Mapping[str, Any],
    *,
    limit: int,
    sort: Mapping[str, int] | None = None,
    projection: Mapping[str, Any] | None = None,
) -> list[Document]:
    """At most `limit` documents that match, in one round trip; asked again once when the connection was lost.

    For small reads on hot paths: Collection.find costs up to half as much again in the driver. Raises what `operation`
    raises.
    """
    command: Document = {
        "find": collection.name,
        "filter": query,
        "limit": limit,
        "batchSize": limit,
        "singleBatch": True,
        "readConcern": collection.read_concern.document,
    }
    if sort:
        command["sort"] = dict(sort)
    if projection:
        command["projection"] = projection
    options = collection.codec_options
    async with operation():
        try:
            answer = await collection.database.command(command, codec_options=options)
        except (ConnectionFailure, OperationFailure) as error:
            if isinstance(error, ServerSelectionTimeoutError) or not _away(error):
                raise
            answer = await collection.database.command(command, codec_options=options)
    documents: list[Document] = answer["cursor"]["firstBatch"]
    return documents


def _away(error: PyMongoError) -> bool:
    if isinstance(error, OperationFailure) and error.code in _AWAY_CODES:
        return True
    # ConfigurationError: a server that has just started says that it knows no sessions, until it has a primary.
    if isinstance(error, ConfigurationError | ConnectionFailure | ExecutionTimeout | WTimeoutError | WriteConcernError):
        return True
    return bool(error.timeout)


class Transactions:
    """Runs work in transactions, once per request_id."""

    def __init__(self, database: Database) -> None:
        self._client: Client = database.client
        self._records: Collection = database["idempotency"]
        self._running: set[asyncio.Task[Any]] = set()

    async def ensure_indexes(self) -> None:
        """Creates the index that expires request_id records."""
        async with operation():
            await self._records.create_index("expire_time", expireAfterSeconds=0)

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Runs `work` in a transaction, the whole of it again when another transaction gets in its way.

        A caller whose time is over leaves, the transaction goes on to its end: cut short, it would stay open in the
        server for a minute, and with it everything that it has locked.
        """
        seconds = remaining(2 * OPERATION_SECONDS)
        task = asyncio.create_task(self._whole(work))
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise DeadlineExceeded
        return task.result()

    async def _whole(self, work: Callable[[Session], Awaitable[T]]) -> T:
        set_deadline(None)  # of this task alone
        async with operation(), self._client.start_session() as session:
            return await session.with_transaction(
                work,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern(w="majority"),
                read_preference=ReadPreference.PRIMARY,
            )

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # told to the caller, if that is still there

    async def once(
        self, key: RequestKey | None, work: Callable[[Session], Awaitable[Document]]
    ) -> tuple[Document, bool]:
        """Runs `work` unless `key` was used before; returns its document and whether it is a replay.

        The key and the change are written in one transaction. Raises RequestIdConflict when the key was used with
        another request.
        """

        async def recorded(session: Session) -> tuple[Document, bool]:
            if key is None:
                return await work(session), False
            found = await self._records.find_one({"_id": key.id}, session=session)
            if found is not None:
                return _replay(found, key), True
            answer = await work(session)
            await self._records.insert_one(_record(key, answer), session=session)
            return answer, False

        return await self.run(recorded)

    async def forget(self, record_ids: Sequence[str | None], session: Session) -> None:
        """Removes the records of requests whose change is taken back."""
        await self._records.delete_many({"_id": {"$in": list(record_ids)}}, session=session)


def _record(key: RequestKey, answer: Mapping[str, Any]) -> Document:
    return {
        "_id": key.id,
        "fingerprint": Binary(key.fingerprint),
        "answer": dict(answer),
        "expire_time": datetime.now(UTC) + RECORD_LIFETIME,
    }


def _replay(record: Document, key: RequestKey) -> Document:
    if bytes(record["fingerprint"]) != key.fingerprint:
        raise RequestIdConflict
    answer: Document = record["answer"]
    return answer


async def ping(client: Client) -> None:
    """Raises Unavailable unless a primary answers within a second."""
    async with operation(1.0):
        await client.admin.command("ping", read_preference=ReadPreference.PRIMARY)
