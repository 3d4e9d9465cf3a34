"""The few HTTP requests of the supervisor: the edge's health, and Envoy's admin interface on its Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

from rhythmiq_cli.up.programs import SERVICES

_TIMEOUT_S = 8.0


async def not_serving(host: str, port: int) -> list[str]:
    """The services that GET /healthz names as not serving, `envoy` while it does not answer; none when all serve."""
    try:
        status, body = await _request(asyncio.open_connection(host, port), "GET", "/healthz")
    except (OSError, ValueError, TimeoutError, EOFError):
        return ["envoy"]
    if status == 200:
        return []
    try:
        return cast("str", json.loads(body)["details"][0]["metadata"]["services"]).split(",")
    except (ValueError, KeyError, IndexError, TypeError):
        return list(SERVICES)


async def drain(admin_socket: Path, patience_s: float) -> None:
    """Makes Envoy take no new connections, and waits at most `patience_s` for the requests that it has."""
    with contextlib.suppress(OSError, ValueError, EOFError, TimeoutError):
        async with asyncio.timeout(patience_s):
            await _admin(admin_socket, "POST", "/drain_listeners")
            while await _active_requests(admin_socket):  # noqa: ASYNC110 - nobody here could set an event
                await asyncio.sleep(0.05)


async def _active_requests(admin_socket: Path) -> int:
    text = await _admin(admin_socket, "GET", "/stats?filter=^http.edge.downstream_rq_active$")
    _, _, number = text.strip().rpartition(" ")
    return int(number)


async def _admin(socket: Path, method: str, path: str) -> str:
    status, body = await _request(asyncio.open_unix_connection(str(socket)), method, path)
    if status != 200:
        raise ValueError(status)
    return body.decode()


async def _request(
    connecting: Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]], method: str, path: str
) -> tuple[int, bytes]:
    """One request on a connection of its own. Raises OSError, ValueError, EOFError or TimeoutError."""
    async with asyncio.timeout(_TIMEOUT_S):
        reader, writer = await connecting
        try:
            writer.write(
                f"{method} {path} HTTP/1.1\r\nhost: rhythmiq\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode()
            )
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
    return int(head.split(b" ", 2)[1]) if head else 0, body
