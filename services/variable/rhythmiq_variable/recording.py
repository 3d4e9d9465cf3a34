"""What can be done to record readings: together, or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import FieldViolation, InvalidArgument
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_variable.model import Draft, ExpiredReading, Recorded, Tally, VariableNotOptedIn, check_draft
from rhythmiq_variable.ports import ReadingRepository

STREAM_CHUNK = 1000
"""How many readings of a stream are written together at most."""


@dataclass(frozen=True)
class RecordReadings:
    """Records readings, all or none. Raises InvalidArgument, VariableNotOptedIn, RequestIdConflict."""

    readings: ReadingRepository
    clock: Clock

    async def __call__(self, profile_id: str, drafts: Sequence[Draft], key: RequestKey | None = None) -> Recorded:
        now = self.clock.now()
        for draft in drafts:
            check_draft(draft, now)
        return await self.readings.record(profile_id, drafts, now, key)


@dataclass(frozen=True)
class _End:
    """The end of a stream: in order, or for a reason."""

    error: Exception | None = None


@dataclass(frozen=True)
class RecordStream:
    """Records readings as they come, writing together what has come while the last write ran.

    Stops at the first that is refused; those before it are stored. Raises as RecordReadings, naming the place in the
    stream, and whatever `drafts` raises.
    """

    readings: ReadingRepository
    clock: Clock

    async def __call__(self, profile_id: str, drafts: AsyncIterator[Draft]) -> Tally:
        queue: asyncio.Queue[Draft | _End] = asyncio.Queue(STREAM_CHUNK)
        reader = asyncio.create_task(self._read(drafts, queue))
        tally, done, end = Tally(), 0, None
        try:
            while end is None:
                chunk, end = await _chunk(queue)
                if chunk:
                    tally = tally.plus(await self._record(profile_id, chunk, done))
                    done += len(chunk)
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader
        if end.error is not None:
            raise _at(end.error, done)
        return tally

    async def _read(self, drafts: AsyncIterator[Draft], queue: asyncio.Queue[Draft | _End]) -> None:
        try:
            async for draft in drafts:
                check_draft(draft, self.clock.now())
                await queue.put(draft)
        except Exception as error:  # noqa: BLE001 - raised again, after those before it are written
            await queue.put(_End(error))
        else:
            await queue.put(_End())

    async def _record(self, profile_id: str, chunk: Sequence[Draft], done: int) -> Recorded:
        now = self.clock.now()
        try:
            return await self.readings.record(profile_id, chunk, now, None)
        except (VariableNotOptedIn, ExpiredReading) as refused:
            if refused.index:
                await self.readings.record(profile_id, chunk[: refused.index], now, None)
            raise _at(refused, done + refused.index) from None


async def _chunk(queue: asyncio.Queue[Draft | _End]) -> tuple[list[Draft], _End | None]:
    """What waits in the queue, at least one; and the end, if it was reached."""
    chunk: list[Draft] = []
    item = await queue.get()
    while not isinstance(item, _End):
        chunk.append(item)
        if len(chunk) == STREAM_CHUNK or queue.empty():
            return chunk, None
        item = queue.get_nowait()
    return chunk, item


def _at(error: Exception, before: int) -> Exception:
    """The error, saying how many readings of the stream came before."""
    where = f" (reading {before + 1} of the stream)"
    if isinstance(error, InvalidArgument):
        violations = [FieldViolation(found.field, found.rule + where) for found in error.violations]
        return InvalidArgument(violations, reason=error.reason)
    if isinstance(error, VariableNotOptedIn):
        error.message += where
    return error
