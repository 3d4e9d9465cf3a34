"""The mesh that all e2e tests share."""

from __future__ import annotations

from collections.abc import Iterator

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
