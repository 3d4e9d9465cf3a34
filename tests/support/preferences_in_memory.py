"""Preferences in memory: the repository of unit tests, held to the same contract as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence

from children_in_memory import InMemoryChildren

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_preference.model import LIMIT, Preference, PreferenceExists, PreferenceLimitReached, plan_learned
from rhythmiq_preference.ports import LearnedWritten


class InMemoryPreferences(InMemoryChildren[Preference]):
    """PreferenceRepository."""

    def refuse(self, child: Preference) -> None:
        self._refuse_second(child)
        if len(self.below(child.profile_id)) >= LIMIT:
            raise PreferenceLimitReached(child.profile_id)

    async def replace(self, preference: Preference, *, expected_etag: str) -> bool:
        stored = self.stored.get(preference.id)
        if stored is None or stored.etag != expected_etag:
            return False
        self._refuse_second(preference)
        self.stored[preference.id] = preference
        return True

    async def delete(self, preference: Preference) -> bool:
        if self.stored.get(preference.id) != preference:
            return False
        del self.stored[preference.id]
        return True

    async def write_learned(
        self, profile_id: str, batch: Sequence[Preference], key: RequestKey | None
    ) -> tuple[LearnedWritten, bool]:
        if key is not None and key.id in self.records:
            return self.replay(key), True
        plan = plan_learned(self.below(profile_id), batch)
        for evicted in plan.evicted:
            del self.stored[evicted.id]
        self.stored |= {preference.id: preference for preference in plan.updated}
        for created in plan.created:
            self.insert(created, key)
        created_ids = tuple(preference.id for preference in plan.created)
        written = LearnedWritten(plan.kept, created_ids, plan.kept_set_count, plan.left_out_count)
        self.record(key, written)
        return written, False

    def _refuse_second(self, preference: Preference) -> None:
        for other in self.below(preference.profile_id):
            if other.key == preference.key and other.id != preference.id:
                raise PreferenceExists(other.name)
