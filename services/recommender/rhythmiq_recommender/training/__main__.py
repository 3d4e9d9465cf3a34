"""`python -m rhythmiq_recommender.training`: trains a ranker. `rhythmiq train` starts it with everything set."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

# A folder for Matplotlib's cache that is certainly writable: containers are read-only. Before anything imports it.
os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "rhythmiq-matplotlib"))

from pymongo.errors import ConfigurationError, InvalidURI

from rhythmiq_mesh.config import load
from rhythmiq_recommender.learning.package import BadModel
from rhythmiq_recommender.learning.tables import UnfitTables
from rhythmiq_recommender.models.channels import DamagedChannel
from rhythmiq_recommender.models.registry import Registry, UnknownVersion, VersionExists
from rhythmiq_recommender.models.store import BadStore, StoreUnavailable
from rhythmiq_recommender.training import dask, report
from rhythmiq_recommender.training.config import TrainingSettings
from rhythmiq_recommender.training.dask import BadScheduler, NoDask, SchedulerUnavailable
from rhythmiq_recommender.training.progress import on_stderr
from rhythmiq_recommender.training.run import BadRunName, Run, RunRefused, RunSettings, opened
from rhythmiq_recommender.training.steps import Retries, StepFailed, Workflow
from rhythmiq_recommender.training.workflow import TRANSIENT, Source, Training

# What they mean in every command: see rhythmiq_cli.output.ExitCode.
_REFUSED, _USAGE, _UNAVAILABLE, _CONFLICT, _INTERRUPTED = 1, 2, 6, 7, 130
_TRIALS: Final = 20


def main(arguments: Sequence[str]) -> int:
    """Trains as the arguments say; returns the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        wanted = _run_settings(asked)
    except ValueError as error:
        return _told(str(error), _USAGE)
    settings = load(TrainingSettings)
    try:
        registry = Registry(settings.model_store)
        with opened(settings.training_folder, asked.run, wanted, datetime.now(UTC)) as run:
            result = run.result or _train(run, settings, registry, asked.scheduler)
            return _tell(run, result, asked.report)
    except StepFailed as error:
        return _told(f"{error}. Nothing was promoted; the same command goes on from there.", _UNAVAILABLE)
    except (StoreUnavailable, SchedulerUnavailable) as error:
        return _told(f"{error}. The run has not begun.", _UNAVAILABLE)
    except (BadModel, UnknownVersion) as error:
        return _told(f"{error}. Nothing was promoted: train again under another --run name.", _CONFLICT)
    except (RunRefused, VersionExists, DamagedChannel) as error:
        return _told(str(error), _CONFLICT)
    except (BadStore, BadRunName, BadScheduler, NoDask, InvalidURI, ConfigurationError) as error:
        return _told(str(error), _USAGE)
    except OSError as error:
        return _told(f"cannot write what the run makes: {error}. The same command goes on from there.", _UNAVAILABLE)
    except KeyboardInterrupt:
        return _told("Interrupted: the same command goes on from there.", _INTERRUPTED)


def _train(run: Run, settings: TrainingSettings, registry: Registry, scheduler: str | None) -> Mapping[str, Any]:
    """How the run ended. Data that cannot teach end it, too: it would find the same data again."""
    if scheduler is not None:
        dask.check(scheduler)  # before hours of work, not after them
    progress = on_stderr()
    progress.say(f"Run {run.name} in {run.folder}")
    source = Source(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    steps = Training(run, source, registry, scheduler).steps()
    retries = Retries(TRANSIENT, attempts=settings.training_attempts)
    try:
        done = Workflow(run.folder, steps, run.made_with, progress, retries).run()
    except UnfitTables as error:
        result: dict[str, Any] = {"outcome": "refused", "reason": str(error)}
    else:
        result = {**done["promote"].facts, "version": run.name}
    run.finish(result)
    return result


def _tell(run: Run, result: Mapping[str, Any], copy_to: Path | None) -> int:
    """Says how it ended, and where the report is. Returns the exit code."""
    if result["outcome"] == "refused":
        return _told(f"{result['reason']}. Nothing was trained, and what listeners have stays.", _REFUSED)
    found = run.folder / "report"
    if copy_to is not None:
        copy_to.mkdir(parents=True, exist_ok=True)
        for name in (report.PAGE, report.DOCUMENT):
            shutil.copyfile(found / name, copy_to / name)
        found = copy_to
    name = f"{run.settings.kind}/{run.settings.cohort}/{result['version']}"
    print(f"{name}: {result['outcome']}: {result['reason']}.")
    print(f"Report: {found / report.PAGE}")
    return 0


def _run_settings(asked: argparse.Namespace) -> RunSettings:
    """Raises ValueError naming the option that is wrong."""
    trials = _TRIALS if asked.trials is None and asked.minutes is None else asked.trials
    return RunSettings(
        kind=asked.kind,
        cohort=asked.cohort,
        trials=trials,
        minutes=asked.minutes,
        seed=asked.seed,
        margin=asked.margin,
        promote=not asked.no_promote,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rhythmiq_recommender.training", description=__doc__)
    parser.add_argument("--kind", default="track", help="track, podcast_episode or soundscape")
    parser.add_argument("--cohort", default="all", help="all, newcomers or regulars")
    parser.add_argument("--trials", type=int, help="trials of model selection (default: 20)")
    parser.add_argument("--minutes", type=float, help="or as many as fit in these minutes")
    parser.add_argument("--seed", type=int, default=7, help="the same seed and data give the same model")
    parser.add_argument("--margin", type=float, default=0.01, help="how much better NDCG@10 must be to promote")
    parser.add_argument("--run", metavar="NAME", help="the run to begin, or to go on with")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="fit on the Dask cluster of tcp://HOST:PORT")
    parser.add_argument("--no-promote", action="store_true", help="publish only")
    parser.add_argument("--report", type=Path, metavar="DIR", help="also put report.html and report.json here")
    return parser


def _told(sentence: str, code: int) -> int:
    print(sentence[:1].upper() + sentence[1:], file=sys.stderr)
    return code


def _stop(number: int, frame: object) -> None:
    """SIGTERM, as a Job that is evicted gets: as Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))
