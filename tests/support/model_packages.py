"""Small packages that were really trained, under any name: for tests of the registry and of serving."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import lightgbm as lgb
from packages import SMALL, trained

from rhythmiq_recommender.learning.package import save
from rhythmiq_recommender.learning.ranker import fit


@cache
def booster(rounds: int) -> lgb.Booster:
    """Fewer or more rounds give other scores."""
    return fit(trained().frame, rounds=rounds, parameters=SMALL)


def made(folder: Path, version: str, *, rounds: int = 20, **said: Any) -> Path:
    """A package of tracks of tests/support/planted.py in `folder`."""
    save(folder, booster(rounds), trained().fit, version=version, **{"scale": 0.5, **said})
    return folder
