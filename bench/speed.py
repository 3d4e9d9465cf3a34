"""What is measured, each as a function that returns one section of the report."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.learned import teach
from bench.load import Connection, Measured, closed_loop, http_request
from bench.mesh import Listener, Mesh, free_port, make_listener, running_mesh
from bench.processes import cpu_seconds, resident_mib, tree

Section = dict[str, Any]
CONCURRENCY = 4
_PEER_START_SECONDS = 30
_FRESH_SECONDS = 30


def recommend(catalogue: Path, *, small: Path, seconds: float) -> Section:
    """Recommend 20 through Envoy with JWT, 50 preferences and 6 variables, on a small and on the whole catalogue."""
    measured: Section = {}
    for label, file in (("small", small), ("full", catalogue)):
        with running_mesh() as mesh:
            # Before the import, so that the first question follows its end at once.
            listener = make_listener(mesh, f"bench-{label}", *_tastes(file))
            started = time.perf_counter()
            imported = json.loads(mesh.run("import", "catalog", str(file), "--json"))
            import_seconds = time.perf_counter() - started
            measured[label] = _recommend_once(mesh, listener, seconds) | {
                "items": imported["created"],
                "import_items_per_second": round(imported["read"] / import_seconds),
                "import": imported,
            }
            if label == "full":
                measured["profile"] = _profile(mesh, listener, seconds)
                measured["learned"] = _learned(mesh, listener, seconds)
    small_p50, full_p50 = (measured[label]["p50_ms"] for label in ("small", "full"))
    measured["p50_growth"] = round(full_p50 / small_p50, 2)
    return measured


def _recommend_once(mesh: Mesh, listener: Listener, seconds: float) -> Section:
    request = http_request("POST", f"/{listener.name}:recommend", token=listener.token, body=b'{"count":20}')
    fresh = _until_searchable(mesh, request)
    asyncio.run(closed_loop(mesh.port, [request], concurrency=CONCURRENCY, seconds=min(3.0, seconds)))
    return _loaded(mesh.process.pid, mesh.port, request, seconds) | {"searchable_after_seconds": fresh}


def _learned(mesh: Mesh, listener: Listener, seconds: float) -> Section:
    """The same request, ranked by a model that was trained on what listeners did."""
    taught = teach(mesh, listener)
    request = http_request("POST", f"/{listener.name}:recommend", token=listener.token, body=b'{"count":20}')
    _check_answer(asyncio.run(_one(mesh.port, request)))
    asyncio.run(closed_loop(mesh.port, [request], concurrency=CONCURRENCY, seconds=min(3.0, seconds)))
    return _loaded(mesh.process.pid, mesh.port, request, seconds) | taught


def _until_searchable(mesh: Mesh, request: bytes) -> float:
    """Seconds from the import's end until items are recommended; then checks that the answer is the whole one."""
    start = time.monotonic()
    while not (answer := asyncio.run(_one(mesh.port, request))).get("recommendations"):
        if time.monotonic() - start > _FRESH_SECONDS:
            raise RuntimeError(f"the catalogue is not searchable: {answer}")
        time.sleep(0.1)
    fresh = round(time.monotonic() - start, 2)
    _check_answer(answer)
    return fresh


async def _one(port: int, request: bytes) -> dict[str, Any]:
    connection = await Connection.open(port)
    status, body = await connection.exchange(request)
    connection.close()
    if status != 200:
        raise RuntimeError(f"status {status}: {body[:500]!r}")
    answer: dict[str, Any] = json.loads(body)
    return answer


def _check_answer(answer: dict[str, Any]) -> None:
    """The benchmark is worth nothing if the answer is not the whole one."""
    counts = {key: len(answer.get(key, ())) for key in ("recommendations", "preferences", "environment")}
    if counts["recommendations"] != 20 or counts["preferences"] != 50 or counts["environment"] < 6:
        raise RuntimeError(f"not the answer to be measured: {counts}, {answer.get('degradations')}")


