"""A lean HTTP/1.1 load generator: on two cores a heavy client would be the bottleneck that it measures.

Each connection sends one request after another and waits for the whole answer (closed loop).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Latencies in milliseconds, sorted; how long it all took, in seconds."""

    latencies: Sequence[float]
    seconds: float

    def percentile(self, share: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds


def http_request(method: str, path: str, *, token: str, body: bytes = b"") -> bytes:
    """A whole request, ready to be sent again and again."""
    head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            length = int(lower[at + 15 : lower.index(b"\r\n", at)])
            return status, await self._reader.readexactly(length)
        body = b""
        while True:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            body += (await self._reader.readexactly(size + 2))[:-2]
            if size == 0:
                return status, body

    def close(self) -> None:
        self._writer.close()


async def closed_loop(port: int, requests: Sequence[bytes], *, concurrency: int, seconds: float) -> Measured:
    """Sends the requests round robin for `seconds`. Raises RuntimeError on an answer other than 200."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def worker(offset: int) -> None:
        connection = await Connection.open(port)
        number = offset
        while (start := time.perf_counter()) < end:
            status, body = await connection.exchange(requests[number % len(requests)])
            latencies.append((time.perf_counter() - start) * 1000)
            if status != 200:
                raise RuntimeError(f"status {status}: {body[:500]!r}")
            number += concurrency
        connection.close()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for offset in range(concurrency):
            group.create_task(worker(offset))
    return Measured(sorted(latencies), time.perf_counter() - begin)
