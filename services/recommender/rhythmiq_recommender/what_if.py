"""The use case: what would be played in other surroundings, what would move, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_recommender.gather import Gathered
from rhythmiq_recommender.moves import Move, Side, moved_rows, moves
from rhythmiq_recommender.plan import make_plan
from rhythmiq_recommender.ranking import Ranked, Ranker
from rhythmiq_recommender.recommend import MODEL_FAILED, PRIOR, Answer, Recommend, answered, require_seeds
from rhythmiq_recommender.recommend_ports import Choice
from rhythmiq_recommender.shortlist import rank
from rhythmiq_recommender.situation import (
    Degradation,
    EnvironmentKind,
    EnvironmentValue,
    Origin,
    Situation,
    Surrounding,
    Wish,
)
from rhythmiq_recommender.snapshot import CatalogSnapshot


@dataclass(frozen=True, slots=True)
class Supposition:
    """Surroundings to suppose: `values` take the place of what is known, `unknown` are taken out, the clock's too."""

    values: Mapping[EnvironmentKind, EnvironmentValue]
    unknown: Collection[EnvironmentKind] = ()

    def require(self, wish: Wish) -> None:
        """Raises InvalidArgument where nothing is supposed, or what contradicts itself or the wish."""
        if not self.values and not self.unknown:
            raise InvalidArgument.of("suppose", "must have a value, unless suppose_unknown has a kind")
        for index, kind in enumerate(self.unknown):
            if kind in self.values:
                rule = f"must not name {kind.upper()}, which suppose gives a value"
                raise InvalidArgument.of(f"suppose_unknown[{index}]", rule)
        if not wish.uses_surroundings:
            rule = "must not be USER_GUIDED: that mode does not ask for the surroundings, so none can be supposed"
            raise InvalidArgument.of("request.mode", rule)

    def onto(self, gathered: Gathered) -> Gathered:
        """What would have been gathered: the same moment and listener in the supposed surroundings."""
        surroundings = {
            kind: used for kind, used in gathered.situation.surroundings.items() if kind not in self.unknown
        }
        for kind, value in self.values.items():
            surroundings[kind] = Surrounding(kind, value, Origin.REQUEST)
        # A stale reading is not missed where something else is supposed.
        settled = {f"environment.{kind}" for kind in (*self.values, *self.unknown)}
        lacking = [lack for lack in gathered.degradations if lack.subject not in settled]
        return Gathered(replace(gathered.situation, surroundings=surroundings), lacking)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both answers to one wish, from one snapshot and by one ranker, and the moves between them."""

    actual: Answer
    supposed: Answer
    moves: Sequence[Move]


@dataclass(frozen=True)
class WhatIf:
    """Answers a wish twice: in the surroundings as they are, and in supposed ones.

    Everyone is asked once, so that nothing differs but what is supposed. Neither list explores; nothing is stored.
    Raises InvalidArgument for what cannot be supposed, and as Recommend.
    """

    recommend: Recommend

    async def __call__(self, wish: Wish, supposition: Supposition) -> Comparison:
        supposition.require(wish)
        snapshot = self.recommend.catalog.snapshot
        require_seeds(snapshot, wish.seeds, within="request.")
        wish = replace(wish, explore=False)
        actual = await self.recommend.sources.gather(wish)
        choice = self.recommend.rankers.choose(wish.profile_id, actual.situation)
        return _compared(choice, snapshot, wish, actual, supposition.onto(actual))


def _compared(
    choice: Choice, snapshot: CatalogSnapshot, wish: Wish, actual: Gathered, supposed: Gathered
) -> Comparison:
    now, then = (_answer(choice, snapshot, wish, gathered) for gathered in (actual, supposed))
    if {now.ranker, then.ranker} != {choice.ranker.name}:
        # It failed in one of them, and scores of two rankers do not compare.
        failed = [lack for lack in (*now.degradations, *then.degradations) if lack.reason == MODEL_FAILED][:1]
        choice = Choice(PRIOR)
        now, then = (_answer(choice, snapshot, wish, gathered, failed) for gathered in (actual, supposed))
    rows = moved_rows(now.picks, then.picks)
    if not rows:
        return Comparison(now, then, [])
    sides = (
        Side(answer.listing, _others(choice.ranker, answer, rows, wish, gathered.situation))
        for answer, gathered in ((now, actual), (then, supposed))
    )
    return Comparison(now, then, moves(rows, *sides))


def _answer(
    choice: Choice, snapshot: CatalogSnapshot, wish: Wish, gathered: Gathered, failed: Sequence[Degradation] = ()
) -> Answer:
    return answered(choice, snapshot, wish, gathered.situation, [*gathered.degradations, *failed])


def _others(ranker: Ranker, answer: Answer, moved: Sequence[int], wish: Wish, situation: Situation) -> Ranked:
    """The items that move and are not in this list: what they would score all the same."""
    rows = np.setdiff1d(np.array(moved, np.int64), [pick.row for pick in answer.picks])
    return rank(ranker, answer.snapshot, rows, wish, situation, make_plan(answer.snapshot, situation))
