"""What the report says of calibration, of what was shown, and of a running experiment is what was planted."""

from __future__ import annotations

import numpy as np
import pytest

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.listening import TYPES, Listens
from rhythmiq_recommender.training.calibration import calibration
from rhythmiq_recommender.training.shown import by_variant, shown

MINUTE = 60.0


def did(*rows: tuple[int, int, str, float, int]) -> Listens:
    """(listener, item, type, minutes, position)."""
    listener, item, type_, time, position = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Listens(
        np.array(listener, np.int64),
        np.array(item, np.int64),
        np.array([TYPES.index(name) for name in type_], np.int8),
        np.array(time, np.float64) * MINUTE,
        np.full((len(rows), len(KINDS)), -1, np.int8),
        np.array(position, np.int64),
        np.full(len(rows), 0.5, np.float32),
    )


def test_scores_that_are_log_odds_are_called_calibrated_and_distorted_ones_are_not() -> None:
    chance = np.random.default_rng(2)
    listener = np.repeat(np.arange(200), 100)
    odds = chance.normal(-2, 1.2, len(listener))
    liked = chance.random(len(listener)) < 1 / (1 + np.exp(-odds))
    good = calibration(odds, liked, listener)
    assert good["error"] < 0.012
    assert [point["rows"] for point in good["points"]] == [1_000] * 10
    bad = calibration(np.sign(odds + 2) * np.abs(odds + 2) ** 5, liked, listener)
    assert bad["error"] > 2 * good["error"]


@pytest.mark.parametrize("label", [False, True])
def test_one_class_has_no_calibration(label: bool) -> None:
    found = calibration(np.zeros(10), np.full(10, label), np.arange(10))
    assert found == {"error": None, "points": []}


def test_what_was_shown_is_liked_when_the_session_adds_up_to_a_yes() -> None:
    listens = did(
        (0, 5, "IMPRESSION", 0, 1),
        (0, 6, "IMPRESSION", 0, 2),
        (0, 7, "IMPRESSION", 0, 3),
        (0, 5, "COMPLETE", 4, -1),
        (0, 6, "PLAY", 5, -1),
        (0, 6, "SKIP", 6, -1),
        # Another session, and another listener: neither says anything about the first.
        (0, 7, "LIKE", 90, -1),
        (1, 7, "LIKE", 1, -1),
        # Not shown at a place of a list.
        (1, 8, "IMPRESSION", 2, -1),
    )
    found = shown(listens)
    assert {int(listens.item[row]): bool(liked) for row, liked in zip(found.row, found.liked, strict=True)} == {
        5: True,
        6: False,
        7: False,
    }


def test_nothing_shown_gives_nothing() -> None:
    assert len(shown(did())) == 0
    assert len(shown(did((0, 1, "LIKE", 0, -1)))) == 0


def test_variants_are_told_apart_and_what_was_before_the_experiment_does_not_count() -> None:
    chance = np.random.default_rng(3)
    rows: list[tuple[int, int, str, float, int]] = []
    for listener in range(40):
        for visit in range(10):
            minutes = 1_000.0 * visit
            rows.append((listener, visit, "IMPRESSION", minutes, 1))
            if chance.random() < (0.8 if listener % 2 else 0.2):
                rows.append((listener, visit, "LIKE", minutes + 1, -1))
    listens = did(*rows)
    variants = np.arange(40) % 2
    variants[:4] = -1
    since = 5_000 * MINUTE
    others, ours = by_variant(listens, variants, ("others", "autumn"), since)
    assert (others["variant"], ours["variant"]) == ("others", "autumn")
    assert (others["listeners"], ours["listeners"]) == (18, 18)
    assert (others["shown"], ours["shown"]) == (90, 90)
    assert others["liked"]["high"] < ours["liked"]["low"]
    assert ours["liked"]["low"] <= 0.8 <= ours["liked"]["high"]
