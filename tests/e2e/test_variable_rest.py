"""Variables and readings as a REST client sees them, through Envoy."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from local_mesh import LocalMesh


def opt_in(rest: httpx.Client, profile: str, kind: str = "AMBIENT_NOISE", **fields: Any) -> dict[str, Any]:
    answer = rest.post(f"/{profile}/variables", json={"kind": kind, "consentVersion": "2026-01", **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def noise(number: object, *, ago: float = 0, **fields: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {"kind": "AMBIENT_NOISE", "number": number, "observeTime": at.isoformat(), "source": "phone", **fields}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    info = next(each for each in answer.json()["details"] if each["@type"].endswith("google.rpc.ErrorInfo"))
    return answer.status_code, info["reason"]


def test_opt_in_is_read_listed_changed_and_withdrawn(rest: httpx.Client, profile: str) -> None:
    created = opt_in(rest, profile)
    assert (created["kind"], created["unit"], created["maxValue"]) == ("AMBIENT_NOISE", "dB[A]", 140)
    assert created["retention"] == "2592000s"
    assert rest.get(f"/{created['name']}").json() == created
    assert rest.get(f"/{profile}/variables").json()["variables"] == [created]
    changed = rest.patch(f"/{created['name']}", json={"retention": "3600s"}).json()
    assert changed["retention"] == "3600s"
    again = rest.post(f"/{profile}/variables", json={"kind": "AMBIENT_NOISE", "consentVersion": "1"})
    assert refusal(again) == (409, "VARIABLE_EXISTS")
    assert refusal(rest.delete(f"/{profile}")) == (400, "PROFILE_HAS_CHILDREN")
    assert rest.delete(f"/{created['name']}").status_code == 200
    assert refusal(rest.get(f"/{created['name']}")) == (404, "VARIABLE_NOT_FOUND")
    assert rest.delete(f"/{profile}").status_code == 200


def test_readings_come_singly_in_batches_and_as_a_json_array(rest: httpx.Client, profile: str) -> None:
    variable = opt_in(rest, profile)
    single = rest.post(f"/{profile}/readings:record", json=noise(61.5))
    assert single.status_code == 200, single.text
    assert single.json()["number"] == 61.5
    batch = rest.post(f"/{profile}/readings:batchRecord", json={"readings": [noise(50, ago=n) for n in range(1, 6)]})
    assert batch.json()["recordedCount"] == 5
    stream = [{"parent": profile, "reading": noise(40, ago=n)} for n in range(10, 20)]
    streamed = rest.post("/readings:stream", json=stream)
    assert streamed.status_code == 200, streamed.text
    assert streamed.json() == {"recordedCount": "10", "lateCount": "10"}
    assert rest.post("/readings:stream", json=stream).json()["duplicateCount"] == "10"
    numbers, token = [], ""
    while True:
        page = rest.get(f"/{variable['name']}/readings", params={"pageSize": 7, "pageToken": token}).json()
        numbers += [reading["number"] for reading in page["readings"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert numbers == [61.5, *[50] * 5, *[40] * 10]
    start = (datetime.now(UTC) - timedelta(seconds=8)).isoformat()
    recent = rest.get(f"/{variable['name']}/readings", params={"startTime": start}).json()["readings"]
    assert all(reading["number"] > 40 for reading in recent)
    other = rest.get(f"/{variable['name']}/readings", params={"pageToken": "x"})
    assert refusal(other) == (400, "PAGE_TOKEN_INVALID")


def test_environment_has_ages_units_and_what_is_missing(rest: httpx.Client, profile: str) -> None:
    for kind in ("ACTIVITY", "AMBIENT_NOISE", "SPEED"):
        opt_in(rest, profile, kind)
    rest.post(f"/{profile}/readings:record", json=noise(61.5, ago=60))
    activity = {"kind": "ACTIVITY", "activity": "RUNNING", "observeTime": noise(0)["observeTime"], "source": "watch"}
    rest.post(f"/{profile}/readings:record", json=activity)
    environment = rest.get(f"/{profile}/environment").json()
    heard, moving = environment["values"]
    assert (heard["reading"]["number"], heard["unit"], moving["reading"]["activity"]) == (61.5, "dB[A]", "RUNNING")
    assert 60 <= float(heard["age"].rstrip("s")) < 120
    assert environment["missingKinds"] == ["SPEED"]


def test_recording_without_opt_in_is_denied_and_after_the_opt_out_again(rest: httpx.Client, profile: str) -> None:
    denied = (403, "VARIABLE_NOT_OPTED_IN")
    assert refusal(rest.post(f"/{profile}/readings:record", json=noise(1))) == denied
    variable = opt_in(rest, profile)
    assert rest.post(f"/{profile}/readings:record", json=noise(1)).status_code == 200
    rest.delete(f"/{variable['name']}")
    assert refusal(rest.post(f"/{profile}/readings:record", json=noise(1, ago=1))) == denied
    assert refusal(rest.post("/readings:stream", json=[{"parent": profile, "reading": noise(1)}])) == denied
    assert rest.get(f"/{opt_in(rest, profile)['name']}/readings").json().get("readings", []) == []


@pytest.mark.parametrize(
    "reading",
    [
        noise("NaN"),
        noise("Infinity"),
        noise("-Infinity"),
        noise(140.5),
        noise(-1),
        noise("loud"),
        noise({}),
        noise(1, ago=-86_400),
        noise(1, kind="NOT_A_KIND"),
        noise(1, source="a b"),
        noise(1, observeTime="yesterday"),
        {"kind": "AMBIENT_NOISE", "activity": "RUNNING", "observeTime": noise(1)["observeTime"], "source": "phone"},
        {},
    ],
)
def test_bad_reading_is_refused_with_a_reason_and_stores_nothing(
    rest: httpx.Client, profile: str, reading: dict[str, Any]
) -> None:
    variable = opt_in(rest, profile)
    answers = [
        rest.post(f"/{profile}/readings:record", json=reading),
        rest.post(f"/{profile}/readings:batchRecord", json={"readings": [noise(1), reading]}),
    ]
    for answer in answers:
        assert answer.status_code == 400, answer.text
        assert refusal(answer)[1]
    assert rest.get(f"/{variable['name']}/readings").json().get("readings", []) == []


def test_range_violation_names_field_and_rule(rest: httpx.Client, profile: str) -> None:
    opt_in(rest, profile)
    answer = rest.post(f"/{profile}/readings:batchRecord", json={"readings": [noise(1), noise(141)]})
    assert refusal(answer) == (400, "VALUE_OUT_OF_RANGE")
    assert "readings[1].number" in answer.json()["message"]
    assert "0 to 140" in answer.json()["message"]


def test_another_listeners_surroundings_are_denied(rest: httpx.Client, mesh: LocalMesh) -> None:
    other = LocalMesh.profile_name(f"listener-{uuid.uuid4()}")
    assert refusal(rest.get(f"/{other}/environment")) == (403, "NOT_OWNER")
    assert refusal(rest.post(f"/{other}/readings:record", json=noise(1))) == (403, "NOT_OWNER")
    assert refusal(rest.post("/readings:stream", json=[{"parent": other, "reading": noise(1)}])) == (403, "NOT_OWNER")
