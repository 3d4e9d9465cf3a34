"""A listener's history, read from real storage as it was recorded."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from mongod import Mongod

from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.mongo import Database, connect, database
from rhythmiq_recommender.interactions.model import Draft, Shared, Type, interaction
from rhythmiq_recommender.interactions.mongo import MongoInteractions
from rhythmiq_recommender.learning.encoding import KINDS, codes_of
from rhythmiq_recommender.learning.history import LONGEST_HISTORY
from rhythmiq_recommender.learning.listening import VERDICTS
from rhythmiq_recommender.mongo_histories import MongoHistories

ADA = "0d9f7c1e-5b1a-5b5e-9f57-4f2f6a3f8f10"
BOB = "0d9f7c1e-5b1a-5b5e-9f57-4f2f6a3f8f11"
NOW = datetime.now(UTC).replace(microsecond=0)
YEAR = timedelta(days=365)
SHARED = Shared(frozenset(KINDS), {}, NOW)


def item_id(number: int) -> str:
    # Ids end in zero bytes too: they must survive.
    return str(UUID(int=(number + 1) << 64))


@pytest.fixture
async def store(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Database]:
    client = connect(mongo_uri, app="test")
    store = database(client, mongo_database_name)
    await MongoInteractions(store).ensure_indexes()
    await MongoHistories(store, SystemClock()).ensure_indexes()
    yield store
    await client.close()


async def record(store: Database, profile_id: str, drafts: list[Draft], retention: timedelta = YEAR) -> None:
    interactions = MongoInteractions(store)
    made = [interaction(profile_id, draft, SHARED, NOW, retention) for draft in drafts]
    await interactions.record(await interactions.epoch(profile_id, NOW), made, None, NOW)


def played(number: int, type_: Type = Type.PLAY, **environment: float | str) -> Draft:
    return Draft(item_id(number), type_, NOW - timedelta(minutes=1000 - number), "test", environment)


async def test_a_history_is_what_was_done_oldest_first_without_impressions_and_other_peoples(store: Database) -> None:
    types = [Type.PLAY, Type.SKIP, Type.IMPRESSION, Type.LIKE, Type.COMPLETE, Type.DISLIKE, Type.SAVE]
    drafts = [played(number, type_, activity="walking") for number, type_ in enumerate(types)]
    await record(store, ADA, drafts[::-1])
    await record(store, BOB, [played(50)])
    history = await MongoHistories(store, SystemClock()).history(ADA)
    kept = [draft for draft in drafts if draft.type is not Type.IMPRESSION]
    assert [bytes(item).ljust(16, b"\0") for item in history.item] == [UUID(draft.item_id).bytes for draft in kept]
    assert history.time.tolist() == [draft.event_time.timestamp() for draft in kept]
    assert history.liked.tolist() == pytest.approx([VERDICTS[draft.type.value] for draft in kept])
    assert (history.codes == codes_of({"activity": "walking"})).all()


async def test_a_long_history_ends_with_the_newest_and_expired_events_are_not_in_it(store: Database) -> None:
    drafts = [played(number, Type.IMPRESSION if number % 2 else Type.PLAY) for number in range(900)]
    await record(store, ADA, [draft for draft in drafts if draft.type is Type.PLAY])
    await record(store, ADA, [draft for draft in drafts if draft.type is not Type.PLAY])
    await record(store, ADA, [played(910 + number) for number in range(80)])
    history = await MongoHistories(store, SystemClock()).history(ADA)
    assert len(history) == LONGEST_HISTORY
    assert history.time[-1] == played(989).event_time.timestamp()
    assert history.time[0] == played(60).event_time.timestamp()
    await record(store, BOB, [played(number) for number in (0, 950)], retention=timedelta(minutes=200))
    assert len(await MongoHistories(store, SystemClock()).history(BOB)) == 1


async def test_nobody_knows_a_new_listener(store: Database) -> None:
    assert len(await MongoHistories(store, SystemClock()).history(ADA)) == 0


# PyMongo leaves the sockets of connections that a crash cut off to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_storage_that_is_away_is_said(mongod: Mongod, mongo_database_name: str) -> None:
    async with connect(mongod.uri, app="test") as client:
        histories = MongoHistories(database(client, mongo_database_name), SystemClock())
        assert len(await histories.history(ADA)) == 0
        await asyncio.to_thread(mongod.kill)
        with pytest.raises(Unavailable):
            await histories.history(ADA)
    await asyncio.sleep(0)
    gc.collect()
