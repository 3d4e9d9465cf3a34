"""One contract, two repositories: the one on MongoDB, and the one in memory that unit tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from preferences_in_memory import InMemoryPreferences

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.etag import new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_preference.model import LIMIT, Origin, Preference, PreferenceExists, PreferenceLimitReached, Type
from rhythmiq_preference.mongo import MongoPreferences
from rhythmiq_preference.ports import PreferenceRepository

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "mongo"])
async def repository(
    request: pytest.FixtureRequest, mongo_uri: str, mongo_database_name: str
) -> AsyncIterator[PreferenceRepository]:
    if request.param == "memory":
        yield InMemoryPreferences()
        return
    client = connect(mongo_uri, app="test")
    preferences = MongoPreferences(database(client, mongo_database_name))
    await preferences.ensure_indexes()
    yield preferences
    await client.close()


@pytest.fixture
def profile_id() -> str:
    return str(uuid4())


def preference(profile_id: str, value: str = "Rock", **fields: Any) -> Preference:
    made = Preference(
        id=str(uuid4()),
        profile_id=profile_id,
        type=Type.GENRE,
        value=value,
        weight=0.5,
        origin=Origin.SET,
        create_time=NOON,
        update_time=NOON,
        etag=new_etag(),
    )
    return replace(made, **fields)


def learned(profile_id: str, value: str, weight: float) -> Preference:
    return preference(profile_id, value, weight=weight, origin=Origin.LEARNED)


def key(fingerprint: bytes = b"a") -> RequestKey:
    return RequestKey("profiles/x#CreatePreference", "the id", fingerprint)


async def test_created_is_read_back_as_it_was(repository: PreferenceRepository, profile_id: str) -> None:
    made = preference(profile_id, weight=0.0)
    assert await repository.create(made, None) == (made, False)
    assert await repository.get(profile_id, made.id) == made
    assert await repository.get(str(uuid4()), made.id) is None
    assert await repository.count(profile_id) == 1


async def test_second_of_a_type_and_value_is_refused_however_it_is_spelt(
    repository: PreferenceRepository, profile_id: str
) -> None:
    first = preference(profile_id, "Café  Straße")
    await repository.create(first, None)
    with pytest.raises(PreferenceExists, match=first.id):
        await repository.create(preference(profile_id, "CAFE\u0301 STRASSE"), None)
    await repository.create(preference(profile_id, "café strasse", type=Type.ARTIST), None)
    await repository.create(preference(str(uuid4()), "Café  Straße"), None)
    assert await repository.count(profile_id) == 2


async def test_replaced_value_must_be_free_too(repository: PreferenceRepository, profile_id: str) -> None:
    first, second = preference(profile_id, "Rock"), preference(profile_id, "Pop")
    await repository.create(first, None)
    await repository.create(second, None)
    with pytest.raises(PreferenceExists, match=first.id):
        await repository.replace(replace(second, value="ROCK"), expected_etag=second.etag)
    respelt = replace(first, value="ROCK", etag=new_etag())
    assert await repository.replace(respelt, expected_etag=first.etag)
    assert not await repository.replace(respelt, expected_etag=first.etag)
    assert await repository.get(profile_id, first.id) == respelt


async def test_hundred_and_first_is_refused_until_one_is_deleted(
    repository: PreferenceRepository, profile_id: str
) -> None:
    many = [preference(profile_id, f"genre {n}") for n in range(LIMIT)]
    for each in many:
        await repository.create(each, None)
    with pytest.raises(PreferenceLimitReached):
        await repository.create(preference(profile_id, "one more"), None)
    with pytest.raises(PreferenceExists):
        await repository.create(preference(profile_id, "genre 0"), None)
    assert await repository.delete(many[0])
    assert not await repository.delete(many[0])
    await repository.create(preference(profile_id, "one more"), None)
    assert await repository.count(profile_id) == LIMIT


async def test_delete_removes_the_version_it_was_given_only(repository: PreferenceRepository, profile_id: str) -> None:
    made = preference(profile_id)
    await repository.create(made, None)
    assert not await repository.delete(replace(made, etag="stale"))
    assert await repository.count(profile_id) == 1


async def test_replay_returns_the_first_answer_after_update_and_delete(
    repository: PreferenceRepository, profile_id: str
) -> None:
    first = preference(profile_id)
    await repository.create(first, key())
    changed = replace(first, value="Pop", etag=new_etag())
    await repository.replace(changed, expected_etag=first.etag)
    assert await repository.create(preference(profile_id), key()) == (first, True)
    await repository.delete(changed)
    assert await repository.create(preference(profile_id), key()) == (first, True)
    assert await repository.count(profile_id) == 0
    with pytest.raises(RequestIdConflict):
        await repository.create(preference(profile_id), key(b"b"))


async def test_batch_is_taken_back_with_its_request_id(repository: PreferenceRepository, profile_id: str) -> None:
    batch = [learned(profile_id, "a", 0.3), learned(profile_id, "b", 0.3)]
    written, _ = await repository.write_learned(profile_id, batch, key())
    assert await repository.take_back(profile_id, written.created_ids)
    assert await repository.count(profile_id) == 0
    assert await repository.write_learned(profile_id, batch, key()) == (written, False)


async def test_pages_are_in_the_order_of_create_time_and_id(repository: PreferenceRepository, profile_id: str) -> None:
    many = [preference(profile_id, f"genre {n}", create_time=NOON + timedelta(seconds=n // 3)) for n in range(10)]
    for each in reversed(many):
        await repository.create(each, None)
    ordered = sorted(many, key=lambda each: (each.create_time, each.id))
    assert await repository.page(profile_id, None, 4) == ordered[:4]
    assert await repository.page(profile_id, (ordered[3].create_time, ordered[3].id), 20) == ordered[4:]
    assert await repository.page(str(uuid4()), None, 4) == []


async def test_learned_update_learned_and_leave_set_alone(repository: PreferenceRepository, profile_id: str) -> None:
    own = preference(profile_id, "Rock", weight=-1.0)
    await repository.create(own, None)
    first, _ = await repository.write_learned(profile_id, [learned(profile_id, "Pop", 0.1)], None)
    batch = [learned(profile_id, "rock", 0.9), learned(profile_id, "POP", 0.7), learned(profile_id, "Jazz", 0.2)]
    written, replayed = await repository.write_learned(profile_id, batch, None)
    assert not replayed
    assert (written.kept_set_count, written.left_out_count) == (1, 0)
    assert written.created_ids == (batch[2].id,)
    stored = {each.value: each for each in await repository.page(profile_id, None, 200)}
    assert stored["Rock"] == own
    assert (stored["POP"].id, stored["POP"].weight) == (first.preferences[0].id, 0.7)
    assert set(written.preferences) == {stored["POP"], stored["Jazz"]}


async def test_learned_beyond_the_limit_push_out_the_weakest_learned(
    repository: PreferenceRepository, profile_id: str
) -> None:
    for n in range(LIMIT - 2):
        await repository.create(preference(profile_id, f"genre {n}", weight=0.0), None)
    await repository.write_learned(profile_id, [learned(profile_id, "a", 0.3), learned(profile_id, "b", -0.5)], None)
    batch = [learned(profile_id, "c", -0.9), learned(profile_id, "d", 0.4)]
    written, _ = await repository.write_learned(profile_id, batch, None)
    assert written.left_out_count == 2
    assert [each.value for each in written.preferences] == ["c"]
    stored = [each for each in await repository.page(profile_id, None, 200) if each.origin is Origin.LEARNED]
    assert {each.value for each in stored} == {"b", "c"}
    with pytest.raises(PreferenceLimitReached):
        await repository.create(preference(profile_id, "one more"), None)


async def test_replayed_batch_does_not_learn_again_what_was_deleted(
    repository: PreferenceRepository, profile_id: str
) -> None:
    batch = [learned(profile_id, "a", 0.3)]
    first, _ = await repository.write_learned(profile_id, batch, key())
    assert await repository.delete(first.preferences[0])
    again, replayed = await repository.write_learned(profile_id, [learned(profile_id, "a", 0.3)], key())
    assert (again, replayed) == (first, True)
    assert await repository.count(profile_id) == 0
    await repository.write_learned(profile_id, [learned(profile_id, "a", 0.3)], None)
    assert await repository.count(profile_id) == 1
