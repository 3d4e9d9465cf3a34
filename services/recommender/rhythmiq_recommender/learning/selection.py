"""Model selection: Optuna over LightGBM's parameters and feature groups, seeded, within a budget, and resumable.

Every trial is appended to a journal file as it ends. Started again with the same file, a search goes on where it was
stopped; the sampler is seeded by the number of trials that are there, so that the same file and budget give the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from rhythmiq_recommender.learning.evaluate import mean_metric
from rhythmiq_recommender.learning.features import REGISTRY, Frame
from rhythmiq_recommender.learning.ranker import DEFAULTS, SERVED, fit, predict

ROUNDS = (50, 75, 100, 150)
_NAME = "ranker"
_KEEP = "keep "


@dataclass(frozen=True, slots=True)
class Budget:
    """Stops at whichever comes first, after one trial at least; `trials` counts those of earlier runs with the file."""

    trials: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.trials is None and self.minutes is None:
            raise ValueError("a budget needs trials, minutes, or both")


@dataclass(frozen=True, slots=True)
class Selected:
    """The best trial."""

    parameters: Mapping[str, Any]
    rounds: int
    left_out: frozenset[str]
    """Groups of features that are better left out."""
    value: float
    trials: int
    history: tuple[float, ...] = field(default=())


def select(
    train: Frame,
    valid: Frame,
    *,
    metric: str,
    budget: Budget,
    storage: Path,
    seed: int = 0,
    objective: str = "lambdarank",
    optional_groups: frozenset[str] | None = None,
    on_trial: Callable[[int, float], None] | None = None,
) -> Selected:
    """Searches. The first trial is the defaults with all features, so the answer is never worse on `valid` than those.

    `optional_groups`: those that may be left out (default: all but the largest).
    """
    groups = sorted(_optional(train) if optional_groups is None else optional_groups)
    measure = mean_metric(metric)

    def attempt(trial: optuna.Trial) -> float:
        parameters = _parameters(trial) | {"objective": objective}
        dropped = frozenset(group for group in groups if not trial.suggest_categorical(_KEEP + group, [True, False]))
        rows, asked = train.without_groups(dropped), valid.without_groups(dropped)
        rounds = trial.suggest_categorical("rounds", ROUNDS)
        value = measure(asked, predict(fit(rows, rounds=rounds, parameters=parameters, seed=seed), asked.x))
        if on_trial is not None:
            on_trial(trial.number + 1, value)
        return value

    with _quiet():
        backend = JournalStorage(JournalFileBackend(str(storage)))
        study = optuna.create_study(storage=backend, study_name=_NAME, direction="maximize", load_if_exists=True)
        if not study.trials:
            first = (
                {name: _START[name] for name in _RANGES} | {"rounds": 100} | {_KEEP + group: True for group in groups}
            )
            study.enqueue_trial(first)
        deadline = None if budget.minutes is None else time.monotonic() + budget.minutes * 60
        while not _done(study) or (
            (budget.trials is None or _done(study) < budget.trials)
            and (deadline is None or time.monotonic() < deadline)
        ):
            # One sampler a trial, seeded by how many there are: an interruption changes nothing.
            study.sampler = optuna.samplers.TPESampler(seed=seed + _done(study), n_startup_trials=8)
            study.optimize(attempt, n_trials=1)
    return _best(study, groups, objective)


_START: Mapping[str, Any] = DEFAULTS | SERVED
_RANGES: Mapping[str, tuple[float, float, bool]] = {
    "learning_rate": (0.02, 0.12, True),
    "num_leaves": (4, 8, True),
    "min_data_in_leaf": (10, 400, True),
    "lambda_l2": (0.1, 50.0, True),
    "feature_fraction": (0.2, 1.0, False),
    "bagging_fraction": (0.4, 1.0, False),
}


def _parameters(trial: optuna.Trial) -> dict[str, Any]:
    found: dict[str, Any] = dict(SERVED)
    for name, (low, high, log) in _RANGES.items():
        if isinstance(_START[name], int):
            found[name] = trial.suggest_int(name, int(low), int(high), log=log)
        else:
            found[name] = trial.suggest_float(name, low, high, log=log)
    return found


def _optional(frame: Frame) -> frozenset[str]:
    size: dict[str, int] = {}
    for name in frame.names:
        size[REGISTRY[name].group] = size.get(REGISTRY[name].group, 0) + 1
    return frozenset(size) - {max(size, key=lambda group: (size[group], group))}


def _done(study: optuna.Study) -> int:
    return sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)


def _best(study: optuna.Study, groups: list[str], objective: str) -> Selected:
    best = study.best_trial
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    return Selected(
        parameters=SERVED | {name: best.params[name] for name in _RANGES} | {"objective": objective},
        rounds=int(best.params["rounds"]),
        left_out=frozenset(group for group in groups if not best.params[_KEEP + group]),
        value=float(study.best_value),
        trials=_done(study),
        history=tuple(float(trial.value) for trial in complete if trial.value is not None),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Optuna logs each trial on standard error by default; progress is the caller's."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
