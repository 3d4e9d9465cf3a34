"""Interactions by stream: events per second that were acknowledged, and so are on disk, through Envoy with JWT.

The generator makes its messages beforehand: on two cores it would be the bottleneck that it measures.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from bench.mesh import Listener, Mesh, make_listener, running_mesh
from bench.processes import cpu_seconds, tree
from rhythmiq.recommender.v1 import interaction_pb2, item_pb2, item_pb2_grpc
from rhythmiq.type.v1.environment_pb2 import Environment

Section = dict[str, Any]
STREAMS = 4
MESSAGES_A_STREAM = 10
_METHOD = "/rhythmiq.recommender.v1.InteractionService/StreamInteractions"
_ACTIVITIES = (Environment.WALKING, Environment.RUNNING, Environment.SITTING, Environment.DRIVING)
_TYPES = (
    interaction_pb2.Interaction.IMPRESSION,
    interaction_pb2.Interaction.PLAY,
    interaction_pb2.Interaction.SKIP,
    interaction_pb2.Interaction.COMPLETE,
)


def interactions(catalogue: Path, *, seconds: float) -> Section:
    """Several listeners at once, each one stream after another, with two kinds of surroundings that they share."""
    with running_mesh() as mesh:
        json.loads(mesh.run("import", "catalog", str(catalogue), "--json"))
        listeners = [make_listener(mesh, f"bench-events-{number}", [], []) for number in range(STREAMS)]
        items = _items(mesh, listeners[0])
        sizes = {}
        for size in (1000, 100):
            makers = [Maker(listener.name, items, size, number) for number, listener in enumerate(listeners)]
            sizes[str(size)] = asyncio.run(_measure(mesh, listeners, makers, seconds))
        return {"streams": STREAMS, "items": len(items), "by_message_size": sizes}


def _items(mesh: Mesh, listener: Listener) -> list[str]:
    with grpc.insecure_channel(f"127.0.0.1:{mesh.port}") as channel:
        request = item_pb2.ListItemsRequest(page_size=200)
        page = item_pb2_grpc.CatalogServiceStub(channel).ListItems(request, metadata=_metadata(listener))
        return [item.name for item in page.items]


@dataclass
class Maker:
    """Makes streams of events that never repeat."""

    parent: str
    items: list[str]
    size: int
    number: int
    made: int = 0

    def stream(self) -> list[bytes]:
        return [self._message() for _ in range(MESSAGES_A_STREAM)]

    def _message(self) -> bytes:
        request = interaction_pb2.StreamInteractionsRequest(parent=self.parent)
        # Of the last 300 days, at a millisecond of their own; the sizes do not meet either.
        start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=self.size % 300)
        for _ in range(self.size):
            self.made += 1
            event = request.interactions.add(
                item=self.items[self.made % len(self.items)],
                type=_TYPES[self.made % len(_TYPES)],
                source="bench",
                list=f"{self.parent}/tuneVectors/0d9f7c1e-5b1a-4b5e-9f57-4f2f6a3f8f10",
                position=1 + self.made % 50,
                propensity=0.25,
                environment=Environment(ambient_noise_dba=40.0 + self.made % 40, activity=_ACTIVITIES[self.made % 4]),
            )
            event.event_time.FromDatetime(start - timedelta(milliseconds=37 * self.made))
            event.played.FromMilliseconds(self.made % 200_000)
        return request.SerializeToString()


async def _measure(mesh: Mesh, listeners: list[Listener], makers: list[Maker], seconds: float) -> Section:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{mesh.port}") as channel:
        call: grpc.aio.StreamUnaryMultiCallable[bytes, interaction_pb2.StreamInteractionsResponse]
        call = channel.stream_unary(
            _METHOD,
            request_serializer=None,
            response_deserializer=interaction_pb2.StreamInteractionsResponse.FromString,
        )

        async def one(listener: Listener, messages: list[bytes]) -> int:
            answer = await call(iter(messages), metadata=_metadata(listener), timeout=60)
            if answer.duplicate_count:
                raise RuntimeError(f"{answer.duplicate_count} events were not new: not what is to be measured")
            return int(answer.recorded_count)

        await asyncio.gather(*(one(*each) for each in zip(listeners, _streams(makers), strict=True)))
        # As many rounds as fit; what is not measured (making the messages) happens between them.
        recorded, spent, pids = 0, 0.0, tree(mesh.process.pid)
        cpu: dict[str, float] = {}
        while spent < seconds:
            streams = list(_streams(makers))
            before, start = cpu_seconds(pids), time.perf_counter()
            counts = await asyncio.gather(*(one(*each) for each in zip(listeners, streams, strict=True)))
            spent += time.perf_counter() - start
            recorded += sum(counts)
            for name, used in cpu_seconds(pids).items():
                cpu[name] = cpu.get(name, 0.0) + used - before[name]
    return {
        "events": recorded,
        "per_second": round(recorded / spent),
        "cpu_us_per_event": {name: round(used * 1e6 / recorded, 1) for name, used in sorted(cpu.items()) if used},
    }


def _streams(makers: list[Maker]) -> Iterator[list[bytes]]:
    return (maker.stream() for maker in makers)


def _metadata(listener: Listener) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {listener.token}"),)
