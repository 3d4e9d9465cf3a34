"""How good a ranking is: against what people would use instead, and without each group of features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rhythmiq_recommender.learning.features import REGISTRY, Frame
from rhythmiq_recommender.learning.metrics import (
    CUTOFF,
    Estimate,
    auc,
    beyond_accuracy,
    bootstrap,
    mean_over_users,
    top_n,
)
from rhythmiq_recommender.learning.ranker import ROUNDS, Parameters, fit, predict
from rhythmiq_recommender.learning.signals.knn import item_cosine
from rhythmiq_recommender.learning.tables import BoolArray, IntArray, RawArray, Tables

METRICS = ("recall", "ndcg", "hr", "mrr")


@dataclass(frozen=True, slots=True)
class Ranked:
    """Lists to judge: one row an offered item, `query` ascending."""

    query: IntArray
    item: IntArray
    score: RawArray
    label: BoolArray
    positives: IntArray
    user: IntArray

    @classmethod
    def of(cls, frame: Frame, score: RawArray) -> Ranked:
        """The rows of a frame, scored."""
        return cls(frame.query, frame.item, score, frame.label, frame.positives, frame.user)

    def per_query(self, k: int = CUTOFF) -> dict[str, RawArray]:
        """Metrics, one value a query."""
        return top_n(self.query, self.score, self.label, self.positives, k)

    def estimates(self, k: int = CUTOFF) -> dict[str, Estimate]:
        """Means with intervals over users."""
        return {name: mean_over_users(value, self.user) for name, value in self.per_query(k).items()}


def by_columns(frame: Frame, names: Sequence[str]) -> Ranked:
    """Ranked by one column, ties by the next: what a single signal would do."""
    keys = [frame.x[:, frame.names.index(name)].astype(np.float64) for name in names]
    order = np.lexsort([*(np.nan_to_num(key) for key in reversed(keys))])
    score = np.empty(len(order))
    score[order] = np.arange(len(order))
    return Ranked.of(frame, score)


def baselines(
    tables: Tables, past: IntArray, users: IntArray, answers: BoolArray, *, repeats: bool
) -> dict[str, Ranked]:
    """Popularity, personalised most-popular, and item-kNN (cosine, k = 100) over the whole catalogue.

    `answers`: (users x items), users in the order of `users`. Personalised most-popular puts items of groups that the
    user knows first (own items first where `repeats` are asked for), each by popularity. Items that the user has are
    offered only where repeats are asked for.
    """
    events, count = tables.events, tables.items.count
    known = tables.take(past).matrix()[users]
    popular = np.bincount(events.item[past], minlength=count).astype(np.float64)
    popular /= popular.max() + 1
    has = known.toarray() > 0
    mine = has.astype(np.float64) if repeats else np.zeros(has.shape)
    if tables.items.group is not None:
        group = tables.items.group
        member = np.zeros((len(users), tables.items.groups))
        row, item = np.nonzero(has)
        np.add.at(member, (row, group[item]), 1)
        mine += (member / np.maximum(member.sum(1, keepdims=True), 1))[:, group]
    near = known @ item_cosine(tables.take(past).matrix(), 100)
    blocks = {
        "popularity": np.broadcast_to(popular, has.shape),
        "personalised most-popular": mine + popular * 1e-3,
        "item-kNN": np.asarray(near, np.float64),
    }
    return {name: _first(block, None if repeats else has, answers, users) for name, block in blocks.items()}


def _first(block: RawArray, closed: BoolArray | None, answers: BoolArray, users: IntArray, most: int = 100) -> Ranked:
    open_to = np.where(closed, -np.inf, block) if closed is not None else block
    best = np.argsort(-open_to, axis=1, kind="stable")[:, :most]
    query = np.repeat(np.arange(len(users)), best.shape[1])
    item = best.ravel()
    score = np.take_along_axis(open_to, best, 1).ravel()
    return Ranked(query, item, score, answers[query, item], answers.sum(1), users)


def ablation(
    train: Frame,
    test: Frame,
    metric: Callable[[Frame, RawArray], float],
    *,
    rounds: int = ROUNDS,
    parameters: Parameters | None = None,
) -> dict[str, float]:
    """What the metric loses when a group of features is left out, by group; "none" is the metric with all."""
    whole = metric(test, predict(fit(train, rounds=rounds, parameters=parameters), test.x))
    found = {"none": whole}
    for group in dict.fromkeys(REGISTRY[name].group for name in train.names):
        less, less_test = train.without_groups(frozenset({group})), test.without_groups(frozenset({group}))
        if less.names:
            found[group] = whole - metric(
                less_test, predict(fit(less, rounds=rounds, parameters=parameters), less_test.x)
            )
    return found


def mean_metric(name: str) -> Callable[[Frame, RawArray], float]:
    """The mean over queries of one of `METRICS`, as a function of rows and scores; or "auc" over all rows.

    "ndcg@10" looks at the first 10; without a number it is CUTOFF.
    """
    if name == "auc":
        return lambda frame, score: auc(score, frame.label)
    metric, _, k = name.partition("@")
    if metric not in METRICS or (k and not (k.isdecimal() and int(k))):
        raise ValueError(f"metric {name} is none of {', '.join(METRICS)} (or one of them @k) or auc")
    cutoff = int(k or CUTOFF)
    return lambda frame, score: float(np.nanmean(Ranked.of(frame, score).per_query(cutoff)[metric]))


def auc_estimate(score: RawArray, label: BoolArray, user: IntArray) -> Estimate:
    """AUC over all rows with an interval over users."""
    return bootstrap(user, lambda rows: auc(score[rows], label[rows]), draws=300)


def character(ranked: Ranked, tables: Tables, past: IntArray) -> Mapping[str, float]:
    """Coverage, diversity and popularity bias of the first 20."""
    popularity = np.bincount(tables.events.item[past], minlength=tables.items.count).astype(np.float32)
    return beyond_accuracy(ranked.query, ranked.item, ranked.score, popularity, tables.items.group)


def session_baselines(frame: Frame) -> dict[str, Ranked]:
    """Of frames with session signals: transitions, the last group's items by popularity, and popularity."""
    return {
        "popularity": by_columns(frame, ["item_events"]),
        "transitions": by_columns(frame, ["next", "item_events"]),
        "most heard of the last group": by_columns(frame, ["same_group", "item_events"]),
        "personalised most-popular": by_columns(frame, ["heard", "group_heard", "item_events"]),
        "item-kNN (session co-occurrence)": by_columns(frame, ["together"]),
    }
