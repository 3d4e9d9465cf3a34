"""What the use cases need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rhythmiq_mesh.children import ChildRepository
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_preference.model import Preference


@dataclass(frozen=True, slots=True)
class LearnedWritten:
    """The answer to a batch: those stored, and how many were left alone or out; `created_ids` are the new ones'."""

    preferences: tuple[Preference, ...]
    created_ids: tuple[str, ...]
    kept_set_count: int
    left_out_count: int


class PreferenceRepository(ChildRepository[Preference], Protocol):
    """Preferences in storage. Never more than LIMIT in a profile, never two of one type and value.

    `create` raises PreferenceExists, PreferenceLimitReached.
    """

    async def replace(self, preference: Preference, *, expected_etag: str) -> bool:
        """Stores a new version unless the stored etag is another one. Raises PreferenceExists."""
        ...

    async def delete(self, preference: Preference) -> bool:
        """Removes exactly this version; False when it has changed or is gone."""
        ...

    async def write_learned(
        self, profile_id: str, batch: Sequence[Preference], key: RequestKey | None
    ) -> tuple[LearnedWritten, bool]:
        """Carries out `plan_learned` at once; or returns the first answer of a replay, and True."""
        ...
