"""The mesh that all e2e tests share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest
from local_mesh import LocalMesh


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """`rhythmiq up` on a free port, with the demo, for the whole session. Use a subject of the test's own."""
    running = LocalMesh(tmp_path_factory.mktemp("mesh") / "state")
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def who() -> str:
    """A subject of the test's own."""
    return f"listener-{uuid.uuid4()}"


@pytest.fixture
def profile(who: str) -> str:
    """Resource name of the subject's profile."""
    return LocalMesh.profile_name(who)


@pytest.fixture
def rest(mesh: LocalMesh, who: str) -> Iterator[httpx.Client]:
    """A REST client of a listener with a profile and nothing else."""
    with mesh.client(who) as client:
        created = client.post("/profiles", json={"email": f"{who}@example.org"})
        assert created.status_code == 200, created.text
        yield client
