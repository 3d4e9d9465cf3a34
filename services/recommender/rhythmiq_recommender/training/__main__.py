"""`python -m rhythmiq_recommender.training`: trains a ranker. `rhythmiq train` starts it with everything set."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pymongo.errors import ConfigurationError, InvalidURI

from rhythmiq_mesh.config import load
from rhythmiq_recommender.learning.package import BadModel
from rhythmiq_recommender.models.channels import BadChannel
from rhythmiq_recommender.models.registry import Registry, VersionExists
from rhythmiq_recommender.models.store import BadStore
from rhythmiq_recommender.training.config import TrainingSettings
from rhythmiq_recommender.training.progress import on_stderr
from rhythmiq_recommender.training.run import COHORTS, KINDS, RunRefused, RunSettings, opened

# Exit codes: what they mean in every command, see rhythmiq_cli.output.ExitCode.
_REFUSED, _USAGE, _UNAVAILABLE, _CONFLICT = 1, 2, 6, 7
_TRIALS: Final = 20


def main(arguments: Sequence[str]) -> int:
    """Trains as the arguments say; returns the exit code."""
    asked = _parser().parse_args(arguments)
    settings = load(TrainingSettings)
    try:
        registry = Registry(settings.model_store)
        with opened(settings.training_folder, asked.run, _run_settings(asked), datetime.now(UTC)) as run:
            result = run.result or _train(run, settings, registry, asked.scheduler)
            _tell(run.name, result, asked.report, run.folder)
            return _REFUSED if result["outcome"] == "refused" else 0
    except (RunRefused, VersionExists) as error:
        return _told(error, _CONFLICT)
    except (BadStore, BadChannel, ValueError) as error:
        return _told(error, _USAGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
