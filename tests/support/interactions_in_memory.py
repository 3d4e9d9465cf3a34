"""Interactions in memory: the repository of unit tests, held to the same contract as that on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import child_name
from rhythmiq_recommender.interactions.model import COLLECTION, Interaction, InteractionGone, Recorded, Span
from rhythmiq_recommender.interactions.ports import Position
from rhythmiq_recommender.situation import EnvironmentKind


class InMemoryInteractions:
    """InteractionRepository; nothing in it awaits, so each method is one step."""

    def __init__(self) -> None:
        self.interactions: dict[str, Interaction] = {}
        self.epochs: dict[str, str] = {}
        self.records: dict[str, tuple[bytes, int]] = {}

    async def epoch(self, profile_id: str, now: datetime) -> str:
        return self.epochs.setdefault(profile_id, str(uuid4()))

    async def record(
        self, epoch: str, interactions: Sequence[Interaction], key: RequestKey | None, now: datetime
    ) -> Recorded | None:
        profile_id, ids = interactions[0].profile_id, [each.id for each in interactions]
        if key is not None and (first := await self.replay(key, profile_id, ids)) is not None:
            return first
        if self.epochs.get(profile_id) != epoch:
            return None
        new = 0
        for each in interactions:
            new += each.id not in self.interactions
            self.interactions.setdefault(each.id, each)
        if key is not None:
            self.records[key.id] = (key.fingerprint, new)
        return Recorded([self.interactions[found] for found in ids], new)

    async def replay(self, key: RequestKey, profile_id: str, interaction_ids: Sequence[str]) -> Recorded | None:
        if key.id not in self.records:
            return None
        fingerprint, new = self.records[key.id]
        if fingerprint != key.fingerprint:
            raise RequestIdConflict
        for interaction_id in interaction_ids:
            if interaction_id not in self.interactions:
                raise InteractionGone(child_name(profile_id, COLLECTION, interaction_id))
        return Recorded([self.interactions[found] for found in interaction_ids], new)

    async def page(
        self, profile_id: str, span: Span, now: datetime, after: Position | None, limit: int
    ) -> list[Interaction]:
        found = [
            each
            for each in self._of(profile_id)
            if each.expire_time > now
            and (span.start is None or each.event_time >= span.start)
            and (span.end is None or each.event_time < span.end)
            and (after is None or (each.event_time, each.id) < after)
        ]
        return sorted(found, key=lambda each: (each.event_time, each.id), reverse=True)[:limit]

    async def erase(self, profile_id: str) -> int:
        gone = self._of(profile_id)
        for each in gone:
            del self.interactions[each.id]
        return len(gone)

    async def scrub(self, profile_id: str, kind: EnvironmentKind) -> int:
        self.epochs.pop(profile_id, None)
        found = [each for each in self._of(profile_id) if kind in each.environment]
        for each in found:
            left = {other: value for other, value in each.environment.items() if other != kind}
            self.interactions[each.id] = each._replace(environment=left)
        return len(found)

    async def count(self, profile_id: str) -> int:
        self.epochs.pop(profile_id, None)
        return len(self._of(profile_id))

    def _of(self, profile_id: str) -> list[Interaction]:
        return [each for each in self.interactions.values() if each.profile_id == profile_id]
