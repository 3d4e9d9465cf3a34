"""Calls to other services of the mesh: each carries the caller's identity and what remains of the deadline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

import grpc
from google.rpc.status_pb2 import Status

from rhythmiq_mesh.deadline import remaining
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.interceptors.errors import DETAILS_KEY, RemoteError
from rhythmiq_mesh.interceptors.principal import PAYLOAD_KEY
from rhythmiq_mesh.principal import current_principal_or_none

Request = TypeVar("Request")
Response = TypeVar("Response")
_AWAY = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNIMPLEMENTED,
}


def open_channel(address: str, *, retried: Sequence[str] = ()) -> grpc.aio.Channel:
    """A channel to `address` (`unix:/path`, `host:port` or `dns:///name:port`).

    `retried` names the idempotent methods (`package.Service/Method`) that gRPC may repeat on UNAVAILABLE.
    """
    names = [dict(zip(("service", "method"), method.split("/"), strict=True)) for method in retried]
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": names, "retryPolicy": policy}] if names else [],
    }
    return grpc.aio.insecure_channel(
        address,
        options=[
            ("grpc.service_config", json.dumps(config)),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.max_receive_message_length", 16 * 1024 * 1024),
        ],
    )


async def invoke(
    method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
    request: Request,
    *,
    timeout: float,  # noqa: ASYNC109 - it becomes the call's deadline on the wire, which a local scope cannot
    peer: str,
) -> Response:
    """Calls `method` on behalf of the present caller.

    `timeout` in seconds is the call's own; the caller's deadline cuts it. `peer` names the service for a person. Raises
    Unavailable when the peer is away or slow, DeadlineExceeded when the caller's deadline has passed, RemoteError for
    what the peer refused.
    """
    principal = current_principal_or_none()
    metadata = ((PAYLOAD_KEY, principal.payload),) if principal is not None else None
    try:
        return await method(request, timeout=remaining(timeout), metadata=metadata)
    except grpc.aio.AioRpcError as error:
        if error.code() in _AWAY:
            remaining(timeout)
            raise Unavailable(f"the {peer} service is away: try again", reason="SERVICE_UNAVAILABLE") from error
        raise RemoteError(_status(error)) from error


def _status(error: grpc.aio.AioRpcError) -> Status:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return Status.FromString(value)
    return Status(code=error.code().value[0], message=error.details() or "")
