"""Tune vectors in memory, for unit tests of the use cases."""

from __future__ import annotations

from dataclasses import replace

from children_in_memory import InMemoryChildren

from rhythmiq_mesh.paging import Place
from rhythmiq_tunevector.model import LIMIT, TuneVector, TuneVectorLimitReached


class InMemoryTuneVectors(InMemoryChildren[TuneVector]):
    """TuneVectorRepository without a database; held to the same contract as MongoTuneVectors."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        super().__init__()
        self._limit = limit

    def refuse(self, child: TuneVector) -> None:
        if len(self.below(child.profile_id)) >= self._limit:
            raise TuneVectorLimitReached(child.profile_id, self._limit)

    async def page(self, profile_id: str, after: Place | None, limit: int) -> list[TuneVector]:
        return [replace(vector, items=()) for vector in await super().page(profile_id, after, limit)]

    async def replace(self, vector: TuneVector, *, expected_etag: str) -> bool:
        stored = await self.get(vector.profile_id, vector.id)
        if stored is None or stored.etag != expected_etag:
            return False
        self.stored[vector.id] = vector
        return True

    async def delete(self, profile_id: str, tune_vector_id: str, *, expected_etag: str) -> bool:
        stored = await self.get(profile_id, tune_vector_id)
        if stored is None or stored.etag != expected_etag:
            return False
        del self.stored[tune_vector_id]
        return True
