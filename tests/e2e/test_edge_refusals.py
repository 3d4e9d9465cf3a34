"""Whatever a caller sends: one error shape, a stable reason, never HTTP 500, nothing of the input or the inside."""

from __future__ import annotations

import http.client
import json

import grpc
import httpx
import pytest
from local_mesh import LocalMesh, untyped

from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
SECRET = "sekrit-7f3a"
MEBIBYTE = 1024 * 1024
INSIDE = ("Traceback", ".py", "rhythmiq_", "pymongo", "mongod", ".sock", "upstream", "envoy", "/tmp/", "protobuf")


def checked(response: httpx.Response, *statuses: int) -> str:
    """The reason of a refusal that has the one shape."""
    assert response.status_code in statuses, response.text[:500]
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"code", "message", "details"}
    infos = [detail for detail in body["details"] if detail["@type"] == ERROR_INFO]
    assert len(infos) == 1
    assert infos[0]["domain"] == "rhythmiq.dev"
    assert infos[0]["reason"] == infos[0]["reason"].upper()
    assert SECRET not in response.text
    assert not [word for word in INSIDE if word in response.text]
    return str(infos[0]["reason"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/"),
        ("GET", "/profiles"),
        ("DELETE", "/items"),
        ("PUT", "/items"),
        ("POST", "/healthz"),
        ("OPTIONS", "/items"),
        ("POST", "/recommendations"),
        ("POST", "/profiles/x:dance"),
        ("GET", "/v1/items"),
        ("GET", "/Items"),
    ],
)
def test_unknown_paths_and_methods_are_told_so(mesh: LocalMesh, method: str, path: str) -> None:
    with mesh.client("refused") as client:
        response = client.request(method, path)
    assert checked(response, 404) == "UNKNOWN_PATH"


