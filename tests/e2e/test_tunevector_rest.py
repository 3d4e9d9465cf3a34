"""Tune vectors as a REST client sees them: Envoy, the real recommender, the demo catalogue."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import correlation, mean
from typing import Any

import grpc
import httpx
import pytest
from local_mesh import LocalMesh

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc

LOUD_RUN = {"ambientNoiseDba": 78, "activity": "RUNNING", "localTime": {"hours": 18}}
QUIET_BED = {"ambientNoiseDba": 30, "activity": "LYING", "localTime": {"hours": 23, "minutes": 30}}
PLAYLIST = {"kind": "PLAYLIST", "mode": "AI_DRIVEN", "length": {"count": 20}}


@pytest.fixture
def collection(who: str) -> str:
    return f"/{LocalMesh.profile_name(who)}/tuneVectors"


def answered(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def create(rest: httpx.Client, collection: str, **fields: Any) -> dict[str, Any]:
    return answered(rest.post(collection, json={**PLAYLIST, **fields}))


def tune(rest: httpx.Client, vector: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return answered(rest.post(f"/{vector['name']}:tune", json=fields))


def refusal(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, canonical code and reason of an error in the API's one shape."""
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    infos = [detail for detail in body["details"] if detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"]
    assert [info["domain"] for info in infos] == ["rhythmiq.dev"]
    return answer.status_code, body["code"], infos[0]["reason"]


def features(rest: httpx.Client, items: Sequence[dict[str, Any]], name: str) -> list[float]:
    """A feature of each item of a list, as the catalogue has it."""
    return [answered(rest.get(f"/{each['item']}"))["features"][name] for each in items]


def seconds(vector: dict[str, Any]) -> float:
    return float(vector["lastTuning"]["totalDuration"].removesuffix("s"))


def pin(item: dict[str, Any], position: int) -> dict[str, Any]:
    return {"item": item["item"], "position": position}


def names(vector: dict[str, Any]) -> list[str]:
    return [each["item"] for each in vector["items"]]


def test_one_list_tuned_in_two_surroundings_differs_as_a_listener_expects(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection, displayName="Anytime")
    assert "items" not in created
    run, bed = (tune(rest, created, environment=surroundings) for surroundings in (LOUD_RUN, QUIET_BED))
    for tuned in (run, bed):
        assert [each["position"] for each in tuned["items"]] == list(range(1, 21))
        assert len(set(names(tuned))) == 20
        assert all(each["title"] and each["artists"] and each["reasons"] for each in tuned["items"])
        used = {use["kind"]: use["origin"] for use in tuned["lastTuning"]["environment"]}
        assert used["ACTIVITY"] == used["AMBIENT_NOISE"] == "REQUEST"
        assert tuned["lastTuning"]["ranker"]
    assert mean(features(rest, run["items"], "energy")) > mean(features(rest, bed["items"], "energy")) + 0.2
    assert mean(features(rest, run["items"], "tempo")) > mean(features(rest, bed["items"], "tempo")) + 20
    assert mean(features(rest, run["items"], "loudness")) > mean(features(rest, bed["items"], "loudness")) + 3
    assert answered(rest.get(f"/{created['name']}")) == bed
    (listed,) = answered(rest.get(collection))["tuneVectors"]
    assert listed == {key: value for key, value in bed.items() if key != "items"}


def test_readings_of_the_listener_count_without_being_sent_along(rest: httpx.Client, collection: str) -> None:
    profile = collection.removesuffix("/tuneVectors")
    answered(rest.post(f"{profile}/variables", json={"kind": "ACTIVITY", "consentVersion": "1"}))
    now = datetime.now(UTC).isoformat()
    reading = {"kind": "ACTIVITY", "activity": "RUNNING", "observeTime": now, "source": "test"}
    answered(rest.post(f"{profile}/readings:record", json=reading))
    tuned = tune(rest, create(rest, collection))
    origins = {use["kind"]: use["origin"] for use in tuned["lastTuning"]["environment"]}
    assert origins["ACTIVITY"] == "READING"


def test_the_same_seed_gives_the_same_list(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection)
    first, again, other = (tune(rest, created, seed=seed, environment=LOUD_RUN) for seed in ("7", "7", "8"))
    assert names(first) == names(again)
    assert names(first) != names(other)


def test_pins_keep_their_places_in_every_surroundings(rest: httpx.Client, collection: str) -> None:
    source = tune(rest, create(rest, collection), environment=QUIET_BED)["items"]
    created = create(rest, collection, pins=[pin(source[0], 7), pin(source[1], 1)])
    for surroundings in (LOUD_RUN, QUIET_BED):
        tuned = tune(rest, created, environment=surroundings)
        assert (names(tuned)[6], names(tuned)[0]) == (source[0]["item"], source[1]["item"])
        assert [each["position"] for each in tuned["items"] if each.get("pinned")] == [1, 7]
        assert len(set(names(tuned))) == 20


def test_a_pin_that_the_catalogue_does_not_have_is_named(rest: httpx.Client, collection: str) -> None:
    missing = f"items/{uuid.uuid4()}"
    created = create(rest, collection, pins=[{"item": missing, "position": 1}])
    answer = rest.post(f"/{created['name']}:tune", json={})
    assert refusal(answer) == (400, 9, "PIN_NOT_FOUND")
    assert missing in answer.json()["message"]
    assert answered(rest.get(f"/{created['name']}")) == created


def test_a_list_by_duration_fills_its_time_and_does_not_exceed_it(rest: httpx.Client, collection: str) -> None:
    for minutes in (10, 60):
        tuned = tune(rest, create(rest, collection, length={"duration": f"{minutes * 60}s"}))
        assert minutes * 60 - 10 < seconds(tuned) <= minutes * 60
        assert "degradations" not in tuned["lastTuning"] or all(
            each["reason"] != "NOT_ENOUGH_ITEMS" for each in tuned["lastTuning"]["degradations"]
        )


@pytest.mark.parametrize("kind", ["PODCAST", "SOUNDSCAPE"])
def test_other_kinds_fill_too(rest: httpx.Client, collection: str, kind: str) -> None:
    tuned = tune(rest, create(rest, collection, kind=kind, length={"count": 10}))
    kinds = {answered(rest.get(f"/{item}"))["kind"] for item in names(tuned)}
    assert kinds == {"PODCAST_EPISODE" if kind == "PODCAST" else kind}
    assert len(tuned["items"]) == 10


def test_the_largest_list_comes_whole_and_one_too_large_says_what_it_lacks(rest: httpx.Client, collection: str) -> None:
    tuned = tune(rest, create(rest, collection, length={"count": 500}))
    assert len(set(names(tuned))) == 500
    few = tune(rest, create(rest, collection, kind="SOUNDSCAPE", length={"count": 500}))
    assert 0 < len(few["items"]) < 500
    assert "NOT_ENOUGH_ITEMS" in [each["reason"] for each in few["lastTuning"]["degradations"]]


def test_energy_rises_and_falls_along_the_curve(rest: httpx.Client, collection: str) -> None:
    arch = create(rest, collection, mode="USER_GUIDED", length={"count": 30}, energyCurve=[0.2, 1, 0.2])
    energy = features(rest, tune(rest, arch)["items"], "energy")
    assert energy[:15] == sorted(energy[:15])
    assert energy[15:] == sorted(energy[15:], reverse=True)
    plain = answered(rest.patch(f"/{arch['name']}", params={"updateMask": "energyCurve"}, json={}))
    assert "energyCurve" not in plain
    assert features(rest, tune(rest, plain)["items"], "energy") != energy


def ranks(values: Sequence[float]) -> list[float]:
    """The mean rank of each among them all."""
    return [mean(rank for rank, each in enumerate(sorted(values)) if each == value) for value in values]


@pytest.mark.parametrize("surroundings", [LOUD_RUN, QUIET_BED])
@pytest.mark.parametrize("length", [{"count": 11}, {"duration": "3600s"}])
def test_energy_follows_the_curve_whatever_the_surroundings(
    rest: httpx.Client, collection: str, surroundings: dict[str, Any], length: dict[str, Any]
) -> None:
    created = create(rest, collection, length=length, energyCurve=[0.1, 0.9, 0.1])
    tuned = tune(rest, created, environment=surroundings)
    energy = features(rest, tuned["items"], "energy")
    middle = (len(energy) - 1) / 2
    wanted = [0.9 - 0.8 * abs(place - middle) / middle for place in range(len(energy))]
    assert correlation(ranks(energy), ranks([round(each, 9) for each in wanted])) > 0.8
    assert max(energy) - min(energy) > 0.4
    assert mean(abs(there - asked) for there, asked in zip(energy, wanted, strict=True)) < 0.1
    assert len(set(names(tuned))) == len(energy)
    assert "degradations" not in tuned["lastTuning"]


def test_a_curve_beyond_what_the_listener_admits_is_said(rest: httpx.Client, collection: str) -> None:
    bounds = {"features": {"energy": {"min": 0.4, "max": 0.6}}}
    tuned = tune(rest, create(rest, collection, tuning=bounds, energyCurve=[0, 1]))
    energy = features(rest, tuned["items"], "energy")
    assert energy == sorted(energy)
    assert 0.4 <= energy[0] < energy[-1] <= 0.6
    (degradation,) = tuned["lastTuning"]["degradations"]
    assert (degradation["subject"], degradation["reason"]) == ("energy_curve", "CURVE_NOT_REACHED")


def test_what_a_list_cannot_do_for_its_pins_is_said(rest: httpx.Client, collection: str) -> None:
    source = tune(rest, create(rest, collection), environment=QUIET_BED)["items"]
    pinned = [pin(item, position) for position, item in enumerate(source[:3], 1)]
    tuned = tune(rest, create(rest, collection, length={"duration": "60s"}, pins=pinned))
    assert names(tuned) == [each["item"] for each in pinned]
    (degradation,) = tuned["lastTuning"]["degradations"]
    assert (degradation["subject"], degradation["reason"]) == ("pins", "PINS_EXCEED_LENGTH")
    tuned = tune(rest, create(rest, collection, length={"duration": "600s"}, pins=[pin(source[0], 50)]))
    assert names(tuned)[-1] == source[0]["item"]
    assert [each["reason"] for each in tuned["lastTuning"]["degradations"]] == ["PIN_MOVED"]


def test_hard_bounds_and_filters_hold_for_every_item(rest: httpx.Client, collection: str) -> None:
    created = create(
        rest,
        collection,
        tuning={"features": {"energy": {"min": 0.3, "max": 0.7, "target": 0.5}, "tempo": {"max": 130}}},
        filter={"explicit": "EXCLUDE"},
    )
    items = tune(rest, created, environment=LOUD_RUN)["items"]
    assert items
    assert all(0.3 - 1e-6 <= energy <= 0.7 + 1e-6 for energy in features(rest, items, "energy"))
    assert all(tempo <= 130 for tempo in features(rest, items, "tempo"))


def test_stale_etags_are_aborted(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection)
    path = f"/{created['name']}"
    tuned = tune(rest, created, etag=created["etag"])
    for stale in (
        rest.post(f"{path}:tune", json={"etag": created["etag"]}),
        rest.patch(path, json={"displayName": "x", "etag": created["etag"]}),
        rest.delete(path, params={"etag": created["etag"]}),
    ):
        assert refusal(stale) == (409, 10, "ETAG_MISMATCH")
    assert answered(rest.get(path)) == tuned
    assert rest.delete(path, params={"etag": tuned["etag"]}).json() == {}
    assert refusal(rest.get(path)) == (404, 5, "TUNE_VECTOR_NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"tuning": {"features": {"energy": {"min": 0.8, "target": 0.5}}}}, "tuning"),
        ({"tuning": {"features": {"energy": {"min": 0.8, "max": 0.5}}}}, "tuning"),
        ({"tuning": {"features": {"tempo": {"target": "NaN"}}}}, "tuning"),
        ({"tuning": {"features": {"tempo": {"target": "Infinity"}}}}, "tuning"),
        ({"tuning": {"features": {"mood": {"target": 1}}}}, "tuning"),
        ({"length": {"count": 501}}, "length"),
        ({"length": {"duration": "59s"}}, "length"),
        ({"length": {}}, "length"),
        ({"energyCurve": [0.5]}, "energy_curve"),
        ({"kind": "KIND_UNSPECIFIED"}, "kind"),
        ({"pins": [{"item": f"items/{uuid.UUID(int=1)}", "position": 21}]}, "pins"),
    ],
)
def test_bad_values_are_refused_naming_the_field(
    rest: httpx.Client, collection: str, fields: dict[str, Any], where: str
) -> None:
    answer = rest.post(collection, json={**PLAYLIST, **fields})
    assert refusal(answer)[:2] == (400, 3)
    assert where in str(answer.json())
    assert answered(rest.get(collection)) in ({}, {"tuneVectors": [], "nextPageToken": ""})


