"""A trained model in the hands of an operator and of a listener: promoted by the command, answered through Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_mesh import LocalMesh, rhythmiq, wait_until
from model_packages import made

from rhythmiq_cli.state import StateFolder
from rhythmiq_recommender.models.registry import Registry


@pytest.fixture(scope="module")
def own_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """A mesh of these tests' own: others expect the prior."""
    running = LocalMesh(tmp_path_factory.mktemp("learned") / "state")
    running.start()
    try:
        yield running
    finally:
        running.stop()


def recommend(rest: httpx.Client, profile: str, **body: Any) -> dict[str, Any]:
    answer = rest.post(f"/{profile}:recommend", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_model_is_promoted_answers_through_the_edge_and_is_taken_back(
    own_mesh: LocalMesh, who: str, profile: str, tmp_path: Path
) -> None:
    registry = Registry(StateFolder(own_mesh.state).models.as_uri())
    registry.publish(made(tmp_path / "v1", "v1"), "track", "all", "v1")
    with own_mesh.client(who) as rest:
        created = rest.post("/profiles", json={"email": f"{who}@example.org", "timeZone": "Europe/Vienna"})
        assert created.status_code == 200, created.text
        assert recommend(rest, profile)["ranker"] == "prior/1"

        promoted = rhythmiq("models", "promote", "v1", state=own_mesh.state)
        assert promoted.returncode == 0, promoted.stderr
        wait_until(lambda: recommend(rest, profile)["ranker"] == "learned/track/all/v1", 10, "the promotion answers")

        answer = recommend(rest, profile, count=30, environment={"activity": "RUNNING", "ambientNoiseDba": 75})
        assert len(answer["recommendations"]) == 30
        assert answer.get("degradations", []) == []
        texts = set()
        for one in answer["recommendations"]:
            assert sum(why["contribution"] for why in one["reasons"]) == pytest.approx(one["score"], abs=1e-9)
            assert 0 < one["propensity"] <= 1
            texts |= {why["text"] for why in one["reasons"]}
        assert {"often liked while running", "seldom liked while running"} & texts
        assert recommend(rest, profile, kind="PODCAST_EPISODE", count=3)["ranker"] == "prior/1"

        back = rhythmiq("models", "rollback", state=own_mesh.state)
        assert back.returncode == 0, back.stderr
        wait_until(lambda: recommend(rest, profile)["ranker"] == "prior/1", 10, "the rollback answers")
