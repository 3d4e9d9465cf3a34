"""The demo world: do surroundings count where they were planted, and only there; newcomers; planted tastes.

The product's training on the world's events (bench/worlds.py), with its default settings: no model code of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.quality.planted import learned_preferences
from bench.quality.report import Row, Say, Section, Stopwatch
from bench.worlds import catalogue_of, listens_of
from rhythmiq_cli.demo.world import World, make_world
from rhythmiq_recommender.learning.judging import FIRST_EVENTS, MODEL, Evaluation, cold_start
from rhythmiq_recommender.learning.listening import Catalogue, Listens, tables_of
from rhythmiq_recommender.learning.metrics import Estimate, bootstrap
from rhythmiq_recommender.learning.rivals import POPULARITY
from rhythmiq_recommender.learning.tables import IntArray
from rhythmiq_recommender.learning.training import Settings, evaluate, fit_frames, fit_ranker, split

LISTENERS: Final = 600
INTERACTIONS: Final = 150_000
SEED: Final = 11
QUICK: Final = (150, 25_000)
NDCG: Final = "NDCG@10"
GAIN: Final = "above without, %"
_TRACKS: Final = 1
_METRIC: Final = "ndcg@10"
_SIZE: Final = "{listeners} listeners, {interactions:,} interactions in 60 days, the 700 items of the demo catalogue"
PROTOCOL: Final = (
    "{world}. The newest 15% of the sessions with tracks judge (one query each, half of them at the session's start; "
    "answers: what was liked in its rest), learned from what was before, default settings. 'Without' is the whole "
    "pipeline as if no surroundings had ever been shared. Intervals: bootstrap over listeners, differences by query."
)
CONTROL: Final = (
    "The same listeners and days, with effects of surroundings of strength 0: what is found here is not there. Kept if "
    "the interval includes 0."
)
COLD: Final = (
    "As if every listener had come when the hold-out began: right after their first 0 to 5 events since then, knowing "
    "nothing else of them; answers: what was liked in the rest of that session (the next one, where it had ended). "
    "Later queries have fewer answers left, so each row is compared with popularity (what everybody liked before) on "
    "the same queries. Kept if the interval of the difference is above 0."
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One training, on the queries of its hold-out."""

    evaluation: Evaluation
    cold: Mapping[int, Evaluation]


def run(say: Say, *, quick: bool = False) -> list[Section]:
    """Four sections: with effects planted, without, newcomers, learned preferences."""
    listeners, interactions = QUICK if quick else (LISTENERS, INTERACTIONS)
    clock = Stopwatch()
    world, none = (make_world(listeners, interactions, SEED, context_strength=strength) for strength in (1.0, 0.0))
    sections = [_surroundings(say, world), _control(say, none)]
    planted, cold = sections[0]
    control, _ = sections[1]
    found = [planted, control, _newcomers(cold)]
    say("demo world: learned preferences")
    found.append(learned_preferences(world))
    found[0].seconds = clock()
    return found


def _surroundings(say: Say, world: World) -> tuple[Section, Judged]:
    with_, without = _both(say, world, "demo world")
    rows = [_row(name, with_.evaluation, name) for name in with_.evaluation.values if name != MODEL]
    rows.append(_row("RhythmIQ, without surroundings", without.evaluation))
    gain = gain_of(with_.evaluation, without.evaluation)
    rows.append(_row("RhythmIQ, with surroundings", with_.evaluation, gain=gain, kept=gain.low > 0, ours=True))
    size = _SIZE.format(listeners=world.listeners, interactions=len(world.events))
    return _section("Demo world: surroundings", PROTOCOL.format(world=size), rows, {GAIN: 10.0}), with_


def _control(say: Say, world: World) -> tuple[Section, Judged]:
    with_, without = _both(say, world, "demo world without effects")
    gain = gain_of(with_.evaluation, without.evaluation)
    kept = gain.low <= 0 <= gain.high
    rows = [
        _row("popularity", with_.evaluation, POPULARITY),
        _row("RhythmIQ, without surroundings", without.evaluation),
        _row("RhythmIQ, with surroundings", with_.evaluation, gain=gain, kept=kept, ours=True),
    ]
    return _section("Demo world without effects: surroundings", CONTROL, rows, {}), with_


def _newcomers(judged: Judged) -> Section:
    rows = []
    for events, evaluation in judged.cold.items():
        rows.append(_row(f"popularity, after {events} events", evaluation, POPULARITY))
        ours = events == FIRST_EVENTS
        kept = evaluation.gain(POPULARITY).low > 0 if ours else None
        rows.append(_row(f"RhythmIQ, after {events} events", evaluation, kept=kept, ours=ours))
    return _section("Demo world: newcomers", COLD, rows, {})


def gain_of(with_: Evaluation, without: Evaluation) -> Estimate:
    """By how many percent NDCG@10 is above; both on the same queries."""
    if not np.array_equal(with_.listener, without.listener):
        raise AssertionError("not the same queries: nothing can be paired")
    one, other = (each.values[MODEL][_METRIC] for each in (with_, without))

    def percent(rows: IntArray) -> float:
        return float(100 * (one[rows].mean() / other[rows].mean() - 1))

    return bootstrap(with_.listener, percent)


def _both(say: Say, world: World, name: str) -> tuple[Judged, Judged]:
    listens, catalogue = listens_of(world), catalogue_of(world.items)
    say(f"{name}: training with surroundings")
    with_ = _judged(listens, catalogue)
    say(f"{name}: training without surroundings")
    return with_, _judged(listens.without_surroundings(), catalogue)


def _judged(listens: Listens, catalogue: Catalogue) -> Judged:
    settings, tables = Settings(), tables_of(listens, catalogue, _TRACKS)
    parts = split(tables, settings)
    frames = fit_frames(tables, catalogue, _TRACKS, parts, settings=settings, seed=0)
    booster = fit_ranker(frames.train, settings=settings, seed=0)
    return Judged(evaluate(booster, frames.test), cold_start(booster, frames.test))


def _row(
    name: str,
    evaluation: Evaluation,
    way: str = MODEL,
    *,
    gain: Estimate | None = None,
    kept: bool | None = None,
    ours: bool = False,
) -> Row:
    figures: dict[str, Estimate | float] = {NDCG: evaluation.estimate(way, _METRIC)}
    if gain is not None:
        figures[GAIN] = gain
    extra = {"queries": len(evaluation.listener)}
    return Row(name, figures, extra=extra, ours=ours, kept=kept)


def _section(title: str, protocol: str, rows: list[Row], targets: dict[str, float]) -> Section:
    gains = any(GAIN in row.figures for row in rows) and GAIN not in targets
    return Section(title, protocol, rows, targets, Settings().as_json(), beside=(NDCG, GAIN) if gains else (NDCG,))
