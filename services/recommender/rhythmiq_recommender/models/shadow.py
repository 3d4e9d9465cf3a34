"""A candidate model scores what was answered, off the answer's path: it is logged, and never shown."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender.plan import make_plan
from rhythmiq_recommender.ranking import Ranked, Ranker, ScoreArray
from rhythmiq_recommender.shortlist import rank
from rhythmiq_recommender.situation import Situation, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot

log = logging.getLogger("rhythmiq.shadow")

TOP: Final = 20
_WAITING: Final = 16
"""Answers that wait to be scored; with more, the service is too busy for it."""


class Comparison(NamedTuple):
    """Two rankings of the same candidates."""

    overlap: float
    """Share of the TOP of one that are in the TOP of the other."""
    rank_correlation: float
    """Spearman's, over all candidates; 1 where there are fewer than two."""
    score_shift: float
    """Mean of the shadow's scores less the answered ones."""


def compared(answered: ScoreArray, shadow: ScoreArray) -> Comparison:
    """Scores of the same candidates, of which there is at least one, in the same order."""
    ranks = [np.argsort(np.argsort(-scores, kind="stable"), kind="stable") for scores in (answered, shadow)]
    top = min(TOP, len(answered))
    overlap = np.count_nonzero((ranks[0] < top) & (ranks[1] < top)) / top
    correlation = float(np.corrcoef(ranks[0], ranks[1])[0, 1]) if len(answered) > 1 else 1.0
    return Comparison(overlap, correlation, float((shadow - answered).mean()))


@dataclass(frozen=True, slots=True)
class Shadowed:
    """An answer as it was ranked, and who is to rank it again."""

    shadow: Ranker
    ranker: str
    ranked: Ranked
    snapshot: CatalogSnapshot
    wish: Wish
    situation: Situation

    def compare(self) -> Comparison:
        """Takes as long as ranking did."""
        plan = make_plan(self.snapshot, self.situation)
        again = rank(self.shadow, self.snapshot, self.ranked.rows, self.wish, self.situation, plan)
        return compared(self.ranked.scores, again.scores)


class Shadows:
    """Takes a `sample` (0 to 1) of what it is offered, and drops what comes while it is busy."""

    def __init__(self, sample: float, *, chance: Callable[[], float] = random.random) -> None:
        self._sample, self._chance = sample, chance
        self._queue: asyncio.Queue[Shadowed] = asyncio.Queue(_WAITING)
        self._dropped = 0

    def offer(self, answered: Shadowed) -> None:
        """Never waits and never fails."""
        if not len(answered.ranked.rows) or self._chance() >= self._sample:
            return
        try:
            self._queue.put_nowait(answered)
        except asyncio.QueueFull:
            self._dropped += 1

    async def follow(self) -> None:
        """Scores one after the other in a thread, for ever."""
        while True:
            answered = await self._queue.get()
            extra = {"shadow": answered.shadow.name, "ranker": answered.ranker, "items": len(answered.ranked.rows)}
            try:
                found = await asyncio.to_thread(answered.compare)
            except Exception:
                log.exception("a shadow failed", extra=extra)
                continue
            said = {
                "overlap_at_20": round(found.overlap, 4),
                "rank_correlation": round(found.rank_correlation, 4),
                "score_shift": round(found.score_shift, 4),
                "dropped": self._dropped,
            }
            log.info("shadow", extra=extra | said)
