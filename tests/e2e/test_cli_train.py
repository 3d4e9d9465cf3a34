"""From the first start to a model that answers, by the commands of the quickstart, and back again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_mesh import LocalMesh, environment, rhythmiq, wait_until

SECONDS = 200.0
PAST = "The demo's past is complete"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """A mesh of this module's own, with the demo and its past: promoting is seen by everyone."""
    running = LocalMesh(tmp_path_factory.mktemp("train-mesh") / "state")
    running.start()
    try:
        wait_until(lambda: PAST in running.output(), SECONDS, PAST)
        yield running
    finally:
        running.stop()


def train(mesh: LocalMesh, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rhythmiq_cli", "train", *arguments],
        env=environment(mesh.state),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def ranker(mesh: LocalMesh) -> str:
    """Who ranks the demo listener's tracks now."""
    with mesh.client() as client:
        answer = client.post(f"/{mesh.profile_name()}:recommend", json={"count": 5})
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["ranker"]
    return found


@pytest.mark.timeout(500)
def test_a_trained_model_answers_within_seconds_and_a_rollback_takes_it_back(mesh: LocalMesh, tmp_path: Path) -> None:
    before = ranker(mesh)
    done = train(mesh, "--trials", "1", "--run", "first", "--no-promote", "--report", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "track/all/first: " in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    # The demo's listeners chose by taste and surroundings, which popularity does not know.
    assert report["quality"]["model"]["ndcg@10"]["mean"] > report["quality"]["popularity"]["ndcg@10"]["mean"]
    assert ranker(mesh) == before
    assert "first" in rhythmiq("models", "list", state=mesh.state).stdout
    assert rhythmiq("models", "promote", "first", state=mesh.state).returncode == 0
    wait_until(lambda: ranker(mesh) == "learned/track/all/first", 10, "the promoted model answers")
    assert rhythmiq("models", "rollback", state=mesh.state).returncode == 0
    wait_until(lambda: ranker(mesh) == before, 10, "what was there before answers")
