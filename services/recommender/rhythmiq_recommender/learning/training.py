"""From listens to a ranker that can be served, in steps: split, frames, ranker, evaluation.

The split is temporal: signals are fitted on what was before a window of time, and what is asked about lies in it. The
newest window is the hold-out and is never trained on; the package that is served has the ranker of the windows before
it, over signals fitted on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning import package, ranker
from rhythmiq_recommender.learning.features import Frame, stack
from rhythmiq_recommender.learning.judging import Evaluation, HoldOut, evaluate
from rhythmiq_recommender.learning.listening import Catalogue, Listens, tables_of
from rhythmiq_recommender.learning.scorer import NEWCOMER_BELOW
from rhythmiq_recommender.learning.served.reader import Fit, fit_served
from rhythmiq_recommender.learning.tables import RawArray, Tables, UnfitTables
from rhythmiq_recommender.learning.visits import Ask, Sampling, asked_frame, training_frame

__all__ = [
    "Evaluation",
    "Frames",
    "HoldOut",
    "Settings",
    "Split",
    "Trained",
    "Window",
    "evaluate",
    "fit_frames",
    "fit_ranker",
    "fit_signals",
    "hold_out",
    "scale_of",
    "split",
    "train",
]

HISTORIES: Final[Mapping[str, tuple[int, int] | None]] = {
    "all": None,
    "newcomers": (0, NEWCOMER_BELOW),
    "regulars": (NEWCOMER_BELOW, 2**31),
}
"""Cohort to the events (from, below) that its listeners have at the time of asking."""

Tell = Callable[[str, float], None]
"""Told which step is how far, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what is learned, beside data and seed."""

    rounds: int = 100
    parameters: Mapping[str, Any] = field(default_factory=lambda: dict(ranker.SERVED))
    windows: int = 2
    """Windows to train on, beside the hold-out."""
    window: float = 0.15
    """Share of the sessions in each of them."""
    hold_out: float = 0.15
    """Share of the sessions, the newest, that judge."""
    queries: int = 6_000
    """Most visits a window that are trained on."""
    asked: int = 2_000
    """Most visits of the hold-out."""
    candidates: int = 300
    """Candidates of each visit of the hold-out, as in serving."""
    sampling: Sampling = field(default_factory=Sampling)

    def as_json(self) -> dict[str, Any]:
        """For manifests and reports."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Window:
    """Signals learn from events before `low`; asked are visits of sessions that begin in [low, high). Unix seconds."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Split:
    """Windows in time: those to train on, oldest first, and the hold-out."""

    train: tuple[Window, ...]
    test: Window


def split(tables: Tables, settings: Settings) -> Split:
    """By quantiles of the starts of sessions. Raises UnfitTables if there are too few to tell apart in time."""
    events = tables.events
    if events.start is None or events.session is None:
        raise UnfitTables("there are no sessions: nothing can be held out in time")
    starts = events.start[np.r_[True, events.session[1:] != events.session[:-1]]]
    shares = [1 - settings.hold_out - settings.window * number for number in range(settings.windows, -1, -1)]
    if shares[0] <= 0:
        raise ValueError(f"{settings.windows} windows of {settings.window} and a hold-out leave nothing to learn from")
    edges = np.quantile(starts, shares).tolist()
    if not (starts.min() < edges[0] and (np.diff(edges) > 0).all()):
        raise UnfitTables(
            f"{len(starts)} sessions are too few, or all at one time: nothing can be held out. Record more first"
        )
    trained = tuple(Window(low, high) for low, high in pairwise(edges))
    return Split(trained, Window(edges[-1], float("inf")))


def fit_signals(tables: Tables, catalogue: Catalogue, kind: int, until: float) -> Fit:
    """Signals, fitted on events before `until` (Unix seconds). Raises UnfitTables if there are none."""
    assert tables.events.time is not None
    return fit_served(tables.take(tables.events.time < until), catalogue, kind)


@dataclass(frozen=True, slots=True)
class Frames:
    """Rows to train on, and what judges."""

    train: Frame
    test: HoldOut


def fit_frames(
    tables: Tables,
    catalogue: Catalogue,
    kind: int,
    parts: Split,
    *,
    settings: Settings,
    seed: int,
    cohort: str = "all",
    tell: Tell | None = None,
) -> Frames:
    """Replays the visits of every window. Raises UnfitTables if a window has nothing to learn from."""
    ask, found = Ask(tables), []
    steps = len(parts.train) + 1
    for number, window in enumerate(parts.train):
        reader = fit_signals(tables, catalogue, kind, window.low).onto(catalogue)
        visits = ask.between(
            window.low, window.high, most=settings.queries, seed=seed + number, history=HISTORIES[cohort]
        )
        found.append(training_frame(reader, ask, visits, sampling=settings.sampling, seed=seed + number))
        _tell(tell, "frames", (number + 1) / steps)
    test = hold_out(tables, catalogue, kind, parts.test, settings=settings, seed=seed, cohort=cohort)
    _tell(tell, "frames", 1.0)
    return Frames(_varied(stack(found) if len(found) > 1 else found[0]), test)


def hold_out(
    tables: Tables,
    catalogue: Catalogue,
    kind: int,
    window: Window,
    *,
    settings: Settings,
    seed: int,
    cohort: str = "all",
) -> HoldOut:
    """The visits that judge, with what would be offered in each. Raises UnfitTables if nothing was liked in any."""
    ask = Ask(tables)
    reader = fit_signals(tables, catalogue, kind, window.low).onto(catalogue)
    visits = ask.between(window.low, window.high, most=settings.asked, seed=seed + 1_000, history=HISTORIES[cohort])
    visits = ask.answered(visits)
    frame = asked_frame(reader, ask, visits, candidates=settings.candidates)
    return HoldOut(ask, visits, reader, tables.take(ask.time < window.low), frame, settings.candidates)


def _varied(frame: Frame) -> Frame:
    """Without columns that are the same everywhere: kinds of surroundings that nobody shares, for example."""
    first = frame.x[0]
    same = [
        bool(((column == value) | (np.isnan(column) & np.isnan(value))).all())
        for column, value in zip(frame.x.T, first, strict=True)
    ]
    if not any(same):
        return frame
    return frame.select([name for name, constant in zip(frame.names, same, strict=True) if not constant])


def fit_ranker(frame: Frame, *, settings: Settings, seed: int) -> lgb.Booster:
    """Lambdarank. Raises UnfitTables where there is nothing to tell apart."""
    return ranker.fit(frame, rounds=settings.rounds, parameters=settings.parameters, seed=seed)


def scale_of(booster: lgb.Booster, frame: Frame) -> float:
    """The mean over queries of the standard deviation of raw scores among their rows; 1 where all are the same."""
    score = scores(booster, frame)
    count = np.maximum(np.bincount(frame.query), 1)
    mean = np.bincount(frame.query, weights=score) / count
    spread = np.sqrt(np.bincount(frame.query, weights=(score - mean[frame.query]) ** 2) / count)
    found = float(spread[np.unique(frame.query)].mean())
    return found if np.isfinite(found) and found > 1e-9 else 1.0


def scores(booster: lgb.Booster, frame: Frame) -> RawArray:
    """Raw scores of the rows of a frame that has the booster's features, and maybe others."""
    return ranker.predict(booster, frame.select(booster.feature_name()).x)


