"""Recommendations as a REST client sees them, through Envoy, from the demo catalogue."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from local_mesh import LocalMesh

RUN = {"ambientNoiseDba": 78, "activity": "RUNNING", "localTime": {"hours": 18}}
BED = {"ambientNoiseDba": 30, "activity": "LYING", "localTime": {"hours": 23, "minutes": 30}}


@pytest.fixture
def rest(mesh: LocalMesh, who: str) -> Iterator[httpx.Client]:
    """A listener with a profile and nothing else."""
    with mesh.client(who) as client:
        created = client.post("/profiles", json={"email": f"{who}@example.org", "timeZone": "Europe/Vienna"})
        assert created.status_code == 200, created.text
        yield client


def recommend(rest: httpx.Client, profile: str, **body: Any) -> dict[str, Any]:
    answer = rest.post(f"/{profile}:recommend", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def mean(answer: dict[str, Any], feature: str) -> float:
    values = [one["item"]["features"][feature] for one in answer["recommendations"]]
    return float(sum(values) / len(values))


def genres(answer: dict[str, Any]) -> list[str]:
    return [one["item"]["genres"][0] for one in answer["recommendations"]]


def refusal(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, canonical code and reason of an error in the API's one shape."""
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    infos = [detail for detail in body["details"] if detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"]
    assert [info["domain"] for info in infos] == ["rhythmiq.dev"]
    return answer.status_code, body["code"], infos[0]["reason"]


def test_a_loud_run_and_a_quiet_bed_get_different_music(rest: httpx.Client, profile: str) -> None:
    run, bed = (recommend(rest, profile, environment=surroundings) for surroundings in (RUN, BED))
    assert mean(run, "tempo") > mean(bed, "tempo") + 10
    assert mean(run, "energy") > mean(bed, "energy") + 0.3
    assert mean(run, "loudness") > mean(bed, "loudness") + 5
    whys = {why["text"] for one in run["recommendations"] for why in one["reasons"]}
    assert "carries well at a safe volume, because it is loud around you (78 dB)" in whys
    assert [use["kind"] for use in run["environment"]] == ["AMBIENT_NOISE", "ACTIVITY", "LOCAL_TIME"]


def test_readings_of_variables_move_the_music_and_are_named_with_their_age(rest: httpx.Client, profile: str) -> None:
    before = recommend(rest, profile)
    opted_in = rest.post(f"/{profile}/variables", json={"kind": "ACTIVITY", "consentVersion": "1"})
    assert opted_in.status_code == 200, opted_in.text
    observed = (datetime.now(UTC) - timedelta(minutes=4)).isoformat()
    reading = {"kind": "ACTIVITY", "activity": "SLEEPING", "observeTime": observed, "source": "watch"}
    recorded = rest.post(f"/{profile}/readings:record", json=reading)
    assert recorded.status_code == 200, recorded.text
    after = recommend(rest, profile)
    assert mean(after, "energy") < mean(before, "energy") - 0.2
    used = {use["kind"]: use for use in after["environment"]}
    assert used["ACTIVITY"]["origin"] == "READING"
    assert 240 <= float(used["ACTIVITY"]["age"].removesuffix("s")) < 600
    assert used["LOCAL_TIME"]["origin"] == "PROFILE_TIME_ZONE"


def test_preferences_and_negative_preferences_show(rest: httpx.Client, profile: str) -> None:
    usual = recommend(rest, profile, environment=RUN, count=40)
    avoided = max(set(genres(usual)), key=genres(usual).count)
    for value, weight in (("folk", 1.0), (avoided, -1.0)):
        created = rest.post(f"/{profile}/preferences", json={"type": "GENRE", "value": value, "weight": weight})
        assert created.status_code == 200, created.text
    answer = recommend(rest, profile, environment=RUN, count=40)
    assert genres(answer).count("folk") >= 20
    assert avoided not in genres(answer)
    assert {use["value"]: use["weight"] for use in answer["preferences"]} == {"folk": 1.0, avoided: -1.0}


def test_hard_filters_hold_and_a_shorter_list_says_why(rest: httpx.Client, profile: str) -> None:
    tempo = {"tempo": {"min": 160, "max": 180}}
    answer = recommend(rest, profile, count=200, tuning={"features": tempo}, filter={"excludeGenres": ["METAL"]})
    found = [one["item"] for one in answer["recommendations"]]
    assert 0 < len(found) < 200
    assert all(160 <= item["features"]["tempo"] <= 180 and "metal" not in item["genres"] for item in found)
    assert [lack["reason"] for lack in answer["degradations"]] == ["NOT_ENOUGH_ITEMS"]


def test_a_seed_makes_an_answer_repeatable(rest: httpx.Client, profile: str) -> None:
    lists = [[one["item"]["name"] for one in recommend(rest, profile, seed=s, environment=BED)["recommendations"]]
             for s in ("11", "11", "12")]  # fmt: skip
    assert lists[0] == lists[1] != lists[2]


def test_refusals_have_one_shape(rest: httpx.Client, profile: str) -> None:
    path = f"/{profile}:recommend"
    assert refusal(rest.post(path, json={"count": 201})) == (400, 3, "INVALID_ARGUMENT")
    assert refusal(rest.post(path, json={"environment": {"ambientNoiseDba": "NaN"}})) == (400, 3, "INVALID_ARGUMENT")
    assert refusal(rest.post(path, json={"seeds": {"artists": ["nobody"]}})) == (404, 5, "SEED_NOT_FOUND")
    other = f"/{LocalMesh.profile_name('somebody-else')}:recommend"
    assert refusal(rest.post(other, json={})) == (403, 7, "NOT_OWNER")


def test_spotifys_shape_answers_in_snake_case_without_a_profile(mesh: LocalMesh) -> None:
    with mesh.client(f"app-{uuid.uuid4()}") as app:
        answer = app.get("/recommendations", params={"seed_genres": "jazz,folk", "limit": 7, "max_tempo": 130})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert [seed["id"] for seed in body["seeds"]] == ["jazz", "folk"]
        assert all(seed["initialPoolSize"] >= seed["afterFilteringSize"] > 0 for seed in body["seeds"])
        assert len(body["tracks"]) == 7
        track = body["tracks"][0]
        assert {"id", "name", "artists", "duration_ms", "type", "uri", "href"} <= set(track)
        assert app.get(track["href"]).json()["title"] == track["name"]
        again = {"seed_artists": track["artists"][0]["id"], "seed_tracks": track["id"]}
        assert app.get("/recommendations", params=again).status_code == 200
        none = app.get("/recommendations")
        assert refusal(none) == (400, 3, "INVALID_ARGUMENT")
        crossed = app.get("/recommendations", params={"seed_genres": "jazz", "min_energy": 0.9, "max_energy": 0.1})
        assert refusal(crossed) == (400, 3, "INVALID_ARGUMENT")
        unknown = app.get("/recommendations", params={"seed_tracks": "no-such-track"})
        assert refusal(unknown) == (404, 5, "SEED_NOT_FOUND")
