"""The ranker that learned: what the listener said counts as in the prior, all else as a model says.

The score is the sum of what the listener asked for (preferences, tuning and seeds, by the prior's own rules) and the
model's score. The prior's surroundings and popularity are left out: the model has learned its own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.learned_words import (
    last_heard,
    novelty_words,
    popularity_words,
    similar_words,
    surroundings_words,
    taste_words,
    verdict_on,
)
from rhythmiq_recommender.learning.encoding import codes_of
from rhythmiq_recommender.learning.scorer import Asking, Scorer
from rhythmiq_recommender.learning.tables import FloatArray
from rhythmiq_recommender.plan import Group, Plan, Subject
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.prior_ranker import PriorRanker
from rhythmiq_recommender.ranking import Explained, Ranked, ScoreArray
from rhythmiq_recommender.situation import Situation
from rhythmiq_recommender.snapshot import BoolArray, CatalogSnapshot

_SAID: Final = (Group.PREFERENCES, Group.TUNING, Group.SEEDS)
"""Groups of the prior that stay: they are what the listener said."""
_SURROUNDINGS: Final = "surroundings:"
_GROUPS: Final = {
    "taste": Group.TASTE,
    "similar": Group.SIMILAR,
    "popularity": Group.POPULARITY,
    "novelty": Group.NOVELTY,
}
_PRIOR: Final = PriorRanker()
_last: Final = threading.local()
_UNKNOWN: Final = -1


@dataclass(frozen=True)
class LearnedRanker:
    """A model fitted onto one snapshot of the catalogue; `name` is `learned/<kind>/<cohort>/<version>`.

    For the moment in which the catalogue is newer than the fit, items are found by their ids; those that the fit does
    not know have a learned score of 0, the mean.
    """

    name: str
    scorer: Scorer
    snapshot: CatalogSnapshot
    """The one that the scorer's rows are of."""

    def candidates(self, snapshot: CatalogSnapshot, situation: Situation, mask: BoolArray, most: int) -> IntArray:
        """None while the catalogue is newer than the fit: they come again in a moment."""
        if snapshot is not self.snapshot:
            return np.empty(0, np.int64)
        return self.scorer.candidates(asking_of(situation), mask, most)

    def rank(self, snapshot: CatalogSnapshot, rows: IntArray, situation: Situation, plan: Plan) -> Ranked:
        said = _PRIOR.rank(snapshot, rows, situation, _said(plan))
        learned = _Learned(self, snapshot, rows, situation)

        def explain(positions: Sequence[int]) -> Explained:
            return _joined(said.explain(positions), learned.explain(positions))

        return Ranked(rows, said.scores + learned.scores, explain)


def asking_of(situation: Situation) -> Asking:
    """The situation as a model is asked; the same object for the same one, so that a scorer digests it once."""
    if getattr(_last, "situation", None) is not situation:
        _last.situation, _last.asking = situation, _asking(situation)
    asking: Asking = _last.asking
    return asking


def _asking(situation: Situation) -> Asking:
    environment = {kind: surrounding.value for kind, surrounding in situation.surroundings.items()}
    return Asking(situation.history, situation.time, codes_of(environment))


def _said(plan: Plan) -> Plan:
    """Only what the listener said. Columns stay where they are, so that the others are 0 everywhere."""
    return replace(plan, pulls=[pull for pull in plan.pulls if plan.subjects[pull.column].group in _SAID])


def _joined(first: Explained, second: Explained) -> Explained:
    before = first.contributions.shape[1]
    return Explained(
        np.column_stack([first.contributions, second.contributions]),
        lambda i, column: first.subject(i, column) if column < before else second.subject(i, column - before),
        lambda i, column: first.words(i, column) if column < before else second.words(i, column - before),
    )


