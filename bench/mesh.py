"""Starts a mesh of the benchmark's own through the command that people use, and sets up a listener."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

COMMAND = [sys.executable, "-m", "rhythmiq_cli"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Mesh:
    """A running mesh: its port, process and state folder."""

    port: int
    process: subprocess.Popen[bytes]
    state: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "RHYTHMIQ_STATE_DIR": str(self.state), "RHYTHMIQ_ADDRESS": self.base}

    def run(self, *words: str) -> str:
        """Runs `rhythmiq …` against this mesh; its standard output."""
        done = subprocess.run([*COMMAND, *words], env=self.environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def token(self, subject: str) -> str:
        return self.run("token", "--subject", subject).strip()


@contextmanager
def running_mesh() -> Iterator[Mesh]:
    """A mesh with an empty database of its own; stopped by process id at the end."""
    with tempfile.TemporaryDirectory(prefix="rq-bench-") as folder:
        port = free_port()
        environment = {**os.environ, "RHYTHMIQ_STATE_DIR": folder}
        with (Path(folder) / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [*COMMAND, "up", "--no-demo", "--port", str(port)],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        try:
            _await_ready(port, process, Path(folder) / "up.log")
            yield Mesh(port, process, Path(folder))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def _await_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the mesh did not start:\n{log.read_text()[-2000:]}")


READINGS: list[dict[str, object]] = [
    {"kind": "AMBIENT_NOISE", "number": 68},
    {"kind": "ACTIVITY", "activity": "WALKING"},
    {"kind": "HEART_RATE", "number": 104},
    {"kind": "PLACE_TYPE", "placeType": "OUTDOORS"},
    {"kind": "TEMPERATURE", "number": 19},
    {"kind": "WEATHER", "weather": "CLEAR"},
]


@dataclass(frozen=True)
class Listener:
    """A profile with 50 preferences and 6 variables, each with a fresh reading."""

    name: str
    token: str


def make_listener(mesh: Mesh, subject: str, genres: list[str], artists: list[str]) -> Listener:
    """Makes the listener through the REST API."""
    token = mesh.token(subject)
    with httpx.Client(base_url=mesh.base, headers={"authorization": f"Bearer {token}"}, timeout=30) as client:
        name = _post(client, "/profiles", {"email": f"{subject}@example.org", "timeZone": "Europe/Vienna"})["name"]
        tempi = [f"{low}-{low + 19}" for low in range(60, 180, 20)]
        wanted = [("GENRE", genre) for genre in genres] + [("TEMPO", tempo) for tempo in tempi]
        wanted += [("ARTIST", artist) for artist in artists]
        for number, (kind, value) in enumerate(wanted[:50]):
            preference = {"type": kind, "value": value, "weight": round(-1 + 0.4 * (number % 6), 1)}
            _post(client, f"/{name}/preferences", preference)
        now = datetime.now(UTC).isoformat()
        for reading in READINGS:
            _post(client, f"/{name}/variables", {"kind": reading["kind"], "consentVersion": "bench"})
            _post(client, f"/{name}/readings:record", {**reading, "source": "bench", "observeTime": now})
    return Listener(str(name), token)


def _post(client: httpx.Client, path: str, body: object) -> dict[str, object]:
    response = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    if response.status_code != 200:
        raise RuntimeError(f"POST {path}: {response.status_code} {response.text[:500]}")
    answer: dict[str, object] = response.json()
    return answer
