"""Who is who, through a real Envoy: tokens that are not the caller's own, and headers that only the edge may set."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.rpc import error_details_pb2, status_pb2
from local_mesh import LocalMesh, untyped

from rhythmiq.profile.v1 import internal_pb2, profile_pb2, profile_pb2_grpc

PAYLOAD_HEADER = "x-rhythmiq-jwt-payload"


def b64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims(**changes: object) -> dict[str, Any]:
    now = int(time.time())
    good = {"iss": "https://rhythmiq.local", "sub": "mallory", "aud": "rhythmiq", "iat": now, "exp": now + 3600}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(mesh: LocalMesh, **changes: object) -> str:
    key = mesh.key()
    return jwt.encode(claims(**changes), key.private, "ES256", headers={"kid": key.key_id})


def foreign_key(mesh: LocalMesh) -> str:
    """Signed by another key under the id of the right one."""
    return jwt.encode(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": mesh.key().key_id})


def hmac_of_public_key(mesh: LocalMesh) -> str:
    """The classic confusion: the public key used as an HMAC secret. (PyJWT itself refuses to do this.)"""
    key = mesh.key()
    pem = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing_input = f"{b64({'alg': 'HS256', 'typ': 'JWT', 'kid': key.key_id})}.{b64(claims())}"
    signature = hmac.new(pem, signing_input.encode(), "sha256").digest()
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def tampered(mesh: LocalMesh) -> str:
    head, _, signature = signed(mesh).split(".")
    return ".".join((head, b64(claims(sub="somebody-else")), signature))


TOKENS: dict[str, Callable[[LocalMesh], str]] = {
    "expired": lambda mesh: signed(mesh, exp=int(time.time()) - 60),
    "without expiry": lambda mesh: signed(mesh, exp=None),
    "not valid yet": lambda mesh: signed(mesh, nbf=int(time.time()) + 600),
    "wrong audience": lambda mesh: signed(mesh, aud="somebody-else"),
    "without audience": lambda mesh: signed(mesh, aud=None),
    "wrong issuer": lambda mesh: signed(mesh, iss="https://elsewhere.example"),
    "alg none": lambda mesh: f"{b64({'alg': 'none', 'typ': 'JWT'})}.{b64(claims())}.",
    "foreign key": foreign_key,
    "HMAC with the public key": hmac_of_public_key,
    "tampered with": tampered,
    "not a token": lambda mesh: "sekrit",
}


def reason_of(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json"
    return str(response.json()["details"][0]["reason"])


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_that_is_not_good_is_refused_over_rest(mesh: LocalMesh, kind: str) -> None:
    token = TOKENS[kind](mesh)
    response = httpx.get(f"{mesh.base_url}/items", headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.json()["code"] == 16
    assert reason_of(response) == "UNAUTHENTICATED"
    assert response.headers["www-authenticate"] == "Bearer"
    assert token not in response.text


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_that_is_not_good_is_refused_over_grpc(mesh: LocalMesh, kind: str) -> None:
    with mesh.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        profile_pb2_grpc.ProfileServiceStub(channel).GetProfile(
            profile_pb2.GetProfileRequest(name=mesh.profile_name("mallory")),
            metadata=(("authorization", f"Bearer {TOKENS[kind](mesh)}"),),
            timeout=10,
        )
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    [details] = [one.value for one in refused.value.trailing_metadata() if one.key == "grpc-status-details-bin"]
    assert isinstance(details, bytes)
    status = status_pb2.Status.FromString(details)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("UNAUTHENTICATED", "rhythmiq.dev")


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Basic bWU6bWU="}, {"cookie": "token=x"}],
    ids=["nothing", "empty", "basic", "cookie"],
)
@pytest.mark.parametrize(
    "path", ["/items", "/nowhere", "/recommendations", "/healthz/", "//healthz", "/healthz/../items"]
)
def test_nothing_but_health_is_answered_without_a_token(mesh: LocalMesh, path: str, headers: dict[str, str]) -> None:
    response = httpx.get(httpx.URL(mesh.base_url, raw_path=path.encode()), headers=headers)
    assert response.status_code == 401
    assert reason_of(response) == "UNAUTHENTICATED"


def test_a_token_in_the_query_does_not_count(mesh: LocalMesh) -> None:
    response = httpx.get(f"{mesh.base_url}/items", params={"access_token": mesh.token()})
    assert response.status_code == 401


def test_health_needs_no_token(mesh: LocalMesh) -> None:
    response = mesh.healthz()
    assert (response.status_code, response.json()) == (200, {"status": "SERVING"})


@pytest.mark.parametrize(
    "name", [PAYLOAD_HEADER, PAYLOAD_HEADER.title(), "x-rhythmiq-jwt_payload", "x_rhythmiq_jwt_payload"]
)
def test_an_identity_sent_by_the_client_has_no_effect_over_rest(mesh: LocalMesh, name: str) -> None:
    victim = {"iss": "https://rhythmiq.local", "sub": "victim", "scope": "rhythmiq.admin"}
    headers = {name: b64(victim)}
    with mesh.client("mallory") as mallory:
        theirs = mallory.get(f"/{mesh.profile_name('victim')}", headers=headers)
        import_ = mallory.post("/items:import", json=[{"items": [{"title": "x"}]}], headers=headers)
    assert theirs.status_code == 403
    assert import_.status_code == 403
    without = httpx.get(f"{mesh.base_url}/{mesh.profile_name('victim')}", headers=headers)
    assert without.status_code == 401


@pytest.mark.parametrize("name", [PAYLOAD_HEADER, f"{PAYLOAD_HEADER}-bin"])
def test_an_identity_sent_by_the_client_has_no_effect_over_grpc(mesh: LocalMesh, name: str) -> None:
    victim = b64({"iss": "https://rhythmiq.local", "sub": "victim"})
    value = victim.encode() if name.endswith("-bin") else victim
    request = profile_pb2.GetProfileRequest(name=mesh.profile_name("victim"))
    with mesh.channel() as channel:
        stub = profile_pb2_grpc.ProfileServiceStub(channel)
        with pytest.raises(grpc.RpcError) as with_token:
            stub.GetProfile(request, metadata=(*mesh.metadata("mallory"), (name, value)), timeout=10)
        with pytest.raises(grpc.RpcError) as without_token:
            stub.GetProfile(request, metadata=((name, value),), timeout=10)
    assert with_token.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert without_token.value.code() is grpc.StatusCode.UNAUTHENTICATED


INTERNAL = [
    "/rhythmiq.profile.v1.ProfileInternalService/GetProfileState",
    "/rhythmiq.profile.v1.ProfileChildrenService/CountProfileChildren",
    "/rhythmiq.preference.v1.PreferenceInternalService/BatchWriteLearnedPreferences",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/rhythmiq.profile.v1.ProfileService/../ProfileInternalService/GetProfileState",
    "/rhythmiq.profile.v1.ProfileService/%2e%2e/rhythmiq.profile.v1.ProfileInternalService/GetProfileState",
    "/rhythmiq.profile.v1.ProfileService/..%2f..%2frhythmiq.profile.v1.ProfileInternalService/GetProfileState",
    "//rhythmiq.profile.v1.ProfileInternalService/GetProfileState",
    "/rhythmiq.profile.v1.profileinternalservice/GetProfileState",
]


@pytest.mark.parametrize("method", INTERNAL)
def test_internal_services_are_out_of_reach_over_grpc(mesh: LocalMesh, method: str) -> None:
    request = internal_pb2.GetProfileStateRequest(name=mesh.profile_name())
    with mesh.channel() as channel:
        call = untyped(channel, method)
        with pytest.raises(grpc.RpcError) as refused:
            call(request.SerializeToString(), metadata=mesh.metadata(admin=True), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", INTERNAL)
@pytest.mark.parametrize("content_type", ["application/json", "application/grpc", "application/grpc-web", "text/plain"])
def test_internal_services_are_out_of_reach_over_rest(mesh: LocalMesh, method: str, content_type: str) -> None:
    with mesh.client(admin=True) as client:
        url = httpx.URL(mesh.base_url, raw_path=method.encode())
        response = client.post(url, content=b"\0\0\0\0\0", headers={"content-type": content_type})
    assert response.status_code == 404 or response.headers["grpc-status"] == "12"


def test_grpc_web_is_answered(mesh: LocalMesh) -> None:
    """A browser's frame in, a frame and the status as trailers in the body out."""
    frame = b"\0\0\0\0\0"
    with mesh.client("nobody-in-particular") as client:
        response = client.post(
            "/rhythmiq.recommender.v1.CatalogService/ListItems",
            content=frame,
            headers={"content-type": "application/grpc-web+proto"},
        )
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/grpc-web")
    assert b"grpc-status:0" in response.content


def test_http2_and_http1_share_the_port(mesh: LocalMesh) -> None:
    with mesh.channel() as channel:
        grpc.channel_ready_future(channel).result(timeout=10)
    assert httpx.get(f"{mesh.base_url}/healthz").http_version == "HTTP/1.1"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_scheme_may_be_written_in_either_case(mesh: LocalMesh, scheme: str) -> None:
    token = mesh.token("either-case")
    answer = httpx.get(f"{mesh.base_url}/items", headers={"authorization": f"{scheme} {token}"})
    assert answer.status_code == 200
