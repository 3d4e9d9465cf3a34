"""Data that cannot teach are refused in a sentence that says all that is missing."""

from __future__ import annotations

import numpy as np
import pytest

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.listening import AUDIO_NAMES, TYPES, Catalogue, Listens
from rhythmiq_recommender.learning.tables import UnfitTables
from rhythmiq_recommender.training.enough import check

ITEMS = 50
DAY = 86_400.0


def catalogue() -> Catalogue:
    none = np.full(ITEMS, -1, np.int64)
    return Catalogue(
        np.array([f"{number:016}" for number in range(ITEMS)], "S16"),
        np.where(np.arange(ITEMS) < 40, 1, 2).astype(np.int8),
        none,
        (),
        none,
        (),
        np.full((ITEMS, len(AUDIO_NAMES)), np.nan, np.float32),
        np.full(ITEMS, np.nan, np.float32),
    )


def listens(
    rows: int = 1_000, listeners: int = 40, *, days: float = 10.0, types: tuple[str, ...] = ("LIKE", "SKIP")
) -> Listens:
    number = np.arange(rows)
    return Listens(
        number % listeners,
        number % 40,
        np.array([TYPES.index(types[place % len(types)]) for place in number], np.int8),
        number * days * DAY / max(rows - 1, 1),
        np.full((rows, len(KINDS)), -1, np.int8),
        np.full(rows, -1),
        np.full(rows, np.nan, np.float32),
    )


def refusal(given: Listens, kind: str = "track", number: int = 1) -> str:
    with pytest.raises(UnfitTables) as caught:
        check(given, catalogue(), kind, number)
    return str(caught.value)


def test_enough_is_enough() -> None:
    check(listens(), catalogue(), "track", 1)


def test_nothing_is_refused() -> None:
    assert "there are no interactions with tracks" in refusal(listens(0))


def test_what_other_kinds_have_does_not_count() -> None:
    assert "there are no interactions with podcast episodes" in refusal(listens(), "podcast_episode", 2)


def test_having_been_shown_is_no_interaction() -> None:
    assert "there are no interactions" in refusal(listens(types=("IMPRESSION",)))


@pytest.mark.parametrize(("types", "said"), [(("SKIP", "DISLIKE"), "skips and dislikes"), (("LIKE", "PLAY"), "likes")])
def test_one_class_is_refused(types: tuple[str, ...], said: str) -> None:
    message = refusal(listens(types=types))
    assert "1,000 interactions with tracks are" in message
    assert said in message
    assert "one class" in message


def test_all_that_is_missing_is_said_at_once() -> None:
    message = refusal(listens(rows=50, listeners=3, days=0.5))
    for said in ("3 listeners (at least 30)", "25 likes, saves and plays (at least 300)", "0.5 days", "(at least 2)"):
        assert said in message
    assert "met" not in message
