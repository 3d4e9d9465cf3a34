"""How good a ranker is on visits that it has not seen: against rivals, without groups of features, for newcomers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning import ranker
from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.evaluate import METRICS, Ranked
from rhythmiq_recommender.learning.features import REGISTRY, Frame
from rhythmiq_recommender.learning.metrics import Estimate, beyond_accuracy, mean_over_users
from rhythmiq_recommender.learning.rivals import POPULARITY, rankings
from rhythmiq_recommender.learning.served.reader import Reader
from rhythmiq_recommender.learning.served.registry import TOTALS
from rhythmiq_recommender.learning.served.signal import ALL_SURROUNDINGS, surroundings
from rhythmiq_recommender.learning.tables import IntArray, RawArray, Tables
from rhythmiq_recommender.learning.visits import Ask, Visits, asked_frame

MODEL: Final = "model"
CUTOFFS: Final = (10, 20)
MEASURED: Final = ("ndcg", 10)
"""What losses and gains are told in."""
FIRST_EVENTS: Final = 5
"""A newcomer has at most so many events, the first ones."""
_ABLATION_QUERIES: Final = 2_000
_ABLATION_ROUNDS: Final = 60

PerQuery = Mapping[str, RawArray]
"""Metric (`ndcg@10`) to one value a query."""


@dataclass(frozen=True, slots=True)
class HoldOut:
    """Visits that nothing was trained on: all with answers, in the order of the queries of `frame`."""

    ask: Ask
    visits: Visits
    reader: Reader
    """Signals fitted on what was before them."""
    past: Tables
    """Those events."""
    frame: Frame
    """What would be offered in each."""
    candidates: int

    @property
    def listener(self) -> IntArray:
        """Who asked each query."""
        return self.frame.user


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Per-query values of each way to rank, who asked, and what the first 20 of each look like."""

    values: Mapping[str, PerQuery]
    listener: IntArray
    character: Mapping[str, Mapping[str, float]]

    def estimate(self, name: str, metric: str) -> Estimate:
        """Mean with its interval over listeners."""
        return mean_over_users(self.values[name][metric], self.listener)

    def gain(self, name: str, metric: str = "ndcg@10", over: str = MODEL) -> Estimate:
        """Of `over` against that way, paired by query."""
        return mean_over_users(self.values[over][metric] - self.values[name][metric], self.listener)

    def summary(self) -> dict[str, Any]:
        """For manifests and reports."""
        found: dict[str, Any] = {
            name: {metric: self.estimate(name, metric).as_json() for metric in values}
            for name, values in self.values.items()
        }
        return found | {"queries": len(self.listener), "listeners": len(np.unique(self.listener))}


def measured(ranked: Ranked) -> dict[str, RawArray]:
    """All metrics at all cutoffs, one value a query."""
    return {f"{name}@{k}": value for k in CUTOFFS for name, value in ranked.per_query(k).items() if name in METRICS}


def ranked_by(booster: lgb.Booster, frame: Frame) -> Ranked:
    """A frame, ranked by a booster whose features it has."""
    return Ranked.of(frame, ranker.predict(booster, frame.select(booster.feature_name()).x))


def evaluate(booster: lgb.Booster, test: HoldOut, others: Mapping[str, lgb.Booster] | None = None) -> Evaluation:
    """The model, its rivals over the whole catalogue, and `others` (a promoted model, say) on the same candidates."""
    ways = {MODEL: ranked_by(booster, test.frame)}
    ways |= {name: ranked_by(other, test.frame) for name, other in (others or {}).items()}
    ways |= rankings(test.reader, test.ask, test.visits, test.past)
    group = test.past.items.group
    look = {
        name: beyond_accuracy(way.query, way.item, way.score, test.reader.likes, group) for name, way in ways.items()
    }
    return Evaluation({name: measured(way) for name, way in ways.items()}, test.listener, look)


def cold_start(booster: lgb.Booster, test: HoldOut, seed: int = 0) -> dict[int, Evaluation]:
    """As if every listener had come when the hold-out began: model and popularity after 0, 1 … FIRST_EVENTS events.

    Of each listener the first events since then are all that is known, and the query comes right after them; answers
    are as everywhere. Queries without any are left out, and later ones have fewer of them left in their session, so
    compare with popularity on the same queries. Nothing else tells that a listener is not new: signals know none.
    """
    found = {}
    for events in range(FIRST_EVENTS + 1):
        visits = test.ask.answered(_first_visits(test, events, seed))
        if not len(visits):
            continue
        frame = asked_frame(test.reader, test.ask, visits, candidates=test.candidates)
        popular = rankings(test.reader, test.ask, visits, test.past, only=(POPULARITY,))[POPULARITY]
        values = {MODEL: measured(ranked_by(booster, frame)), POPULARITY: measured(popular)}
        found[events] = Evaluation(values, frame.user, {})
    return found


