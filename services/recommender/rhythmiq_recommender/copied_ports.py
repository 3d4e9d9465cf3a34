"""What other services and storage say of a listener, from copies: recommend_ports in front of recommend_ports.

`most` is the number of profiles; of what a profile may have many of, as many are kept as so many average ones have.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from datetime import timedelta
from typing import Final

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.copies import LIFE, Copies
from rhythmiq_recommender.blocks.model import Blocked
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.recommend_ports import Blocks, Histories, Leanings, Listeners, Readings
from rhythmiq_recommender.situation import Leaning, Listener, Reading

_LEANINGS: Final = 10
"""An average listener's preferences; at about 350 bytes."""
_EVENTS: Final = 50
"""Events in an average listener's history; at 40 bytes."""
_BLOCKS: Final = 5
"""An average listener's blocks; at about 100 bytes."""


class CopiedListeners:
    """Listeners; that there is no such profile is not copied."""

    def __init__(self, listeners: Listeners, *, most: int) -> None:
        self.copies = Copies(listeners.listener, most=most, life=lambda found: LIFE if found is not None else 0.0)

    async def listener(self, profile_id: str) -> Listener | None:
        return (await self.copies.get(profile_id)).value


class CopiedLeanings:
    """Leanings."""

    def __init__(self, leanings: Leanings, *, most: int) -> None:
        self.copies = Copies(leanings.leanings, most=_LEANINGS * most, size=_count)

    async def leanings(self, profile_id: str) -> Sequence[Leaning]:
        return (await self.copies.get(profile_id)).value


class CopiedReadings:
    """Readings; they grow older while they are copies, and none outlives its retention."""

    def __init__(self, readings: Readings, *, most: int) -> None:
        self.copies = Copies(readings.readings, most=most, life=_life)

    async def readings(self, profile_id: str) -> Sequence[Reading]:
        copy = await self.copies.get(profile_id)
        return [reading.older(copy.age) for reading in copy.value] if copy.age else copy.value


class CopiedHistories:
    """Histories; none outlives the retention of its oldest event."""

    def __init__(self, histories: Histories, *, most: int, retention: timedelta, clock: Clock) -> None:
        def life(history: History) -> float:
            if not len(history):
                return LIFE
            return float(history.time[0]) + retention.total_seconds() - clock.now().timestamp()

        self.copies = Copies(histories.history, most=_EVENTS * most, size=_count, life=life)

    async def history(self, profile_id: str) -> History:
        return (await self.copies.get(profile_id)).value


class CopiedBlocks:
    """Blocks."""

    def __init__(self, blocks: Blocks, *, most: int) -> None:
        self.copies = Copies(blocks.blocked, most=_BLOCKS * most, size=_blocks)

    async def blocked(self, profile_id: str) -> Blocked:
        return (await self.copies.get(profile_id)).value


def _blocks(found: Blocked) -> int:
    return max(1, len(found.item_ids) + len(found.artists))


def _count(found: Sized) -> int:
    # To know of nothing takes a place too.
    return max(1, len(found))


def _life(readings: Sequence[Reading]) -> float:
    return min((reading.lasts for reading in readings), default=LIFE)
