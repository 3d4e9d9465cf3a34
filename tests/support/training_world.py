"""Listening with planted tastes in a real database, for the training program to find."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import planted
import pymongo
from drafts import draft

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_recommender.learning.encoding import CATEGORIES
from rhythmiq_recommender.learning.listening import TYPES
from rhythmiq_recommender.mongo import MongoItems

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LISTENERS, DAYS = 48, 12
_WHO = UUID("11111111-2222-4333-8444-555555555555")


async def plant(uri: str, name: str, *, only: str = "", listeners: int = LISTENERS) -> None:
    """Fills the database: each listener likes one genre, and running calls for energy. `only`: of one type."""
    client = connect(uri, app="test")
    try:
        world = planted.catalogue()
        drafts = [
            draft(
                number,
                artists=[world.artist_names[world.artist[number]]],
                genres=[world.genre_names[world.genre[number]]],
                popularity=float(world.popularity[number]),
                features=item_pb2.AudioFeatures(energy=float(1 / (1 + np.exp(-world.audio[number, 1])))),
            )
            if hasattr(item_pb2, "AudioFeatures")
            else draft(number)
            for number in range(len(world))
        ]
        await MongoItems(database(client, name)).upsert(drafts, NOW)
        listens = planted.listens(world, listeners, DAYS)
        shift = NOW.timestamp() - float(listens.time.max()) - 3600
        documents = [
            {
                "_id": str(uuid5(_WHO, f"{row}")),
                "profile_id": str(uuid5(_WHO, f"listener {listens.listener[row]}")),
                "item_id": drafts[listens.item[row]].id,
                "type": only or TYPES[listens.type[row]],
                "event_time": datetime.fromtimestamp(float(listens.time[row]) + shift, UTC),
                "environment": _environment(listens.codes[row]),
                "source": "test",
                "create_time": NOW - timedelta(days=1),
                "expire_time": datetime.now(UTC) + timedelta(days=400),
            }
            for row in range(len(listens))
        ]
        await database(client, name)["interactions"].insert_many(documents)
        await database(client, name)["interactions"].create_index(
            [("profile_id", 1), ("event_time", pymongo.DESCENDING), ("_id", pymongo.DESCENDING)]
        )
    finally:
        await client.close()


def _environment(codes: Any) -> Mapping[str, float | str]:
    return {
        category.kind: category.value(int(code)) for category, code in zip(CATEGORIES, codes, strict=True) if code >= 0
    }
