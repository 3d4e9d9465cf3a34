"""A search that was killed at any byte of its journal goes on to the same result as one that was not."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from rhythmiq_recommender.training.journal import heal

optuna.logging.set_verbosity(optuna.logging.WARNING)
TRIALS = 4


def search(path: Path) -> list[float]:
    """As the product's: one sampler a trial, seeded by how many are complete; the defaults are tried first."""
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))), study_name="s", load_if_exists=True
    )
    if not study.trials:
        study.enqueue_trial({"x": 3.0})
    while (done := len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))) < TRIALS:
        study.sampler = optuna.samplers.TPESampler(seed=done, n_startup_trials=2)
        study.optimize(lambda trial: (trial.suggest_float("x", -5, 5) - 1) ** 2, n_trials=1)
    return [trial.params["x"] for trial in study.trials]


@pytest.mark.parametrize("share", [0.01, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.99, 1.0])
def test_a_journal_cut_anywhere_goes_on_to_the_same_trials(tmp_path: Path, share: float) -> None:
    undisturbed = search(tmp_path / "one")
    whole = (tmp_path / "one").read_bytes()
    other = tmp_path / "other"
    other.write_bytes(whole[: int(len(whole) * share)])
    (tmp_path / "other.lock").symlink_to(other)
    heal(other)
    assert search(other) == undisturbed


def test_trials_that_ended_are_kept_and_counted(tmp_path: Path) -> None:
    search(tmp_path / "one")
    assert heal(tmp_path / "one") == TRIALS
    assert heal(tmp_path / "none") == 0
