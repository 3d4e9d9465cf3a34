"""Tune vectors in memory, for unit tests of the use cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_tunevector.model import LIMIT, TuneVector, TuneVectorLimitReached


class InMemoryTuneVectors:
    """TuneVectorRepository without a database; held to the same contract as MongoTuneVectors."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._vectors: dict[str, TuneVector] = {}
        self._vouched: set[str] = set()
        self._answers: dict[str, tuple[bytes, TuneVector]] = {}
        self._limit = limit

    async def create(self, vector: TuneVector, key: RequestKey | None) -> tuple[TuneVector, bool]:
        if key is not None and key.id in self._answers:
            fingerprint, answer = self._answers[key.id]
            if fingerprint != key.fingerprint:
                raise RequestIdConflict
            return answer, True
        if await self.count(vector.profile_id) >= self._limit:
            raise TuneVectorLimitReached(vector.profile_id, self._limit)
        self._vectors[vector.id] = vector
        if key is not None:
            self._answers[key.id] = key.fingerprint, vector
        return vector, False

    async def vouch(self, tune_vector_id: str) -> bool:
        self._vouched.add(tune_vector_id)
        return tune_vector_id in self._vectors

    async def take_back(self, vector: TuneVector, key: RequestKey | None) -> bool:
        if vector.id in self._vouched and vector.id in self._vectors:
            return False
        if self._vectors.pop(vector.id, None) is not None and key is not None:
            self._answers.pop(key.id, None)
        return True

    async def get(self, profile_id: str, tune_vector_id: str) -> TuneVector | None:
        vector = self._vectors.get(tune_vector_id)
        return vector if vector is not None and vector.profile_id == profile_id else None

    async def page(self, profile_id: str, *, after: tuple[datetime, str] | None, limit: int) -> list[TuneVector]:
        own = [vector for vector in self._vectors.values() if vector.profile_id == profile_id]
        own.sort(key=lambda vector: (vector.create_time, vector.id))
        later = [vector for vector in own if after is None or (vector.create_time, vector.id) > after]
        return [replace(vector, items=()) for vector in later[:limit]]

    async def replace(self, vector: TuneVector, *, expected_etag: str) -> bool:
        stored = await self.get(vector.profile_id, vector.id)
        if stored is None or stored.etag != expected_etag:
            return False
        self._vectors[vector.id] = vector
        return True

    async def delete(self, profile_id: str, tune_vector_id: str, *, expected_etag: str) -> bool:
        stored = await self.get(profile_id, tune_vector_id)
        if stored is None or stored.etag != expected_etag:
            return False
        del self._vectors[tune_vector_id]
        return True

    async def count(self, profile_id: str) -> int:
        return sum(vector.profile_id == profile_id for vector in self._vectors.values())
