"""What callers see, and what is kept, while parts of the mesh fail."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from local_mesh import LocalMesh, wait_until

WRITES = 1_000
KILL_AFTER = 300


@pytest.fixture(scope="module")
def own_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """A mesh that may be broken without harm to other tests."""
    running = LocalMesh(tmp_path_factory.mktemp("faults") / "state")
    running.start()
    try:
        yield running
    finally:
        running.stop()


class Listener:
    """A listener of the test's own, over REST."""

    def __init__(self, mesh: LocalMesh, subject: str) -> None:
        self.client = httpx.Client(
            base_url=mesh.base_url, headers={"authorization": f"Bearer {mesh.token(subject)}"}, timeout=30
        )
        created = self.client.post("/profiles", json={"email": f"{subject}@example.org", "timeZone": "Europe/Vienna"})
        assert created.status_code == 200, created.text
        self.name = created.json()["name"]

    def opt_in(self, kind: str) -> str:
        answer = self.client.post(f"/{self.name}/variables", json={"kind": kind, "consentVersion": "1"})
        assert answer.status_code == 200, answer.text
        variable: str = answer.json()["name"]
        return variable

    def all_readings(self, variable: str) -> set[str]:
        found: set[str] = set()
        token = ""
        while True:
            page = self.client.get(f"/{variable}/readings", params={"pageSize": 200, "pageToken": token})
            assert page.status_code == 200, page.text
            found |= {reading["source"] for reading in page.json().get("readings", [])}
            token = page.json().get("nextPageToken", "")
            if not token:
                return found


@pytest.fixture
def listener(own_mesh: LocalMesh, request: pytest.FixtureRequest) -> Iterator[Listener]:
    """A listener named after the test, in a mesh that has recovered from the test before."""
    wait_until(own_mesh.answers, 60, "every service answers")
    found = Listener(own_mesh, f"faults-{abs(hash(request.node.name))}")
    yield found
    found.client.close()


def lacking_in(answer: dict[str, Any]) -> set[str]:
    """What an answer does without because a service was away."""
    return {entry["subject"] for entry in answer.get("degradations", []) if entry["reason"] == "SERVICE_UNAVAILABLE"}


def lacking_of(listener: Listener) -> set[str]:
    """What a recommendation lacks now."""
    return lacking_in(listener.client.post(f"/{listener.name}:recommend", json={"count": 5}).json())


@contextmanager
def stopped(mesh: LocalMesh, *services: str) -> Iterator[None]:
    """Freezes services: they neither answer nor go away, the worst kind of slow."""
    pids = [mesh.pid_of(service) for service in services]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_no_acknowledged_write_is_lost_when_mongod_is_killed(own_mesh: LocalMesh, listener: Listener) -> None:
    variable = listener.opt_in("AMBIENT_NOISE")
    start = datetime.now(UTC) - timedelta(hours=1)
    acknowledged: set[str] = set()
    other_answers: set[tuple[int, str]] = set()
    killed = threading.Event()

    def write(number: int) -> None:
        source = f"s{number}"
        reading = {
            "kind": "AMBIENT_NOISE",
            "number": number % 100,
            "source": source,
            "observeTime": (start + timedelta(seconds=number)).isoformat(),
        }
        while source not in acknowledged:
            answer = listener.client.post(f"/{listener.name}/readings:record", json=reading)
            if answer.status_code == 200:
                acknowledged.add(source)
            else:
                other_answers.add((answer.status_code, answer.json()["details"][0]["reason"]))
        if len(acknowledged) >= KILL_AFTER and not killed.is_set():
            killed.set()
            os.kill(own_mesh.pid_of("mongod"), signal.SIGKILL)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(WRITES)))
    assert killed.is_set()
    assert {status for status, _ in other_answers} <= {503, 504}
    assert len(acknowledged) == WRITES
    assert listener.all_readings(variable) == acknowledged


def test_refusal_while_the_database_is_away_has_a_retry_hint(own_mesh: LocalMesh, listener: Listener) -> None:
    with stopped(own_mesh, "mongod"):
        answer = listener.client.get(f"/{listener.name}")
    assert answer.status_code in {503, 504}
    details = {detail["@type"].rsplit(".", 1)[1]: detail for detail in answer.json()["details"]}
    assert details["ErrorInfo"]["domain"] == "rhythmiq.dev"
    if answer.status_code == 503:
        assert details["RetryInfo"]["retryDelay"].endswith("s")
    wait_until(lambda: listener.client.get(f"/{listener.name}").status_code == 200, 20, "the database is back")


@pytest.mark.parametrize("away", [["preference"], ["variable"], ["preference", "variable"]])
def test_recommend_answers_and_says_what_it_lacked_while_services_hang(
    own_mesh: LocalMesh, listener: Listener, away: list[str]
) -> None:
    wait_until(lambda: not lacking_of(listener), 20, "everything is there")
    lacked = {{"preference": "preferences", "variable": "environment"}[service] for service in away}
    answers: list[dict[str, Any]] = []

    def says_so() -> bool:
        answer = listener.client.post(f"/{listener.name}:recommend", json={"count": 10})
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
        return lacking_in(answers[-1]) == lacked

    with stopped(own_mesh, *away):
        # Until it has been silent for a while, what a service said before is as good as asking it.
        wait_until(says_so, 20, "the answer says what it lacks")
    assert {len(body["recommendations"]) for body in answers} == {10}


def test_nothing_is_recommended_while_blocks_cannot_be_read(own_mesh: LocalMesh, listener: Listener) -> None:
    path = f"/{listener.name}:recommend"
    with stopped(own_mesh, "mongod"):
        answer = listener.client.post(path, json={"count": 5})
    assert answer.status_code == 503, answer.text
    details = {detail["@type"].rsplit(".", 1)[1]: detail for detail in answer.json()["details"]}
    assert details["ErrorInfo"]["reason"] == "STORAGE_UNAVAILABLE"
    assert details["RetryInfo"]["retryDelay"].endswith("s")
    assert "blocked" in answer.json()["message"]
    wait_until(lambda: listener.client.post(path, json={"count": 5}).status_code == 200, 20, "the database is back")


def test_recommend_survives_a_killed_dependency_and_is_whole_again(own_mesh: LocalMesh, listener: Listener) -> None:
    os.kill(own_mesh.pid_of("preference"), signal.SIGKILL)
    answer = listener.client.post(f"/{listener.name}:recommend", json={"count": 5})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["recommendations"]) == 5
    wait_until(lambda: not lacking_of(listener), 20, "the preference service is back")
