"""What can be done with tune vectors, tuning apart (see `tuning.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.paging import PageTokens, Place
from rhythmiq_tunevector.model import TuneVector, TuneVectorNotFound, tune_vector_name
from rhythmiq_tunevector.ports import TuneVectorRepository

_ATTEMPTS = 5


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
        return await self.guard.create(vector, partial(self.vectors.create, vector, key))


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
        query, fetch = ("ListTuneVectors", profile_id), partial(self.vectors.page, profile_id)
        return await self.tokens.page(query, size, token, fetch, _place)


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


def _place(vector: TuneVector) -> Place:
    return vector.create_time, vector.id
