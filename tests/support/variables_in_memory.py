"""Variables and readings in memory: the repositories of unit tests, held to the same contract as those on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_variable.model import (
    Draft,
    Erasure,
    ExpiredReading,
    Kind,
    Reading,
    Recorded,
    Span,
    Variable,
    VariableExists,
    VariableNotOptedIn,
    check_age,
)
from rhythmiq_variable.ports import Position


class Store:
    """What both repositories keep."""

    def __init__(self) -> None:
        self.variables: dict[str, Variable] = {}
        self.unconfirmed: set[str] = set()
        self.readings: dict[str, Reading] = {}
        self.erasures: dict[str, Erasure] = {}
        self.with_readings: set[str] = set()
        self.records: dict[str, tuple[bytes, Any]] = {}

    def replay(self, key: RequestKey | None) -> Any:
        """The first answer to a request, or None."""
        if key is None or key.id not in self.records:
            return None
        fingerprint, answer = self.records[key.id]
        if fingerprint != key.fingerprint:
            raise RequestIdConflict
        return answer

    def record(self, key: RequestKey | None, answer: Any) -> None:
        if key is not None:
            self.records[key.id] = (key.fingerprint, answer)


class InMemoryVariables:
    """VariableRepository; nothing in it awaits, so each method is one step."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, variable: Variable, key: RequestKey | None) -> tuple[Variable, bool]:
        first = self._store.replay(key)
        if first is not None:
            return first, True
        for found in await self.all(variable.profile_id):
            if found.kind is variable.kind:
                raise VariableExists(found.kind, found.name)
        self._store.variables[variable.id] = variable
        self._store.unconfirmed.add(variable.id)
        self._store.record(key, variable)
        return variable, False

    async def confirm(self, variable_id: str) -> None:
        self._store.unconfirmed.discard(variable_id)

    async def take_back(self, variable: Variable, key: RequestKey | None) -> bool:
        if variable.id not in self._store.unconfirmed:
            return False
        if key is not None:
            self._store.records.pop(key.id, None)
        return self._remove(variable)

    async def unconfirmed(self, created_before: datetime, limit: int) -> list[Variable]:
        found = [self._store.variables[each] for each in self._store.unconfirmed]
        return [variable for variable in found if variable.create_time < created_before][:limit]

    async def get(self, profile_id: str, variable_id: str) -> Variable | None:
        found = self._store.variables.get(variable_id)
        return found if found is not None and found.profile_id == profile_id else None

    async def page(self, profile_id: str, after: Position | None, limit: int) -> list[Variable]:
        found = sorted(await self.all(profile_id), key=lambda variable: (variable.create_time, variable.id))
        return [variable for variable in found if after is None or (variable.create_time, variable.id) > after][:limit]

    async def all(self, profile_id: str) -> list[Variable]:
        return [variable for variable in self._store.variables.values() if variable.profile_id == profile_id]

    async def count(self, profile_id: str) -> int:
        return len(await self.all(profile_id))

    async def replace(self, variable: Variable, *, expected_etag: str) -> bool:
        stored = self._store.variables.get(variable.id)
        if stored is None or stored.etag != expected_etag:
            return False
        now, latest = variable.update_time, stored.latest_at(variable.update_time)
        gone = [r.id for r in self._of(variable.id) if r.observe_time <= stored.expired_until(now)]
        for reading_id in gone:
            del self._store.readings[reading_id]
        changed = replace(variable, latest=_expiring(latest, variable))
        self._store.variables[variable.id] = replace(changed, latest=changed.latest_at(now))
        return True

    async def rewrite(self, variable: Variable) -> None:
        for reading in self._of(variable.id):
            self._store.readings[reading.id] = replace(reading, expire_time=reading.observe_time + variable.retention)

    async def remove(self, variable: Variable, *, expected_etag: str) -> bool:
        stored = self._store.variables.get(variable.id)
        return stored is not None and stored.etag == expected_etag and self._remove(variable)

    async def erasing(self, profile_id: str, variable_id: str) -> Erasure | None:
        found = self._store.erasures.get(variable_id)
        return found if found is not None and found.profile_id == profile_id else None

    async def erase(self, variable_id: str) -> int:
        gone = self._of(variable_id)
        for reading in gone:
            del self._store.readings[reading.id]
        self._store.with_readings.discard(variable_id)
        return len(gone)

    async def finish(self, variable_id: str) -> None:
        self._store.erasures.pop(variable_id, None)

    async def unfinished_erasures(self, limit: int) -> list[str]:
        return sorted(self._store.with_readings)[:limit]

    async def unfinished_copies(self, limit: int) -> list[Erasure]:
        return [one for id_, one in self._store.erasures.items() if id_ not in self._store.with_readings][:limit]

    async def unfinished_rewrites(self, limit: int) -> list[Variable]:
        return []

    async def forget_expired(self, now: datetime) -> None:
        for variable in list(self._store.variables.values()):
            self._store.variables[variable.id] = replace(variable, latest=variable.latest_at(now))

    def _remove(self, variable: Variable) -> bool:
        self._store.unconfirmed.discard(variable.id)
        del self._store.variables[variable.id]
        self._store.erasures[variable.id] = Erasure(variable.id, variable.profile_id, variable.kind)
        self._store.with_readings.add(variable.id)
        return True

    def _of(self, variable_id: str) -> list[Reading]:
        return [reading for reading in self._store.readings.values() if reading.variable_id == variable_id]


