"""A service's process: serves gRPC, tells its health, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rhythmiq_mesh.config import ProcessSettings
from rhythmiq_mesh.errors import MeshError
from rhythmiq_mesh.interceptors import chain
from rhythmiq_mesh.interceptors.validation import warm

log = logging.getLogger("rhythmiq.server")

MAX_MESSAGE_BYTES = 1024 * 1024
_CHECK_SECONDS = 1.0
Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Service:
    """One gRPC service: its descriptor, and `add_…Servicer_to_server` bound to its servicer."""

    descriptor: ServiceDescriptor
    add: Callable[[grpc.aio.Server], Any]


@dataclass
class Server:
    """A service's process. `run` returns after a drained stop.

    `start` runs before health says SERVING (indexes, warm-up); `background` runs beside the serving and is cancelled at
    its end; `checks` must pass (raise nothing) for health to say SERVING; `close` releases what bootstrap opened.
    """

    settings: ProcessSettings
    services: Sequence[Service]
    checks: Sequence[Check] = ()
    start: Sequence[Check] = ()
    background: Sequence[Check] = ()
    close: Sequence[Check] = ()
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then drains."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        server = grpc.aio.server(
            interceptors=chain(),
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
            ],
        )
        health_servicer = health.aio.HealthServicer()
        names = self._register(server, health_servicer)
        await self._set_health(health_servicer, names, serving=False)
        server.add_insecure_port(self.settings.listen)
        await server.start()
        work = asyncio.create_task(self._begin(health_servicer, names))
        work.add_done_callback(lambda _: self._stop.set())
        self._tasks.append(work)
        await self._stop.wait()
        log.info("draining")
        for task in self._tasks:
            task.cancel()
        await health_servicer.enter_graceful_shutdown()
        await asyncio.sleep(self.settings.drain_seconds)
        await server.stop(self.settings.grace_seconds)
        await _end(self._tasks)
        for close in self.close:
            await close()
        # Work that failed takes the process down with its exception, so that whoever runs it starts it afresh.
        with contextlib.suppress(asyncio.CancelledError):
            await work

    def stop(self) -> None:
        """Asks `run` to drain and return."""
        self._stop.set()

    def _register(self, server: grpc.aio.Server, health_servicer: Any) -> list[str]:
        for service in self.services:
            service.add(server)
            warm(GetMessageClass(method.input_type) for method in service.descriptor.methods)
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        names = [service.descriptor.full_name for service in self.services]
        if self.settings.reflection:
            reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        return ["", *names]

    async def _begin(self, health_servicer: Any, names: Sequence[str]) -> None:
        """Runs the start steps until they succeed, then the background work and the health checks."""
        for step in self.start:
            while not await _passes(step):  # noqa: ASYNC110 - a database sets no event when it is back
                await asyncio.sleep(_CHECK_SECONDS / 2)
        # What has been built by now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        log.info("ready", extra={"listen": self.settings.listen})
        tasks = [asyncio.create_task(_forever(work)) for work in self.background]
        tasks.append(asyncio.create_task(self._watch(health_servicer, names)))
        self._tasks += tasks
        for ended in (await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION))[0]:
            ended.result()

    async def _watch(self, health_servicer: Any, names: Sequence[str]) -> None:
        while True:
            results = [await _passes(check) for check in self.checks]
            await self._set_health(health_servicer, names, serving=all(results))
            await asyncio.sleep(_CHECK_SECONDS)

    @staticmethod
    async def _set_health(health_servicer: Any, names: Sequence[str], *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in names:
            await health_servicer.set(name, status)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels tasks until they obey: PyMongo can lose a cancellation that comes while it times an operation.

    Not a TaskGroup's work: that cancels its tasks once and then waits for ever.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.1)


async def _passes(check: Check) -> bool:
    try:
        await check()
    except MeshError as error:
        log.warning("check failed", extra={"reason": error.reason, "detail": error.message})
        return False
    return True


async def _forever(work: Check) -> None:
    """Runs background work again after any failure: it must not take the serving down with it."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("background work failed; it starts again")
        await asyncio.sleep(_CHECK_SECONDS)
