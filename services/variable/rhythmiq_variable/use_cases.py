"""What can be done with variables and readings."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted, MeshError
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import child_name
from rhythmiq_mesh.paging import Place
from rhythmiq_mesh.rounds import rounds
from rhythmiq_variable.model import (
    COLLECTION,
    Erased,
    Kind,
    Reading,
    Receipt,
    Span,
    Variable,
    VariableNotFound,
)
from rhythmiq_variable.ports import Copies, ReadingRepository, VariableRepository

log = logging.getLogger("rhythmiq.variable")

_ATTEMPTS = 5
_UPKEEP_BATCH = 100


@dataclass(frozen=True)
class CreateVariable:
    """Opts in. Raises VariableExists, NotFound or FailedPrecondition for the profile, Unavailable."""

    variables: VariableRepository
    guard: Guard
    clock: Clock

    async def __call__(
        self, profile_id: str, kind: Kind, consent_version: str, retention: timedelta, key: RequestKey | None
    ) -> Variable:
        now = self.clock.now()
        draft = Variable(
            id=str(uuid.uuid4()),
            profile_id=profile_id,
            kind=kind,
            consent_version=consent_version,
            consent_time=now,
            retention=retention,
            create_time=now,
            update_time=now,
            etag=new_etag(),
        )
        return await self.guard.create(draft, partial(self.variables.create, draft, key))


@dataclass(frozen=True)
class GetVariable:
    """Gets a variable. Raises VariableNotFound."""

    variables: VariableRepository

    async def __call__(self, profile_id: str, variable_id: str) -> Variable:
        variable = await self.variables.get(profile_id, variable_id)
        if variable is None:
            raise VariableNotFound(child_name(profile_id, COLLECTION, variable_id))
        return variable


@dataclass(frozen=True)
class ListVariables:
    """Lists the variables of a profile, oldest first."""

    variables: VariableRepository

    async def __call__(self, profile_id: str, after: Place | None, limit: int) -> list[Variable]:
        return await self.variables.page(profile_id, after, limit)


@dataclass(frozen=True)
class UpdateVariable:
    """Applies a change of the retention, which at once decides what has expired.

    Without an etag a lost race is run again. Raises VariableNotFound, EtagMismatch, InvalidArgument.
    """

    variables: VariableRepository
    clock: Clock

    async def __call__(
        self, profile_id: str, variable_id: str, etag: str, change: Callable[[Variable], Variable]
    ) -> Variable:
        for _ in range(_ATTEMPTS):
            stored = await GetVariable(self.variables)(profile_id, variable_id)
            check_etag(etag, stored.etag, stored.name)
            changed = replace(change(stored), update_time=self.clock.now(), etag=new_etag())
            if changed.retention != stored.retention:
                changed = replace(changed, generation=stored.generation + 1)
            if await self.variables.replace(changed, expected_etag=stored.etag):
                if changed.generation != stored.generation:
                    # The change is made; upkeep does the rest where this is cut short.
                    with suppress(MeshError):
                        await self.variables.rewrite(changed)
                return changed
        raise Aborted(f"{child_name(profile_id, COLLECTION, variable_id)} is being changed by other calls: try again")


@dataclass(frozen=True)
class DeleteVariable:
    """Opts out, and returns once the readings are erased, and copies of them where those could be reached.

    Upkeep reaches the others. Repeated after an interruption it finishes what was begun.
    Raises VariableNotFound, EtagMismatch, Unavailable.
    """

    variables: VariableRepository
    copies: Copies
    clock: Clock

    async def __call__(self, profile_id: str, variable_id: str, etag: str) -> Receipt:
        kind = await self._remove(profile_id, variable_id, etag)
        readings = Erased("readings", await self.variables.erase(variable_id))
        elsewhere, everywhere = await self.copies.erase(profile_id, kind)
        if everywhere:
            await self.variables.finish(variable_id)
        pending = [] if everywhere else [f"copies:{kind.value.lower()}"]
        return Receipt([readings, *elsewhere], pending, self.clock.now())

    async def _remove(self, profile_id: str, variable_id: str, etag: str) -> Kind:
        name = child_name(profile_id, COLLECTION, variable_id)
        for _ in range(_ATTEMPTS):
            stored = await self.variables.get(profile_id, variable_id)
            if stored is None:
                erasure = await self.variables.erasing(profile_id, variable_id)
                if erasure is None:
                    raise VariableNotFound(name)
                return erasure.kind
            check_etag(etag, stored.etag, stored.name)
            if await self.variables.remove(stored, expected_etag=stored.etag):
                return stored.kind
        raise Aborted(f"{name} is being changed by other calls: try again")


@dataclass(frozen=True)
class ListReadings:
    """Lists the readings of a variable, newest first. Raises VariableNotFound."""

    variables: VariableRepository
    readings: ReadingRepository
    clock: Clock

    async def __call__(
        self, profile_id: str, variable_id: str, span: Span, after: Place | None, limit: int
    ) -> list[Reading]:
        variable = await GetVariable(self.variables)(profile_id, variable_id)
        return await self.readings.page(variable, span, self.clock.now(), after, limit)


@dataclass(frozen=True, slots=True)
class Environment:
    """The latest valid readings, and the kinds that are shared but have none, both in the order of Kind.

    `now` is the time that ages count from.
    """

    readings: list[Reading]
    missing: list[Kind]
    now: datetime


@dataclass(frozen=True)
class GetEnvironment:
    """Tells a listener's surroundings."""

    variables: VariableRepository
    clock: Clock

    async def __call__(self, profile_id: str) -> Environment:
        now = self.clock.now()
        variables = {variable.kind: variable for variable in await self.variables.all(profile_id)}
        latest = {kind: variables[kind].latest_at(now) for kind in Kind if kind in variables}
        return Environment(
            readings=[reading for reading in latest.values() if reading is not None],
            missing=[kind for kind, reading in latest.items() if reading is None],
            now=now,
        )


@dataclass(frozen=True)
class Upkeep:
    """Finishes what calls had to leave: erasures, changed retentions, expired values.

    Any number may run at once.
    """

    variables: VariableRepository
    clock: Clock
    seconds: float

    async def __call__(self) -> None:
        """Rounds without end, `seconds` apart."""
        await rounds(self.once, self.seconds)

    async def once(self) -> None:
        """One round."""
        for variable_id in await self.variables.unfinished_erasures(_UPKEEP_BATCH):
            await self.variables.erase(variable_id)
        for variable in await self.variables.unfinished_rewrites(_UPKEEP_BATCH):
            await self.variables.rewrite(variable)
        await self.variables.forget_expired(self.clock.now())


@dataclass(frozen=True)
class CopiesUpkeep:
    """Brings opt-outs to the services that keep copies and could not be reached. Any number may run at once.

    Apart from Upkeep, whose work shall not wait for a service that hangs.
    """

    variables: VariableRepository
    copies: Copies
    seconds: float

    async def __call__(self) -> None:
        """Rounds without end, `seconds` apart."""
        await rounds(self.once, self.seconds)

    async def once(self) -> None:
        """One round."""
        for erasure in await self.variables.unfinished_copies(_UPKEEP_BATCH):
            _, everywhere = await self.copies.erase(erasure.profile_id, erasure.kind)
            if not everywhere:
                # Whoever is away now is away for the next one too.
                log.warning("an opt-out has not reached every service yet", extra={"variable": erasure.variable_id})
                return
            await self.variables.finish(erasure.variable_id)
