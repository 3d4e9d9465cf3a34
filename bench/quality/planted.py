"""Learned preferences against planted tastes: of what is learned of each listener, how much was planted."""

from __future__ import annotations

import numpy as np

from bench.quality.report import Row, Section, Stopwatch
from bench.worlds import history_of, shelf_of
from rhythmiq_cli.demo.world import Planted, World
from rhythmiq_recommender.leanings.derive import derive
from rhythmiq_recommender.leanings.model import Learned
from rhythmiq_recommender.learning.metrics import bootstrap
from rhythmiq_recommender.situation import LeaningType

PROTOCOL = (
    "What the worker would learn of each listener (rhythmiq_recommender.leanings, from the newest 500 events) against "
    "the planted taste. A learned preference is right if that very genre, artist or instrument was planted, with that "
    "sign; a range of tempo, if half of the narrower range is in the other. Precision: of all learned; recall: of two "
    "genres, a disliked one, two artists, a tempo and an instrument each. Intervals: bootstrap over listeners."
)
_PLANTED_EACH = 7


def is_planted(learned: Learned, planted: Planted) -> bool:
    """Whether exactly this was planted."""
    (type_, name), liked = learned.value, learned.weight > 0
    if type_ is LeaningType.GENRE:
        return name in planted.genres if liked else name == planted.disliked_genre
    if type_ is LeaningType.ARTIST:
        return liked and name in planted.artists
    if type_ is LeaningType.INSTRUMENT:
        return liked and name == planted.instrument
    low, high = map(int, name.split("-"))
    shared = min(high, planted.tempo[1]) - max(low, planted.tempo[0])
    return liked and shared >= min(high - low, planted.tempo[1] - planted.tempo[0]) / 2


def learned_preferences(world: World) -> Section:
    """All types together, and each."""
    clock, shelf = Stopwatch(), shelf_of(world)
    now = float(world.events.time.max())
    listener, right, type_ = [], [], []
    for number in range(world.listeners):
        planted = world.planted(number)
        for learned in derive(history_of(world, number), shelf, now):
            listener.append(number)
            right.append(is_planted(learned, planted))
            type_.append(learned.value.type.name if learned.weight > 0 else f"{learned.value.type.name}, disliked")
    who, hit, kinds = np.array(listener), np.array(right), np.array(type_)
    rows = [_row("learned preferences", who, hit, world.listeners * _PLANTED_EACH, ours=True)]
    rows += [_row(f"... {kind.lower()}", who[kinds == kind], hit[kinds == kind], None) for kind in sorted(set(type_))]
    return Section(
        "Demo world: learned preferences",
        PROTOCOL,
        rows,
        {"precision": 0.8},
        {"listeners": world.listeners, "interactions": len(world.events)},
        clock(),
        beside=("learned", "recall"),
    )


def _row(name: str, who: np.ndarray, hit: np.ndarray, wanted: int | None, *, ours: bool = False) -> Row:
    precision = bootstrap(who, lambda rows: float(hit[rows].mean()))
    recall = float(hit.sum() / wanted) if wanted else float("nan")
    return Row(name, {"precision": precision, "learned": float(len(hit)), "recall": recall}, ours=ours)
