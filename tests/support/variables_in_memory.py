"""Variables and readings in memory: the repositories of unit tests, held to the same contract as those on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from children_in_memory import InMemoryChildren

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.paging import Place
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


class InMemoryVariables(InMemoryChildren[Variable]):
    """VariableRepository; readings and erasures are kept here, too."""

    def __init__(self) -> None:
        super().__init__()
        self.readings: dict[str, Reading] = {}
        self.erasures: dict[str, Erasure] = {}
        self.with_readings: set[str] = set()

    def refuse(self, child: Variable) -> None:
        for found in self.below(child.profile_id):
            if found.kind is child.kind:
                raise VariableExists(found.kind, found.name)

    def removed(self, child: Variable) -> None:
        self._opted_out(child)
        self._erase_readings(child.id)

    async def all(self, profile_id: str) -> list[Variable]:
        return self.below(profile_id)

    async def replace(self, variable: Variable, *, expected_etag: str) -> bool:
        stored = self.stored.get(variable.id)
        if stored is None or stored.etag != expected_etag:
            return False
        now, latest = variable.update_time, stored.latest_at(variable.update_time)
        gone = [r.id for r in self._of(variable.id) if r.observe_time <= stored.expired_until(now)]
        for reading_id in gone:
            del self.readings[reading_id]
        changed = replace(variable, latest=_expiring(latest, variable))
        self.stored[variable.id] = replace(changed, latest=changed.latest_at(now))
        return True

    async def rewrite(self, variable: Variable) -> None:
        for reading in self._of(variable.id):
            self.readings[reading.id] = replace(reading, expire_time=reading.observe_time + variable.retention)

    async def remove(self, variable: Variable, *, expected_etag: str) -> bool:
        stored = self.stored.get(variable.id)
        if stored is None or stored.etag != expected_etag:
            return False
        del self.stored[variable.id]
        self._opted_out(variable)
        return True

    def _opted_out(self, variable: Variable) -> None:
        self.erasures[variable.id] = Erasure(variable.id, variable.profile_id, variable.kind)
        self.with_readings.add(variable.id)

    async def erasing(self, profile_id: str, variable_id: str) -> Erasure | None:
        found = self.erasures.get(variable_id)
        return found if found is not None and found.profile_id == profile_id else None

    async def erase(self, variable_id: str) -> int:
        return self._erase_readings(variable_id)

    def _erase_readings(self, variable_id: str) -> int:
        gone = self._of(variable_id)
        for reading in gone:
            del self.readings[reading.id]
        self.with_readings.discard(variable_id)
        return len(gone)

    async def finish(self, variable_id: str) -> None:
        self.erasures.pop(variable_id, None)

    async def unfinished_erasures(self, limit: int) -> list[str]:
        return sorted(self.with_readings)[:limit]

    async def unfinished_copies(self, limit: int) -> list[Erasure]:
        return [one for id_, one in self.erasures.items() if id_ not in self.with_readings][:limit]

    async def unfinished_rewrites(self, limit: int) -> list[Variable]:
        return []

    async def forget_expired(self, now: datetime) -> None:
        for variable in list(self.stored.values()):
            self.stored[variable.id] = replace(variable, latest=variable.latest_at(now))

    def _of(self, variable_id: str) -> list[Reading]:
        return [reading for reading in self.readings.values() if reading.variable_id == variable_id]


class InMemoryReadings:
    """ReadingRepository; nothing in it awaits, so each method is one step."""

    def __init__(self, store: InMemoryVariables) -> None:
        self._store = store

    async def record(self, profile_id: str, drafts: Sequence[Draft], now: datetime, key: RequestKey | None) -> Recorded:
        variables = {found.kind: found for found in self._store.stored.values() if found.profile_id == profile_id}
        if key is not None and key.id in self._store.records:
            return self._again(self._store.replay(key), drafts, variables, now)
        for index, draft in enumerate(drafts):
            if draft.kind not in variables:
                raise VariableNotOptedIn(profile_id, draft, index)
            check_age(draft, index, variables[draft.kind], now)
        readings, new, late = [], 0, 0
        for draft in drafts:
            variable = self._store.stored[variables[draft.kind].id]
            reading = variable.reading(draft, now)
            if reading.id not in self._store.readings:
                new += 1
                self._store.readings[reading.id] = reading
                if variable.latest is None or reading.rank > variable.latest.rank:
                    self._store.stored[variable.id] = replace(variable, latest=reading)
                elif reading.observe_time < variable.latest.observe_time:
                    late += 1
            readings.append(_expiring(self._store.readings[reading.id], variable) or reading)
        recorded = Recorded(readings, new, late)
        self._store.record(key, recorded)
        return recorded

    async def page(
        self, variable: Variable, span: Span, now: datetime, after: Place | None, limit: int
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
