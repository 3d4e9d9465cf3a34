"""A workflow of steps that can be killed at any moment and started again.

A step writes files into a folder of its own; `done.json`, written last and atomically, says from what they were made
and what they must contain. Started again, a workflow passes over the steps that are done and unchanged, and does the
others: what was truncated, changed or made from something else is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rhythmiq_recommender.training.progress import Progress, Tell

DONE: Final = "done.json"
BEGUN: Final = "begun.json"
FORMAT: Final = 1
_BLOCK: Final = 2**20

Facts = Mapping[str, Any]
"""What a step has to say beside its files; JSON."""


class StepFailed(Exception):
    """A step could not be done: something that it needs stayed away. The message is a sentence for people."""

    def __init__(self, step: str, attempts: int, cause: Exception) -> None:
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"step {step} failed after {times}: {_told(cause)}")
        self.step = step
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a step works: its own folder, those of the steps before it, and whom to tell how far it is."""

    folder: Path
    before: Mapping[str, Path]
    tell: Tell


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `work` must give the same files for the same inputs and settings, however often it was interrupted."""

    name: str
    work: Callable[[Scene], Facts]
    after: tuple[str, ...] = ()
    """The steps whose files it reads."""
    keeps: tuple[str, ...] = ()
    """Files that an interrupted attempt leaves for the next one, such as a journal."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a step is tried when what it needs is away: pauses double from `first` to `longest` seconds."""

    transient: tuple[type[Exception], ...]
    attempts: int = 5
    first: float = 1.0
    longest: float = 30.0
    pause: Callable[[float], None] = time.sleep

    def before(self, attempt: int) -> float:
        """Seconds to wait before attempt 2, 3 …"""
        return min(self.first * 2.0 ** (attempt - 2), self.longest)


@dataclass(frozen=True, slots=True)
class Done:
    """What `done.json` says of a finished step."""

    step: str
    settings: Facts
    inputs: Mapping[str, str]
    """Fingerprints of the steps that it was made from."""
    files: Mapping[str, str]
    """SHA-256 of each file, by path within the folder."""
    facts: Facts
    fingerprint: str = ""

    def sealed(self) -> Done:
        """With the fingerprint of all else."""
        content = [FORMAT, self.step, self.settings, self.inputs, self.files, self.facts]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return Done(self.step, self.settings, self.inputs, self.files, self.facts, digest)


@dataclass(slots=True)
class Workflow:
    """Steps in order, below one folder. `settings` are those of the run: with others, nothing done before counts."""

    folder: Path
    steps: Sequence[Step]
    settings: Facts
    progress: Progress
    retries: Retries
    done: dict[str, Done] = field(default_factory=dict)

    def run(self) -> Mapping[str, Done]:
        """Does what is not done. Raises StepFailed when something stays away, and what a step itself refuses with."""
        for number, step in enumerate(self.steps, 1):
            found = self._finished(step)
            if found is None:
                with self.progress.step(step.name, number, len(self.steps)) as tell:
                    found = self._do(step, tell)
            else:
                self.progress.say(f"{number}/{len(self.steps)} {step.name}: done before")
            self.done[step.name] = found
        return self.done

    def path(self, step: str) -> Path:
        """The folder of a step."""
        return self.folder / step

    def _inputs(self, step: Step) -> dict[str, str]:
        return {name: self.done[name].fingerprint for name in step.after}

    def _finished(self, step: Step) -> Done | None:
        """What was done before, if that is whole and was made from these inputs with these settings."""
        folder = self.path(step.name)
        found = _read_done(folder / DONE)
        if found is None:
            return None
        if (found.settings, found.inputs) != (dict(self.settings), self._inputs(step)):
            self.progress.say(f"{step.name}: was made from something else; it is done again")
            return None
        for name, digest in found.files.items():
            if not (folder / name).is_file() or sha256_of(folder / name) != digest:
                self.progress.say(f"{step.name}: {name} is not what was written; the step is done again")
                return None
        return found

    def _do(self, step: Step, tell: Tell) -> Done:
        for attempt in range(1, self.retries.attempts + 1):
            try:
                return self._attempt(step, tell)
            except self.retries.transient as error:
                if attempt == self.retries.attempts:
                    raise StepFailed(step.name, attempt, error) from error
                seconds = self.retries.before(attempt + 1)
                self.progress.say(f"{step.name}: {_told(error)}; tried again in {seconds:g} s")
                self.retries.pause(seconds)
        raise AssertionError("at least one attempt is made")

    def _attempt(self, step: Step, tell: Tell) -> Done:
        inputs = self._inputs(step)
        folder = self.path(step.name)
        _make_ready(folder, {"settings": dict(self.settings), "inputs": inputs}, step.keeps)
        facts = step.work(Scene(folder, {name: self.path(name) for name in step.after}, tell))
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        files = {name: sha256_of(folder / name) for name in names if name != BEGUN}
        # Through JSON and back, so that what is compared later is what was written.
        plain = json.loads(json.dumps(dict(facts)))
        done = Done(step.name, dict(self.settings), inputs, files, plain).sealed()
        write_json(folder / DONE, {slot: getattr(done, slot) for slot in Done.__slots__})
        return done


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, content: object) -> None:
    """Writes the file whole or not at all, and onto the disk before anything refers to it."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _read_done(path: Path) -> Done | None:
    """None unless the file is there and is what was written."""
    try:
        done = Done(**json.loads(path.read_text(encoding="utf-8")))
        return done if done == done.sealed() else None
    except (OSError, ValueError, TypeError):
        return None


def _make_ready(folder: Path, made_from: Facts, keeps: Sequence[str]) -> None:
    """Empties the folder, but for what the step keeps of an unfinished attempt that was begun from the same."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        begun = json.loads((folder / BEGUN).read_text(encoding="utf-8"))
        same = begun == json.loads(json.dumps(made_from)) and not (folder / DONE).exists()
    except (OSError, ValueError):
        same = False
    # First of all: a kill while the folder is emptied must not leave something that looks finished.
    (folder / DONE).unlink(missing_ok=True)
    for path in folder.iterdir():
        if same and path.name in {BEGUN, *keeps}:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not same:
        write_json(folder / BEGUN, made_from)


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