class InMemoryReadings:
    """ReadingRepository; nothing in it awaits, so each method is one step."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, profile_id: str, drafts: Sequence[Draft], now: datetime, key: RequestKey | None) -> Recorded:
        variables = {found.kind: found for found in self._store.variables.values() if found.profile_id == profile_id}
        first: Recorded | None = self._store.replay(key)
        if first is not None:
            return self._again(first, drafts, variables, now)
        for index, draft in enumerate(drafts):
            if draft.kind not in variables:
                raise VariableNotOptedIn(profile_id, draft, index)
            check_age(draft, index, variables[draft.kind], now)
        readings, new, late = [], 0, 0
        for draft in drafts:
            variable = self._store.variables[variables[draft.kind].id]
            reading = variable.reading(draft, now)
            if reading.id not in self._store.readings:
                new += 1
                self._store.readings[reading.id] = reading
                if variable.latest is None or reading.rank > variable.latest.rank:
                    self._store.variables[variable.id] = replace(variable, latest=reading)
                elif reading.observe_time < variable.latest.observe_time:
                    late += 1
            readings.append(_expiring(self._store.readings[reading.id], variable) or reading)
        recorded = Recorded(readings, new, late)
        self._store.record(key, recorded)
        return recorded

    async def page(
        self, variable: Variable, span: Span, now: datetime, after: Position | None, limit: int
    ) -> list[Reading]:
        found = [
            replace(reading, expire_time=reading.observe_time + variable.retention)
            for reading in self._store.readings.values()
            if reading.variable_id == variable.id
            and reading.observe_time > variable.expired_until(now)
            and (span.start is None or reading.observe_time >= span.start)
            and (span.end is None or reading.observe_time < span.end)
            and (after is None or (reading.observe_time, reading.id) < after)
        ]
        return sorted(found, key=lambda reading: (reading.observe_time, reading.id), reverse=True)[:limit]

    def _again(
        self, first: Recorded, drafts: Sequence[Draft], variables: dict[Kind, Variable], now: datetime
    ) -> Recorded:
        ids = {variable.id for variable in variables.values()}
        for index, draft in enumerate(drafts):
            if first.readings[index].variable_id not in ids:
                raise VariableNotOptedIn(first.readings[index].profile_id, draft, index)
        for index, draft in enumerate(drafts):
            check_age(draft, index, variables[draft.kind], now)
            if first.readings[index].id not in self._store.readings:
                raise ExpiredReading(draft, index)
        return Recorded(first.readings, first.new, 0)


def _expiring(reading: Reading | None, variable: Variable) -> Reading | None:
    return None if reading is None else replace(reading, expire_time=reading.observe_time + variable.retention)
