"""Runs a service's real server inside the test's event loop, on a Unix socket, and calls it as the edge would."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rhythmiq_mesh.interceptors.principal import PAYLOAD_KEY, parse_payload
from rhythmiq_mesh.server import Server

PAGE_TOKEN_KEY = "a key for tests, 32 characters and more"
ISSUER = "https://issuer.test"


def payload(subject: str, *, scope: str = "") -> str:
    """A token payload as the edge forwards it."""
    claims = {"iss": ISSUER, "sub": subject, "scope": scope}
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def profile_id(subject: str) -> str:
    """The id of the profile that `subject` has, or would have."""
    return parse_payload(payload(subject)).profile_id


def metadata(subject: str, *, scope: str = "") -> tuple[tuple[str, str], ...]:
    """Call metadata of a verified caller."""
    return ((PAYLOAD_KEY, payload(subject, scope=scope)),)


def socket_address() -> str:
    """A fresh Unix socket address, short enough for the kernel's limit."""
    return f"unix:{Path(tempfile.mkdtemp(prefix='rq')) / 's.sock'}"


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """Runs `server` until the block ends; yields a channel to it once it is SERVING."""
    running = asyncio.create_task(server.run())
    try:
        async with grpc.aio.insecure_channel(server.settings.listen) as channel:
            await until_serving(channel)
            yield channel
    finally:
        server.stop()
        await asyncio.wait_for(running, 30)


async def until_serving(channel: grpc.aio.Channel, *, seconds: float = 30) -> None:
    """Waits until health says SERVING."""
    stub = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(seconds):
        while True:
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1, wait_for_ready=True)
            except grpc.aio.AioRpcError:
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.02)


def reason(error: grpc.aio.AioRpcError) -> str:
    """The ErrorInfo reason of a refused call."""
    from google.rpc.error_details_pb2 import ErrorInfo

    from rhythmiq_mesh.channels import _status

    for detail in _status(error).details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info: Any = ErrorInfo()
            detail.Unpack(info)
            found: str = info.reason
            return found
    return ""