class _Learned:
    """The model's part of one ranking."""

    def __init__(self, ranker: LearnedRanker, snapshot: CatalogSnapshot, rows: IntArray, situation: Situation) -> None:
        self._scorer = ranker.scorer
        self._fitted, self._situation = ranker.snapshot, situation
        self._asking = asking_of(situation)
        # Rows of the fit; the same unless the catalogue has just changed.
        self._places = rows if snapshot is ranker.snapshot else _rows_of(ranker.snapshot, snapshot, rows)
        self._known = np.flatnonzero(self._places != _UNKNOWN)
        self._x: FloatArray = self._scorer.features(self._asking, self._places[self._known])
        self.scores: ScoreArray = np.zeros(len(rows))
        self.scores[self._known] = self._scorer.scores(self._x)

    def explain(self, positions: Sequence[int]) -> Explained:
        chosen = np.asarray(positions, np.int64)
        known = self._places[chosen] != _UNKNOWN
        contributions = np.zeros((len(chosen), len(self._scorer.groups)))
        shown = self._x[np.searchsorted(self._known, chosen[known])]
        contributions[known] = self._scorer.contributions(shown, self.scores[chosen[known]])
        places = np.where(known, self._places[chosen], 0)
        alike = np.full(len(chosen), _UNKNOWN)
        alike[known] = self._scorer.likeness(self._asking, places[known])
        words = _Words(self._fitted, self._situation, self._scorer.groups, places, alike, contributions)
        return Explained(contributions, words.subject, words.say)


def _rows_of(fitted: CatalogSnapshot, snapshot: CatalogSnapshot, rows: IntArray) -> IntArray:
    """Rows of the same items in another snapshot, UNKNOWN for those that it does not have."""
    if not len(fitted):
        return np.full(len(rows), _UNKNOWN, np.int64)
    ids = snapshot.columns.ids[rows]
    places = np.minimum(np.searchsorted(fitted.columns.ids, ids), len(fitted) - 1)
    return np.where(fitted.columns.ids[places] == ids, places, _UNKNOWN)


def _subject(group: str) -> Subject:
    if group.startswith(_SURROUNDINGS):
        return Subject(Group.SURROUNDINGS, group.removeprefix(_SURROUNDINGS))
    return Subject(_GROUPS.get(group, Group.OTHER), group)


@dataclass(frozen=True)
class _Words:
    """Names and says the learned contributions of chosen items: `places` and `alike` are rows of the fit."""

    snapshot: CatalogSnapshot
    situation: Situation
    groups: Sequence[str]
    places: IntArray
    alike: IntArray
    contributions: ScoreArray

    def subject(self, index: int, column: int) -> Subject:
        if column == self._similar_column and (row := self.alike.item(index)) != _UNKNOWN:
            return Subject(Group.SIMILAR, f"item:{self._item(row).name}")
        return self._subjects[column]

    def say(self, index: int, column: int) -> str:
        if column == self._similar_column:
            return self._similar(self.alike.item(index), self.contributions.item(index, column) > 0)
        if column == self._novelty_column:
            return self._novelty(self._id(self.places.item(index)))
        speaks_for = self.contributions.item(index, column) > 0
        if (column, speaks_for) not in self._same_for_all:
            self._same_for_all[column, speaks_for] = self._words(self.groups[column], speaks_for)
        return self._same_for_all[column, speaks_for]

    def _words(self, group: str, speaks_for: bool) -> str:
        if group.startswith(_SURROUNDINGS):
            kind = group.removeprefix(_SURROUNDINGS)
            return surroundings_words(kind, self.situation.surroundings.get(kind), speaks_for)
        return taste_words(speaks_for) if group == "taste" else popularity_words(speaks_for)

    def _similar(self, row: int, speaks_for: bool) -> str:
        if row == _UNKNOWN:
            return similar_words("", 0, speaks_for)
        return similar_words(self._item(row).title, verdict_on(self.situation.history, self._id(row)), speaks_for)

    def _novelty(self, item_id: bytes) -> str:
        last = self._last_heard.get(item_id)
        return novelty_words(None if last is None else self.situation.time - last)

    def _id(self, row: int) -> bytes:
        return bytes(self.snapshot.columns.ids[row])

    def _item(self, row: int) -> item_pb2.Item:
        if row not in self._items:
            self._items[row] = self.snapshot.item(row)
        return self._items[row]

    @cached_property
    def _last_heard(self) -> Mapping[bytes, float]:
        return last_heard(self.situation.history)

    @cached_property
    def _subjects(self) -> Sequence[Subject]:
        return [_subject(group) for group in self.groups]

    @cached_property
    def _similar_column(self) -> int:
        return self.groups.index("similar")

    @cached_property
    def _novelty_column(self) -> int:
        return self.groups.index("novelty")

    @cached_property
    def _same_for_all(self) -> dict[tuple[int, bool], str]:
        return {}

    @cached_property
    def _items(self) -> dict[int, item_pb2.Item]:
        """What items are like is often the same few; each is parsed once."""
        return {}
