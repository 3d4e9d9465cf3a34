"""Blocks as a REST client sees them, through Envoy, and what they do to recommendations and lists."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from local_mesh import LocalMesh

MEMBERS = {"name", "uid", "createTime", "updateTime", "etag"}


@pytest.fixture
def collection(who: str) -> str:
    return f"/{LocalMesh.profile_name(who)}/blocks"


def create(rest: httpx.Client, collection: str, **fields: Any) -> dict[str, Any]:
    answer = rest.post(collection, json=fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def recommended(rest: httpx.Client, profile: str, **body: Any) -> list[dict[str, Any]]:
    answer = rest.post(f"/{profile}:recommend", json={"count": 50, "seed": "7", **body})
    assert answer.status_code == 200, answer.text
    return [one["item"] for one in answer.json()["recommendations"]]


def refusal(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, canonical code and reason of an error in the API's one shape."""
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    infos = [detail for detail in body["details"] if detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"]
    assert [info["domain"] for info in infos] == ["rhythmiq.dev"]
    return answer.status_code, body["code"], infos[0]["reason"]


def test_block_is_created_read_listed_and_deleted(rest: httpx.Client, collection: str) -> None:
    artist = create(rest, collection, artist="Somebody Loud")
    assert set(artist) == MEMBERS | {"artist"}
    item = rest.get("/items", params={"pageSize": 1}).json()["items"][0]["name"]
    blocked = create(rest, collection, item=item)
    assert set(blocked) == MEMBERS | {"item"}
    path = f"/{blocked['name']}"
    assert path.startswith(f"{collection}/")
    assert rest.get(path).json() == blocked
    assert rest.get(collection).json()["blocks"] == [artist, blocked]
    assert refusal(rest.delete(path, params={"etag": "stale"})) == (409, 10, "ETAG_MISMATCH")
    deleted = rest.delete(path, params={"etag": blocked["etag"]})
    assert (deleted.status_code, deleted.json()) == (200, {})
    assert refusal(rest.get(path)) == (404, 5, "BLOCK_NOT_FOUND")
    assert rest.get(collection).json()["blocks"] == [artist]


def test_what_is_blocked_is_out_of_the_next_answer_and_back_once_it_is_not(
    rest: httpx.Client, profile: str, collection: str
) -> None:
    before = recommended(rest, profile)
    item, artist = before[0]["name"], before[1]["artists"][0]
    blocks = [create(rest, collection, item=item), create(rest, collection, artist=artist.upper())]
    after = recommended(rest, profile)
    assert len(after) == 50
    assert item not in [one["name"] for one in after]
    assert artist not in [name for one in after for name in one["artists"]]
    compared = rest.post(f"/{profile}:explain", json={"suppose": {"ambientNoiseDba": 80}}).json()
    for answer in (compared["actual"], compared["supposed"]):
        assert item not in [one["item"]["name"] for one in answer["recommendations"]]
        assert artist not in [name for one in answer["recommendations"] for name in one["item"]["artists"]]
    liked = rest.get("/recommendations", params={"seed_tracks": before[2]["uid"], "limit": 100}).json()["tracks"]
    assert artist not in [one["name"] for track in liked for one in track["artists"]]
    for block in blocks:
        assert rest.delete(f"/{block['name']}").status_code == 200
    assert recommended(rest, profile) == before


def test_a_tuned_list_has_nothing_blocked(rest: httpx.Client, profile: str, collection: str) -> None:
    vector = rest.post(
        f"/{profile}/tuneVectors",
        json={"displayName": "Mine", "kind": "PLAYLIST", "mode": "AI_DRIVEN", "length": {"count": 10}},
    ).json()
    first = rest.post(f"/{vector['name']}:tune", json={"seed": "3"}).json()["items"]
    for one in first[:3]:
        create(rest, collection, item=one["item"])
    again = rest.post(f"/{vector['name']}:tune", json={"seed": "3"}).json()["items"]
    assert len(again) == 10
    assert not {one["item"] for one in first[:3]} & {one["item"] for one in again}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"artist": ""},
        {"artist": " padded"},
        {"artist": "\u2003"},
        {"artist": "x" * 501},
        {"artist": 7},
        {"item": "items/7"},
        {"item": "items/00000000-0000-4000-8000-000000000000", "artist": "both"},
    ],
    ids=str,
)
def test_bad_block_is_refused_and_not_stored(rest: httpx.Client, collection: str, body: dict[str, Any]) -> None:
    assert refusal(rest.post(collection, json=body))[:2] == (400, 3)
    assert rest.get(collection).json().get("blocks", []) == []


