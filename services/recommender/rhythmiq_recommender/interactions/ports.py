"""What the use cases of interactions need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_recommender.interactions.model import Interaction, Recorded, Shared, Span
from rhythmiq_recommender.situation import EnvironmentKind

Position = tuple[datetime, str]
"""Event time and id of the last interaction of a page."""


class InteractionRepository(Protocol):
    """Interactions in storage.

    An *epoch* stands for what a recording must know beforehand: that the profile is ACTIVE, and which kinds it shares.
    Both are asked after the epoch was read, and a recording counts only while that epoch lasts. `count`, which the
    deletion of a profile calls, and `scrub`, which an opt-out calls, end it before they look: so each of them either
    sees a recording, or that recording asks anew and learns of the deletion or the opt-out.
    """

    async def epoch(self, profile_id: str, now: datetime) -> str:
        """The present epoch of a profile. Raises Unavailable."""
        ...

    async def record(
        self, epoch: str, interactions: Sequence[Interaction], key: RequestKey | None, now: datetime
    ) -> Recorded | None:
        """Stores interactions of one profile, all or none; one that is there stays as it was first stored.

        None, and nothing stored, when the epoch has ended. Raises InteractionGone, RequestIdConflict, Unavailable.
        """
        ...

    async def replay(self, key: RequestKey, profile_id: str, interaction_ids: Sequence[str]) -> Recorded | None:
        """The first answer to a request, if it was made before.

        Raises InteractionGone, RequestIdConflict, Unavailable.
        """
        ...

    async def page(
        self, profile_id: str, span: Span, now: datetime, after: Position | None, limit: int
    ) -> list[Interaction]:
        """Those that have not expired, newest first, after a position."""
        ...

    async def erase(self, profile_id: str) -> int:
        """Erases all; how many."""
        ...

    async def scrub(self, profile_id: str, kind: EnvironmentKind) -> int:
        """Ends the epoch, and removes one kind from the surroundings of all; from how many."""
        ...

    async def count(self, profile_id: str) -> int:
        """Ends the epoch, and counts."""
        ...


class Surroundings(Protocol):
    """What a listener shares."""

    async def shared(self, profile_id: str, now: datetime) -> Shared:
        """Raises MeshError where that cannot be told."""
        ...


class Items(Protocol):
    """The catalogue."""

    async def unknown(self, item_ids: Sequence[str]) -> set[str]:
        """Those that it does not have. Raises Unavailable."""
        ...
