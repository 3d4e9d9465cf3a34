"""The whole mesh for tests: `rhythmiq up` as a process, stopped by its id, looked at from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import grpc
import httpx

from rhythmiq_cli.identity.keys import SigningKey
from rhythmiq_cli.identity.tokens import DEMO_SUBJECT, ISSUER, mint
from rhythmiq_cli.state import StateFolder
from rhythmiq_mesh.principal import Principal

START_SECONDS = 60.0
STOP_SECONDS = 10.0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns as soon as `condition` holds. Fails when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)


def environment(state: Path, **extra: str) -> dict[str, str]:
    """This process's environment without what would lead the command elsewhere."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("RHYTHMIQ_") and name != "PORT"
    }
    return inherited | {"RHYTHMIQ_STATE_DIR": str(state)} | extra


def rhythmiq(*arguments: str, state: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rhythmiq_cli", *arguments],
        env=environment(state, **extra),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def untyped(channel: grpc.Channel, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    """A call of any method by its path, with bytes in and bytes out."""
    return channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)


class LocalMesh:
    """A running mesh. Everything about it is asked from outside: over HTTP, gRPC, and the process table."""

    def __init__(self, state: Path, *options: str, port: int | None = None) -> None:
        self.state = state
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.grpc_target = f"127.0.0.1:{self.port}"
        self._options = options
        self._output = state.with_name(state.name + ".out")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the mesh has said that it is ready."""
        self._output.unlink(missing_ok=True)
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rhythmiq_cli", "up", "--port", str(self.port), *self._options],
                env=environment(self.state),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until(self._ready_or_ended, START_SECONDS, self.output())
        assert self._process.poll() is None, self.output()

    def _ready_or_ended(self) -> bool:
        assert self._process is not None
        return "Stop with Ctrl-C" in self.output() or self._process.poll() is not None

    def output(self) -> str:
        """What the command has printed."""
        return self._output.read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def processes(self) -> dict[int, str]:
        """Every process of this mesh but `up` itself, known by the state folder they were told: id and command line."""
        found = {}
        marker = f"RHYTHMIQ_STATE_DIR={self.state}".encode()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) in (os.getpid(), self.pid):
                continue
            try:
                if marker in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended meanwhile
                continue
        return {pid: command for pid, command in found.items() if command}

    def pid_of(self, part: str) -> int:
        """Process id of a service (`profile`), the worker `leanings`, `mongod` or `envoy`."""
        names = {"mongod": "mongod --dbpath", "envoy": "envoy -c", "leanings": "-m rhythmiq_recommender.leanings "}
        wanted = names.get(part, f"-m rhythmiq_{part} ")
        return next(pid for pid, command in self.processes().items() if wanted in command and "leash.py" not in command)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Asks the mesh to end and waits for that: the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def healthz(self) -> httpx.Response:
        return httpx.get(f"{self.base_url}/healthz", timeout=10)

    def serving(self) -> bool:
        """Whether every service serves."""
        try:
            return self.healthz().status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_serving(self) -> None:
        wait_until(self.serving, START_SECONDS, "every service serves")

    def answers(self) -> bool:
        """Whether every service answers from the database now, whatever it says of itself."""
        subject = "whether-it-answers"
        profile = self.profile_name(subject)
        with self.client(subject) as client:
            created = client.post("/profiles", json={"email": f"{subject}@example.org"})
            if created.status_code not in {200, 409}:
                return False
            kinds = ("preferences", "variables", "tuneVectors", "interactions")
            return all(client.get(f"/{profile}/{kind}").status_code == 200 for kind in kinds)

    def key(self) -> SigningKey:
        return SigningKey.load(StateFolder(self.state).signing_key)

    def token(
        self, subject: str = DEMO_SUBJECT, *, admin: bool = False, lifetime: timedelta = timedelta(hours=1)
    ) -> str:
        return mint(self.key(), subject, admin=admin, lifetime=lifetime)

    @staticmethod
    def profile_name(subject: str = DEMO_SUBJECT) -> str:
        """Resource name of a subject's profile, whether or not it exists."""
        return f"profiles/{Principal(ISSUER, subject, frozenset()).profile_id}"

    def client(self, subject: str = DEMO_SUBJECT, *, admin: bool = False) -> httpx.Client:
        """A REST client that acts as `subject`."""
        headers = {"authorization": f"Bearer {self.token(subject, admin=admin)}"}
        return httpx.Client(base_url=self.base_url, headers=headers, timeout=30)

    def channel(self) -> grpc.Channel:
        """A native gRPC channel to the edge; calls bring their own token."""
        return grpc.insecure_channel(self.grpc_target)

    def metadata(self, subject: str = DEMO_SUBJECT, *, admin: bool = False) -> tuple[tuple[str, str], ...]:
        """What a native call sends to act as `subject`."""
        return (("authorization", f"Bearer {self.token(subject, admin=admin)}"),)
