"""What can be done with interactions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted, FieldViolation, InvalidArgument, MeshError
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import profile_name
from rhythmiq_mesh.paging import PageTokens, page_size
from rhythmiq_mesh.parents import Profiles, refuse_unless_active
from rhythmiq_recommender.interactions.model import (
    NOTHING_SHARED,
    Draft,
    Interaction,
    Recorded,
    Shared,
    Span,
    Tally,
    first_refusal,
    interaction,
    interaction_id,
)
from rhythmiq_recommender.interactions.ports import InteractionRepository, Items, Surroundings
from rhythmiq_recommender.situation import EnvironmentKind

log = logging.getLogger("rhythmiq.interactions")

KNOWN_FOR = timedelta(seconds=3)
"""How long a stream goes by what it knows of its listener; opt-outs and deletions reach it at once all the same."""
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found of a listener within an epoch (see InteractionRepository)."""

    epoch: str
    shared: Shared
    time: datetime


@dataclass(frozen=True)
class Recorder:
    """Stores drafts that break no rule."""

    interactions: InteractionRepository
    profiles: Profiles
    surroundings: Surroundings
    clock: Clock
    retention: timedelta

    async def __call__(
        self, profile_id: str, drafts: Sequence[Draft], key: RequestKey | None, known: Standing | None = None
    ) -> tuple[Recorded, Standing]:
        """All or none; also what to go by next time.

        Raises NotFound (PROFILE_NOT_FOUND), FailedPrecondition (PROFILE_NOT_ACTIVE), RequestIdConflict, Unavailable.
        """
        for _ in range(_ATTEMPTS):
            now = self.clock.now()
            if known is None or now - known.time > KNOWN_FOR:
                known = await self._ask(profile_id, now)
            made = [interaction(profile_id, draft, known.shared, now, self.retention) for draft in drafts]
            recorded = await self.interactions.record(known.epoch, made, key, now)
            if recorded is not None:
                return recorded, known
            known = None
        raise Aborted(f"{profile_name(profile_id)} or what it shares keeps changing: try again")

    async def _ask(self, profile_id: str, now: datetime) -> Standing:
        epoch = await self.interactions.epoch(profile_id, now)
        state, shared = await asyncio.gather(self.profiles.state(profile_id), self._shared(profile_id, now))
        refuse_unless_active(state, profile_id)
        return Standing(epoch, shared, now)

    async def _shared(self, profile_id: str, now: datetime) -> Shared:
        """Nothing, where it cannot be told: surroundings are not worth a breach of consent, and the event counts."""
        try:
            return await self.surroundings.shared(profile_id, now)
        except MeshError as error:
            log.warning("interactions are stored without surroundings", extra={"detail": error.message})
            return Shared(NOTHING_SHARED, {}, now)


@dataclass(frozen=True)
class RecordInteractions:
    """Records interactions, all or none.

    Raises InvalidArgument, UnknownItem, InteractionGone, and as Recorder; errors name `interaction`, or with `batch`
    `interactions[3]`.
    """

    recorder: Recorder
    items: Items

    async def __call__(
        self, profile_id: str, drafts: Sequence[Draft], key: RequestKey | None, *, batch: bool
    ) -> Recorded:
        recorder = self.recorder
        if key is not None:
            # Ahead of the rules: by now the event may be too old, or its item deleted.
            ids = [interaction_id(profile_id, draft) for draft in drafts]
            first = await recorder.interactions.replay(key, profile_id, ids)
            if first is not None:
                return first
        unknown = await self.items.unknown([draft.item_id for draft in drafts])
        field = _in_batch if batch else _alone
        refusal = first_refusal(profile_id, drafts, unknown, recorder.clock.now(), recorder.retention, field)
        if refusal is not None:
            raise refusal[1]
        recorded, _ = await recorder(profile_id, drafts, key)
        return recorded


@dataclass(frozen=True)
class RecordStream:
    """Records a stream, message by message, up to the first interaction that is refused.

    What came before is stored. Raises as RecordInteractions, saying where in the stream, and what `messages` raises.
    """

    recorder: Recorder
    items: Items

    async def __call__(self, profile_id: str, messages: AsyncIterator[Sequence[Draft]]) -> Tally:
        tally, number, known, recorder = Tally(), 0, None, self.recorder
        async for drafts in messages:
            number += 1
            unknown = await self.items.unknown([draft.item_id for draft in drafts])
            refusal = first_refusal(profile_id, drafts, unknown, recorder.clock.now(), recorder.retention, _in_batch)
            good = drafts if refusal is None else drafts[: refusal[0]]
            if good:
                recorded, known = await recorder(profile_id, good, None, known)
                tally = tally.plus(recorded)
            if refusal is not None:
                raise _in_message(refusal[1], number)
        return tally


@dataclass(frozen=True)
class ListInteractions:
    """Lists a profile's interactions, newest first: one page and the token of the next, empty on the last.

    Raises InvalidArgument (PAGE_TOKEN_INVALID).
    """

    interactions: InteractionRepository
    tokens: PageTokens
    clock: Clock

    async def __call__(
        self, profile_id: str, span: Span, requested_size: int, token: str
    ) -> tuple[list[Interaction], str]:
        size = page_size(requested_size)
        query = ("ListInteractions", profile_id, span.start, span.end)
        position = self.tokens.decode(query, token)
        after = None if position is None else (datetime.fromisoformat(str(position[0])), str(position[1]))
        found = await self.interactions.page(profile_id, span, self.clock.now(), after, size + 1)
        if len(found) <= size:
            return found, ""
        last = found[size - 1]
        return found[:size], self.tokens.encode(query, (last.event_time.isoformat(), last.id))


@dataclass(frozen=True)
class EraseInteractions:
    """Erases all interactions of a profile: how many, and when."""

    interactions: InteractionRepository
    clock: Clock

    async def __call__(self, profile_id: str) -> tuple[int, datetime]:
        count = await self.interactions.erase(profile_id)
        return count, self.clock.now()


@dataclass(frozen=True)
class ScrubKind:
    """Removes one kind of surroundings from all interactions of a profile; from how many.

    The kind must not be shared any more when this is called. Then none has it when this returns, nor ever after,
    until the listener shares it again.
    """

    interactions: InteractionRepository

    async def __call__(self, profile_id: str, kind: EnvironmentKind) -> int:
        return await self.interactions.scrub(profile_id, kind)


@dataclass(frozen=True)
class CountInteractions:
    """How many interactions a profile that is being deleted still has: 0 means that it gets no more."""

    interactions: InteractionRepository

    async def __call__(self, profile_id: str) -> int:
        return await self.interactions.count(profile_id)


def _alone(_: int) -> str:
    return "interaction"


def _in_batch(index: int) -> str:
    return f"interactions[{index}]"


def _in_message(error: MeshError, number: int) -> MeshError:
    """The error, saying in which message of the stream, 1 for the first."""
    where = f" (message {number} of the stream)"
    if isinstance(error, InvalidArgument):
        violations = [FieldViolation(found.field, found.rule + where) for found in error.violations]
        return InvalidArgument(violations, reason=error.reason)
    error.message += where
    return error
