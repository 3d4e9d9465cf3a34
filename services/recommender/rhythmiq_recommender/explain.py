"""Why an item is where it is, in a listener's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender import features
from rhythmiq_recommender.plan import Group, Plan, Pull
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import Explained, ScoreArray
from rhythmiq_recommender.situation import LeaningType, Target
from rhythmiq_recommender.snapshot import CatalogSnapshot

TOLD: Final = 5
"""Reasons told one by one for each item; what is weaker is told together: it would only hide the others.

Reasons are half of an answer's bytes, and what the edge spends on it follows its bytes.
"""

STEPS: Final = 10_000
"""What is told of a score or a contribution are whole numbers of 1 / STEPS."""
REST: Final = (Group.OTHER, "rest", "several smaller things together")

_SEEDS_SAY: Final[Mapping[str, str]] = {
    "artist": "by {value}, where you started",
    "genre": "{value}, where you started",
}


class Because(NamedTuple):
    """One reason. The contributions of an item's reasons sum to its score."""

    group: Group
    subject: str
    contribution: float
    text: str


def rounded(score: float) -> float:
    """A score as it is told: what lies behind the fourth decimal says nothing, but takes time and bytes to print."""
    return round(score * STEPS) / STEPS


def reasons(explained: Explained, scores: Sequence[float]) -> list[list[Because]]:
    """The reasons for each candidate, strongest first: at most TOLD, and one for all the rest.

    Their contributions sum to the `rounded` score: what rounding leaves goes to the last of them.
    """
    contributions = explained.contributions
    strength = np.abs(contributions)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :TOLD]
    steps = np.rint(np.take_along_axis(contributions, order, axis=1) * STEPS).astype(int)
    number = np.count_nonzero(strength, axis=1).tolist()
    return [
        _told(explained, index, round(score * STEPS), count, list(zip(parts, columns, strict=True)))
        for index, (score, count, parts, columns) in enumerate(
            zip(scores, number, steps.tolist(), order.tolist(), strict=True)
        )
    ]


def _told(explained: Explained, index: int, score: int, count: int, parts: list[tuple[int, int]]) -> list[Because]:
    """`score` and `parts` (with their columns) in steps of the last decimal told, `count` of the latter not zero."""
    told = [(part, *explained.subject(index, column), explained.words(index, column)) for part, column in parts[:count]]
    left = score - sum(part for part, *_ in told)
    if count > TOLD:
        told.append((left, *REST))
    elif told and left:
        told[-1] = (told[-1][0] + left, *told[-1][1:])
    told.sort(key=_strength)
    return [Because(group, name, part / STEPS, text) for part, group, name, text in told]


def _strength(told: tuple[int, Group, str, str]) -> int:
    return -abs(told[0])


