"""What the use cases need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_preference.model import Preference

Position = tuple[datetime, str]
"""Where a page ends: create time and id of its last preference."""


@dataclass(frozen=True, slots=True)
class LearnedWritten:
    """The answer to a batch: those stored, and how many were left alone or out; `created_ids` are the new ones'."""

    preferences: tuple[Preference, ...]
    created_ids: tuple[str, ...]
    kept_set_count: int
    left_out_count: int


class PreferenceRepository(Protocol):
    """Preferences in storage. Never more than LIMIT in a profile, never two of one type and value."""

    async def create(self, preference: Preference, key: RequestKey | None) -> tuple[Preference, bool]:
        """Stores a new preference; or returns the first answer of a replay, and True.

        Raises PreferenceExists, PreferenceLimitReached, RequestIdConflict.
        """
        ...

    async def confirm(self, preference_ids: Sequence[str]) -> bool:
        """Keeps preferences from being taken back from now on; False when one is gone."""
        ...

    async def take_back(self, profile_id: str, preference_ids: Sequence[str]) -> bool:
        """Undoes a create with its request_id record, if any; False, and nothing, when one is confirmed."""
        ...

    async def unconfirmed(self, created_before: datetime, limit: int) -> list[Preference]:
        """The oldest that nobody has confirmed."""
        ...

    async def get(self, profile_id: str, preference_id: str) -> Preference | None:
        """The preference, if it is this profile's."""
        ...

    async def page(self, profile_id: str, after: Position | None, size: int) -> list[Preference]:
        """At most `size` preferences after a position, in the order of create time and id."""
        ...

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

    async def count(self, profile_id: str) -> int:
        """How many the profile has."""
        ...
