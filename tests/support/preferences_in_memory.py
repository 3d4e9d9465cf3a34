"""Preferences in memory: the repository of unit tests, held to the same contract as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_preference.model import LIMIT, Preference, PreferenceExists, PreferenceLimitReached, plan_learned
from rhythmiq_preference.ports import LearnedWritten, Position


class InMemoryPreferences:
    """PreferenceRepository; nothing in it awaits, so each method is one step."""

    def __init__(self) -> None:
        self.stored: dict[str, Preference] = {}
        self._unconfirmed: dict[str, RequestKey | None] = {}
        self._records: dict[str, tuple[bytes, Any]] = {}

    async def create(self, preference: Preference, key: RequestKey | None) -> tuple[Preference, bool]:
        if key is not None and key.id in self._records:
            return self._replay(key), True
        self._refuse_second(preference)
        if len(self._of(preference.profile_id)) >= LIMIT:
            raise PreferenceLimitReached(preference.profile_id)
        self.stored[preference.id] = preference
        self._unconfirmed[preference.id] = key
        self._record(key, preference)
        return preference, False

    async def confirm(self, preference_ids: Sequence[str]) -> bool:
        for preference_id in preference_ids:
            self._unconfirmed.pop(preference_id, None)
        return self.stored.keys() >= set(preference_ids)

    async def take_back(self, profile_id: str, preference_ids: Sequence[str]) -> bool:
        found = [preference_id for preference_id in preference_ids if preference_id in self.stored]
        if not self._unconfirmed.keys() >= set(found):
            return False
        for preference_id in found:
            del self.stored[preference_id]
            key = self._unconfirmed.pop(preference_id)
            if key is not None:
                self._records.pop(key.id, None)
        return True

    async def unconfirmed(self, created_before: datetime, limit: int) -> list[Preference]:
        found = [self.stored[each] for each in self._unconfirmed if each in self.stored]
        return sorted((each for each in found if each.create_time < created_before), key=_age)[:limit]

    async def get(self, profile_id: str, preference_id: str) -> Preference | None:
        found = self.stored.get(preference_id)
        return found if found is not None and found.profile_id == profile_id else None

    async def page(self, profile_id: str, after: Position | None, size: int) -> list[Preference]:
        found = [p for p in self._of(profile_id) if after is None or (p.create_time, p.id) > after]
        return found[:size]

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
        if key is not None and key.id in self._records:
            return self._replay(key), True
        plan = plan_learned(self._of(profile_id), batch)
        for evicted in plan.evicted:
            del self.stored[evicted.id]
        self.stored |= {preference.id: preference for preference in (*plan.updated, *plan.created)}
        created_ids = tuple(preference.id for preference in plan.created)
        self._unconfirmed |= dict.fromkeys(created_ids, key)
        written = LearnedWritten(plan.kept, created_ids, plan.kept_set_count, plan.left_out_count)
        self._record(key, written)
        return written, False

    async def count(self, profile_id: str) -> int:
        return len(self._of(profile_id))

    def _of(self, profile_id: str) -> list[Preference]:
        found = [preference for preference in self.stored.values() if preference.profile_id == profile_id]
        return sorted(found, key=_age)

    def _refuse_second(self, preference: Preference) -> None:
        for other in self._of(preference.profile_id):
            if other.key == preference.key and other.id != preference.id:
                raise PreferenceExists(other.name)

    def _record(self, key: RequestKey | None, answer: Any) -> None:
        if key is not None:
            self._records[key.id] = (key.fingerprint, answer)

    def _replay(self, key: RequestKey) -> Any:
        fingerprint, answer = self._records[key.id]
        if fingerprint != key.fingerprint:
            raise RequestIdConflict
        return answer


def _age(preference: Preference) -> Position:
    return preference.create_time, preference.id
