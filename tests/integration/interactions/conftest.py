from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from interaction_world import Listener, World, interaction_world

from rhythmiq_mesh.mongo import Database, connect, database


@pytest.fixture
async def world(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[World]:
    async with interaction_world(mongo_uri, mongo_database_name) as running:
        yield running


@pytest.fixture
async def listener(world: World) -> Listener:
    """One with a profile, who shares nothing."""
    return await world.listener().sign_up()


@pytest.fixture
async def stored(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Database]:
    """The recommender's database."""
    client = connect(mongo_uri, app="test")
    yield database(client, f"{mongo_database_name}_recommender")
    await client.close()
