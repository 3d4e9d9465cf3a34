"""The recommender beside the services that it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from recommend_mesh import Mesh, make_ready, running_mesh


@pytest.fixture
async def mesh(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Mesh]:
    async with running_mesh(mongo_uri, mongo_database_name) as running:
        yield running


@pytest.fixture
async def ready(mesh: Mesh) -> Mesh:
    """The mesh with a catalogue, and a listener in Vienna."""
    await make_ready(mesh)
    return mesh
