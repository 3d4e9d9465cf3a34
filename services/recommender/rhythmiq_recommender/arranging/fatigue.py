"""Rest for what was heard lately: how tired a listener is of an item, and in a listener's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.plan import Group, Subject
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import Ranked, ScoreArray
from rhythmiq_recommender.snapshot import UNKNOWN, BoolArray, CatalogSnapshot

FATIGUE_SCORE: Final = 2.0
"""Score that a fatigue of 1 costs an item that was heard just now: as much as a liked artist is worth (see plan)."""

HALF_LIFE: Final = 8 * 3600.0
"""Seconds after which half of a hearing is left: much on the same day, an eighth on the next. An assumption."""

FORGOTTEN: Final = 14 * HALF_LIFE
"""Seconds after which a hearing no longer counts, nearly five days: nothing that a score tells is left of it."""

ARTIST_PART: Final = 0.3
"""How much a hearing tires of the artist's other items, next to the item itself. An assumption."""

SUBJECT: Final = Subject(Group.NOVELTY, "heard")


@dataclass(frozen=True, slots=True)
class Tiredness:
    """By candidate: how tired a listener is of it."""

    level: ScoreArray
    """0 to 1."""
    age: ScoreArray
    """Seconds since it, or its artist, was heard; infinite: not lately."""
    artist_only: BoolArray
    """Whether it is for its artist's sake only."""


def tiredness(snapshot: CatalogSnapshot, rows: IntArray, heard: History, time: float) -> Tiredness | None:
    """Of the items at `rows`, at `time` in seconds since 1970; None where nothing was heard lately.

    Each hearing counts 2^(-age / HALF_LIFE), and several add up as independent chances do: 1 - (1 - a)(1 - b) …
    """
    recent = heard.time > time - FORGOTTEN
    found = np.searchsorted(snapshot.columns.ids, heard.item[recent])
    found = np.minimum(found, max(len(snapshot) - 1, 0))
    if not len(found) or not len(snapshot):
        return None
    known = snapshot.columns.ids[found] == heard.item[recent]
    if not known.any():
        return None
    heard_rows = found[known]
    ages = np.maximum(time - heard.time[recent][known], 0)
    artists = snapshot.first_artist
    of_item, item_age = _faded(rows, heard_rows, ages)
    by_artist, artist_age = _faded(artists[rows], artists[heard_rows], ages)
    by_artist[artists[rows] == UNKNOWN] = 0
    by_artist *= ARTIST_PART
    artist_only = by_artist > of_item
    return Tiredness(np.maximum(of_item, by_artist), np.where(artist_only, artist_age, item_age), artist_only)


def _faded(wanted: NDArray[np.integer], heard: NDArray[np.integer], ages: ScoreArray) -> tuple[ScoreArray, ScoreArray]:
    """What is left of all hearings of each wanted number, 0 to 1, and the age of the latest, infinite without one."""
    numbers, inverse = np.unique(heard, return_inverse=True)
    # Never quite 1, whose logarithm there is not.
    left = np.log1p(-np.minimum(np.exp2(-ages / HALF_LIFE), 1 - 1e-9))
    level = -np.expm1(np.bincount(inverse, weights=left))
    latest = np.full(len(numbers), np.inf)
    np.minimum.at(latest, inverse, ages)
    place = np.searchsorted(numbers, wanted).clip(max=len(numbers) - 1)
    hit = numbers[place] == wanted
    return np.where(hit, level[place], 0.0), np.where(hit, latest[place], np.inf)


def rested(ranked: Ranked, snapshot: CatalogSnapshot, history: History, time: float, fatigue: float) -> Ranked:
    """The same with what was heard lately lower: by FATIGUE_SCORE * fatigue, 0 to 1, times the tiredness of it."""
    tired = tiredness(snapshot, ranked.rows, history, time) if fatigue > 0 else None
    if tired is None:
        return ranked

    def words(position: int) -> str:
        told = f"heard {ago(float(tired.age[position]))}"
        if tired.artist_only[position]:
            artist = int(snapshot.first_artist[ranked.rows[position]])
            told = f"by {snapshot.names.artists.names[artist]}, {told}"
        return told

    return ranked.plus(-FATIGUE_SCORE * fatigue * tired.level, SUBJECT, words)


def ago(seconds: float) -> str:
    """A time past in a listener's words, in its largest unit."""
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), round(seconds / 86_400)
    if minutes < 2:
        return "just now"
    if minutes < 60:
        return f"{minutes} minutes ago"
    if hours < 24:
        return "an hour ago" if hours == 1 else f"{hours} hours ago"
    return "a day ago" if days == 1 else f"{days} days ago"