@dataclass(frozen=True, slots=True)
class Trained:
    """A ranker over signals of everything that was there, and how good it was on what it had not seen."""

    booster: lgb.Booster
    fit: Fit
    scale: float
    cohort: str
    trained_until: float
    counts: Mapping[str, int]
    evaluation: Evaluation
    settings: Settings

    def save(self, folder: Path, version: str) -> package.Manifest:
        """As a package."""
        return package.save(
            folder,
            self.booster,
            self.fit,
            version=version,
            cohort=self.cohort,
            scale=self.scale,
            trained_until=self.trained_until,
            counts=self.counts,
            metrics=self.evaluation.summary(),
            settings=self.settings.as_json(),
        )


def train(
    listens: Listens,
    catalogue: Catalogue,
    *,
    kind: str = "track",
    cohort: str = "all",
    settings: Settings | None = None,
    seed: int = 0,
    on_progress: Tell | None = None,
) -> Trained:
    """All steps. The same arguments give the same package. Raises UnfitTables for what cannot teach anything."""
    settings = settings or Settings()
    number = package.KINDS[kind]
    tables = tables_of(listens, catalogue, number)
    if tables.positive.all() or not tables.positive.any():
        raise UnfitTables("everything was liked, or nothing was: nothing can be told apart")
    parts = split(tables, settings)
    frames = fit_frames(tables, catalogue, number, parts, settings=settings, seed=seed, cohort=cohort, tell=on_progress)
    booster = fit_ranker(frames.train, settings=settings, seed=seed)
    _tell(on_progress, "ranker", 1.0)
    evaluation = evaluate(booster, frames.test)
    _tell(on_progress, "evaluation", 1.0)
    fit = fit_signals(tables, catalogue, number, float("inf"))
    assert tables.events.time is not None
    return Trained(
        booster,
        fit,
        scale_of(booster, frames.test.frame),
        cohort,
        float(tables.events.time.max()),
        {
            "events": len(tables.events),
            "listeners": len(np.unique(tables.events.user)),
            "items": len(np.unique(tables.events.item)),
            "queries": len(frames.train.positives),
            "rows": len(frames.train.label),
        },
        evaluation,
        settings,
    )


def _tell(tell: Tell | None, step: str, share: float) -> None:
    if tell is not None:
        tell(step, share)
