"""A refused or failed call is one sentence and an exit code, whatever the server sends."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq_cli.client import CallError, Client, principal_of
from rhythmiq_cli.output import CommandError, ExitCode

TOKEN = "x." + base64.urlsafe_b64encode(json.dumps({"iss": "i", "sub": "s", "scope": "a b"}).encode()).decode() + ".x"


class RefusingServer(profile_pb2_grpc.ProfileServiceServicer):
    """Refuses GetProfile with a status, a message and details."""

    def __init__(self) -> None:
        self.status = grpc.StatusCode.OK
        self.message = ""
        self.details: list[Any] = []

    def GetProfile(self, request: profile_pb2.GetProfileRequest, context: Any) -> profile_pb2.Profile:
        packed = [AnyMessage() for _ in self.details]
        for into, detail in zip(packed, self.details, strict=True):
            into.Pack(detail)
        status = status_pb2.Status(code=self.status.value[0], message=self.message, details=packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(self.status, self.message)
        raise AssertionError("abort raises")

    def CreateProfile(self, request: profile_pb2.CreateProfileRequest, context: Any) -> profile_pb2.Profile:
        raise AssertionError("not called")

    def UpdateProfile(self, request: profile_pb2.UpdateProfileRequest, context: Any) -> profile_pb2.Profile:
        raise AssertionError("not called")

    def DeleteProfile(self, request: profile_pb2.DeleteProfileRequest, context: Any) -> Any:
        raise AssertionError("not called")


@pytest.fixture
def server() -> RefusingServer:
    return RefusingServer()


@pytest.fixture
def client(server: RefusingServer) -> Iterator[Client]:
    listening = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    profile_pb2_grpc.add_ProfileServiceServicer_to_server(server, listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    listening.start()
    with Client(f"127.0.0.1:{port}", TOKEN) as connected:
        yield connected
    listening.stop(grace=0).wait()


def refusal(client: Client) -> CallError:
    with pytest.raises(CallError) as refused:
        client.call(client.profiles.GetProfile, profile_pb2.GetProfileRequest(name=client.profile_name))
    return refused.value


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, ExitCode.REFUSED),
        (grpc.StatusCode.UNAUTHENTICATED, ExitCode.NOT_ALLOWED),
        (grpc.StatusCode.PERMISSION_DENIED, ExitCode.NOT_ALLOWED),
        (grpc.StatusCode.NOT_FOUND, ExitCode.NOT_FOUND),
        (grpc.StatusCode.UNAVAILABLE, ExitCode.UNAVAILABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, ExitCode.UNAVAILABLE),
        (grpc.StatusCode.ALREADY_EXISTS, ExitCode.CONFLICT),
        (grpc.StatusCode.ABORTED, ExitCode.CONFLICT),
        (grpc.StatusCode.FAILED_PRECONDITION, ExitCode.CONFLICT),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ExitCode.CONFLICT),
        (grpc.StatusCode.INTERNAL, ExitCode.FAILED),
    ],
)
def test_each_status_has_its_exit_code(
    server: RefusingServer, client: Client, status: grpc.StatusCode, code: ExitCode
) -> None:
    server.status, server.message = status, "the thing went wrong"
    error = refusal(client)
    assert (error.code, error.status) == (code, status)
    assert error.message.endswith(".")


def test_violations_are_told_with_field_and_rule_once(server: RefusingServer, client: Client) -> None:
    server.status, server.message = grpc.StatusCode.INVALID_ARGUMENT, "profile.email: must be an email (and 1 more)"
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="profile.email", description="must be an email")
    bad.field_violations.add(field="profile.locale", description="must be a tag")
    server.details = [error_details_pb2.ErrorInfo(reason="INVALID_ARGUMENT"), bad]
    error = refusal(client)
    assert error.reason == "INVALID_ARGUMENT"
    assert error.message == "profile.email: must be an email (and 1 more) (profile.locale: must be a tag)."


def test_what_stands_against_a_deletion_is_told_once(server: RefusingServer, client: Client) -> None:
    server.status, server.message = grpc.StatusCode.FAILED_PRECONDITION, "the profile still has 3 preferences"
    failure = error_details_pb2.PreconditionFailure()
    failure.violations.add(description="3 preferences remain")
    server.details = [error_details_pb2.ErrorInfo(reason="PROFILE_HAS_CHILDREN"), failure]
    assert refusal(client).message == "The profile still has 3 preferences."


def test_mesh_that_is_away_is_told_with_the_way_out() -> None:
    with Client("http://127.0.0.1:1", TOKEN) as client:
        assert "start it with `rhythmiq up`" in refusal(client).message


def test_caller_is_read_from_the_token() -> None:
    principal = principal_of(TOKEN)
    assert (principal.issuer, principal.subject, principal.scopes) == ("i", "s", frozenset({"a", "b"}))


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a.e30.c", "a.W10.c", "ä.ö.ü"])
def test_text_that_is_no_token_is_told(token: str) -> None:
    with pytest.raises(CommandError, match="not a JWT"):
        principal_of(token)


@pytest.mark.parametrize("address", ["ftp://x", "http://", "http://x:port", "", "http://x:99999"])
def test_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(CommandError, match="must be like http://"):
        Client(address, TOKEN)


@pytest.mark.parametrize("address", ["http://[::1]:8080", "https://example.org", "localhost:8080", "unix:/tmp/x.sock"])
def test_addresses_of_every_form_are_taken(address: str) -> None:
    Client(address, TOKEN).close()
