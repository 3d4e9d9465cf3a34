"""Interactions and what erases them, as REST and native clients see them through Envoy."""

from __future__ import annotations

import os
import signal
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from local_mesh import LocalMesh, untyped, wait_until

from rhythmiq.recommender.v1 import interaction_pb2, interaction_pb2_grpc


@pytest.fixture
def items(rest: httpx.Client) -> list[str]:
    return [item["name"] for item in rest.get("/items", params={"pageSize": 5}).json()["items"]]


def play(item: str, *, ago: float = 1, **fields: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {"item": item, "type": "PLAY", "eventTime": at.isoformat(), "source": "phone", **fields}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    info = next(each for each in answer.json()["details"] if each["@type"].endswith("google.rpc.ErrorInfo"))
    return answer.status_code, info["reason"]


def opt_in(rest: httpx.Client, profile: str, kind: str = "AMBIENT_NOISE") -> str:
    answer = rest.post(f"/{profile}/variables", json={"kind": kind, "consentVersion": "1"})
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["name"]
    return name


def test_interactions_come_singly_in_batches_and_as_a_json_array(
    rest: httpx.Client, profile: str, items: list[str]
) -> None:
    told = play(items[0], type="LIKE", position=3, propensity=0.5, played="12.500s")
    single = rest.post(f"/{profile}/interactions:record", json=told)
    assert single.status_code == 200, single.text
    assert (single.json()["position"], single.json()["propensity"], single.json()["played"]) == (3, 0.5, "12.500s")
    assert rest.post(f"/{profile}/interactions:record", json=told).json() == single.json()
    batch = {"interactions": [play(item, ago=60 + n) for n, item in enumerate(items)], "requestId": str(uuid.uuid4())}
    first = rest.post(f"/{profile}/interactions:batchRecord", json=batch)
    assert first.json()["recordedCount"] == len(items)
    assert rest.post(f"/{profile}/interactions:batchRecord", json=batch).json() == first.json()
    stream = [{"parent": profile, "interactions": [play(items[0], ago=100 + n)]} for n in range(10)]
    assert rest.post("/interactions:stream", json=stream).json() == {"recordedCount": "10"}
    assert rest.post("/interactions:stream", json=stream).json() == {"duplicateCount": "10"}
    found, token = [], ""
    while True:
        page = rest.get(f"/{profile}/interactions", params={"pageSize": 4, "pageToken": token}).json()
        found += page["interactions"]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert len(found) == 11 + len(items)
    assert found[0] == single.json()


def test_native_stream_is_long_in_bytes(mesh: LocalMesh, who: str, rest: httpx.Client, items: list[str]) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    requests, count, size = [], 20, 1000
    for number in range(count):
        request = interaction_pb2.StreamInteractionsRequest(parent=LocalMesh.profile_name(who))
        for index in range(size):
            event = request.interactions.add(item=items[index % len(items)], type="PLAY", source="native-client")
            event.event_time.FromDatetime(at - timedelta(seconds=number * size + index))
        requests.append(request)
    assert sum(request.ByteSize() for request in requests) > 1024 * 1024
    with mesh.channel() as channel:
        stub = interaction_pb2_grpc.InteractionServiceStub(channel)
        answer = stub.StreamInteractions(iter(requests), metadata=mesh.metadata(who), timeout=60)
    assert (answer.recorded_count, answer.duplicate_count) == (count * size, 0)
    receipt = rest.delete(f"/{LocalMesh.profile_name(who)}/interactions").json()
    assert receipt["erased"] == [{"what": "interactions", "count": str(count * size)}]


def test_opt_out_scrubs_interactions_and_says_so(rest: httpx.Client, profile: str, items: list[str]) -> None:
    variable = opt_in(rest, profile)
    now = datetime.now(UTC).isoformat()
    reading = {"kind": "AMBIENT_NOISE", "number": 61.5, "observeTime": now, "source": "phone"}
    assert rest.post(f"/{profile}/readings:record", json=reading).status_code == 200
    captured = rest.post(f"/{profile}/interactions:record", json=play(items[0]))
    assert captured.json()["environment"] == {"ambientNoiseDba": 61.5}
    told = play(items[1], environment={"ambientNoiseDba": 80, "activity": "RUNNING"})
    assert rest.post(f"/{profile}/interactions:record", json=told).json()["environment"] == {"ambientNoiseDba": 80}
    receipt = rest.delete(f"/{variable}").json()
    assert receipt["name"] == variable
    assert {part["what"]: part["count"] for part in receipt["erased"]} == {
        "readings": "1",
        "interactions.environment:ambient_noise": "2",
    }
    assert datetime.fromisoformat(receipt["eraseTime"]) <= datetime.now(UTC)
    assert "pending" not in receipt
    assert not any("environment" in found for found in rest.get(f"/{profile}/interactions").json()["interactions"])


def test_profile_is_deleted_after_its_interactions(rest: httpx.Client, profile: str, items: list[str]) -> None:
    rest.post(f"/{profile}/interactions:record", json=play(items[0]))
    refused = rest.delete(f"/{profile}")
    assert refusal(refused) == (400, "PROFILE_HAS_CHILDREN")
    assert "interactions" in refused.text
    assert rest.delete(f"/{profile}/interactions").status_code == 200
    assert rest.delete(f"/{profile}").status_code == 200
    assert refusal(rest.post(f"/{profile}/interactions:record", json=play(items[0]))) == (404, "PROFILE_NOT_FOUND")


def test_refusals_name_the_place(rest: httpx.Client, profile: str, items: list[str]) -> None:
    unknown = play(f"items/{uuid.uuid4()}")
    other = LocalMesh.profile_name(f"listener-{uuid.uuid4()}")
    batch = [play(items[0], ago=n + 1) for n in range(3)]

    def send(last: dict[str, Any]) -> httpx.Response:
        return rest.post(f"/{profile}/interactions:batchRecord", json={"interactions": [*batch, last]})

    assert refusal(send(unknown)) == (404, "ITEM_NOT_FOUND")
    assert "interactions[3].item" in send(unknown).json()["message"]
    assert refusal(send(play(items[0], ago=-600))) == (400, "EVENT_IN_FUTURE")
    assert refusal(send(play(items[0], ago=401 * 86400))) == (400, "EVENT_EXPIRED")
    assert refusal(send(play(items[0], list=f"{other}/tuneVectors/{uuid.uuid4()}"))) == (400, "LIST_OF_ANOTHER")
    assert refusal(send(play(items[0], propensity="NaN")))[0] == 400
    many = {"interactions": [play(items[0], ago=n) for n in range(1001)]}
    assert refusal(rest.post(f"/{profile}/interactions:batchRecord", json=many)) == (400, "INVALID_ARGUMENT")
    assert refusal(rest.post(f"/{other}/interactions:record", json=batch[0])) == (403, "NOT_OWNER")
    assert refusal(rest.get(f"/{other}/interactions")) == (403, "NOT_OWNER")
    assert refusal(rest.delete(f"/{other}/interactions")) == (403, "NOT_OWNER")
    stream = [{"parent": other, "interactions": batch[:1]}]
    assert refusal(rest.post("/interactions:stream", json=stream)) == (403, "NOT_OWNER")
    assert "interactions" not in rest.get(f"/{profile}/interactions").json()


@pytest.mark.parametrize(
    "method",
    [
        "rhythmiq.variable.v1.VariableErasureService/EraseVariableKind",
        "rhythmiq.profile.v1.ProfileChildrenService/CountProfileChildren",
    ],
)
def test_internal_services_of_the_recommender_are_not_reached_from_outside(
    mesh: LocalMesh, who: str, method: str
) -> None:
    with mesh.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        untyped(channel, f"/{method}")(b"", metadata=mesh.metadata(who), timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_opt_out_while_the_recommender_hangs_is_pending_and_then_done(
    mesh: LocalMesh, rest: httpx.Client, profile: str, items: list[str]
) -> None:
    variable = opt_in(rest, profile)
    told = play(items[1], environment={"ambientNoiseDba": 80})
    assert rest.post(f"/{profile}/interactions:record", json=told).json()["environment"] == {"ambientNoiseDba": 80}
    pid = mesh.pid_of("recommender")
    os.kill(pid, signal.SIGSTOP)
    try:
        receipt = rest.delete(f"/{variable}")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert receipt.status_code == 200, receipt.text
    assert receipt.json()["pending"] == ["copies:ambient_noise"]

    def scrubbed() -> bool:
        answer = rest.get(f"/{profile}/interactions")
        return answer.status_code == 200 and "environment" not in answer.json()["interactions"][0]

    wait_until(scrubbed, 30, "the opt-out reaches the interactions")
