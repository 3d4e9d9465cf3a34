"""What can be done with tune vectors, tuning apart (see `tuning.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import profile_name
from rhythmiq_mesh.paging import PageTokens, page_size
from rhythmiq_tunevector.guard import Guard
from rhythmiq_tunevector.model import TuneVector, TuneVectorNotFound, tune_vector_name
from rhythmiq_tunevector.ports import TuneVectorRepository

_ATTEMPTS = 5
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class CreateTuneVector:
    """Creates a tune vector below an ACTIVE profile, with an id of its own.

    Raises TuneVectorLimitReached, NotFound (PROFILE_NOT_FOUND), FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable.
    """

    vectors: TuneVectorRepository
    guard: Guard
    clock: Clock

    async def __call__(self, draft: TuneVector, key: RequestKey | None) -> TuneVector:
        now = self.clock.now()
        vector = replace(draft, id=str(uuid4()), create_time=now, update_time=now, etag=new_etag())
        replayed_id = ""
        for _ in range(_ATTEMPTS):
            stored, replayed = await self.guard.insert(vector, key)
            # The record has outlived the tune vector, so its listener has deleted it: the first answer stands.
            if not replayed or stored.id == replayed_id or await self._stands(stored):
                return stored
            replayed_id = stored.id
        raise Aborted(
            f"other calls with this request_id get in the way below {profile_name(draft.profile_id)}: try again"
        )

    async def _stands(self, stored: TuneVector) -> bool:
        if await self.vectors.get(stored.profile_id, stored.id) is None:
            return False
        # The first call may still be about to take its tune vector back: it must not after this answer.
        await self.guard.refuse_unless_active(stored.profile_id)
        return await self.vectors.vouch(stored.id)


@dataclass(frozen=True)
class GetTuneVector:
    """Gets a tune vector. Raises TuneVectorNotFound."""

    vectors: TuneVectorRepository

    async def __call__(self, profile_id: str, tune_vector_id: str) -> TuneVector:
        vector = await self.vectors.get(profile_id, tune_vector_id)
        if vector is None:
            raise TuneVectorNotFound(tune_vector_name(profile_id, tune_vector_id))
        return vector


@dataclass(frozen=True)
class ListTuneVectors:
    """Lists a profile's tune vectors without their items, oldest first. Raises InvalidArgument."""

    vectors: TuneVectorRepository
    tokens: PageTokens

    async def __call__(self, profile_id: str, size: int, token: str) -> tuple[list[TuneVector], str]:
        """The page, and the token of the next one; empty on the last."""
        limit = page_size(size)
        bound = ("ListTuneVectors", profile_id)
        position = self.tokens.decode(bound, token)
        after = None
        if position is not None:
            after = (_EPOCH + int(position[0]) * _MILLISECOND, str(position[1]))
        found = await self.vectors.page(profile_id, after=after, limit=limit + 1)
        page = found[:limit]
        if len(found) <= limit:
            return page, ""
        last = page[-1]
        return page, self.tokens.encode(bound, [(last.create_time - _EPOCH) // _MILLISECOND, last.id])


@dataclass(frozen=True)
class UpdateTuneVector:
    """Applies a change to the stored tune vector; its items stay.

    Without an etag a lost race is run again. Raises TuneVectorNotFound, EtagMismatch, InvalidArgument, Aborted.
    """

    vectors: TuneVectorRepository
    clock: Clock

    async def __call__(
        self, profile_id: str, tune_vector_id: str, etag: str, change: Callable[[TuneVector], TuneVector]
    ) -> TuneVector:
        for _ in range(_ATTEMPTS):
            stored = await GetTuneVector(self.vectors)(profile_id, tune_vector_id)
            check_etag(etag, stored.etag, stored.name)
            changed = replace(change(stored), update_time=self.clock.now(), etag=new_etag())
            if await self.vectors.replace(changed, expected_etag=stored.etag):
                return changed
        raise Aborted(f"{tune_vector_name(profile_id, tune_vector_id)} is being changed by other calls: try again")


@dataclass(frozen=True)
class DeleteTuneVector:
    """Deletes a tune vector. Without an etag a lost race is run again.

    Raises TuneVectorNotFound, EtagMismatch, Aborted.
    """

    vectors: TuneVectorRepository

    async def __call__(self, profile_id: str, tune_vector_id: str, etag: str) -> None:
        for _ in range(_ATTEMPTS):
            stored = await GetTuneVector(self.vectors)(profile_id, tune_vector_id)
            check_etag(etag, stored.etag, stored.name)
            if await self.vectors.delete(profile_id, tune_vector_id, expected_etag=stored.etag):
                return
        raise Aborted(f"{tune_vector_name(profile_id, tune_vector_id)} is being changed by other calls: try again")


@dataclass(frozen=True)
class CountTuneVectors:
    """Counts what a profile has, for the profile's deletion."""

    vectors: TuneVectorRepository

    async def __call__(self, profile_id: str) -> int:
        return await self.vectors.count(profile_id)
