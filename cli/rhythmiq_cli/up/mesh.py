"""The supervisor: starts everything, keeps it running, stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import rhythmiq_protos
from rhythmiq_cli.identity.keys import SigningKey, load_or_create_page_token_key, write_private
from rhythmiq_cli.identity.tokens import AUDIENCE, ISSUER
from rhythmiq_cli.output import CommandError
from rhythmiq_cli.state import StateFolder
from rhythmiq_cli.up import edge, http, logs, mongo, programs
from rhythmiq_cli.up.child import Child, Program, in_words
from rhythmiq_cli.up.report import Report

T = TypeVar("T")

_START_SECONDS = 60.0
_POLL_SECONDS = 0.1
# A program that ended this often before the mesh was ready cannot run as things are.
_HOPELESS_AFTER = 3
_DRAIN_SECONDS = 1.5


class Stopped(Exception):
    """Somebody asked to stop while the mesh was starting."""


@dataclass(frozen=True)
class Place:
    """Where a mesh lives: state, sockets, the address it binds, and the one at which this machine reaches it."""

    state: StateFolder
    sockets: Path
    bind: str
    port: int
    reach: str

    def socket(self, name: str) -> Path:
        return self.sockets / f"{name}.sock"

    def log(self, name: str) -> Path:
        return self.state.logs / f"{name}.log"


class LocalMesh:
    """MongoDB, the five services and Envoy as child processes. `run` returns when somebody asked it to stop."""

    def __init__(self, place: Place, key: SigningKey, report: Report) -> None:
        self._place = place
        self._key = key
        self._report = report
        self._children: dict[str, Child] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._stopping = False
        self._ended = asyncio.Event()
        self._ready = False
        self._waiting: list[str] = []

    async def run(self, on_ready: Callable[[], None], afterwards: Callable[[Callable[[], bool]], None]) -> None:
        """Starts all, calls `on_ready` in a thread once all serve, and supervises until SIGTERM or Ctrl-C.

        Meanwhile `afterwards` runs in a thread, and is told by its argument whether somebody asked to stop.
        Raises CommandError when a part does not come up, and what the two raise.
        """
        with self._signals():
            try:
                with self._report.working():
                    await self._unless_stopped(self._start())
                await self._unless_stopped(_in_thread(on_ready))
                await self._unless_stopped(self._supervise(afterwards))
            except Stopped:
                pass
            finally:
                await self._stop_all()

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                uri = await self._start_database()
                self._start_services(uri)
                # Envoy waits for the services by itself.
                self._launch(programs.envoy(programs.find_envoy(), self._configure_edge(), self._place.log("envoy")))
                workers = [self._place.log(name) for name in programs.WORKERS]
                bounded = [*(child.program.log for child in self._children.values()), *workers, self._access_log]
                self._tasks.append(asyncio.create_task(logs.keep_bounded(bounded)))
                await self._until(self._missing)
                # Nobody waits for them, so they take nothing from the start of what is waited for.
                self._start_workers(uri)
        except TimeoutError:
            raise self._not_ready(self._waiting) from None
        self._ready = True

    async def _start_database(self) -> str:
        """The connection string of a database that accepts writes."""
        uri = os.environ.get(programs.MONGO_VARIABLE, "")
        if uri:
            await mongo.check_external(uri)
            return uri
        socket = self._place.socket("mongod")
        self._launch(
            programs.mongod(programs.find_mongod(), self._place.state.mongo, socket, self._place.log("mongod"))
        )
        primary = asyncio.create_task(mongo.make_primary(socket))

        async def missing() -> list[str]:
            return [] if primary.done() else ["mongod"]

        try:
            await self._until(missing)
            primary.result()
        finally:
            await _cancel([primary])
        return mongo.uri_of(socket)

    def _start_services(self, mongo_uri: str) -> None:
        key = load_or_create_page_token_key(self._place.state.page_token_key)
        sockets = {name: self._place.socket(name) for name in programs.SERVICES}
        models = self._place.state.models
        for name in programs.SERVICES:
            self._launch(programs.service(name, sockets, mongo_uri, key, self._place.log(name), models=models))

    def _start_workers(self, mongo_uri: str) -> None:
        sockets = {name: self._place.socket(name) for name in (*programs.SERVICES, *programs.WORKERS)}
        for name in programs.WORKERS:
            self._launch(programs.worker(name, sockets, mongo_uri, self._place.log(name)))

    async def _until(self, missing: Callable[[], Awaitable[list[str]]]) -> None:
        """Returns when nothing is missing. Raises CommandError when a child ends again and again."""
        while waiting := await missing():
            self._waiting = waiting
            hopeless = [c.program.name for c in self._children.values() if c.quick_ends >= _HOPELESS_AFTER]
            if hopeless:
                raise self._not_ready(hopeless)
            self._report.waiting(f"waiting for {', '.join(waiting)}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _supervise(self, afterwards: Callable[[Callable[[], bool]], None]) -> None:
        """Never returns, unless `afterwards` raises."""
        background = asyncio.create_task(_in_thread(lambda: afterwards(self._stop.is_set)))
        restarts = asyncio.create_task(self._tell_of_restarts())
        try:
            await background
            await restarts
        finally:
            await _cancel([background, restarts])

    async def _tell_of_restarts(self) -> None:
        """Says when everything serves again after something ended. Never returns."""
        while True:
            await self._ended.wait()
            self._ended.clear()
            while await self._missing():  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(_POLL_SECONDS * 5)
            if not self._ended.is_set():
                self._report.say("Everything serves again.")

    async def _missing(self) -> list[str]:
        return await http.not_serving(self._place.reach, self._place.port)

    def _configure_edge(self) -> Path:
        state = self._place.state
        jwks = state.envoy / "jwks.json"
        write_private(jwks, json.dumps(self._key.jwks()).encode())
        settings = edge.EdgeSettings(
            bind_address=self._place.bind,
            port=self._place.port,
            descriptors=rhythmiq_protos.DESCRIPTORS,
            jwks=jwks,
            issuer=ISSUER,
            audience=AUDIENCE,
            access_log=self._access_log,
        )
        sockets = {name: self._place.socket(name) for name in programs.SERVICES}
        return edge.write_config(state.envoy, settings, sockets, self._place.socket("admin"))

    @property
    def _access_log(self) -> Path:
        return self._place.log("access")

    def _launch(self, program: Program) -> None:
        logs.bound(program.log)
        child = Child(program, self._child_ended)
        self._children[program.name] = child
        self._tasks.append(asyncio.create_task(child.run()))

    def _child_ended(self, child: Child, returncode: int) -> None:
        if self._ready:
            self._report.say(f"{child.program.name} ended ({in_words(returncode)}): starting it again.")
        self._ended.set()

    def _not_ready(self, names: list[str]) -> CommandError:
        """One sentence, and below it the last lines of what did not come up."""
        sentence = f"These did not come up: {', '.join(names)}. Their logs are in {self._place.state.logs}."
        lines = [sentence]
        for name in names:
            lines += [f"{name}: {line}" for line in logs.tail(self._place.log(name), 5)]
        return CommandError("\n".join(lines))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._asked_to_stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _asked_to_stop(self) -> None:
        """The first time in order, the second time at once."""
        self._stop.set()
        if self._stopping:
            for child in self._children.values():
                child.kill()

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises Stopped, having cancelled it, when somebody asks to stop first."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopped
            return task.result()
        finally:
            await _cancel([task, stop])

    async def _stop_all(self) -> None:
        """Envoy first, so that no request meets a closed service; the database last, so that none loses it."""
        self._stopping = True
        if self._children:
            self._report.say("Stopping.")
        if envoy := self._children.get("envoy"):
            await http.drain(self._place.socket("admin"), _DRAIN_SECONDS)
            await envoy.stop()
        served = [self._children[name] for name in (*programs.WORKERS, *programs.SERVICES) if name in self._children]
        await asyncio.gather(*(child.stop() for child in served))
        if mongod := self._children.get("mongod"):
            await mongod.stop()
        await _cancel(self._tasks)


async def _cancel(tasks: list[asyncio.Task[Any]] | list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _in_thread(work: Callable[[], None]) -> None:
    """Runs blocking work in a daemon thread: unlike an executor's, it holds up nobody who stops meanwhile."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - handed over to the awaiting side
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, daemon=True).start()
    await done
