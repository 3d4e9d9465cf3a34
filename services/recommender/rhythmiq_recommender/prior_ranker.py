"""The ranker that needs no history: every part of a plan adds its share to an item's score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rhythmiq_recommender import features
from rhythmiq_recommender.explain import Teller
from rhythmiq_recommender.plan import SEED_SOUND_SCORE, Plan, band_nearness
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import Explained, Ranked, ScoreArray
from rhythmiq_recommender.retrieval import SOUND
from rhythmiq_recommender.situation import Situation
from rhythmiq_recommender.snapshot import BoolArray, CatalogSnapshot


class PriorRanker:
    """Ranks by the documented prior over surroundings, preferences, tuning and seeds.

    A wanted feature adds `weight * (near(item) - near(typical))` with near = 1 / (1 + distance²): bounded, positive
    for what fits better than usual, negative for what fits worse, and nothing where the item's value is not known.
    """

    name = "prior/1"

    def candidates(self, snapshot: CatalogSnapshot, situation: Situation, mask: BoolArray, most: int) -> IntArray:
        return np.empty(0, np.int64)  # retrieval goes by the same plan

    def rank(self, snapshot: CatalogSnapshot, rows: IntArray, situation: Situation, plan: Plan) -> Ranked:
        # A row of memory for each subject: what is added at a time then lies together.
        by_subject = np.zeros((len(plan.subjects), len(rows)))
        contributions = by_subject.T
        pulled = _pulled(snapshot, plan, rows, situation.kind)
        for pull, shares in zip(plan.pulls, pulled, strict=True):
            by_subject[pull.column] += shares
        _add_names(snapshot, plan, rows, contributions)
        _add_bands(snapshot, plan, rows, contributions)
        _add_sound(snapshot, plan, rows, contributions)

        def explain(positions: Sequence[int]) -> Explained:
            teller = Teller(snapshot, plan, rows, contributions, pulled)
            return Explained(
                contributions[positions],
                lambda _, column: plan.subjects[column],
                lambda index, column: teller.say(positions[index], column),
            )

        return Ranked(rows, by_subject.sum(axis=0), explain)


def _pulled(snapshot: CatalogSnapshot, plan: Plan, rows: IntArray, kind: int) -> ScoreArray:
    """Share of each pull, shape (len(plan.pulls), len(rows))."""
    index = np.array([pull.feature for pull in plan.pulls], np.intp)
    numbers = np.array([(pull.target, pull.width, pull.weight) for pull in plan.pulls]).reshape(-1, 3)
    target, width, weight = numbers.T[:, :, None]
    distance = snapshot.scores.take(rows, axis=0).T.astype(np.float64).take(index, axis=0) - target
    # A typical item lies one standard deviation off its kind's mean.
    typical = 1 + (snapshot.means[kind, index].astype(np.float64)[:, None] - target) ** 2
    on_circle = index == features.KEY
    if on_circle.any():
        round_trip = np.abs(distance[on_circle]) % 12
        distance[on_circle] = np.minimum(round_trip, 12 - round_trip)
        typical[on_circle] = 12.2  # mean squared distance of two random pitch classes: 146 / 12
    shares: ScoreArray = weight * (1 / (1 + (distance / width) ** 2) - 1 / (1 + typical / width**2))
    shares[np.isnan(snapshot.columns.raw.take(rows, axis=0)).T.take(index, axis=0)] = 0.0
    return shares


def _add_names(snapshot: CatalogSnapshot, plan: Plan, rows: IntArray, contributions: ScoreArray) -> None:
    """Genres, artists and instruments; an item with several liked ones gains with the root of their number only."""
    columns = snapshot.columns
    for values_by_row, weights in (
        (columns.genres, plan.genres),
        (columns.artists, plan.artists),
        (columns.instruments, plan.instruments),
    ):
        if not weights:
            continue
        owners, values = values_by_row.gather(rows)
        known = np.array(sorted(weights), np.int32)
        places = np.searchsorted(known, values).clip(max=len(known) - 1)
        hits = known[places] == values
        owners, places = owners[hits], places[hits]
        share = 1 / np.sqrt(np.bincount(owners, minlength=len(rows)).clip(1))
        for layer in range(max(map(len, weights.values()))):
            # A name can count twice (liked, and a seed): one layer each, so that no cell is written twice at once.
            parts = [weights[value][layer] if layer < len(weights[value]) else None for value in known.tolist()]
            where = np.array([part.column if part else 0 for part in parts])[places]
            weight = np.array([part.weight if part else 0.0 for part in parts])[places]
            contributions[owners, where] += weight * share[owners]


def _add_bands(snapshot: CatalogSnapshot, plan: Plan, rows: IntArray, contributions: ScoreArray) -> None:
    if plan.bands:
        nearness = band_nearness(plan.bands, snapshot.columns.raw[rows, features.INDEX["tempo"]])
        columns = [band.column for band in plan.bands]
        contributions[:, columns] += np.array([band.weight for band in plan.bands]) * nearness


def _add_sound(snapshot: CatalogSnapshot, plan: Plan, rows: IntArray, contributions: ScoreArray) -> None:
    if not len(plan.sounds):
        return
    scores = snapshot.scores[rows][:, SOUND].astype(np.float64)
    distance = ((scores[:, None, :] - plan.sounds[None][:, :, SOUND]) ** 2).mean(axis=2).min(axis=1)
    contributions[:, plan.sound_column] += SEED_SOUND_SCORE * (1 / (1 + distance) - 1 / 3)
