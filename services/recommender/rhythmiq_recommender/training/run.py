"""A training run: its name, settings and folder, and the lock that keeps two from working in it at once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rhythmiq_recommender.learning.features import FEATURES_VERSION
from rhythmiq_recommender.training.steps import write_json

KINDS: Final = ("track", "podcast_episode", "soundscape")
COHORTS: Final = ("all", "newcomers", "regulars")
RUN: Final = "run.json"
RESULT: Final = "result.json"
MOST_TRIALS: Final = 10_000
MOST_MINUTES: Final = 7 * 24 * 60
LARGEST_SEED: Final = 2_000_000_000
"""Seeds of steps and trials are counted up from it, and LightGBM's are 32 bits with a sign."""
_GO_ON_WITHIN: Final = timedelta(days=1)
"""An older unfinished run is gone on with only by its name: its data are of that time."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class BadRunName(ValueError):
    """What was given with --run cannot be the name of a folder."""


class RunRefused(Exception):
    """The run stands against what is there; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run's result depends on, beside the data. `trials` and `minutes` bound model selection.

    Where the ranker is fitted is not among them: a run that began with a cluster may end without it. Raises ValueError
    naming the option that is wrong.
    """

    kind: str = "track"
    cohort: str = "all"
    trials: int | None = 20
    minutes: float | None = None
    seed: int = 7
    margin: float = 0.01
    """By how much mean NDCG@10 must be better than each rival's to be promoted, 0 to 1."""
    promote: bool = True

    def __post_init__(self) -> None:
        for name, value, allowed in (("--kind", self.kind, KINDS), ("--cohort", self.cohort, COHORTS)):
            if value not in allowed:
                raise ValueError(f"{name} {value} must be one of {', '.join(allowed)}")
        if self.trials is None and self.minutes is None:
            raise ValueError("model selection needs a budget: --trials, --minutes, or both")
        if self.trials is not None and not 1 <= self.trials <= MOST_TRIALS:
            raise ValueError(f"--trials {self.trials} must be 1 to {MOST_TRIALS:,}")
        if self.minutes is not None and not 0 < self.minutes <= MOST_MINUTES:
            raise ValueError(
                f"--minutes {self.minutes:g} must be above 0 and at most {MOST_MINUTES:,}, which is a week"
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"--seed {self.seed} must be 0 to {LARGEST_SEED:,}")
        if not 0 <= self.margin <= 1:
            raise ValueError(f"--margin {self.margin:g} must be 0 to 1, a difference of NDCG@10")


@dataclass(frozen=True, slots=True)
class Run:
    """A run in its folder. `as_of` (UTC) is when it was begun: data recorded later is another run's."""

    name: str
    folder: Path
    settings: RunSettings
    as_of: datetime

    @property
    def made_with(self) -> dict[str, Any]:
        """All that the outputs of its steps depend on."""
        return {**asdict(self.settings), "as_of": self.as_of.isoformat(), **_program()}

    def finish(self, result: dict[str, Any]) -> None:
        """Writes down how it ended."""
        write_json(self.folder / RESULT, result)

    @property
    def result(self) -> dict[str, Any] | None:
        """How it ended, None while it has not."""
        try:
            found: dict[str, Any] = json.loads((self.folder / RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found


@contextlib.contextmanager
def opened(folder: Path, name: str | None, settings: RunSettings, now: datetime) -> Iterator[Run]:
    """The run of that name, new or begun before, for this process alone.

    Without a name: the newest unfinished run of the last day with these settings, else a new one named after the time.
    Raises BadRunName, and RunRefused when the name is used with other settings or when another process is at it.
    """
    if name is None:
        name = _unfinished(folder, settings, now) or f"{settings.kind}-{settings.cohort}-{now:%Y%m%d-%H%M%S}"
    if not _NAME.fullmatch(name):
        raise BadRunName(
            f"--run {name[:100]!r} cannot be a run's name: use at most 63 lower-case letters, digits, '.', '_' and '-'"
        )
    (folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(folder / name, name):
        yield _begun(folder / name, name, settings, now)


def _begun(folder: Path, name: str, settings: RunSettings, now: datetime) -> Run:
    wanted = {"settings": asdict(settings), **_program()}
    found = _read(folder)
    if found is None:
        write_json(folder / RUN, {**wanted, "as_of": now.astimezone(UTC).isoformat()})
        return Run(name, folder, settings, now.astimezone(UTC))
    as_of = datetime.fromisoformat(found.pop("as_of"))
    if found != wanted:
        different = ", ".join(_differences(found, wanted))
        raise RunRefused(f"run {name} was begun with other settings ({different}): use those, or another --run name")
    return Run(name, folder, settings, as_of)


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    one, two = ({**whole["settings"], **whole} for whole in (found, wanted))
    return [
        f"{key} {one.get(key)}, now {two.get(key)}"
        for key in sorted({*one, *two} - {"settings"})
        if one.get(key) != two.get(key)
    ]


def _unfinished(folder: Path, settings: RunSettings, now: datetime) -> str | None:
    wanted = {"settings": asdict(settings), **_program()}
    found: list[tuple[datetime, str]] = []
    for path in folder.glob(f"*/{RUN}"):
        with contextlib.suppress(RunRefused):  # another run's trouble
            content = _read(path.parent)
            if content is not None and not (path.parent / RESULT).exists():
                as_of = datetime.fromisoformat(content.pop("as_of"))
                if content == wanted and now - as_of <= _GO_ON_WITHIN:
                    found.append((as_of, path.parent.name))
    return max(found)[1] if found else None


def _read(folder: Path) -> dict[str, Any] | None:
    """What the run's file says; None where there is none. Raises RunRefused for one that cannot be read."""
    try:
        content: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
        datetime.fromisoformat(content["as_of"])
        if not isinstance(content["settings"], dict):
            raise TypeError
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise RunRefused(
            f"{folder / RUN} cannot be read: remove the folder {folder}, or use another --run name"
        ) from None
    return content


def _program() -> dict[str, Any]:
    """Other versions may compute something else from the same data."""
    return {"features_version": FEATURES_VERSION, "lightgbm": version("lightgbm")}


@contextlib.contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """The lock goes with the process, however that ends."""
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunRefused(
                f"run {name} is going on already (process {file.read() or 'unknown'}): wait for it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
