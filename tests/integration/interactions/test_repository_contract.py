"""One contract, two implementations: the repository on MongoDB, and the one in memory that unit tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from interactions_in_memory import InMemoryInteractions

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_recommender.interactions.model import Draft, Interaction, InteractionGone, Shared, Span, Type, interaction
from rhythmiq_recommender.interactions.mongo import MongoInteractions
from rhythmiq_recommender.interactions.ports import InteractionRepository

# The TTL index goes by the real clock: what these tests expect to stay has to be recent.
NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SHARED = Shared(frozenset({"ambient_noise", "activity"}), {}, NOW)
LOUD_RUN = {"ambient_noise": 70.5, "activity": "running"}


@pytest.fixture(params=["memory", "mongo"])
async def repository(
    request: pytest.FixtureRequest, mongo_uri: str, mongo_database_name: str
) -> AsyncIterator[InteractionRepository]:
    if request.param == "memory":
        yield InMemoryInteractions()
        return
    client = connect(mongo_uri, app="test")
    interactions = MongoInteractions(database(client, mongo_database_name))
    await interactions.ensure_indexes()
    yield interactions
    await client.close()


@pytest.fixture
def profile_id() -> str:
    return str(uuid4())


def made(profile_id: str, number: int = 0, **fields: Any) -> Interaction:
    draft = Draft(f"item-{number}", Type.PLAY, NOW - number * MINUTE, "phone", **fields)
    return interaction(profile_id, draft, SHARED, NOW, DAY)


def key(fingerprint: bytes = b"a") -> RequestKey:
    return RequestKey("profiles/x#Method", "1", fingerprint)


async def record(repository: InteractionRepository, *interactions: Interaction) -> int:
    recorded = await repository.record(await repository.epoch(interactions[0].profile_id, NOW), interactions, None, NOW)
    assert recorded is not None
    return recorded.new


async def everything(repository: InteractionRepository, profile_id: str) -> list[Interaction]:
    return await repository.page(profile_id, Span(), NOW, None, 1000)


async def test_interaction_is_read_back_as_it_was_made(repository: InteractionRepository, profile_id: str) -> None:
    full = made(
        profile_id,
        environment=LOUD_RUN,
        list=f"profiles/{profile_id}/tuneVectors/t",
        position=3,
        propensity=0.25,
        played=timedelta(milliseconds=1500),
    )
    bare = made(profile_id, 1)
    assert await record(repository, full, bare) == 2
    assert await everything(repository, profile_id) == [full, bare]
    assert await everything(repository, str(uuid4())) == []


async def test_first_of_equal_ones_stays(repository: InteractionRepository, profile_id: str) -> None:
    first, second = made(profile_id, position=1), made(profile_id, position=2)
    other = made(profile_id, 1)
    epoch = await repository.epoch(profile_id, NOW)
    recorded = await repository.record(epoch, [first, second], None, NOW)
    assert recorded is not None
    assert (list(recorded.interactions), recorded.new) == ([first, first], 1)
    recorded = await repository.record(epoch, [second, other], None, NOW)
    assert recorded is not None
    assert (list(recorded.interactions), recorded.new) == ([first, other], 1)


async def test_replay_returns_the_first_answer_unless_it_was_erased(
    repository: InteractionRepository, profile_id: str
) -> None:
    one = made(profile_id)
    epoch = await repository.epoch(profile_id, NOW)
    assert await repository.replay(key(), profile_id, [one.id]) is None
    first = await repository.record(epoch, [one], key(), NOW)
    assert first is not None
    assert await repository.record(epoch, [one], key(), NOW) == first
    assert await repository.replay(key(), profile_id, [one.id]) == first
    with pytest.raises(RequestIdConflict):
        await repository.replay(key(b"b"), profile_id, [one.id])
    with pytest.raises(RequestIdConflict):
        await repository.record(epoch, [one], key(b"b"), NOW)
    await repository.erase(profile_id)
    with pytest.raises(InteractionGone, match=one.id):
        await repository.replay(key(), profile_id, [one.id])


@pytest.mark.parametrize("ending", ["count", "scrub"])
async def test_nothing_is_recorded_once_the_epoch_has_ended(
    repository: InteractionRepository, profile_id: str, ending: str
) -> None:
    epoch = await repository.epoch(profile_id, NOW)
    assert await repository.epoch(profile_id, NOW + DAY) == epoch
    await (repository.count(profile_id) if ending == "count" else repository.scrub(profile_id, "activity"))
    assert await repository.record(epoch, [made(profile_id)], None, NOW) is None
    assert await everything(repository, profile_id) == []
    assert await repository.epoch(profile_id, NOW) != epoch
    await record(repository, made(profile_id))


async def test_scrub_takes_one_kind_of_one_listener(repository: InteractionRepository, profile_id: str) -> None:
    other = str(uuid4())
    await record(repository, made(profile_id, environment=LOUD_RUN), made(profile_id, 1))
    await record(repository, made(other, environment=LOUD_RUN))
    assert await repository.scrub(profile_id, "ambient_noise") == 1
    assert await repository.scrub(profile_id, "ambient_noise") == 0
    assert [found.environment for found in await everything(repository, profile_id)] == [{"activity": "running"}, {}]
    assert [found.environment for found in await everything(repository, other)] == [LOUD_RUN]


async def test_count_and_erase_are_of_one_listener(repository: InteractionRepository, profile_id: str) -> None:
    other = str(uuid4())
    await record(repository, made(profile_id), made(profile_id, 1))
    await record(repository, made(other))
    assert await repository.count(profile_id) == 2
    assert await repository.erase(profile_id) == 2
    assert (await repository.count(profile_id), await repository.count(other)) == (0, 1)


async def test_pages_have_no_gaps_and_nothing_expired(repository: InteractionRepository, profile_id: str) -> None:
    told = [made(profile_id, number)._replace(event_time=NOW - (number // 3) * MINUTE) for number in range(20)]
    expired = made(profile_id, 30)._replace(expire_time=NOW - MINUTE)
    await record(repository, *told, expired)
    whole = await everything(repository, profile_id)
    assert whole == sorted(told, key=lambda each: (each.event_time, each.id), reverse=True)
    found: list[Interaction] = []
    while page := await repository.page(
        profile_id, Span(), NOW, (found[-1].event_time, found[-1].id) if found else None, 7
    ):
        found += page
    assert found == whole
    span = Span(NOW - 4 * MINUTE, NOW - 2 * MINUTE)
    assert await repository.page(profile_id, span, NOW, None, 100) == whole[9:15]
    assert await repository.page(profile_id, span, NOW, (whole[10].event_time, whole[10].id), 100) == whole[11:15]
