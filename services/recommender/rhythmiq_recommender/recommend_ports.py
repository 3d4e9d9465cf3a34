"""What recommending needs from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rhythmiq_recommender.blocks.model import Blocked
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.ranking import Ranker
from rhythmiq_recommender.situation import Leaning, Listener, Reading, Situation
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


class Histories(Protocol):
    """What a listener did before."""

    async def history(self, profile_id: str) -> History:
        """The newest interactions of a profile, impressions left out. Raises Unavailable when storage is away."""
        ...


class Blocks(Protocol):
    """What a listener never wants to hear again."""

    async def blocked(self, profile_id: str) -> Blocked:
        """All of it, as of now. Raises Unavailable when storage is away."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The ranker for one answer, and the experiment and its variant that chose it; empty without an experiment.

    `shadow` scores the same items afterwards, to be compared and not to be shown.
    """

    ranker: Ranker
    experiment: str = ""
    variant: str = ""
    shadow: Ranker | None = None


class Rankers(Protocol):
    """Which ranker answers whom."""

    def choose(self, profile_id: str, situation: Situation) -> Choice:
        """Never fails and never waits: where no model is at hand it is the prior."""
        ...
