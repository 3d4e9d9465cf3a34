"""Fixtures that integration tests of all services share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from mongod import Mongod


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MongoDB (one-node replica set) for the whole session."""
    server = Mongod(tmp_path_factory.mktemp("mongo"))
    server.start()
    yield server.uri
    server.stop()


@pytest.fixture
def mongo_database_name() -> str:
    """A database name of the test's own."""
    return f"test_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def mongod(tmp_path: Path) -> Iterator[Mongod]:
    """A MongoDB of the test's own, to be killed and started again."""
    server = Mongod(tmp_path / "mongo")
    server.start()
    yield server
    server.stop()
