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
from rhythmiq_preference.model import (
    LIMIT,
    NO_EVIDENCE,
    Evidence,
    Origin,
    Preference,
    PreferenceExists,
    PreferenceLimitReached,
    Type,
)
from rhythmiq_preference.mongo import MongoPreferences
from rhythmiq_preference.ports import LearnedWritten, PreferenceRepository

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


def learned(profile_id: str, value: str, weight: float, confidence: float = 0.8) -> Preference:
    evidence = Evidence(confidence, 7, NOON)
    return preference(profile_id, value, weight=weight, origin=Origin.LEARNED, evidence=evidence)


async def write(
    repository: PreferenceRepository, *batch: Preference, key: RequestKey | None = None, replace: bool = False
) -> LearnedWritten:
    written, _ = await repository.write_learned(batch[0].profile_id, batch, key, replace=replace)
    return written


async def values(repository: PreferenceRepository, profile_id: str) -> set[str]:
    return {each.value for each in await repository.page(profile_id, None, 200)}


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
    written, _ = await repository.write_learned(profile_id, batch, key(), replace=False)
    assert await repository.take_back(profile_id, written.created_ids)
    assert await repository.count(profile_id) == 0
    assert await repository.write_learned(profile_id, batch, key(), replace=False) == (written, False)


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
    first, _ = await repository.write_learned(profile_id, [learned(profile_id, "Pop", 0.1)], None, replace=False)
    batch = [learned(profile_id, "rock", 0.9), learned(profile_id, "POP", 0.7), learned(profile_id, "Jazz", 0.2)]
    written, replayed = await repository.write_learned(profile_id, batch, None, replace=False)
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
    await repository.write_learned(
        profile_id, [learned(profile_id, "a", 0.3), learned(profile_id, "b", -0.5)], None, replace=False
    )
    batch = [learned(profile_id, "c", -0.9), learned(profile_id, "d", 0.4)]
    written, _ = await repository.write_learned(profile_id, batch, None, replace=False)
    assert written.left_out_count == 2
    assert [each.value for each in written.preferences] == ["c"]
    stored = [each for each in await repository.page(profile_id, None, 200) if each.origin is Origin.LEARNED]
    assert {each.value for each in stored} == {"b", "c"}
    assert written.removed_count == 1


async def test_replayed_batch_does_not_learn_again_what_was_deleted(
    repository: PreferenceRepository, profile_id: str
) -> None:
    batch = [learned(profile_id, "a", 0.3)]
    first, _ = await repository.write_learned(profile_id, batch, key(), replace=False)
    assert await repository.delete(first.preferences[0])
    again, replayed = await repository.write_learned(profile_id, [learned(profile_id, "a", 0.3)], key(), replace=False)
    assert (again, replayed) == (first, True)
    assert await repository.count(profile_id) == 0
    assert (await write(repository, learned(profile_id, "a", 0.3))).deleted_by_listener_count == 1
    assert await repository.count(profile_id) == 0


async def test_evidence_is_read_back_as_it_was_written(repository: PreferenceRepository, profile_id: str) -> None:
    batch = [learned(profile_id, "a", 0.3, confidence=0.25)]
    (stored,) = (await write(repository, *batch)).preferences
    assert stored.evidence == Evidence(0.25, 7, NOON)
    assert await repository.get(profile_id, stored.id) == stored


async def test_what_the_listener_deleted_stays_deleted_until_he_sets_it(
    repository: PreferenceRepository, profile_id: str
) -> None:
    (rock,) = (await write(repository, learned(profile_id, "Rock", 0.5))).preferences
    assert await repository.delete(rock)
    again = await write(repository, learned(profile_id, "ROCK", 0.9), learned(profile_id, "pop", 0.1))
    assert (again.deleted_by_listener_count, [each.value for each in again.preferences]) == (1, ["pop"])
    # Only this type, and only this listener.
    other = str(uuid4())
    assert (await write(repository, learned(other, "Rock", 0.5))).created_ids
    artist = replace(learned(profile_id, "Rock", 0.5), type=Type.ARTIST)
    assert (await write(repository, artist)).created_ids

    own = preference(profile_id, "rock")
    await repository.create(own, None)
    assert (await write(repository, learned(profile_id, "rock", 0.5))).kept_set_count == 1
    assert await repository.delete(own)
    assert (await write(repository, learned(profile_id, "rock", 0.5))).created_ids


