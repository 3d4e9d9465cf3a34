"""Preferences in memory: the repository of unit tests, held to the same contract as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence

from children_in_memory import InMemoryChildren

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_preference.model import (
    LIMIT,
    Key,
    Origin,
    Preference,
    PreferenceExists,
    PreferenceLimitReached,
    plan_learned,
    weakest,
)
from rhythmiq_preference.ports import LearnedWritten


class InMemoryPreferences(InMemoryChildren[Preference]):
    """PreferenceRepository."""

    def __init__(self) -> None:
        super().__init__()
        self.dismissals: dict[str, set[Key]] = {}
        self.in_doubt: set[str] = set()

    def refuse(self, child: Preference) -> None:
        self._refuse_second(child)
        if len(self.below(child.profile_id)) >= LIMIT:
            leaving = weakest(each for each in self.below(child.profile_id) if each.origin is Origin.LEARNED)
            if leaving is None:
                raise PreferenceLimitReached(child.profile_id)
            del self.stored[leaving.id]
        self._wanted(child)

    async def replace(self, preference: Preference, *, expected_etag: str) -> bool:
        stored = self.stored.get(preference.id)
        if stored is None or stored.etag != expected_etag:
            return False
        self._refuse_second(preference)
        if stored.key != preference.key:
            self._dismiss(stored)
        self._wanted(preference)
        self.stored[preference.id] = preference
        return True

    async def delete(self, preference: Preference) -> bool:
        if self.stored.get(preference.id) != preference:
            return False
        self._dismiss(self.stored.pop(preference.id))
        return True

    async def write_learned(
        self, profile_id: str, batch: Sequence[Preference], key: RequestKey | None, *, replace: bool
    ) -> tuple[LearnedWritten, bool]:
        if key is not None and key.id in self.records:
            return self.replay(key), True
        plan = plan_learned(self.below(profile_id), batch, self.dismissals.get(profile_id, ()), replace=replace)
        for evicted in plan.evicted:
            del self.stored[evicted.id]
        self.stored |= {preference.id: preference for preference in plan.updated}
        for created in plan.created:
            self.insert(created, key)
        created_ids = tuple(preference.id for preference in plan.created)
        written = LearnedWritten(
            plan.kept,
            created_ids,
            plan.kept_set_count,
            plan.left_out_count,
            plan.deleted_by_listener_count,
            len(plan.evicted),
        )
        self.record(key, written)
        return written, False

    async def doubt(self, profile_id: str) -> None:
        if self.dismissals.get(profile_id):
            self.in_doubt.add(profile_id)

    async def doubted(self, limit: int) -> list[str]:
        return sorted(self.in_doubt)[:limit]

    async def settle(self, profile_id: str, *, gone: bool) -> None:
        self.in_doubt.discard(profile_id)
        if gone:
            self.dismissals.pop(profile_id, None)

    def _dismiss(self, preference: Preference) -> None:
        if preference.origin is Origin.LEARNED:
            self.dismissals.setdefault(preference.profile_id, set()).add(preference.key)

    def _wanted(self, preference: Preference) -> None:
        self.dismissals.get(preference.profile_id, set()).discard(preference.key)

    def _refuse_second(self, preference: Preference) -> None:
        for other in self.below(preference.profile_id):
            if other.key == preference.key and other.id != preference.id:
                raise PreferenceExists(other.name)
