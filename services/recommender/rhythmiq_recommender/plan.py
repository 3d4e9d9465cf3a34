"""A situation turned into numbers: which features are wanted where, and which names, bands and seeds count how much.

Retrieval finds candidates by a plan, and the prior ranks by the same one, so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender import features
from rhythmiq_recommender.features import FloatArray
from rhythmiq_recommender.postings import Vocabulary, fold
from rhythmiq_recommender.prior import (
    POPULARITY_SCORE,
    POPULARITY_WIDTH,
    SURROUNDINGS_WIDTH,
    WELL_KNOWN,
    ActiveLean,
    active_leans,
)
from rhythmiq_recommender.situation import Leaning, LeaningType, Seeds, Situation, Target
from rhythmiq_recommender.snapshot import CatalogSnapshot

# What a preference, target or seed of weight 1 is worth in score. Each is well above what one environment kind usually
# moves (see prior.SURROUNDINGS_SCALE): a prior leans, the listener decides. The ratios are an assumption.
ARTIST_SCORE: Final = 2.0
GENRE_SCORE: Final = 1.5
TEMPO_SCORE: Final = 1.2
INSTRUMENT_SCORE: Final = 1.2
TUNING_SCORE: Final = 2.0
SEED_SOUND_SCORE: Final = 1.5
SEED_ARTIST_SCORE: Final = 1.0
SEED_GENRE_SCORE: Final = 0.8

TUNING_WIDTH: Final = 0.5
"""Distance in standard scores at which nearness has halved."""

BAND_EDGE: Final = 20.0
"""BPM outside a preferred range over which its effect fades to nothing."""


class Group(IntEnum):
    """Where a contribution comes from; numbers as in rhythmiq.recommender.v1.Reason.Group."""

    SURROUNDINGS = 1
    PREFERENCES = 2
    TUNING = 3
    SEEDS = 4
    POPULARITY = 5
    OTHER = 6
    TASTE = 7
    SIMILAR = 8
    NOVELTY = 9


class Subject(NamedTuple):
    """One column of contributions: what they are about."""

    group: Group
    name: str
    """As in Reason.subject: `ambient_noise`, `genre:jazz`, `tempo` …"""


class Pull(NamedTuple):
    """A feature wanted near `target`, a standard score (of key: the pitch class); `weight` in score."""

    column: int
    feature: int
    target: float
    weight: float
    width: float
    lean: ActiveLean | None = None


class NameWeight(NamedTuple):
    """A genre, artist or instrument that counts by `weight`, in score."""

    column: int
    weight: float


class Band(NamedTuple):
    """A tempo range, BPM, that counts by `weight`, in score."""

    column: int
    low: float
    high: float
    weight: float


def band_nearness(bands: Sequence[Band], tempo: NDArray[Any]) -> NDArray[np.float64]:
    """For each tempo and band, shape (len(tempo), len(bands)): 1 inside, fading to 0 over BAND_EDGE; 0 for NaN."""
    low = np.array([band.low for band in bands])
    high = np.array([band.high for band in bands])
    beats = tempo[:, None]
    outside = np.maximum(np.maximum(low - beats, beats - high), 0)
    nearness: NDArray[np.float64] = np.fmax(1 - outside / BAND_EDGE, 0)
    return nearness


@dataclass
class Plan:
    """See the module. `subjects` are the columns that all parts refer to."""

    subjects: list[Subject] = field(default_factory=list)
    pulls: list[Pull] = field(default_factory=list)
    genres: dict[int, list[NameWeight]] = field(default_factory=dict)
    artists: dict[int, list[NameWeight]] = field(default_factory=dict)
    instruments: dict[int, list[NameWeight]] = field(default_factory=dict)
    bands: list[Band] = field(default_factory=list)
    sounds: FloatArray = field(default_factory=lambda: np.zeros((0, features.COUNT), np.float32))
    """Standard scores of what the seeds sound like, one row each."""
    sound_column: int = -1
    leanings: dict[int, Leaning] = field(default_factory=dict)
    targets: dict[int, Target] = field(default_factory=dict)
    """By column: what it comes from, for the words."""

    def add_subject(self, group: Group, name: str) -> int:
        """A new column; the caller sees to it that there is one for each subject."""
        self.subjects.append(Subject(group, name))
        return len(self.subjects) - 1


def make_plan(snapshot: CatalogSnapshot, situation: Situation) -> Plan:
    """The plan for a situation. Names that the catalogue does not have are passed over."""
    plan = Plan()
    _add_popularity(plan, situation)
    by_kind: dict[str, int] = {}
    for lean in active_leans(situation.surroundings):
        if lean.kind not in by_kind:
            by_kind[lean.kind] = plan.add_subject(Group.SURROUNDINGS, lean.kind)
        column = by_kind[lean.kind]
        feature = features.INDEX[lean.feature]
        wanted = features.standard_score(lean.feature, lean.target)
        plan.pulls.append(Pull(column, feature, wanted, lean.weight, SURROUNDINGS_WIDTH, lean))
    for name, target in situation.tuning.items():
        _add_target(plan, name, target)
    for leaning in situation.leanings:
        _add_leaning(plan, snapshot, leaning)
    _add_seeds(plan, snapshot, situation.seeds)
    return plan


def _add_popularity(plan: Plan, situation: Situation) -> None:
    asked = situation.tuning.get("popularity")
    if asked is None or asked.target is None:
        target = features.standard_score("popularity", WELL_KNOWN)
        column = plan.add_subject(Group.POPULARITY, "popularity")
        plan.pulls.append(Pull(column, features.INDEX["popularity"], target, POPULARITY_SCORE, POPULARITY_WIDTH))


def _add_target(plan: Plan, name: str, target: Target) -> None:
    if target.target is None or target.weight == 0:
        return
    column = plan.add_subject(Group.TUNING, name)
    plan.targets[column] = target
    wanted = features.standard_score(name, target.target)
    plan.pulls.append(Pull(column, features.INDEX[name], wanted, TUNING_SCORE * target.weight, TUNING_WIDTH))


_LABELS: Final = {type_: type_.name.lower() for type_ in LeaningType}


def _add_leaning(plan: Plan, snapshot: CatalogSnapshot, leaning: Leaning) -> None:
    if leaning.weight == 0:
        return
    if leaning.type is LeaningType.TEMPO:
        low, _, high = leaning.value.partition("-")
        column = plan.add_subject(Group.PREFERENCES, f"tempo:{leaning.value}")
        plan.bands.append(Band(column, float(low), float(high), TEMPO_SCORE * leaning.weight))
    else:
        vocabulary, weights, scale = _named(plan, snapshot, leaning.type)
        value = fold(leaning.value)
        found = vocabulary.ids.get(value)
        if found is None:
            return
        column = plan.add_subject(Group.PREFERENCES, f"{_LABELS[leaning.type]}:{value}")
        weights.setdefault(found, []).append(NameWeight(column, scale * leaning.weight))
    plan.leanings[column] = leaning


def _named(
    plan: Plan, snapshot: CatalogSnapshot, type_: LeaningType
) -> tuple[Vocabulary, dict[int, list[NameWeight]], float]:
    names = snapshot.names
    match type_:
        case LeaningType.GENRE:
            return names.genres, plan.genres, GENRE_SCORE
        case LeaningType.ARTIST:
            return names.artists, plan.artists, ARTIST_SCORE
        case _:
            return names.instruments, plan.instruments, INSTRUMENT_SCORE


def _add_seeds(plan: Plan, snapshot: CatalogSnapshot, seeds: Seeds) -> None:
    """Seed items and artists pull by their sound; all seeds also by artist and genre."""
    sounds: list[FloatArray] = []
    columns = snapshot.columns
    artists: dict[int, float] = {}
    genres: dict[int, float] = {}
    for row in (snapshot.row_of_name(name) for name in seeds.items):
        if row is not None:
            sounds.append(snapshot.scores[row])
            artists.update(dict.fromkeys(columns.artists[row].tolist(), SEED_ARTIST_SCORE / 2))
            genres.update(dict.fromkeys(columns.genres[row].tolist(), SEED_GENRE_SCORE / 2))
    for artist in (snapshot.names.artists.find(name) for name in seeds.artists):
        if artist is not None and len(rows := snapshot.by_artist[artist]):
            sounds.append(snapshot.scores[rows].mean(axis=0))
            artists[artist] = SEED_ARTIST_SCORE
    for genre in (snapshot.names.genres.find(name) for name in seeds.genres):
        if genre is not None:
            genres[genre] = SEED_GENRE_SCORE
    _add_seed_names(plan, plan.artists, artists, "artist", snapshot.names.artists)
    _add_seed_names(plan, plan.genres, genres, "genre", snapshot.names.genres)
    if sounds:
        plan.sounds = np.array(sounds, np.float32)
        plan.sound_column = plan.add_subject(Group.SEEDS, "sound")


def _add_seed_names(
    plan: Plan, weights: dict[int, list[NameWeight]], found: Mapping[int, float], label: str, names: Vocabulary
) -> None:
    for number, weight in found.items():
        column = plan.add_subject(Group.SEEDS, f"{label}:{fold(names.names[number])}")
        weights.setdefault(number, []).append(NameWeight(column, weight))
