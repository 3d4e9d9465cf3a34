"""Listening with planted tastes in a real database, for the training program to find."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import planted
import pymongo
from drafts import draft

from rhythmiq.type.v1 import audio_pb2
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_recommender.learning.encoding import CATEGORIES
from rhythmiq_recommender.learning.listening import AUDIO_NAMES, TYPES
from rhythmiq_recommender.models.registry import Registry
from rhythmiq_recommender.mongo import MongoItems

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LISTENERS, DAYS = 48, 12
_WHO = UUID("11111111-2222-4333-8444-555555555555")


async def plant(uri: str, name: str, *, only: str = "", listeners: int = LISTENERS) -> None:
    """Fills the database: each listener likes one genre, and running calls for energy. `only`: of one type."""
    client = connect(uri, app="test")
    try:
        world = planted.catalogue()
        energy = 1 / (1 + np.exp(-world.audio[:, AUDIO_NAMES.index("energy")].astype(np.float64)))
        drafts = [
            draft(
                number,
                artists=[world.artist_names[world.artist[number]]],
                genres=[world.genre_names[world.genre[number]]],
                popularity=float(world.popularity[number]),
                features=audio_pb2.AudioFeatures(energy=float(energy[number])),
            )
            for number in range(len(world))
        ]
        await MongoItems(database(client, name)).upsert(drafts, NOW)
        listens = planted.listens(world, listeners, DAYS)
        shift = NOW.timestamp() - float(listens.time.max()) - 3600
        documents = [
            {
                "_id": str(uuid5(_WHO, f"{row}")),
                "profile_id": str(uuid5(_WHO, f"listener {listens.listener[row]}")),
                "item_id": drafts[listens.item[row]].id,
                "type": only or TYPES[listens.type[row]],
                "event_time": datetime.fromtimestamp(float(listens.time[row]) + shift, UTC),
                "environment": _environment(listens.codes[row]),
                "source": "test",
                "create_time": NOW - timedelta(days=1),
                "expire_time": datetime.now(UTC) + timedelta(days=400),
            }
            for row in range(len(listens))
        ]
        await database(client, name)["interactions"].insert_many(documents)
        await database(client, name)["interactions"].create_index(
            [("profile_id", 1), ("event_time", pymongo.DESCENDING), ("_id", pymongo.DESCENDING)]
        )
    finally:
        await client.close()


def _environment(codes: Any) -> Mapping[str, float | str]:
    return {
        category.kind: category.value(int(code)) for category, code in zip(CATEGORIES, codes, strict=True) if code >= 0
    }


@dataclass
class Trainer:
    """The training program as a process, in folders of its own."""

    uri: str
    database: str
    folder: Path
    store: str = ""
    attempts: int = 3
    arguments: Sequence[str] = ("--trials=2", "--run=nightly")

    @property
    def model_store(self) -> str:
        return self.store or (self.folder / "models").as_uri()

    @property
    def registry(self) -> Registry:
        return Registry(self.model_store)

    @property
    def run_folder(self) -> Path:
        return self.folder / "runs" / "nightly"

    @property
    def settings(self) -> dict[str, str]:
        """Of the program, as its environment."""
        settings = {
            "MONGO_URI": self.uri,
            "MONGO_DATABASE": self.database,
            "MODEL_STORE": self.model_store,
            "TRAINING_FOLDER": str(self.folder / "runs"),
            "TRAINING_ATTEMPTS": str(self.attempts),
        }
        return {f"RHYTHMIQ_RECOMMENDER_{name}": value for name, value in settings.items()}

    def forget(self, *steps: str) -> None:
        """As if the run had been killed before these steps."""
        (self.run_folder / "result.json").unlink(missing_ok=True)
        for step in steps:
            shutil.rmtree(self.run_folder / step)

    def start(self, *more: str) -> subprocess.Popen[str]:
        """With standard error as text, line by line."""
        return subprocess.Popen(
            [sys.executable, "-m", "rhythmiq_recommender.training", *self.arguments, *more],
            env=dict(os.environ) | self.settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *more: str) -> tuple[int, str]:
        """To its end: exit code, and what it said."""
        with self.start(*more) as program:
            said, _ = program.communicate(timeout=200)
            return program.returncode, said

    def run_until(self, line: str) -> str:
        """Kills it (SIGKILL) as soon as it says a line with that in it; returns what it had said."""
        said = ""
        with self.start() as program:
            assert program.stdout is not None
            for each in program.stdout:
                said += each
                if line in each:
                    program.kill()
                    break
        assert line in said, said
        return said

    def result(self) -> dict[str, Any]:
        """All that the run made and that must not depend on interruptions."""
        package = self.run_folder / "package" / "package"
        report = json.loads((self.run_folder / "report" / "report.json").read_text())
        report["run"].pop("as_of")
        files = {path.name: path.read_bytes() for path in sorted(package.iterdir())}
        return {"files": files, "report": report, "channel": self.registry.channel("track", "all").promoted}
