"""A small catalogue and listeners with leanings that a test plants, and the demo world's as the same kind of thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from rhythmiq_cli.demo.world import AUDIO, TYPES, World
from rhythmiq_recommender.leanings.model import ItemFacts
from rhythmiq_recommender.leanings.shelf import Shelf, shelf_of
from rhythmiq_recommender.learning.encoding import CATEGORIES
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.learning.listening import VERDICTS

NOW = 1_760_000_000.0
HOUR, DAY = 3_600.0, 86_400.0
GENRES = ("ambient", "blues", "classical", "folk", "jazz", "metal", "pop", "techno")
PER_GENRE = 40


def item_id(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")


def facts(number: int) -> ItemFacts:
    """Item `number`: 8 genres by turns; within each 10 artists, two instruments, tempi from 80 to 158 BPM."""
    genre, place = GENRES[number % len(GENRES)], number // len(GENRES)
    return ItemFacts(
        item_id(number),
        1,
        (genre.title(),),
        (f"{genre} artist {place % 10}",),
        (f"{genre} instrument {place % 2}",),
        80.0 + 2 * (place * 7 % PER_GENRE),
        50.0,
    )


def catalogue() -> Iterator[ItemFacts]:
    return map(facts, range(len(GENRES) * PER_GENRE))


def of_genre(genre: str) -> list[int]:
    """Numbers of a genre's items."""
    return [GENRES.index(genre) + len(GENRES) * place for place in range(PER_GENRE)]


def history(events: Iterable[tuple[int, str, float]]) -> History:
    """A history of (item number, interaction type, seconds before NOW)."""
    rows = sorted(events, key=lambda event: -event[2])
    return History(
        np.array([item_id(number) for number, _, _ in rows], "S16"),
        np.array([NOW - age for _, _, age in rows]),
        np.array([VERDICTS[type_] for _, type_, _ in rows], np.float32),
        np.full((len(rows), len(CATEGORIES)), -1, np.int8),
    )


def heard(numbers: Sequence[int], type_: str = "COMPLETE", *, age: float = DAY) -> list[tuple[int, str, float]]:
    """Each item once, an hour apart."""
    return [(number, type_, age + HOUR * place) for place, number in enumerate(numbers)]


def world_shelf(world: World) -> Shelf:
    """The demo world's catalogue, with what all of its listeners have heard; items have their row as id."""
    items, tempo = world.items, world.items.audio[:, AUDIO.index("tempo")]
    shelf = shelf_of(
        ItemFacts(
            item_id(row),
            int(items.kind[row]),
            (items.genre_names[items.genre[row]],),
            (items.artist_names[items.artist[row]],),
            tuple(np.array(items.instrument_names)[items.instruments[row]].tolist()),
            None if np.isnan(tempo[row]) else float(tempo[row]),
            float(items.popularity[row]),
        )
        for row in range(len(items))
    )
    liked = _verdicts()[world.events.type] > 0
    plays = np.bincount(world.events.item[liked], minlength=len(items)).astype(np.float64)
    return shelf.heard(np.array([item_id(row) for row in range(len(items))], "S16"), plays)


def world_history(world: World, listener: int) -> History:
    """What one listener of the demo world did."""
    rows = np.flatnonzero((world.events.listener == listener) & (world.events.type != TYPES.index("IMPRESSION")))
    return History(
        np.array([item_id(row) for row in world.events.item[rows].tolist()], "S16"),
        world.events.time[rows],
        _verdicts()[world.events.type[rows]],
        np.full((len(rows), len(CATEGORIES)), -1, np.int8),
    )


def _verdicts() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array([VERDICTS[name] for name in TYPES], np.float32)