def _first_visits(test: HoldOut, events: int, seed: int) -> Visits:
    """One query a listener (of at most so many as visits judge), right after the first `events` of the hold-out."""
    ask = test.ask
    assert test.past.events.time is not None
    inside = np.flatnonzero(ask.start > test.past.events.time.max())
    _, first = np.unique(ask.user[inside], return_index=True)
    begin = inside[first]
    if len(begin) > len(test.visits):
        begin = np.sort(np.random.default_rng(seed).choice(begin, len(test.visits), replace=False))
    end = np.searchsorted(ask.user, ask.user[begin], side="right")
    begin = begin[begin + events < end]
    asked = begin + events
    # Events of one instant belong together: a query between two of them would know what is asked about.
    apart = (asked == begin) | (ask.time[asked] > ask.time[asked - 1])
    begin, asked = begin[apart], asked[apart]
    return Visits(begin, asked, np.searchsorted(ask.session, ask.session[asked], side="right"))


def without_surroundings(frame: Frame, kinds: frozenset[str] = frozenset(KINDS)) -> Frame:
    """As if those kinds had not been shared: their columns are gone, and totals lack what they added."""
    gone = {surroundings(kind) for kind in kinds} | ({ALL_SURROUNDINGS} if kinds >= frozenset(KINDS) else set())
    less = frame.select([name for name in frame.names if REGISTRY[name].group not in gone])
    x = less.x
    for total, parts in TOTALS.items():
        if total in less.names:
            lost = [part for part, kind in zip(parts, KINDS, strict=True) if kind in kinds and part in frame.names]
            for part in lost:
                x[:, less.names.index(total)] -= frame.x[:, frame.names.index(part)]
    return replace(less, x=x)


@dataclass(frozen=True, slots=True)
class Ablation:
    """What NDCG@10 loses without a group of features, or without a kind of surroundings; each trained anew."""

    whole: Estimate
    groups: Mapping[str, Estimate]
    kinds: Mapping[str, Estimate]
    context: Estimate
    """Without any surroundings at all."""
    without_context: Estimate
    """NDCG@10 itself, without any surroundings."""


def ablation(
    train: Frame, test: HoldOut, parameters: Mapping[str, Any], *, seed: int = 0, rounds: int = _ABLATION_ROUNDS
) -> Ablation:
    """Trains once for each thing to leave out, on at most 2,000 queries; all estimates are paired losses."""
    train = _some_queries(train, seed)

    def value(less: Frame, asked: Frame) -> RawArray:
        booster = ranker.fit(less, rounds=rounds, parameters=parameters, seed=seed)
        return ranked_by(booster, asked).per_query(MEASURED[1])[MEASURED[0]]

    whole = value(train, test.frame)
    bare = value(without_surroundings(train), without_surroundings(test.frame))

    def loss(of: RawArray) -> Estimate:
        return mean_over_users(whole - of, test.listener)

    own = {REGISTRY[name].group for name in train.names}
    plain: list[str] = [group for group in ("taste", "similar", "popularity", "novelty") if group in own]
    groups: dict[str, Estimate] = {
        group: loss(value(train.without_groups(frozenset({group})), test.frame.without_groups(frozenset({group}))))
        for group in plain
    }
    kinds = {}
    for kind in KINDS:
        if surroundings(kind) in own:
            one = frozenset({kind})
            kinds[kind] = loss(value(without_surroundings(train, one), without_surroundings(test.frame, one)))
    groups[ALL_SURROUNDINGS] = loss(bare)
    return Ablation(
        mean_over_users(whole, test.listener), groups, kinds, loss(bare), mean_over_users(bare, test.listener)
    )


def _some_queries(frame: Frame, seed: int) -> Frame:
    count = len(frame.positives)
    if count <= _ABLATION_QUERIES:
        return frame
    kept = np.zeros(count, np.bool_)
    kept[np.random.default_rng(seed).choice(count, _ABLATION_QUERIES, replace=False)] = True
    return frame.take(kept[frame.query])
