"""Preferences as a REST client sees them, through Envoy."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from local_mesh import LocalMesh

MEMBERS = {"name", "uid", "type", "value", "weight", "origin", "createTime", "updateTime", "etag"}


@pytest.fixture
def collection(who: str) -> str:
    return f"/{LocalMesh.profile_name(who)}/preferences"


def create(rest: httpx.Client, collection: str, **fields: Any) -> dict[str, Any]:
    answer = rest.post(collection, json={"type": "GENRE", "value": "rock", "weight": 0.5, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refusal(answer: httpx.Response) -> tuple[int, int, str]:
    """HTTP status, canonical code and reason of an error in the API's one shape."""
    body = answer.json()
    assert set(body) == {"code", "message", "details"}
    infos = [detail for detail in body["details"] if detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"]
    assert [info["domain"] for info in infos] == ["rhythmiq.dev"]
    return answer.status_code, body["code"], infos[0]["reason"]


def test_preference_is_created_read_listed_changed_and_deleted(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection, value="Drum & Bass", weight=-0.25)
    assert set(created) == MEMBERS
    assert (created["type"], created["origin"], created["weight"]) == ("GENRE", "SET", -0.25)
    path = f"/{created['name']}"
    assert path.startswith(f"{collection}/")
    assert rest.get(path).json() == created
    assert rest.get(collection).json()["preferences"] == [created]
    changed = rest.patch(path, json={"weight": 1}).json()
    assert (changed["weight"], changed["value"]) == (1, "Drum & Bass")
    deleted = rest.delete(path, params={"etag": changed["etag"]})
    assert (deleted.status_code, deleted.json()) == (200, {})
    assert refusal(rest.get(path)) == (404, 5, "PREFERENCE_NOT_FOUND")


def test_weight_of_zero_is_kept_and_shown(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection, weight=0)
    assert created["weight"] == 0
    path = f"/{created['name']}"
    rest.patch(path, json={"weight": 0.5})
    assert rest.patch(path, json={"weight": 0}).json()["weight"] == 0
    assert rest.get(path).json()["weight"] == 0


@pytest.mark.parametrize("mask", ["weight", "*"])
def test_patch_changes_what_the_mask_names(rest: httpx.Client, collection: str, mask: str) -> None:
    created = create(rest, collection)
    body = {"value": "jazz", "weight": -1}
    changed = rest.patch(f"/{created['name']}", params={"updateMask": mask}, json=body).json()
    assert changed["weight"] == -1
    assert changed["value"] == ("jazz" if mask == "*" else "rock")
    assert (changed["type"], changed["createTime"]) == (created["type"], created["createTime"])


@pytest.mark.parametrize("mask", ["createTime,weight", "create_time,weight"])
@pytest.mark.parametrize("parameter", ["updateMask", "update_mask"])
def test_mask_is_read_in_camel_and_in_snake_case(
    rest: httpx.Client, collection: str, parameter: str, mask: str
) -> None:
    created = create(rest, collection)
    body = {"weight": -1, "value": "jazz", "createTime": "2001-01-01T00:00:00Z"}
    changed = rest.patch(f"/{created['name']}", params={parameter: mask}, json=body).json()
    assert (changed["weight"], changed["value"], changed["createTime"]) == (-1, "rock", created["createTime"])


@pytest.mark.parametrize(
    ("mask", "body", "expected"),
    [
        ("wieght", {"weight": 1}, "UNKNOWN_MASK_PATH"),
        ("type", {"type": "ARTIST"}, "IMMUTABLE_FIELD"),
        (None, {"type": "ARTIST"}, "IMMUTABLE_FIELD"),
        (None, {}, "NOTHING_TO_CHANGE"),
        (None, {"wieght": 1}, "NOTHING_TO_CHANGE"),
        (None, {"weight": "NaN"}, "INVALID_ARGUMENT"),
        (None, {"weight": "-Infinity"}, "INVALID_ARGUMENT"),
        (None, {"weight": -1.5}, "INVALID_ARGUMENT"),
        ("weight", {}, "INVALID_ARGUMENT"),
    ],
)
def test_bad_patch_is_refused_and_changes_nothing(
    rest: httpx.Client, collection: str, mask: str | None, body: dict[str, Any], expected: str
) -> None:
    created = create(rest, collection)
    path = f"/{created['name']}"
    answer = rest.patch(path, params={"updateMask": mask} if mask else None, json=body)
    assert refusal(answer) == (400, 3, expected)
    assert rest.get(path).json() == created


@pytest.mark.parametrize(
    "change",
    [
        {"type": "SMELL"},
        {"type": 99},
        {"type": "TYPE_UNSPECIFIED"},
        {"weight": "NaN"},
        {"weight": "Infinity"},
        {"weight": "heavy"},
        {"weight": None},
        {"value": 7},
        {"value": ""},
        {"value": "x" * 201},
        {"type": "TEMPO", "value": "fast"},
        {"type": "TEMPO", "value": "120-90"},
    ],
    ids=str,
)
def test_bad_preference_is_refused_and_not_stored(rest: httpx.Client, collection: str, change: dict[str, Any]) -> None:
    answer = rest.post(collection, json={"type": "GENRE", "value": "rock", "weight": 0.5} | change)
    assert refusal(answer)[:2] == (400, 3)
    assert "preferences" not in rest.get(collection).json() or rest.get(collection).json()["preferences"] == []


def test_second_of_a_type_and_value_is_409(rest: httpx.Client, collection: str) -> None:
    create(rest, collection, value="Hip Hop")
    other = create(rest, collection, value="jazz")
    again = {"type": "GENRE", "value": "HIP HOP", "weight": 1}
    assert refusal(rest.post(collection, json=again)) == (409, 6, "PREFERENCE_EXISTS")
    assert refusal(rest.patch(f"/{other['name']}", json={"value": "hip hop"})) == (409, 6, "PREFERENCE_EXISTS")


def test_stale_etag_is_409(rest: httpx.Client, collection: str) -> None:
    created = create(rest, collection)
    path = f"/{created['name']}"
    assert rest.patch(path, json={"weight": 1, "etag": created["etag"]}).status_code == 200
    assert refusal(rest.patch(path, json={"weight": 0.1, "etag": created["etag"]})) == (409, 10, "ETAG_MISMATCH")
    assert refusal(rest.delete(path, params={"etag": created["etag"]})) == (409, 10, "ETAG_MISMATCH")


def test_replayed_request_id_returns_the_first_answer_and_a_conflicting_one_is_409(
    rest: httpx.Client, collection: str
) -> None:
    body = {"type": "ARTIST", "value": "Björk", "weight": 1}
    repeat = {"requestId": str(uuid.uuid4())}
    first = rest.post(collection, params=repeat, json=body).json()
    rest.patch(f"/{first['name']}", json={"weight": -1})
    assert rest.post(collection, params=repeat, json=body).json() == first
    conflict = rest.post(collection, params=repeat, json=body | {"weight": 0.1})
    assert refusal(conflict) == (409, 6, "REQUEST_ID_CONFLICT")


def test_hundred_and_first_is_429_and_pages_hold_each_once(rest: httpx.Client, collection: str) -> None:
    names = [create(rest, collection, value=f"genre {number}")["name"] for number in range(100)]
    more = {"type": "GENRE", "value": "one more", "weight": 1}
    assert refusal(rest.post(collection, json=more)) == (429, 8, "PREFERENCE_LIMIT_REACHED")
    seen: list[str] = []
    token = ""
    while True:
        page = rest.get(collection, params={"pageSize": 30, "pageToken": token}).json()
        seen += [preference["name"] for preference in page["preferences"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert seen == names
    assert len(rest.get(collection, params={"pageSize": 2**31 - 1}).json()["preferences"]) == 100


def test_bad_pages_are_refused(mesh: LocalMesh, rest: httpx.Client, collection: str) -> None:
    create(rest, collection)
    create(rest, collection, value="jazz")
    token = rest.get(collection, params={"pageSize": 1}).json()["nextPageToken"]
    altered: dict[str, int | str] = {"pageSize": 1, "pageToken": f"x{token[1:]}"}
    assert refusal(rest.get(collection, params=altered)) == (400, 3, "PAGE_TOKEN_INVALID")
    assert refusal(rest.get(collection, params={"pageSize": -1}))[:2] == (400, 3)
    another = f"listener-{uuid.uuid4()}"
    with mesh.client(another) as client:
        foreign = client.get(f"/{mesh.profile_name(another)}/preferences", params={"pageToken": token})
    assert refusal(foreign) == (400, 3, "PAGE_TOKEN_INVALID")


def test_preferences_of_another_listener_are_403_existing_or_not(
    mesh: LocalMesh, rest: httpx.Client, collection: str
) -> None:
    created = create(rest, collection)
    with mesh.client(f"listener-{uuid.uuid4()}") as other:
        for path in (f"/{created['name']}", f"{collection}/{uuid.uuid4()}"):
            assert refusal(other.get(path)) == (403, 7, "NOT_OWNER")
            assert refusal(other.patch(path, json={"weight": 1})) == (403, 7, "NOT_OWNER")
            assert refusal(other.delete(path)) == (403, 7, "NOT_OWNER")
        assert refusal(other.get(collection)) == (403, 7, "NOT_OWNER")


def test_profile_with_preferences_is_kept_until_they_are_gone(rest: httpx.Client, collection: str, who: str) -> None:
    created = create(rest, collection)
    profile = f"/{LocalMesh.profile_name(who)}"
    answer = rest.delete(profile)
    assert refusal(answer) == (400, 9, "PROFILE_HAS_CHILDREN")
    assert "preferences (1)" in answer.json()["message"]
    rest.delete(f"/{created['name']}")
    assert rest.delete(profile).status_code == 200
    orphan = {"type": "GENRE", "value": "rock", "weight": 1}
    assert refusal(rest.post(collection, json=orphan)) == (404, 5, "PROFILE_NOT_FOUND")


def test_learned_preferences_cannot_be_written_from_outside(mesh: LocalMesh, rest: httpx.Client, who: str) -> None:
    method = "/rhythmiq.preference.v1.PreferenceInternalService/BatchWriteLearnedPreferences"
    assert rest.post(method, json={"parent": mesh.profile_name(who)}).status_code == 404
