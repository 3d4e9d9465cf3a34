"""Recommend with a learned ranker through Envoy: listeners with a past, a model trained on it, and the same request.

The model is trained and promoted by the commands that people use. How good it is, is not measured here (`make quality`
does): its size is, because that is what a request pays for.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import grpc
import httpx
import numpy as np

from bench.load import Connection, http_request
from bench.mesh import Listener, Mesh
from rhythmiq.recommender.v1 import interaction_pb2, interaction_pb2_grpc, item_pb2, item_pb2_grpc
from rhythmiq.type.v1.environment_pb2 import Environment
from rhythmiq_cli.identity.keys import SigningKey
from rhythmiq_cli.identity.tokens import mint
from rhythmiq_cli.state import StateFolder

LISTENERS = 200
SESSIONS = 15
PLAYS = 12
"""Plays a session; each is followed by how it ended."""
_SEED = 11
_SERVED_SECONDS = 30
_Type = interaction_pb2.Interaction
_ACTIVITIES = (Environment.WALKING, Environment.WORKING, Environment.RUNNING, Environment.SITTING)


class _Known(NamedTuple):
    """The catalogue as these listeners see it."""

    names: list[str]
    genre: np.ndarray[Any, np.dtype[np.int64]]
    energy: np.ndarray[Any, np.dtype[np.float64]]


def teach(mesh: Mesh, listener: Listener) -> dict[str, Any]:
    """Gives `listener` and 200 others a past, trains on it, promotes, and waits until the model answers."""
    known, chance = _catalogue(mesh, listener), np.random.default_rng(_SEED)
    asyncio.run(_record_all(mesh, listener, known, chance))
    started = time.perf_counter()
    mesh.run("train", "--trials", "1", "--run", "bench", "--no-promote")
    trained = time.perf_counter() - started
    started = time.perf_counter()
    mesh.run("models", "promote", "bench")
    ranker = asyncio.run(_until_learned(mesh, listener))
    return {
        "ranker": ranker,
        "interactions": (LISTENERS + 1) * SESSIONS * PLAYS * 2,
        "train_seconds": round(trained, 1),
        "promoted_after_seconds": round(time.perf_counter() - started, 2),
    }


def _catalogue(mesh: Mesh, listener: Listener) -> _Known:
    names: list[str] = []
    genres: list[str] = []
    energy: list[float] = []
    with grpc.insecure_channel(f"127.0.0.1:{mesh.port}") as channel:
        stub, token = item_pb2_grpc.CatalogServiceStub(channel), ""
        while True:
            request = item_pb2.ListItemsRequest(page_size=200, page_token=token)
            page = stub.ListItems(request, metadata=_metadata(listener.token))
            for item in page.items:
                names.append(item.name)
                genres.append(item.genres[0] if item.genres else "")
                energy.append(item.features.energy)
            if not (token := page.next_page_token):
                break
    _, numbers = np.unique(np.array(genres), return_inverse=True)
    return _Known(names, numbers, np.array(energy))


async def _record_all(mesh: Mesh, listener: Listener, known: _Known, chance: np.random.Generator) -> None:
    key = SigningKey.load(StateFolder(mesh.state).signing_key)
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{mesh.port}") as channel,
        httpx.AsyncClient(base_url=mesh.base, timeout=60) as rest,
    ):
        stub = interaction_pb2_grpc.InteractionServiceStub(channel)
        await _record(stub, listener, known, chance)
        for number in range(LISTENERS):
            subject = f"bench-taught-{number}"
            token = mint(key, subject)
            headers = {"authorization": f"Bearer {token}"}
            made = await rest.post("/profiles", json={"email": f"{subject}@example.org"}, headers=headers)
            made.raise_for_status()
            name = made.json()["name"]
            for kind in ("ACTIVITY", "AMBIENT_NOISE"):
                wanted = {"kind": kind, "consentVersion": "bench"}
                (await rest.post(f"/{name}/variables", json=wanted, headers=headers)).raise_for_status()
            await _record(stub, Listener(name, token), known, chance)


async def _record(
    stub: interaction_pb2_grpc.InteractionServiceAsyncStub,
    listener: Listener,
    known: _Known,
    chance: np.random.Generator,
) -> None:
    request = interaction_pb2.BatchRecordInteractionsRequest(parent=listener.name)
    request.interactions.extend(_past(known, chance))
    await stub.BatchRecordInteractions(request, metadata=_metadata(listener.token))


def _past(known: _Known, chance: np.random.Generator) -> Iterator[interaction_pb2.Interaction]:
    """Sessions of the last month: mostly genres that the listener likes; who moves, likes energy."""
    liked = chance.choice(known.genre, 3)
    own = np.flatnonzero(np.isin(known.genre, liked))
    now = datetime.now(UTC).replace(microsecond=0)
    for session in range(SESSIONS):
        begin = now - timedelta(hours=45 * (SESSIONS - session))
        activity = int(chance.integers(len(_ACTIVITIES)))
        moves = activity % 2 == 0
        noise = min(100.0, max(20.0, float(chance.normal(70 if moves else 45, 5))))
        environment = Environment(ambient_noise_dba=noise, activity=_ACTIVITIES[activity])
        for play in range(PLAYS):
            item = int(chance.choice(own) if chance.random() < 0.8 else chance.integers(len(known.names)))
            fits = bool(known.genre[item] in liked) and (known.energy[item] > 0.6) == moves
            ended = _Type.COMPLETE if chance.random() < (0.85 if fits else 0.25) else _Type.SKIP
            if ended == _Type.COMPLETE and chance.random() < 0.2:
                ended = _Type.LIKE
            for type_, after in ((_Type.PLAY, 0), (ended, 150)):
                event = interaction_pb2.Interaction(
                    item=known.names[item], type=type_, source="bench", environment=environment
                )
                event.event_time.FromDatetime(begin + timedelta(seconds=200 * play + after))
                yield event


async def _until_learned(mesh: Mesh, listener: Listener) -> str:
    """The name of the learned ranker, as soon as it answers."""
    request = http_request("POST", f"/{listener.name}:recommend", token=listener.token, body=b'{"count":20}')
    deadline = time.monotonic() + _SERVED_SECONDS
    connection = await Connection.open(mesh.port)
    try:
        while time.monotonic() < deadline:
            _, body = await connection.exchange(request)
            ranker: str = json.loads(body).get("ranker", "")
            if ranker.startswith("learned/"):
                return ranker
            await asyncio.sleep(0.1)
    finally:
        connection.close()
    raise RuntimeError("the promoted model does not answer")


def _metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
