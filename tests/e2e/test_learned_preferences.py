"""Learned preferences as a listener meets them through Envoy, with the worker that `rhythmiq up` starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from local_mesh import LocalMesh, wait_until


def jazz(rest: httpx.Client) -> list[str]:
    found = rest.get("/items", params={"pageSize": 60, "genre": "jazz"}).json()["items"]
    return [item["name"] for item in found]


def hear(rest: httpx.Client, profile: str, items: Sequence[str], *, hours: int) -> None:
    """Each to its end, half an hour apart, the newest so many hours ago."""
    newest = datetime.now(UTC) - timedelta(hours=hours)
    heard = [
        {
            "item": item,
            "type": "COMPLETE",
            "eventTime": (newest - timedelta(minutes=30 * n)).isoformat(),
            "source": "phone",
        }
        for n, item in enumerate(items)
    ]
    answer = rest.post(f"/{profile}/interactions:batchRecord", json={"interactions": heard})
    assert answer.status_code == 200, answer.text


def learned(rest: httpx.Client, profile: str) -> dict[str, dict[str, Any]]:
    """Learned genres by name."""
    found = rest.get(f"/{profile}/preferences", params={"pageSize": 200}).json().get("preferences", [])
    return {each["value"]: each for each in found if each["origin"] == "LEARNED" and each["type"] == "GENRE"}


def test_what_a_listener_hears_is_learned_shown_deleted_and_stays_deleted(
    mesh: LocalMesh, rest: httpx.Client, profile: str
) -> None:
    items = jazz(rest)
    hear(rest, profile, items, hours=1)
    wait_until(lambda: "jazz" in learned(rest, profile), 20, "jazz is learned")
    found = learned(rest, profile)["jazz"]
    assert found["weight"] > 0.5
    assert 0 < found["confidence"] <= 1
    assert found["evidenceCount"] == len(items)
    assert found["evidenceTime"] < datetime.now(UTC).isoformat()

    answer = rest.post(f"/{profile}:recommend", json={"count": 10})
    assert found["name"] in {use["name"] for use in answer.json()["preferences"]}

    assert rest.delete(f"/{found['name']}").status_code == 200
    blues = [item["name"] for item in rest.get("/items", params={"pageSize": 60, "genre": "soul"}).json()["items"]]
    hear(rest, profile, items, hours=40)
    hear(rest, profile, blues, hours=80)
    wait_until(lambda: "soul" in learned(rest, profile), 20, "soul is learned")
    assert "jazz" not in learned(rest, profile)

    assert rest.delete(f"/{profile}/interactions").status_code == 200
    wait_until(lambda: not learned(rest, profile), 20, "nothing is left of what was erased")


def test_worker_that_is_killed_comes_back_and_the_edge_does_not_notice(
    mesh: LocalMesh, rest: httpx.Client, profile: str
) -> None:
    before = mesh.pid_of("leanings")
    os.kill(before, signal.SIGKILL)
    hear(rest, profile, jazz(rest), hours=1)
    assert mesh.healthz().status_code == 200
    # Its lease has to end first, 10 s at most.
    wait_until(lambda: "jazz" in learned(rest, profile), 30, "jazz is learned")
    assert mesh.pid_of("leanings") != before