async def test_learned_one_that_its_listener_made_into_another_is_not_learned_again(
    repository: PreferenceRepository, profile_id: str
) -> None:
    (rock,) = (await write(repository, learned(profile_id, "Rock", 0.5))).preferences
    changed = replace(rock, value="Hard Rock", origin=Origin.SET, evidence=NO_EVIDENCE, etag=new_etag())
    assert await repository.replace(changed, expected_etag=rock.etag)
    assert (await write(repository, learned(profile_id, "rock", 0.5))).deleted_by_listener_count == 1
    back = replace(changed, value="ROCK", etag=new_etag())
    assert await repository.replace(back, expected_etag=changed.etag)
    assert (await write(repository, learned(profile_id, "hard rock", 0.5))).created_ids
    assert await repository.get(profile_id, rock.id) == back


async def test_taking_a_batch_back_is_not_the_listeners_deletion(
    repository: PreferenceRepository, profile_id: str
) -> None:
    written = await write(repository, learned(profile_id, "a", 0.3))
    assert await repository.take_back(profile_id, written.created_ids)
    assert (await write(repository, learned(profile_id, "a", 0.3))).created_ids


async def test_replacing_removes_learned_ones_that_are_not_in_the_batch(
    repository: PreferenceRepository, profile_id: str
) -> None:
    own = preference(profile_id, "own")
    await repository.create(own, None)
    await write(repository, *(learned(profile_id, value, 0.5) for value in "abc"))
    written = await write(repository, learned(profile_id, "b", 0.6), learned(profile_id, "d", 0.1), replace=True)
    assert written.removed_count == 2
    assert await values(repository, profile_id) == {"own", "b", "d"}
    answer, _ = await repository.write_learned(profile_id, [], None, replace=True)
    assert answer.removed_count == 2
    assert await repository.page(profile_id, None, 200) == [own]
    assert await repository.count(profile_id) == 1


async def test_set_one_at_the_limit_takes_the_place_of_the_weakest_learned(
    repository: PreferenceRepository, profile_id: str
) -> None:
    for n in range(LIMIT - 2):
        await repository.create(preference(profile_id, f"genre {n}"), None)
    await write(repository, learned(profile_id, "sure", 0.3, 0.9), learned(profile_id, "unsure", -0.9, 0.1))
    with pytest.raises(PreferenceExists):
        await repository.create(preference(profile_id, "SURE"), None)
    await repository.create(preference(profile_id, "one more"), None)
    assert {"sure", "one more"} <= await values(repository, profile_id)
    assert "unsure" not in await values(repository, profile_id)
    await repository.create(preference(profile_id, "and another"), None)
    assert await repository.count(profile_id) == LIMIT
    with pytest.raises(PreferenceLimitReached):
        await repository.create(preference(profile_id, "too many"), None)
    # What made room was not deleted by the listener.
    assert (await write(repository, learned(profile_id, "unsure", 0.9))).deleted_by_listener_count == 0


async def test_dismissals_are_erased_when_their_profile_is_gone(
    repository: PreferenceRepository, profile_id: str
) -> None:
    other = str(uuid4())
    for each in (profile_id, other):
        (rock,) = (await write(repository, learned(each, "Rock", 0.5))).preferences
        await repository.delete(rock)
        await repository.doubt(each)
    assert sorted(await repository.doubted(10)) == sorted([profile_id, other])
    await repository.settle(profile_id, gone=True)
    await repository.settle(other, gone=False)
    assert await repository.doubted(10) == []
    assert (await write(repository, learned(profile_id, "Rock", 0.5))).created_ids
    assert (await write(repository, learned(other, "Rock", 0.5))).deleted_by_listener_count == 1
