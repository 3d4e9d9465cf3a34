"""SiTunes: will this listener like this track, here and now? And what does knowing "here and now" add?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.quality.report import Row, Say, Section, Stopwatch
from bench.quality.situnes import SPLITS, Study
from rhythmiq_recommender.learning.features import usable
from rhythmiq_recommender.learning.metrics import Estimate, auc
from rhythmiq_recommender.learning.pipeline import rating_frames
from rhythmiq_recommender.learning.ranker import fit, predict
from rhythmiq_recommender.learning.signals.kinds import SETTING
from rhythmiq_recommender.learning.tables import BoolArray, IntArray, RawArray

BAGS = 5
ROUNDS = 200
KIND_SPLITS = 2
WALKLESS_SPLITS = 4
PARAMETERS: dict[str, float | int | str | bool] = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 2,
    "min_data_in_leaf": 15,
    "lambda_l2": 5.0,
    "bagging_fraction": 0.8,
}
SIGNALS = frozenset({"surroundings", "taste", "effects"})
KINDS = ("activity", "local_time", "weather", "motion", "body", "climate", "position", "mood")
PROTOCOL = (
    "Setting 2: the authors' ten splits of stage 2 (train and valid to learn from, with stage 1; test to foretell), "
    "positive = rating of 3 or more, mean AUC of ten splits; nothing that is known only after the play. Intervals: "
    "bootstrap over the 30 listeners."
)
QUOTED = (
    ("FM, no situation", 0.6847, "published"),
    ("AutoInt, no situation", 0.7222, "published"),
    ("FM, with situation, the best of four", 0.8188, "published"),
    ("logistic regression, no context", 0.765, "data README"),
    ("logistic regression, one walking flag", 0.832, "data README"),
)


@dataclass(frozen=True, slots=True)
class Scored:
    """Test rows of one split with their scores."""

    rows: IntArray
    score: RawArray


def scores(study: Study, kinds: Sequence[str], split: int, *, walking: bool = True) -> Scored:
    """Learns from the training part with those kinds of surroundings; `walking` False leaves such events out."""
    past, asked = study.split(split)
    if not walking:
        past, asked = past[~study.walking[past]], asked[~study.walking[asked]]
    known = study.tables.context.only(frozenset({SETTING, *kinds}))
    tables = replace(study.tables, context=known)
    signals = [signal for signal in usable(tables)[0] if signal.name in SIGNALS]
    train, test = rating_frames(tables, np.r_[study.lab, past], asked, signals)
    field = np.r_[np.zeros(len(study.lab), np.bool_), np.ones(len(past), np.bool_)]
    rows = train.take(field)
    models = [fit(rows, rounds=ROUNDS, parameters=PARAMETERS, seed=k) for k in range(BAGS)]
    return Scored(asked, np.mean([predict(model, test.x) for model in models], axis=0))


def _row(
    study: Study, name: str, found: Sequence[Scored], where: BoolArray | None = None, *, ours: bool = False
) -> Row:
    """Mean AUC of the splits; the interval draws listeners, and takes each split's AUC among those drawn."""
    user, label = study.tables.events.user, study.tables.positive
    kept = [one if where is None else Scored(one.rows[where[one.rows]], one.score[where[one.rows]]) for one in found]
    values = [auc(one.score, label[one.rows]) for one in kept]
    chance = np.random.default_rng(0)
    drawn = []
    by_user = [[np.flatnonzero(user[one.rows] == u) for u in range(study.tables.users)] for one in kept]
    for _ in range(300):
        people = chance.integers(0, study.tables.users, study.tables.users)
        rows = [np.concatenate([mine[u] for u in people]) for mine in by_user]
        drawn.append(np.nanmean([auc(one.score[r], label[one.rows][r]) for one, r in zip(kept, rows, strict=True)]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    mean = Estimate(float(np.nanmean(values)), float(low), float(high))
    events = int(sum(len(one.rows) for one in kept))
    return Row(name, {"AUC": mean}, {"AUC": [round(value, 5) for value in values]}, {"events": events}, ours=ours)


def run(data: Path, say: Say, *, splits: Sequence[int] = SPLITS) -> Section:
    """With context, without, per kind, and with and without walking events."""
    clock, study = Stopwatch(), Study(data)
    rows = [Row(name, {"AUC": value}, published=source) for name, value, source in QUOTED]

    def all_splits(
        kinds: Sequence[str], name: str, these: Sequence[int] = splits, *, walking: bool = True
    ) -> list[Scored]:
        found = []
        for split in these:
            say(f"SiTunes, {name}: split {split}")
            found.append(scores(study, kinds, split, walking=walking))
        return found

    without = all_splits((), "no context")
    activity = all_splits(("activity",), "activity")
    rows.append(_row(study, "RhythmIQ, no context", without))
    rows.append(_row(study, "RhythmIQ, with context", activity, ours=True))
    rows.append(_row(study, "... no context, judged without walking events", without, ~study.walking))
    rows.append(_row(study, "... with context, judged without walking events", activity, ~study.walking))
    rows.append(_row(study, "... no context, judged on walking events", without, study.walking))
    rows.append(_row(study, "... with context, judged on walking events", activity, study.walking))
    for name, kinds in (("no context", ()), ("with context", ("activity",))):
        few = splits[:WALKLESS_SPLITS]
        found = all_splits(kinds, f"{name}, learned without walking", few, walking=False)
        rows.append(_row(study, f"... {name}, walking events left out of everything (first {len(few)} splits)", found))
    some = splits[:KIND_SPLITS]
    these = f"(first {len(some)} splits)"
    rows.append(_row(study, f"no context {these}", without[: len(some)]))
    rows.append(_row(study, f"only activity {these}", activity[: len(some)]))
    rows.extend(_row(study, f"only {kind} {these}", all_splits((kind,), f"only {kind}", some)) for kind in KINDS[1:])
    rows.append(_row(study, f"all kinds {these}", all_splits(KINDS, "all kinds", some)))
    for kind, codes in (("activity", 6), ("local_time", 4), ("weather", 3)):
        column = study.tables.context.categories[kind]
        for code in range(codes):
            inside = column == code
            if int(inside.sum()) >= 60:
                label = f"in {kind} {code} ({int(inside.sum())} events)"
                rows.append(_row(study, f"{label}: with context", activity, inside))
                rows.append(_row(study, f"{label}: no context", without, inside))
    settings = {"bags": BAGS, "rounds": ROUNDS, "signals": sorted(SIGNALS), **PARAMETERS}
    return Section("SiTunes setting 2: will it be liked", PROTOCOL, rows, {"AUC": 0.86}, settings, clock())