class Teller:
    """Words for the contributions of the prior ranker: `pulled` has the share of each pull, one row each."""

    def __init__(
        self, snapshot: CatalogSnapshot, plan: Plan, rows: IntArray, contributions: ScoreArray, pulled: ScoreArray
    ) -> None:
        self._snapshot, self._plan, self._rows = snapshot, plan, rows
        self._contributions, self._pulled = contributions, pulled
        self._same_for_all: dict[int, str] = {}
        self._said: dict[tuple[int, bool, int, int], str] = {}
        self._pulls: dict[int, list[int]] = {}
        for position, pull in enumerate(plan.pulls):
            self._pulls.setdefault(pull.column, []).append(position)
        by_group: Mapping[Group, Callable[[int, int, str], str]] = {
            Group.SURROUNDINGS: self._surroundings,
            Group.PREFERENCES: self._preference,
            Group.TUNING: self._tuning,
            Group.SEEDS: self._seed,
            Group.POPULARITY: self._popularity,
        }
        self._tell = [by_group[subject.group] for subject in plan.subjects]

    def say(self, position: int, column: int) -> str:
        """One contribution of the candidate at `position`."""
        if column in self._same_for_all:
            return self._same_for_all[column]
        return self._tell[column](position, column, self._plan.subjects[column].name)

    def _for(self, position: int, column: int) -> bool:
        return self._contributions.item(position, column) > 0

    def _surroundings(self, position: int, column: int, name: str) -> str:
        """Names the one or two features that count most, by the condition that they count for."""
        speaks_for = self._for(position, column)
        sign = 1 if speaks_for else -1
        shares = sorted(((sign * self._pulled.item(at, position), at) for at in self._pulls[column]), reverse=True)[:2]
        ahead = [at for share, at in shares if share > 0]
        key = (column, speaks_for, shares[0][1], ahead[-1] if ahead else -1)
        if key not in self._said:
            self._said[key] = self._sentence(name, speaks_for, self._plan.pulls[key[2]], ahead)
        return self._said[key]

    def _sentence(self, name: str, speaks_for: bool, main: Pull, ahead: Sequence[int]) -> str:
        assert main.lean is not None
        same = [
            pull
            for pull in (self._plan.pulls[at] for at in ahead)
            if pull.lean and pull.lean.because == main.lean.because
        ]
        if name == "ambient_noise" and main.lean.condition == "loud":
            # Never advise a higher level: what matters is that nothing gets lost at a safe one.
            fact = "carries well at a safe volume" if speaks_for else "quiet parts may get lost at a safe volume"
            return f"{fact}, because {main.lean.because}"
        qualities = " and ".join(dict.fromkeys(_quality(pull) for pull in same))
        if speaks_for:
            return f"{qualities}, because {main.lean.because}"
        return f"not so {qualities}, although {main.lean.because}"

    def _preference(self, position: int, column: int, name: str) -> str:
        leaning = self._plan.leanings[column]
        verdict = _verdict(leaning.weight, leaning.learned)
        text = f"{leaning.value}, which {verdict}"
        match leaning.type:
            case LeaningType.ARTIST:
                text = f"by {leaning.value}, whom {verdict}"
            case LeaningType.INSTRUMENT:
                text = f"with {leaning.value}, which {verdict}"
            case LeaningType.TEMPO:
                return f"{self._value(position, 'tempo')}, near the {leaning.value} BPM that {verdict}"
        self._same_for_all[column] = text
        return text

    def _tuning(self, position: int, column: int, name: str) -> str:
        nearness = "near" if self._for(position, column) else "away from"
        asked = _amount(name, _wanted(self._plan.targets[column]))
        return f"{name.replace('_', ' ')} {self._value(position, name)}, {nearness} the {asked} you asked for"

    def _seed(self, position: int, column: int, name: str) -> str:
        label, _, value = name.partition(":")
        if label in _SEEDS_SAY:
            return _SEEDS_SAY[label].format(value=value)
        return f"sounds {'like' if self._for(position, column) else 'unlike'} what you started from"

    def _popularity(self, position: int, column: int, name: str) -> str:
        return "well known" if self._for(position, column) else "less known"

    def _value(self, position: int, name: str) -> str:
        raw = self._snapshot.columns.raw[self._rows[position], features.INDEX[name]]
        return _amount(name, float(raw))


def _wanted(target: Target) -> float:
    assert target.target is not None
    return target.target


_PITCHES: Final[Sequence[str]] = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


def _amount(name: str, value: float) -> str:
    """A feature's value as one would say it."""
    match name:
        case "tempo":
            return f"{value:.0f} BPM"
        case "loudness":
            return f"{value:.1f} dB"
        case "duration_ms":
            return f"{int(value) // 60_000}:{int(value) // 1000 % 60:02d} min"
        case "key":
            return _PITCHES[int(value) % 12]
        case "mode":
            return "major" if value >= 0.5 else "minor"
        case "popularity" | "time_signature":
            return f"{value:.0f}"
        case _:
            return f"{value:.2f}"


def _quality(pull: Pull) -> str:
    """What an item is called that has the feature where it is wanted."""
    feature = features.FEATURES[pull.feature]
    return feature.more if pull.target > 0 else feature.less


def _verdict(weight: float, learned: bool) -> str:
    if weight < 0:
        return "you seem to avoid" if learned else "you would rather avoid"
    return "you seem to like" if learned else "you like"
