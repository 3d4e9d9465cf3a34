from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from drafts import track
from local_mesh import LocalMesh, wait_until

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc


@pytest.fixture
def source() -> str:
    """Where this test's items come from, so that tests do not meet."""
    return f"e2e-{uuid.uuid4().hex[:12]}"


def item(source: str, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "externalId": f"{source}:{number}",
        "kind": "TRACK",
        "title": f"Track {number}",
        "artists": [source],
        **fields,
    }


def found(client: httpx.Client, source: str) -> list[dict[str, Any]]:
    """Every item of the source, over all pages."""
    items: list[dict[str, Any]] = []
    token = ""
    while True:
        page = client.get("/items", params={"artist": source.upper(), "pageSize": 3, "pageToken": token}).json()
        items += page.get("items", [])
        token = page.get("nextPageToken", "")
        if not token:
            return items


def error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["details"][0]["reason"]


def test_items_are_imported_listed_read_and_deleted_over_rest(mesh: LocalMesh, source: str) -> None:
    with mesh.client(admin=True) as admin, mesh.client("reader") as reader:
        items = [item(source, number, genres=["Post-Rock"], features={"tempo": 120.5}) for number in range(8)]
        answer = admin.post("/items:import", json=[{"items": [*items, item(source, 8, title="")]}])
        assert answer.status_code == 200
        summary = answer.json()
        assert summary["createdCount"] == "8"
        assert summary["rejections"][0]["field"] == "title"
        listed = found(reader, source)
        assert sorted(told["externalId"] for told in listed) == [told["externalId"] for told in items]
        first = listed[0]
        assert reader.get(f"/{first['name']}").json() == first
        assert error(admin.delete(f"/{first['name']}", params={"etag": "stale"})) == (409, "ETAG_MISMATCH")
        assert admin.delete(f"/{first['name']}", params={"etag": first["etag"]}).status_code == 200
        assert error(reader.get(f"/{first['name']}")) == (404, "ITEM_NOT_FOUND")
        assert len(found(reader, source)) == 7


def test_items_imported_over_grpc_are_recommended_and_forgotten_again(mesh: LocalMesh, source: str) -> None:
    genre = f"genre of {source}"
    message = track("x", external_id=f"{source}:1", genres=[genre])

    def recommended() -> list[str]:
        with mesh.client() as listener:
            parent = mesh.profile_name()
            answer = listener.post(f"/{parent}:recommend", json={"filter": {"genres": [genre]}})
            assert answer.status_code == 200, answer.text
            return [told["item"]["externalId"] for told in answer.json().get("recommendations", [])]

    with mesh.channel() as channel:
        stub = item_pb2_grpc.CatalogServiceStub(channel)
        metadata = mesh.metadata(admin=True)
        requests = [item_pb2.ImportItemsRequest(items=[message])] * 2
        summary = stub.ImportItems(iter(requests), metadata=metadata, timeout=30)
        assert (summary.created_count, summary.unchanged_count) == (1, 1)
        wait_until(lambda: recommended() == [f"{source}:1"], 10, "the item is recommended")
        [stored] = stub.ListItems(item_pb2.ListItemsRequest(genre=genre), metadata=metadata).items
        stub.DeleteItem(item_pb2.DeleteItemRequest(name=stored.name), metadata=metadata)
        wait_until(lambda: recommended() == [], 10, "the item is forgotten")


def test_only_an_administrator_writes_the_catalogue(mesh: LocalMesh, source: str) -> None:
    with mesh.client(admin=True) as admin, mesh.client() as listener:
        body = [{"items": [item(source, 1)]}]
        assert error(listener.post("/items:import", json=body)) == (403, "ADMIN_REQUIRED")
        assert admin.post("/items:import", json=body).status_code == 200
        [stored] = found(listener, source)
        assert error(listener.delete(f"/{stored['name']}")) == (403, "ADMIN_REQUIRED")
        with httpx.Client(base_url=mesh.base_url) as nobody:
            assert nobody.get("/items").status_code == 401
            assert nobody.post("/items:import", json=body).status_code == 401


@pytest.mark.parametrize(
    "name",
    ["items/1", "items/..%2F..", "items/A7C3E1F0-0000-5000-8000-000000000000", "items/" + "a" * 10_000],
)
def test_a_malformed_item_name_is_refused(mesh: LocalMesh, name: str) -> None:
    with mesh.client() as listener:
        answer = listener.get(f"/{name}")
        assert answer.status_code in {400, 404, 414, 431}
        assert "details" in answer.json()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"pageSize": -1}, "INVALID_ARGUMENT"),
        ({"pageToken": "tampered"}, "PAGE_TOKEN_INVALID"),
        ({"genre": "g" * 101}, "INVALID_ARGUMENT"),
    ],
)
def test_a_bad_list_is_refused_with_its_reason(mesh: LocalMesh, params: dict[str, Any], expected: str) -> None:
    with mesh.client() as listener:
        assert error(listener.get("/items", params=params)) == (400, expected)