def test_masks_reach_nested_fields_and_unknown_ones_are_refused(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection, displayName="a", pins=[{"item": f"items/{uuid.UUID(int=1)}", "position": 5}])
    path = f"/{created['name']}"
    body = {"length": {"count": 7}, "displayName": "b"}
    longer = answered(rest.patch(path, params={"updateMask": "length.count"}, json=body))
    assert (longer["length"], longer["displayName"]) == ({"count": 7}, "a")
    for mask, fields, reason in (
        ("mood", {"displayName": "b"}, "UNKNOWN_MASK_PATH"),
        ("length.mood", {"displayName": "b"}, "UNKNOWN_MASK_PATH"),
        ("kind", {"kind": "PODCAST"}, "IMMUTABLE_FIELD"),
        ("length.count", {"length": {"count": 4}}, "INVALID_ARGUMENT"),
        ("items", {}, "NOTHING_TO_CHANGE"),
    ):
        answer = rest.patch(path, params={"updateMask": mask}, json=fields)
        assert refusal(answer) == (400, 3, reason), mask
    assert answered(rest.get(path)) == longer


def test_another_listeners_list_is_denied_existing_or_not(mesh: LocalMesh, rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection)
    with mesh.client(f"stranger-{uuid.uuid4()}") as stranger:
        for path in (f"/{created['name']}", f"{collection}/{uuid.uuid4()}"):
            for answer in (
                stranger.get(path),
                stranger.patch(path, json={"displayName": "x"}),
                stranger.delete(path),
                stranger.post(f"{path}:tune", json={}),
            ):
                assert refusal(answer) == (403, 7, "NOT_OWNER")
        assert refusal(stranger.get(collection)) == (403, 7, "NOT_OWNER")


