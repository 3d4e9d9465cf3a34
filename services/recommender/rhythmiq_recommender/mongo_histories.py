"""Histories from the interactions in MongoDB."""

from __future__ import annotations

from typing import Final

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.mongo import Collection, Database, Document, operation, read
from rhythmiq_recommender.interactions.mongo import INTERACTIONS
from rhythmiq_recommender.learning.history import LONGEST_HISTORY, Deed, History, history_of
from rhythmiq_recommender.learning.listening import IMPRESSION, TYPES

TIMEOUT: Final = 0.5
"""Seconds that an answer waits for a history before it goes without."""

_HEARD: Final = sorted(set(TYPES) - {IMPRESSION})
_NEWEST_FIRST: Final = {"event_time": -1, "_id": -1}
_NEEDED: Final = {"_id": 0, "item_id": 1, "type": 1, "event_time": 1, "environment": 1}


class MongoHistories:
    """Histories on the collection `interactions`, which another part of the service writes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._interactions: Collection = database[INTERACTIONS]
        self._clock = clock

    async def ensure_indexes(self) -> None:
        """Makes the index, idempotently: impressions outnumber all else, and would have to be read over."""
        async with operation():
            await self._interactions.create_index(
                [("profile_id", 1), ("event_time", -1), ("_id", -1)],
                name="heard",
                partialFilterExpression={"type": {"$in": _HEARD}},
            )

    async def history(self, profile_id: str) -> History:
        """The newest LONGEST_HISTORY that have not expired. Raises Unavailable."""
        query = {"profile_id": profile_id, "type": {"$in": _HEARD}, "expire_time": {"$gt": self._clock.now()}}
        async with operation(TIMEOUT):
            found = await read(self._interactions, query, limit=LONGEST_HISTORY, sort=_NEWEST_FIRST, projection=_NEEDED)
        return history_of(map(_deed, found))


def _deed(document: Document) -> Deed:
    item = bytes.fromhex(document["item_id"].replace("-", ""))
    return Deed(item, document["type"], document["event_time"].timestamp(), document.get("environment", {}))
