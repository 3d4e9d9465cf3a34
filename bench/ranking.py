"""What ranking costs beyond LightGBM: features and scores of 300 candidates against its `predict` on the same rows.

In one process and one thread, in turns, so that noise hits both. The model is trained on the demo world, over a
catalogue of the size that the other measurements have; only its size matters here, not how good it is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.worlds import catalogue_of, history_of, listens_of
from rhythmiq_cli.demo.world import World, make_world, synthetic_items
from rhythmiq_recommender.learning import package
from rhythmiq_recommender.learning.listening import Catalogue, tables_of
from rhythmiq_recommender.learning.scorer import Asking, Scorer
from rhythmiq_recommender.learning.tables import IntArray, RawArray
from rhythmiq_recommender.learning.training import Settings, fit_ranker, fit_signals
from rhythmiq_recommender.learning.visits import Ask, Sampling, training_frame

Section = dict[str, Any]
ITEMS, LISTENERS, INTERACTIONS = 66_000, 2_000, 200_000
CANDIDATES = 300
RATIO_LIMIT = 1.3
ONTO_LIMIT_MS = 100
_QUERIES, _ROUNDS, _SEED = 60, 5, 0


def ranking() -> Section:
    """Medians of CPU milliseconds of this thread (the whole process for fitting onto a catalogue)."""
    world = make_world(LISTENERS, INTERACTIONS, _SEED, catalogue=synthetic_items(ITEMS))
    catalogue = catalogue_of(world.items)
    loaded = _package(world, catalogue)
    onto = _median([_spent(time.process_time, lambda: loaded.onto(catalogue)) for _ in range(_ROUNDS)])
    ours, plain = _in_turns(loaded, loaded.onto(catalogue), _askings(world))
    return {
        "items": len(catalogue),
        "candidates": CANDIDATES,
        "trees": loaded.booster.num_trees(),
        "features_and_scores_ms": round(_median(ours), 3),
        "predict_ms": round(_median(plain), 3),
        "ratio": round(_median(ours) / _median(plain), 2),
        "onto_ms": round(onto, 1),
    }


def rows(section: Section) -> list[tuple[str, str, str, bool | None]]:
    """What is promised: figure, measured, limit, kept."""
    ratio, ours, plain = (section[name] for name in ("ratio", "features_and_scores_ms", "predict_ms"))
    return [
        (
            f"Ranking {section['candidates']} candidates: CPU against LightGBM's predict",
            f"{ratio}x ({ours} : {plain} ms)",
            f"<= {RATIO_LIMIT}x",
            ratio <= RATIO_LIMIT,
        ),
        (
            f"A model onto a catalogue of {section['items']:,} items: CPU",
            f"{section['onto_ms']} ms",
            f"<= {ONTO_LIMIT_MS} ms",
            section["onto_ms"] <= ONTO_LIMIT_MS,
        ),
    ]


def _package(world: World, catalogue: Catalogue) -> package.Package:
    """Saved and loaded, as serving gets it."""
    tables = tables_of(listens_of(world), catalogue, package.KINDS["track"])
    ask = Ask(tables)
    until = float(np.quantile(ask.start, 0.8))
    fit = fit_signals(tables, catalogue, package.KINDS["track"], until)
    visits = ask.answered(ask.between(until, np.inf, most=600, seed=_SEED))
    frame = training_frame(fit.onto(catalogue), ask, visits, sampling=Sampling(), seed=_SEED)
    booster = fit_ranker(frame, settings=Settings(), seed=_SEED)
    with tempfile.TemporaryDirectory() as folder:
        package.save(Path(folder), booster, fit, version="bench")
        return package.load(Path(folder))


def _askings(world: World) -> list[Asking]:
    """Listeners with a past, each in the surroundings of their last event."""
    histories = (history_of(world, listener) for listener in range(_QUERIES))
    return [Asking(one, float(one.time[-1]) + 60, one.codes[-1]) for one in histories if len(one)]


def _in_turns(loaded: package.Package, scorer: Scorer, askings: list[Asking]) -> tuple[list[float], list[float]]:
    """Candidates come first, as in Recommend, and are not measured."""
    ours, plain = list[float](), list[float]()
    allowed = np.ones(ITEMS, np.bool_)
    for asking in askings * _ROUNDS:
        one = asking._replace(time=asking.time + 1e-3)  # another query: nothing is remembered of it
        chosen = scorer.candidates(one, allowed, CANDIDATES)
        x = scorer.features(one, chosen)
        if len(chosen) < CANDIDATES:
            continue
        plain.append(_spent(time.thread_time, partial(loaded.booster.predict, x, num_threads=1, raw_score=True)))
        ours.append(_spent(time.thread_time, partial(_ranked, scorer, one, chosen)))
    return ours, plain


def _ranked(scorer: Scorer, asking: Asking, chosen: IntArray) -> RawArray:
    return scorer.scores(scorer.features(asking, chosen))


def _spent(clock: Callable[[], float], work: Callable[[], object]) -> float:
    """Milliseconds."""
    start = clock()
    work()
    return 1000 * (clock() - start)


def _median(values: list[float]) -> float:
    return float(np.median(values))


if __name__ == "__main__":
    print(ranking())
