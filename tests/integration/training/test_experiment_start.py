"""What a run takes down of a running experiment: counted is from its start on, not from any later change."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from model_packages import made
from training_world import plant

from rhythmiq_recommender.models.channels import Experiment
from rhythmiq_recommender.models.registry import Registry
from rhythmiq_recommender.training.run import Run, RunSettings
from rhythmiq_recommender.training.steps import Scene
from rhythmiq_recommender.training.workflow import Source, Training

TRACK = ("track", "all")
START = "2026-03-01T00:00:00+00:00"


async def test_a_later_change_of_the_channel_does_not_move_the_start_of_an_experiment(
    mongo_uri: str, mongo_database_name: str, tmp_path: Path
) -> None:
    await plant(mongo_uri, mongo_database_name)
    registry = Registry((tmp_path / "models").as_uri())
    for version in ("v1", "v2"):
        registry.publish(made(tmp_path / version, version), *TRACK, version)
    registry.promote(*TRACK, "v1")
    registry.set_experiment(*TRACK, Experiment("autumn", "v2", 0.5))
    path = tmp_path / "models" / "channels" / "track" / "all.json"
    content = json.loads(path.read_text())
    content["experiment"]["since"] = START  # it has been running for a while
    path.write_text(json.dumps(content))
    assert registry.set_shadow(*TRACK, "v2").updated > START

    run = Run("nightly", tmp_path / "run", RunSettings(), datetime.now(UTC))
    extract = Training(run, Source(mongo_uri, mongo_database_name), registry, None).steps()[0]
    folder = tmp_path / "extracted"
    folder.mkdir()
    facts = await asyncio.to_thread(extract.work, Scene(folder, {}, lambda *_: None))
    assert facts["experiment"] == {"name": "autumn", "version": "v2", "share": 0.5, "since": START}