def test_a_profile_with_lists_is_not_deleted(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection)
    profile = collection.removesuffix("/tuneVectors")
    answer = rest.delete(profile)
    assert refusal(answer) == (400, 9, "PROFILE_HAS_CHILDREN")
    assert "tuneVectors (1)" in answer.json()["message"]
    rest.delete(f"/{created['name']}")
    assert rest.delete(profile).json() == {}


def test_counting_for_the_profile_is_not_reachable_from_outside(mesh: LocalMesh, who: str) -> None:
    with mesh.channel() as channel:
        stub = internal_pb2_grpc.ProfileChildrenServiceStub(channel)
        request = internal_pb2.CountProfileChildrenRequest(parent=LocalMesh.profile_name(who))
        with pytest.raises(grpc.RpcError) as caught:
            stub.CountProfileChildren(request, metadata=mesh.metadata(who), timeout=10)
    assert caught.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND)


def test_an_update_that_meets_a_tuning_is_never_lost(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection, length={"count": 200})
    path = f"/{created['name']}"
    tunings: list[httpx.Response] = []
    other = threading.Thread(target=lambda: tunings.append(rest.post(f"{path}:tune", json={})))
    other.start()
    answered(rest.patch(path, json={"displayName": "changed"}))
    other.join(30)
    (tuning,) = tunings
    assert tuning.status_code == 200 or refusal(tuning) == (409, 10, "ETAG_MISMATCH")
    stored = answered(rest.get(path))
    assert stored["displayName"] == "changed"
    assert len(stored.get("items", [])) == (200 if tuning.status_code == 200 else 0)
