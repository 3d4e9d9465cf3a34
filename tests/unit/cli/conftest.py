"""Fixtures of the command's unit tests: a state folder of the test's own, and servers in memory behind real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalog_server import CatalogServer


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the state folder, address or token of the person who runs it."""
    for name in ("RHYTHMIQ_ADDRESS", "RHYTHMIQ_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "state"
    monkeypatch.setenv("RHYTHMIQ_STATE_DIR", str(folder))
    return folder


@pytest.fixture
def catalog_server() -> Iterator[CatalogServer]:
    with CatalogServer() as server:
        yield server