def test_an_item_that_is_not_there_is_404_and_the_second_block_of_one_409(rest: httpx.Client, collection: str) -> None:
    nowhere = {"item": "items/00000000-0000-4000-8000-000000000000"}
    assert refusal(rest.post(collection, json=nowhere)) == (404, 5, "ITEM_NOT_FOUND")
    create(rest, collection, artist="Sigur Rós")
    again = {"artist": "SIGUR RO\u0301S"}
    assert refusal(rest.post(collection, json=again)) == (409, 6, "BLOCK_EXISTS")


def test_replayed_request_id_returns_the_first_answer(rest: httpx.Client, collection: str) -> None:
    repeat = {"requestId": str(uuid.uuid4())}
    first = rest.post(collection, params=repeat, json={"artist": "Björk"}).json()
    assert rest.post(collection, params=repeat, json={"artist": "Björk"}).json() == first
    conflict = rest.post(collection, params=repeat, json={"artist": "Another"})
    assert refusal(conflict) == (409, 6, "REQUEST_ID_CONFLICT")
    assert len(rest.get(collection).json()["blocks"]) == 1


def test_pages_hold_each_once(rest: httpx.Client, collection: str) -> None:
    names = [create(rest, collection, artist=f"artist {number}")["name"] for number in range(7)]
    seen: list[str] = []
    token = ""
    while True:
        page = rest.get(collection, params={"pageSize": 3, "pageToken": token}).json()
        seen += [block["name"] for block in page["blocks"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert seen == names
    assert refusal(rest.get(collection, params={"pageToken": "x"})) == (400, 3, "PAGE_TOKEN_INVALID")


def test_blocks_of_another_listener_are_403_existing_or_not(
    mesh: LocalMesh, rest: httpx.Client, collection: str
) -> None:
    created = create(rest, collection, artist="Mine Alone")
    with mesh.client(f"listener-{uuid.uuid4()}") as other:
        for path in (f"/{created['name']}", f"{collection}/{uuid.uuid4()}"):
            assert refusal(other.get(path)) == (403, 7, "NOT_OWNER")
            assert refusal(other.delete(path)) == (403, 7, "NOT_OWNER")
        assert refusal(other.get(collection)) == (403, 7, "NOT_OWNER")
        assert refusal(other.post(collection, json={"artist": "Yours"})) == (403, 7, "NOT_OWNER")


def test_profile_with_blocks_is_kept_until_they_are_gone(rest: httpx.Client, collection: str, profile: str) -> None:
    created = create(rest, collection, artist="One")
    answer = rest.delete(f"/{profile}")
    assert refusal(answer) == (400, 9, "PROFILE_HAS_CHILDREN")
    assert "blocks (1)" in answer.json()["message"]
    rest.delete(f"/{created['name']}")
    assert rest.delete(f"/{profile}").status_code == 200
    assert refusal(rest.post(collection, json={"artist": "Two"})) == (404, 5, "PROFILE_NOT_FOUND")


def test_exploration_is_logged_with_each_item(rest: httpx.Client, profile: str) -> None:
    answer = rest.post(f"/{profile}:recommend", json={"count": 20, "explore": False}).json()
    assert {one["propensity"] for one in answer["recommendations"]} == {1}
    assert not any(one.get("explored") for one in answer["recommendations"])
    answer = rest.post(f"/{profile}:recommend", json={"count": 20}).json()
    told = [one["propensity"] for one in answer["recommendations"]]
    assert told[:2] == [1, 1]
    assert all(0 < propensity <= 1 for propensity in told)
    assert any(propensity < 1 for propensity in told)