def _loaded(root: int, port: int, request: bytes, seconds: float) -> Section:
    """Latency, CPU per request by process, and memory under load."""
    pids = tree(root)
    before = cpu_seconds(pids)
    measured = asyncio.run(closed_loop(port, [request], concurrency=CONCURRENCY, seconds=seconds))
    after = cpu_seconds(pids)
    count = len(measured.latencies)
    cpu = {name: round((after[name] - before[name]) * 1000 / count, 2) for name in after}
    return {
        **_latency(measured),
        "cpu_ms_per_request": {name: spent for name, spent in sorted(cpu.items()) if spent} | {"all": _total(cpu)},
        "memory_mib": {name: round(held) for name, held in sorted(resident_mib(pids).items())},
    }


def _latency(measured: Measured) -> Section:
    return {
        "requests": len(measured.latencies),
        "per_second": round(measured.rate),
        "p50_ms": round(measured.percentile(0.50), 2),
        "p99_ms": round(measured.percentile(0.99), 2),
    }


def _total(cpu: dict[str, float]) -> float:
    return round(sum(cpu.values()), 2)


def _profile(mesh: Mesh, listener: Listener, seconds: float) -> Section:
    """GetProfile through Envoy against the FastAPI peers, one worker process each, in turns so that noise hits both."""
    path = f"/{listener.name}"
    request = http_request("GET", path, token=listener.token)
    rounds = 4
    with _peer(mesh, *PEERS["fastapi"]) as plain, _peer(mesh, *PEERS["fastapi_uvloop"]) as fast:
        measured = {
            "rhythmiq": (mesh.port, mesh.process.pid),
            "fastapi": (plain[0], plain[1].pid),
            "fastapi_uvloop": (fast[0], fast[1].pid),
        }
        for port, _ in measured.values():
            asyncio.run(closed_loop(port, [request], concurrency=CONCURRENCY, seconds=1))
        parts: dict[str, list[Section]] = {name: [] for name in measured}
        for _ in range(rounds):
            for name, (port, pid) in measured.items():
                parts[name].append(_loaded(pid, port, request, seconds / rounds))
    mean = {name: sum(part["per_second"] for part in found) / rounds for name, found in parts.items()}
    return {
        **{name: found[-1] | {"per_second": round(mean[name])} for name, found in parts.items()},
        "throughput_ratio": round(mean["rhythmiq"] / mean["fastapi"], 2),
        "throughput_ratio_uvloop": round(mean["rhythmiq"] / mean["fastapi_uvloop"], 2),
    }


PEERS = {
    # What `pip install uvicorn` gives: the peer that the limit names.
    "fastapi": ("--loop", "asyncio", "--http", "h11"),
    # What `pip install uvicorn[standard]` gives.
    "fastapi_uvloop": ("--loop", "uvloop", "--http", "httptools"),
}


@contextmanager
def _peer(mesh: Mesh, *options: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    port = free_port()
    environment = {**os.environ, "PEER_JWKS": str(mesh.state / "envoy" / "jwks.json"), "PEER_MONGO_URI": _mongo(mesh)}
    command = [sys.executable, "-m", "uvicorn", "bench.peers.fastapi_profile:app", "--port", str(port)]
    command += ["--workers", "1", "--no-access-log", "--log-level", "error", *options]
    process = subprocess.Popen(command, env=environment)
    try:
        deadline = time.monotonic() + _PEER_START_SECONDS
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=10)


def _mongo(mesh: Mesh) -> str:
    from rhythmiq_cli.up.mongo import uri_of

    return uri_of(next((mesh.state / "run").glob("mongo*.sock")))


def _tastes(file: Path) -> tuple[list[str], list[str]]:
    """Genres and artists that the catalogue has, the frequent ones first."""
    genres: dict[str, int] = {}
    artists: dict[str, int] = {}
    with gzip.open(file, "rt", encoding="utf-8", newline="") as source:
        for row in csv.DictReader(source):
            for genre in filter(None, row["genres"].split("|")):
                genres[genre] = genres.get(genre, 0) + 1
            artists[row["artist"]] = artists.get(row["artist"], 0) + 1
    by_count = [sorted(counts, key=lambda key: (-counts[key], key)) for counts in (genres, artists)]
    return by_count[0][:10], [artist for artist in by_count[1] if artist][:60]
