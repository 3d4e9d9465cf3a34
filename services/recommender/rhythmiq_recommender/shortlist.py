"""From a situation to a list, in four steps that each stand alone: find, rank, arrange, explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rhythmiq_recommender.arranging.arrange import Placed, adjusted, arrange
from rhythmiq_recommender.blocks.left_out import leave_out
from rhythmiq_recommender.explain import Because, reasons, rounded
from rhythmiq_recommender.plan import Plan, make_plan
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import NOTHING, Explained, Ranked, Ranker
from rhythmiq_recommender.retrieval import allowed, candidates_for, retrieve
from rhythmiq_recommender.situation import Situation, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot


@dataclass(frozen=True, slots=True)
class Pick:
    """One recommended item: its row in the answer's snapshot, its score, and why; see Placed for the others."""

    row: int
    score: float
    reasons: Sequence[Because]
    propensity: float = 1.0
    explored: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, best first, what it was chosen from, and what spoke for and against each pick, in their order."""

    picks: Sequence[Pick]
    ranked: Ranked
    explained: Explained


def candidates(ranker: Ranker, snapshot: CatalogSnapshot, wish: Wish, situation: Situation, plan: Plan) -> IntArray:
    """Rows, ascending, that pass every filter: what retrieval finds by the plan, and what the ranker adds to it."""
    # "More like these" does not mean these.
    excluded = [*wish.exclude_items, *wish.seeds.items]
    mask = allowed(snapshot, wish.kind, wish.tuning, wish.filter, excluded)
    leave_out(snapshot, situation.blocked, mask)
    wanted = candidates_for(wish.count)
    # A ranker that finds nothing leaves no place empty, and one that finds much does not double the work.
    more = ranker.candidates(snapshot, situation, mask, wanted // 2)
    found = retrieve(snapshot, plan, mask, wanted - len(more))
    return np.union1d(found, more) if len(more) else found


def rank(
    ranker: Ranker, snapshot: CatalogSnapshot, rows: IntArray, wish: Wish, situation: Situation, plan: Plan
) -> Ranked:
    """The items at `rows`, ascending, with the scores that a list is arranged by.

    An item's score depends on no other item, so any rows can be compared, in this situation and in another.
    """
    return adjusted(ranker.rank(snapshot, rows, situation, plan), snapshot, wish, situation)


def _picks(ranked: Ranked, placed: Sequence[Placed], explained: Explained) -> list[Pick]:
    positions = [place.position for place in placed]
    rows, scores = ranked.rows[positions].tolist(), ranked.scores[positions].tolist()
    return [
        Pick(row, rounded(score), why, place.propensity, place.explored)
        for row, score, why, place in zip(rows, scores, reasons(explained, scores), placed, strict=True)
    ]


def listed(
    ranker: Ranker, snapshot: CatalogSnapshot, wish: Wish, situation: Situation, exploration: float = 0.0
) -> Listing:
    """All four steps. See `arrange` for `exploration`."""
    plan = make_plan(snapshot, situation)
    rows = candidates(ranker, snapshot, wish, situation, plan)
    ranked = rank(ranker, snapshot, rows, wish, situation, plan)
    placed = arrange(ranked, snapshot, wish, situation, exploration)
    if not placed:
        return Listing([], ranked, NOTHING)
    explained = ranked.explain([place.position for place in placed])
    return Listing(_picks(ranked, placed, explained), ranked, explained)
