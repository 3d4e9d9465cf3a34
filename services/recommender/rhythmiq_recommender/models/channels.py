"""A channel says which version of one kind of model answers one cohort of listeners, and what runs beside it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rhythmiq_recommender.learning.package import KINDS
from rhythmiq_recommender.learning.scorer import COHORTS

ALL: Final = "all"
EVERY_COHORT: Final = (ALL, *COHORTS)
MOST_HISTORY: Final = 50
"""Promoted versions that a channel remembers."""

_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")


class BadChannel(ValueError):
    """The content of a channel's file, or what was asked of it, makes no sense; the message says why."""


class DamagedChannel(BadChannel):
    """The file of a channel cannot be understood; the message names it, and what to do."""


class Key(NamedTuple):
    """What a model is for."""

    kind: str
    cohort: str = ALL

    def check(self) -> Key:
        """Itself. Raises BadChannel for a kind or cohort that does not exist."""
        if self.kind not in KINDS:
            raise BadChannel(f"there is no kind {self.kind!r}: use one of {', '.join(KINDS)}")
        if self.cohort not in EVERY_COHORT:
            raise BadChannel(f"there is no cohort {self.cohort!r}: use one of {', '.join(EVERY_COHORT)}")
        return self


def check_version(version: str) -> str:
    """Itself. Raises BadChannel for what could be no version: it becomes the name of a folder."""
    if not _VERSION.fullmatch(version):
        raise BadChannel(f"{version[:100]!r} is not a version: use up to 100 letters, digits, points and dashes")
    return version


@dataclass(frozen=True, slots=True)
class Experiment:
    """`share` of the listeners, 0 to 1, are answered by `version`; see variants."""

    name: str
    version: str
    share: float
    since: str = ""
    """ISO 8601, UTC: from when on version, share and promoted model have been what they are. Set by the registry."""

    def check(self) -> Experiment:
        """Itself. Raises BadChannel."""
        if not _NAME.fullmatch(self.name):
            raise BadChannel(f"{self.name[:100]!r} is not a name of an experiment")
        if not 0 <= self.share <= 1:
            raise BadChannel(f"the share of an experiment must be from 0 to 1, not {self.share:g}")
        check_version(self.version)
        return self


@dataclass(frozen=True, slots=True)
class Channel:
    """`revision` grows by 1 with each change; `promoted` None: the prior answers."""

    revision: int = 0
    promoted: str | None = None
    history: tuple[str, ...] = ()
    """Promoted versions, newest first, with the present one: what a rollback goes back along."""
    shadow: str | None = None
    """Scores what is answered, and is never shown."""
    experiment: Experiment | None = None
    updated: str = ""
    """ISO 8601, UTC."""

    @property
    def versions(self) -> tuple[str, ...]:
        """All that this channel needs, each once; the promoted one first."""
        tried = self.experiment.version if self.experiment else None
        return tuple(dict.fromkeys(version for version in (self.promoted, tried, self.shadow) if version))

    def promoting(self, version: str) -> Channel:
        """With another version promoted. An experiment with it, or a shadow of it, has ended."""
        history = (version, *(old for old in self.history if old != version))[:MOST_HISTORY]
        experiment = None if self.experiment and self.experiment.version == version else self.experiment
        shadow = None if self.shadow == version else self.shadow
        return replace(self, promoted=version, history=history, experiment=experiment, shadow=shadow)

    def back(self) -> Channel:
        """With the version before the promoted one; before the first there is the prior. Raises BadChannel there."""
        if self.promoted is None:
            raise BadChannel("nothing is promoted: there is nothing to go back from")
        rest = tuple(old for old in self.history if old != self.promoted)
        return replace(self, promoted=rest[0] if rest else None, history=rest)

    def since_when(self, before: Channel, now: str) -> Channel:
        """With the start of the experiment: `now` if it, or what it is compared with, was another in `before`."""
        if self.experiment is None:
            return self
        start = before.experiment.since if before.experiment else ""
        experiment = replace(self.experiment, since=start)
        same = (experiment, self.promoted) == (before.experiment, before.promoted)
        return replace(self, experiment=experiment if same else replace(experiment, since=now))

    def to_json(self) -> bytes:
        """The content of a channel's file."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def channel_of(content: bytes) -> Channel:
    """The channel in a file. Raises BadChannel."""
    try:
        found: Any = json.loads(content)
        updated = str(found.get("updated", ""))
        channel = Channel(
            revision=int(found["revision"]),
            promoted=found["promoted"],
            history=tuple(map(str, found["history"])),
            shadow=found.get("shadow"),
            experiment=_experiment_of(found.get("experiment"), updated),
            updated=updated,
        )
        for version in channel.versions:
            check_version(version)
    except BadChannel:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadChannel(f"not the file of a channel: {type(error).__name__}: {error}") from error
    return channel


def _experiment_of(found: Any, updated: str) -> Experiment | None:
    """Raises BadChannel, ValueError, TypeError, KeyError. Files of before `since` was kept began when last changed."""
    if not found:
        return None
    since = str(found.get("since") or updated or datetime.fromtimestamp(0, UTC).isoformat())
    datetime.fromisoformat(since)
    return Experiment(found["name"], found["version"], found["share"], since).check()
