"""A synchronous gRPC client to the edge, with a deadline on each call and refusals told in one sentence.

Not used between services: their channels carry deadlines and identity (rhythmiq_mesh.channels). This one is for people.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar, cast
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from rhythmiq.preference.v1 import preference_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2_grpc
from rhythmiq.recommender.v1 import (
    interaction_pb2,
    interaction_pb2_grpc,
    item_pb2,
    item_pb2_grpc,
    recommender_pb2_grpc,
)
from rhythmiq.variable.v1 import variable_pb2_grpc
from rhythmiq_cli.output import CommandError, ExitCode
from rhythmiq_mesh.principal import Principal

DEFAULT_ADDRESS = "http://127.0.0.1:8080"
CALL_SECONDS = 10.0
# A stream of 5,000 items takes about half a second; this is for a machine that is busy with other things.
IMPORT_STREAM_SECONDS = 120.0
_RETRIES = 5
_FIRST_PAUSE_S = 0.25

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Request_contra = TypeVar("Request_contra", contravariant=True)
Response_co = TypeVar("Response_co", covariant=True)

_EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.REFUSED,
    grpc.StatusCode.OUT_OF_RANGE: ExitCode.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.NOT_ALLOWED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.NOT_ALLOWED,
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNAVAILABLE,
    grpc.StatusCode.ALREADY_EXISTS: ExitCode.CONFLICT,
    grpc.StatusCode.ABORTED: ExitCode.CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.CONFLICT,
}


class UnaryMethod(Protocol[Request_contra, Response_co]):
    """A unary method of a stub."""

    def __call__(
        self,
        request: Request_contra,
        timeout: float | None = None,
        metadata: tuple[tuple[str, str | bytes], ...] | None = None,
    ) -> Response_co: ...


class CallError(CommandError):
    """A call that the mesh refused or did not answer. `reason` is the ErrorInfo's, or empty."""

    def __init__(self, message: str, code: ExitCode, status: grpc.StatusCode, reason: str) -> None:
        super().__init__(message, code)
        self.status = status
        self.reason = reason


class Client:
    """The public services behind one address, for the bearer of one token."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self._token = token
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._channel = _channel(address)
        self.profiles = profile_pb2_grpc.ProfileServiceStub(self._channel)
        self.preferences = preference_pb2_grpc.PreferenceServiceStub(self._channel)
        self.variables = variable_pb2_grpc.VariableServiceStub(self._channel)
        self.catalog = item_pb2_grpc.CatalogServiceStub(self._channel)
        self.recommender = recommender_pb2_grpc.RecommenderServiceStub(self._channel)
        self.interactions = interaction_pb2_grpc.InteractionServiceStub(self._channel)

    @property
    def profile_name(self) -> str:
        """Resource name of the caller's profile, whether or not it exists. Raises CommandError for a broken token."""
        return f"profiles/{principal_of(self._token).profile_id}"

    def call(
        self, method: UnaryMethod[Request, Response], request: Request, *, timeout_s: float = CALL_SECONDS
    ) -> Response:
        """Makes a unary call. Raises CallError."""
        try:
            return method(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise call_error(error, self.address) from None

    def import_items(
        self, requests: Sequence[item_pb2.ImportItemsRequest]
    ) -> RepeatedStream[item_pb2.ImportItemsResponse]:
        """Starts an ImportItems stream. Items are stored by external id, so that repeating it is safe."""
        method = self.catalog.ImportItems
        return RepeatedStream(
            lambda: method.future(iter(requests), timeout=IMPORT_STREAM_SECONDS, metadata=self._metadata), self.address
        )

    def stream_interactions(
        self, requests: Sequence[interaction_pb2.StreamInteractionsRequest]
    ) -> RepeatedStream[interaction_pb2.StreamInteractionsResponse]:
        """Starts a StreamInteractions stream. What was recorded before is not recorded again: repeating it is safe."""
        method = self.interactions.StreamInteractions
        return RepeatedStream(
            lambda: method.future(iter(requests), timeout=IMPORT_STREAM_SECONDS, metadata=self._metadata), self.address
        )

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RepeatedStream(Generic[Response]):
    """A client stream that `start` begins, and that is sent again as a whole while the mesh is away for a moment."""

    def __init__(self, start: Callable[[], grpc.Future[Response]], address: str) -> None:
        self._start = start
        self._address = address
        self._future = start()

    def result(self) -> Response:
        """Waits for the answer. Raises CallError."""
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(_RETRIES + 1)):
            try:
                return self._future.result()
            except grpc.RpcError as error:
                refusal = call_error(error, self._address)
            if refusal.status is not grpc.StatusCode.UNAVAILABLE or not left:
                raise refusal
            time.sleep(pause_s)
            pause_s *= 2
            self._future = self._start()
        raise AssertionError("the last attempt returns or raises")

    def cancel(self) -> None:
        self._future.cancel()


def _channel(address: str) -> grpc.Channel:
    if address.startswith("unix:"):
        return grpc.insecure_channel(address)
    parts = urlsplit(address if "://" in address else f"http://{address}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
        raise CommandError(f"The address {address!r} must be like {DEFAULT_ADDRESS}.", ExitCode.USAGE)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # Loopback and a private mesh are never behind the proxy that an environment may name.
    options = [("grpc.enable_http_proxy", 0)]
    if parts.scheme == "https":
        return grpc.secure_channel(f"{host}:{port or 443}", grpc.ssl_channel_credentials(), options)
    return grpc.insecure_channel(f"{host}:{port or 80}", options)


def principal_of(token: str) -> Principal:
    """Who a token says its bearer is. Not verified: the edge does that. Raises CommandError for no JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return Principal(str(claims["iss"]), str(claims["sub"]), frozenset(str(claims.get("scope", "")).split()))
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, binascii.Error):
        raise CommandError("The token is not a JWT: pass what `rhythmiq token` prints.", ExitCode.NOT_ALLOWED) from None


def call_error(error: grpc.RpcError, address: str) -> CallError:
    """One sentence for a failed call: the server's own, with each field and its rule."""
    # Every error that a call raises is the call itself, too; the types do not say so.
    call = cast("grpc.Call", error)
    status = call.code()
    code = _EXIT_CODES.get(status, ExitCode.FAILED)
    info, violations = _details(call)
    if not info and status is grpc.StatusCode.UNAVAILABLE:
        message = f"Cannot reach the mesh at {address}: start it with `rhythmiq up`, or name another --address."
    elif not info and status is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"The mesh at {address} did not answer in time: try again."
    elif not info and status is grpc.StatusCode.UNAUTHENTICATED:
        message = "The mesh does not accept the token: get one with `rhythmiq token`."
    else:
        message = _sentence(call.details() or status.name, violations)
    return CallError(message, code, status, info)


def _sentence(message: str, violations: Sequence[str]) -> str:
    untold = [one for one in violations if one not in message]
    told = message.rstrip(".")
    # A message that begins with a field's path keeps it as it is spelled.
    begun = told[:1].upper() + told[1:] if told.split(" ", 1)[0].isalpha() else told
    return begun + (f" ({'; '.join(untold)})" if untold else "") + "."


def _details(error: grpc.Call) -> tuple[str, list[str]]:
    """The ErrorInfo's reason, and each field with the rule that it breaks (other details are in the message)."""
    reason, violations = "", []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status()
        try:
            status.ParseFromString(value if isinstance(value, bytes) else value.encode("latin-1"))
        except DecodeError:
            continue
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(bad):
                violations += [f"{one.field}: {one.description}" for one in bad.field_violations]
    return reason, violations
