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
    """The answer to a batch: those stored, and how many were left alone, left out or removed.

    `created_ids` are the new ones'; `removed_count` counts those learned before that have gone.
    """

    preferences: tuple[Preference, ...]
    created_ids: tuple[str, ...]
    kept_set_count: int
    left_out_count: int
    deleted_by_listener_count: int
    removed_count: int


class PreferenceRepository(ChildRepository[Preference], Protocol):
    """Preferences in storage. Never more than LIMIT in a profile, never two of one type and value.

    Where LIMIT is reached, `create` makes room by removing the weakest learned one; it raises PreferenceExists,
    PreferenceLimitReached where all are the listener's own.

    A *dismissal* remembers what the listener does not want to be learned: the type and value of a learned preference
    that was deleted or changed into another. It counts for nothing, and goes when the listener sets that value.
    """

    async def replace(self, preference: Preference, *, expected_etag: str) -> bool:
        """Stores a new version unless the stored etag is another one. Raises PreferenceExists."""
        ...

    async def delete(self, preference: Preference) -> bool:
        """Removes exactly this version; False when it has changed or is gone."""
        ...

    async def write_learned(
        self, profile_id: str, batch: Sequence[Preference], key: RequestKey | None, *, replace: bool
    ) -> tuple[LearnedWritten, bool]:
        """Carries out `plan_learned` at once; or returns the first answer of a replay, and True."""
        ...

    async def doubt(self, profile_id: str) -> None:
        """Remembers to look whether the profile that these dismissals belong to still exists."""
        ...

    async def doubted(self, limit: int) -> list[str]:
        """Profiles in doubt."""
        ...

    async def settle(self, profile_id: str, *, gone: bool) -> None:
        """Ends the doubt: the dismissals stay, or go with their profile."""
        ...
