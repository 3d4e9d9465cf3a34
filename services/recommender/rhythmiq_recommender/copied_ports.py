"""What other services say of a listener, from copies: recommend_ports in front of recommend_ports."""

from __future__ import annotations

from collections.abc import Sequence

from rhythmiq_mesh.copies import LIFE, Copies
from rhythmiq_recommender.recommend_ports import Leanings, Listeners, Readings
from rhythmiq_recommender.situation import Leaning, Listener, Reading


class CopiedListeners:
    """Listeners; that there is no such profile is not copied."""

    def __init__(self, listeners: Listeners, *, most: int) -> None:
        self.copies = Copies(listeners.listener, most=most, life=lambda found: LIFE if found is not None else 0.0)

    async def listener(self, profile_id: str) -> Listener | None:
        return (await self.copies.get(profile_id)).value


class CopiedLeanings:
    """Leanings."""

    def __init__(self, leanings: Leanings, *, most: int) -> None:
        self.copies = Copies(leanings.leanings, most=most)

    async def leanings(self, profile_id: str) -> Sequence[Leaning]:
        return (await self.copies.get(profile_id)).value


class CopiedReadings:
    """Readings; they grow older while they are copies, and none outlives its retention."""

    def __init__(self, readings: Readings, *, most: int) -> None:
        self.copies = Copies(readings.readings, most=most, life=_life)

    async def readings(self, profile_id: str) -> Sequence[Reading]:
        copy = await self.copies.get(profile_id)
        return [reading.older(copy.age) for reading in copy.value] if copy.age else copy.value


def _life(readings: Sequence[Reading]) -> float:
    return min((reading.lasts for reading in readings), default=LIFE)
