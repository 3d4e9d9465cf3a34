"""`python -m bench.scaling`: what grows with listeners, events and items, and by how much; for docs/scaling.md.

Prints tables and writes bench/reports/scaling.json. No limits: these are the factors that its arithmetic starts from.
Of catalogue and models it takes processor time, which depends less on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.processes import resident_mib
from bench.worlds import catalogue_of, listens_of
from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.demo.world import make_world, synthetic_items
from rhythmiq_cli.up.mongo import make_primary, uri_of
from rhythmiq_cli.up.programs import find_mongod, mongod
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import Database, connect, database
from rhythmiq_recommender.interactions.model import Draft, Interaction, Shared, Type, interaction
from rhythmiq_recommender.interactions.mongo import INTERACTIONS, MongoInteractions
from rhythmiq_recommender.leanings.mongo_listening import MongoListening
from rhythmiq_recommender.learning.encoding import codes_of
from rhythmiq_recommender.learning.history import EMPTY
from rhythmiq_recommender.learning.listening import tables_of
from rhythmiq_recommender.learning.package import load, save
from rhythmiq_recommender.learning.ranker import fit
from rhythmiq_recommender.learning.scorer import Asking, Scorer
from rhythmiq_recommender.learning.served.reader import fit_served
from rhythmiq_recommender.learning.visits import Ask, Sampling, training_frame
from rhythmiq_recommender.mongo_histories import MongoHistories
from rhythmiq_recommender.recommend import PRIOR
from rhythmiq_recommender.shortlist import listed
from rhythmiq_recommender.situation import Leaning, LeaningType, Origin, Seeds, Situation, Surrounding, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot, SnapshotBuilder

REPORT: Final = Path(__file__).parent / "reports" / "scaling.json"
Section = dict[str, Any]

_RETENTION: Final = timedelta(days=400)
_LISTENERS: Final = 20
_BATCH: Final = 1_000
_WORLD_ITEMS: Final = 66_000
_TYPES: Final = (Type.IMPRESSION, Type.IMPRESSION, Type.PLAY, Type.SKIP, Type.COMPLETE)


@contextmanager
def running_mongod() -> Iterator[Path]:
    """An empty mongod as `rhythmiq up` starts it: its socket; stopped by process id at the end."""
    with tempfile.TemporaryDirectory(prefix="rq-scaling-") as folder:
        data, socket = Path(folder) / "data", Path(folder) / "mongodb-27017.sock"
        data.mkdir()
        program = mongod(find_mongod(), data, socket, Path(folder) / "log")
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(program.command, env=program.environment, stdout=log, stderr=log)
        try:
            asyncio.run(asyncio.wait_for(make_primary(socket), timeout=60))
            yield socket
        finally:
            process.terminate()
            process.wait(timeout=30)


def events(count: int) -> Iterator[list[Interaction]]:
    """Batches of one listener's events as an app sends them: a list, a position, a propensity, four shared kinds."""
    dice = random.Random(11)
    now = datetime.now(UTC).replace(microsecond=0)
    items = [str(UUID(int=dice.getrandbits(128), version=5)) for _ in range(60_000)]
    shared = Shared(frozenset({"ambient_noise", "activity", "local_time", "place_type"}), {}, now)
    for batch in range(count // _BATCH):
        profile_id = str(UUID(int=batch % _LISTENERS, version=5))
        list_ = f"profiles/{profile_id}/tuneVectors/{UUID(int=dice.getrandbits(128), version=4)}"
        yield [
            interaction(profile_id, draft, shared, now, _RETENTION)
            for draft in (_draft(dice, items, now - timedelta(seconds=200 * number), list_) for number in range(_BATCH))
        ]


def _draft(dice: random.Random, items: Sequence[str], when: datetime, list_: str) -> Draft:
    type_ = dice.choice(_TYPES)
    return Draft(
        item_id=dice.choice(items),
        type=type_,
        event_time=when + timedelta(milliseconds=dice.randrange(1000)),
        source="app/android",
        environment={
            "ambient_noise": round(dice.uniform(30, 85), 1),
            "activity": dice.choice(("walking", "working", "sitting")),
            "local_time": round(dice.uniform(0, 24), 3),
            "place_type": dice.choice(("home", "workplace", "outdoors")),
        },
        list=list_,
        position=dice.randrange(1, 21),
        propensity=1.0,
        played=None if type_ is Type.IMPRESSION else timedelta(milliseconds=dice.randrange(200_000)),
    )


async def storage(socket: Path, count: int) -> Section:
    """Bytes of an interaction in the collection, its indexes and the oplog; and how fast one reader follows them."""
    client = connect(uri_of(socket), app="bench-scaling")
    store = database(client, "bench")
    interactions = MongoInteractions(store)
    await interactions.ensure_indexes()
    await MongoHistories(store, SystemClock()).ensure_indexes()
    oplog_before = await _oplog_bytes(client)
    async with await store[INTERACTIONS].watch() as stream:
        token = stream.resume_token
    start = time.perf_counter()
    for batch in events(count):
        profile_id = batch[0].profile_id
        epoch = await interactions.epoch(profile_id, datetime.now(UTC))
        await interactions.record(epoch, batch, None, datetime.now(UTC))
    wrote = time.perf_counter() - start
    oplog = await _oplog_bytes(client) - oplog_before
    # A checkpoint, so that the files have what was written.
    await client.admin.command("fsync")
    found = await store.command("collStats", INTERACTIONS)
    followed = await _followed(store, token, count)
    profile_id = next(events(_BATCH))[0].profile_id
    histories, listening = MongoHistories(store, SystemClock()), MongoListening(store, SystemClock())
    read = {
        "history_ms": await _milliseconds_of(lambda: histories.history(profile_id)),
        "worker_reads_ms": await _milliseconds_of(lambda: listening.history(profile_id)),
    }
    heard = len(await listening.history(profile_id))
    await client.close()
    per = {
        "document": found["size"] / count,
        "on_disk": found["storageSize"] / count,
        **{f"index {name}": size / count for name, size in found["indexSizes"].items()},
        "oplog": oplog / count,
    }
    return {
        "interactions": count,
        "bytes_each": {name: round(size) for name, size in per.items()},
        "on_disk_with_indexes": round((found["storageSize"] + found["totalIndexSize"]) / count),
        "written_per_second": round(count / wrote),
        "followed_per_second": round(count / followed),
        "heard_by_one": heard,
        **read,
    }


async def _oplog_bytes(client: Any) -> int:
    size: int = (await client.local.command("collStats", "oplog.rs"))["size"]
    return size


async def _followed(store: Database, token: Any, count: int) -> float:
    """Seconds in which one change stream brings all the inserts after `token`."""
    start = time.perf_counter()
    seen = 0
    pipeline = [{"$match": {"operationType": "insert"}}]
    async with await store[INTERACTIONS].watch(pipeline, resume_after=token, batch_size=1_000) as stream:
        while seen < count:
            await stream.next()
            seen += 1
    return time.perf_counter() - start


async def _milliseconds_of(ask: Callable[[], Awaitable[object]], rounds: int = 10) -> float:
    """Median of several rounds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        await ask()
        times.append(time.perf_counter() - start)
    return round(float(np.median(times)) * 1000, 1)


def snapshot(size: int) -> Section:
    """Memory and time of the catalogue in memory, and of finding and ranking a list in it."""
    before = _resident_mib()
    builder, seconds = SnapshotBuilder(CatalogSnapshot.empty()), 0.0
    for batch in _items(size):
        start = time.process_time()
        builder.put(batch)
        seconds += time.process_time() - start
    start = time.process_time()
    built = builder.build()
    seconds += time.process_time() - start
    del builder
    return {
        "items": size,
        "seconds": round(seconds, 2),
        "bytes_each": round((_resident_mib() - before) * 2**20 / size),
        "list_ms": round(_milliseconds(lambda: listed(PRIOR, built, Wish("bench"), _situation(built))), 2),
    }


def model(listeners: int) -> Section:
    """A ranker of a demo world's listeners, with a hundred interactions each, over 66,000 items."""
    world = make_world(listeners, 100 * listeners, 1, catalogue=synthetic_items(_WORLD_ITEMS, 1))
    catalogue, listens = catalogue_of(world.items), listens_of(world)
    tables = tables_of(listens, catalogue, 1)
    assert tables.events.time is not None
    cut = float(np.quantile(tables.events.time, 0.8))
    start = time.process_time()
    fitted = fit_served(tables.take(tables.events.time < cut), catalogue, 1)
    signals_seconds = time.process_time() - start
    ask = Ask(tables)
    visits = ask.between(cut, float(tables.events.time.max()) + 1, most=500, seed=0)
    booster = fit(training_frame(fitted.onto(catalogue), ask, visits, sampling=Sampling(), seed=0), rounds=100)
    with tempfile.TemporaryDirectory(prefix="rq-scaling-") as folder:
        save(Path(folder), booster, fitted, version="bench")
        disk = sum(file.stat().st_size for file in Path(folder).iterdir())
        return {
            "listeners": listeners,
            "interactions": 100 * listeners,
            "items": len(catalogue),
            "signals_seconds": round(signals_seconds, 1),
            "package_mib": round(disk / 2**20, 1),
        } | _in_a_process("--load", folder)


def loaded(folder: Path) -> Section:
    """What it takes to serve a package, in a process that has done nothing else."""
    catalogue = catalogue_of(synthetic_items(_WORLD_ITEMS, 1))
    before, start = _resident_mib(), time.process_time()
    package = load(folder)
    read = time.process_time()
    scorer = package.onto(catalogue)
    ready = time.process_time()
    return {
        "load_seconds": round(read - start, 2),
        "onto_catalogue_ms": round((ready - read) * 1000),
        "memory_mib": round(_resident_mib() - before),
        "score_300_ms": round(_milliseconds(lambda: _scored(scorer, len(catalogue))), 2),
    }


def _scored(scorer: Scorer, items: int) -> None:
    """One query: candidates, their features and scores; its time differs, so that nothing is remembered."""
    asking = Asking(EMPTY, time.time(), codes_of({"activity": "running", "local_time": 18.0}))
    rows = scorer.candidates(asking, np.ones(items, np.bool_), 300)
    scorer.scores(scorer.features(asking, rows))


def _situation(built: CatalogSnapshot) -> Situation:
    """A listener with twenty preferences and three kinds of surroundings."""
    around: dict[str, float | str] = {"ambient_noise": 78.0, "activity": "running", "local_time": 18.0}
    return Situation(
        1,
        {kind: Surrounding(kind, value, Origin.REQUEST) for kind, value in around.items()},
        [Leaning(f"preferences/{number}", LeaningType.GENRE, f"genre {number}", 0.5) for number in range(20)],
        {},
        Seeds(),
        EMPTY,
        time.time(),
    )


def _resident_mib() -> float:
    return resident_mib({os.getpid(): "self"})["self"]


def _items(count: int) -> Iterator[list[bytes]]:
    """Serialized tracks like those of an import: two genres, an artist, all features."""
    dice = random.Random(5)
    genres = [f"genre {number}" for number in range(200)]
    for start in range(0, count, 5_000):
        yield [_item(dice, number, genres, count) for number in range(start, min(start + 5_000, count))]


def _item(dice: random.Random, number: int, genres: Sequence[str], count: int) -> bytes:
    uid = str(UUID(int=dice.getrandbits(128), version=5))
    item = item_pb2.Item(
        name=f"items/{uid}",
        uid=uid,
        kind=item_pb2.Item.TRACK,
        external_id=f"spotify:{number:022d}",
        title=f"Title of track {number}",
        artists=[f"Artist {dice.randrange(count // 6 + 1)}"],
        genres=dice.sample(genres, 2),
        popularity=dice.randrange(101),
    )
    audio = item.features
    for name in ("danceability", "energy", "speechiness", "acousticness", "instrumentalness", "liveness", "valence"):
        setattr(audio, name, dice.random())
    audio.loudness, audio.tempo = dice.gauss(-9.6, 4), dice.uniform(60, 190)
    audio.key, audio.mode, audio.time_signature = dice.randrange(12), dice.randrange(2), 4
    item.duration.FromMilliseconds(dice.randrange(120_000, 360_000))
    item.release_date.year = dice.randrange(1960, 2026)
    return item.SerializeToString()


def _milliseconds(work: Callable[[], object], rounds: int = 30) -> float:
    """Median of several rounds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times)) * 1000


def _in_a_process(*options: str) -> Section:
    """A measurement in a process of its own, so that it measures no other's memory."""
    command = [sys.executable, "-m", "bench.scaling", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: Section = json.loads(done.stdout.splitlines()[-1])
    return measured


def _stored(count: int) -> Section:
    with running_mongod() as socket:
        return asyncio.run(storage(socket, count))


PARTS: Final[Mapping[str, Callable[[int], Section]]] = {"storage": _stored, "snapshot": snapshot, "model": model}
SIZES: Final[Mapping[str, Sequence[int]]] = {
    "storage": (10_000, 100_000),
    "snapshot": (10_000, 100_000, 300_000),
    "model": (300, 1_000, 3_000, 10_000),
}


def _flat(measured: Section) -> Section:
    """With what is below a name beside the others."""
    flat: Section = {}
    for name, value in measured.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="only this one")
    parser.add_argument("--size", type=int, help="of this size, in this process: prints JSON")
    parser.add_argument("--load", type=Path, help="what serving the package in this folder takes: prints JSON")
    options = parser.parse_args()
    if options.load:
        print(json.dumps(loaded(options.load)))
        return
    if options.part and options.size:
        print(json.dumps(PARTS[options.part](options.size)))
        return
    console = Console()
    report: Section = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    for part in [options.part] if options.part else PARTS:
        report[part] = [_in_a_process("--part", part, "--size", str(size)) for size in SIZES[part]]
        table = Table("", *map(str, SIZES[part]), title=part)
        columns = [_flat(measured) for measured in report[part]]
        for name in columns[0]:
            table.add_row(name.replace("_", " "), *(str(column[name]) for column in columns))
        console.print(table)
    report["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()}
    REPORT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
