"""What recommending needs from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rhythmiq_recommender.situation import Leaning, Listener, Reading
from rhythmiq_recommender.snapshot import CatalogSnapshot


class Catalog(Protocol):
    """The catalogue in memory."""

    @property
    def snapshot(self) -> CatalogSnapshot:
        """As last seen; keep it for the length of one answer."""
        ...


class Listeners(Protocol):
    """Who listens."""

    async def listener(self, profile_id: str) -> Listener | None:
        """None when there is no such profile. Raises Unavailable when the service is away or slow."""
        ...


class Leanings(Protocol):
    """What a listener leans towards."""

    async def leanings(self, profile_id: str) -> Sequence[Leaning]:
        """All of a profile's preferences, weights as stored. Raises Unavailable when the service is away or slow."""
        ...


class Readings(Protocol):
    """What is known of the surroundings."""

    async def readings(self, profile_id: str) -> Sequence[Reading]:
        """The latest reading of each kind opted into. Raises Unavailable when the service is away or slow."""
        ...