BODIES: dict[str, str | bytes] = {
    "not JSON": f'{{"{SECRET}',
    "a list": f'["{SECRET}"]',
    "a string": f'"{SECRET}"',
    "a number too much": '{"weight": 1} 2',
    "a string for a number": f'{{"weight": "{SECRET}"}}',
    "an object for a string": '{"value": {"sekrit-7f3a": 1}}',
    "an unknown enum value": f'{{"type": "{SECRET}"}}',
    "a lone surrogate": '{"value": "\\ud800"}',
    "not UTF-8": b'{"value": "\xff\xfe"}',
    "deeply nested": "[" * 100_000,
    "nothing": "",
    "NaN": '{"type": "GENRE", "value": "jazz", "weight": "NaN"}',
    "Infinity": '{"type": "GENRE", "value": "jazz", "weight": "Infinity"}',
    "a number of 400 digits": '{"type": "GENRE", "value": "jazz", "weight": ' + "9" * 400 + "}",
    "a NUL in a string": '{"type": "GENRE", "value": "a\\u0000b", "weight": 1}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_does_not_fit_is_told_so(mesh: LocalMesh, kind: str) -> None:
    body = BODIES[kind]
    content = body if isinstance(body, bytes) else body.encode()
    with mesh.client("refused") as client:
        response = client.post(f"/{mesh.profile_name('refused')}/preferences", content=content)
    assert checked(response, 400) == response.json()["details"][0]["reason"]
    assert response.json()["code"] == 3


@pytest.mark.parametrize(
    "query",
    [
        "bogus=1",
        "pageSize=sekrit-7f3a",
        "pageSize=99999999999",
        "pageSize=-1",
        "pageToken=sekrit-7f3a",
        "pageToken=%FF",
    ],
)
def test_a_query_parameter_that_does_not_fit_is_told_so(mesh: LocalMesh, query: str) -> None:
    with mesh.client("refused") as client:
        response = client.get(f"/{mesh.profile_name('refused')}/preferences?{query}")
    checked(response, 400)


def test_a_misspelt_parameter_of_the_compatible_method_is_refused_and_not_ignored(mesh: LocalMesh) -> None:
    with mesh.client("refused") as client:
        assert checked(client.get("/recommendations?seed_genre=jazz"), 400) == "MALFORMED_REQUEST"


def test_a_name_in_the_body_unlike_the_one_in_the_path_is_refused(mesh: LocalMesh) -> None:
    profile = mesh.profile_name("refused")
    with mesh.client("refused") as client:
        response = client.patch(f"/{profile}", json={"name": mesh.profile_name("victim"), "displayName": SECRET})
    assert checked(response, 400) == "MALFORMED_REQUEST"


IDS = {
    "an encoded slash": "a%2Fb",
    "an encoded slash in front": "%2Fetc%2Fpasswd",
    "dots": "%2e%2e",
    "upper case": "E7804FA9-E405-5F44-BA5C-E46DB189B7F5",
    "braces": "%7Be7804fa9-e405-5f44-ba5c-e46db189b7f5%7D",
    "not a UUID": "sekrit-7f3a",
    "without dashes": "e7804fa9e4055f44ba5ce46db189b7f5",
    "10 kB": "a" * 10_000,
    "not UTF-8": "%FF%FE",
    "a NUL": "%00",
    "a line feed at the end": "e7804fa9-e405-5f44-ba5c-e46db189b7f5%0A",
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("path", ["/profiles/{}", "/profiles/{}/preferences", "/items/{}"])
def test_an_id_that_is_not_a_lower_case_uuid_is_refused(mesh: LocalMesh, path: str, kind: str) -> None:
    with mesh.client("refused") as client:
        response = client.get(httpx.URL(mesh.base_url, raw_path=path.format(IDS[kind]).encode()))
    checked(response, 400, 401, 404, 431)


@pytest.mark.parametrize("kilobytes", [12, 20, 100])
def test_headers_that_are_too_long_are_refused(mesh: LocalMesh, kilobytes: int) -> None:
    with mesh.client("refused") as client:
        response = client.get("/items?pageSize=1", headers={"x-long": "a" * kilobytes * 1000})
    if response.status_code != 200:
        assert checked(response, 429, 431) == "HEADERS_TOO_LARGE"
    assert kilobytes < 20 or response.status_code != 200


def test_a_path_with_dots_leads_nowhere_else(mesh: LocalMesh) -> None:
    path = f"/{mesh.profile_name('refused')}/../../{mesh.profile_name('victim')}"
    with mesh.client("refused") as client:
        assert checked(client.get(httpx.URL(mesh.base_url, raw_path=path.encode())), 403)


@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "chunked"])
@pytest.mark.parametrize("path", ["preferences", "readings:batchRecord"])
def test_a_body_over_1_mib_is_refused_and_not_echoed(mesh: LocalMesh, path: str, *, chunked: bool) -> None:
    content = json.dumps({"value": SECRET * (2 * MEBIBYTE // len(SECRET))}).encode()
    with mesh.client("refused") as client:
        response = client.post(
            f"/{mesh.profile_name('refused')}/{path}", content=iter([content]) if chunked else content
        )
    assert checked(response, 413) == "PAYLOAD_TOO_LARGE"
    assert len(response.content) < 1000


def test_a_json_stream_over_1_mib_is_refused(mesh: LocalMesh) -> None:
    messages = [{"items": [{"title": "a" * 1000}] * 400}] * 5
    with mesh.client("refused", admin=True) as client:
        assert checked(client.post("/items:import", json=messages), 413) == "PAYLOAD_TOO_LARGE"


def test_a_native_message_over_1_mib_is_refused(mesh: LocalMesh) -> None:
    big = profile_pb2.Profile(email="a@example.org", display_name="a" * 2 * MEBIBYTE)
    with mesh.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        profile_pb2_grpc.ProfileServiceStub(channel).CreateProfile(
            profile_pb2.CreateProfileRequest(profile=big), metadata=mesh.metadata("refused"), timeout=10
        )
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_native_stream_may_be_longer_than_1_mib_in_total(mesh: LocalMesh) -> None:
    bad = item_pb2.Item(title="a" * 900)  # no external id, so that every item is rejected and none is kept
    messages = [item_pb2.ImportItemsRequest(items=[bad] * 500)] * 6
    with mesh.channel() as channel:
        answer = item_pb2_grpc.CatalogServiceStub(channel).ImportItems(
            iter(messages), metadata=mesh.metadata("importer", admin=True), timeout=30
        )
    assert answer.rejected_count == 3000


def test_bytes_that_are_no_message_are_the_callers_mistake(mesh: LocalMesh) -> None:
    with mesh.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        untyped(channel, "/rhythmiq.profile.v1.ProfileService/GetProfile")(
            b"\xff\xff\xff", metadata=mesh.metadata("refused"), timeout=10
        )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_an_unknown_method_of_a_public_service_is_unimplemented(mesh: LocalMesh) -> None:
    with mesh.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        untyped(channel, "/rhythmiq.profile.v1.ProfileService/Steal")(
            b"", metadata=mesh.metadata("refused"), timeout=10
        )
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", ["FOO", "CONNECT", "G ET", "get"])
def test_a_request_that_is_not_http_is_told_so(mesh: LocalMesh, method: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", mesh.port, timeout=10)
    connection.connect()
    connection.sock.sendall(
        f"{method} /items HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {mesh.token()}\r\n\r\n".encode()
    )
    response = http.client.HTTPResponse(connection.sock)
    response.begin()
    body = json.loads(response.read())
    connection.close()
    assert 400 <= response.status < 500
    assert body["details"][0]["reason"] in {"MALFORMED_REQUEST", "UNKNOWN_PATH"}


def test_the_answers_headers_tell_nothing_of_the_inside(mesh: LocalMesh) -> None:
    with mesh.client("refused") as client:
        response = client.get("/items?pageSize=1")
    assert response.headers["server"] == "rhythmiq"
    assert not [name for name in response.headers if name.startswith("x-envoy")]
