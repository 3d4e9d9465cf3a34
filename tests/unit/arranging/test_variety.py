"""The order of a list: score against variety, artists apart, one song once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import small_catalogue
from candidates import Sounds, drawn

from rhythmiq_recommender.arranging.likeness import Likeness
from rhythmiq_recommender.arranging.variety import (
    APART,
    CONTENDERS,
    Candidates,
    best_first,
    contenders,
    spaced,
    varied,
)
from rhythmiq_recommender.snapshot import UNKNOWN, CatalogSnapshot

STRENGTHS = (0.0, 0.15, 0.3, 0.5, 0.8, 1.0)


def chosen(candidates: Candidates, seed: int, diversity: float, count: int = 20) -> tuple[list[int], Sounds]:
    order, _ = best_first(candidates)
    some = contenders(candidates, order, count)
    alike = Sounds(candidates.take(some), seed)
    return varied(candidates.take(some), count, diversity, alike), alike


def test_variety_rises_with_its_strength_and_score_falls() -> None:
    likeness, score = [], []
    for strength in STRENGTHS:
        found = []
        for seed in range(40):
            candidates = drawn(seed)
            order, _ = best_first(candidates)
            scores = candidates.scores[contenders(candidates, order, 20)]
            indexes, alike = chosen(candidates, seed, strength)
            found.append((alike.among(indexes), float(scores[indexes].mean())))
        likeness.append(float(np.mean([each for each, _ in found])))
        score.append(float(np.mean([each for _, each in found])))
    assert likeness == sorted(likeness, reverse=True)
    assert score == sorted(score, reverse=True)
    assert len(set(likeness)) == len(set(score)) == len(STRENGTHS)


def test_without_variety_the_best_come_first() -> None:
    candidates = drawn(1)._replace(artists=np.full(300, UNKNOWN, np.int32))
    indexes, _ = chosen(candidates, 1, 0.0)
    assert indexes == list(range(20))


def test_however_strong_variety_is_it_chooses_among_the_best_only() -> None:
    candidates = drawn(2)
    order, _ = best_first(candidates)
    some = contenders(candidates, order, 10)
    assert len(some) == CONTENDERS * 10
    of_each = Counter(candidates.artists[some].tolist())
    assert max(of_each.values()) == 2  # as many as a list of ten has room for
    outside = set(order.tolist()) - set(some.tolist())
    least = candidates.scores[some].min()
    assert all(of_each[candidates.artists[each]] == 2 for each in outside if candidates.scores[each] > least)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_artists_stay_apart_however_strong_variety_is(strength: float) -> None:
    for seed in range(20):
        candidates = drawn(seed, artists=60)
        order, _ = best_first(candidates)
        some = contenders(candidates, order, 20)
        indexes, _ = chosen(candidates, seed, strength)
        artists = candidates.artists[some[indexes]].tolist()
        for place, artist in enumerate(artists):
            assert artist not in artists[max(0, place - APART) : place]


def test_an_artist_returns_when_there_is_nobody_else() -> None:
    artists = np.array([7, 7, 7, 8, UNKNOWN, UNKNOWN], np.int32)
    assert spaced(artists, 6) == [0, 3, 4, 5, 1, 2]
    assert spaced(artists, 2, before=[7]) == [3, 4]
    assert spaced(artists, 2, before=[7, 9, 9, 9, 9, 9, 9]) == [0, 3]


def test_where_few_artists_are_all_contend() -> None:
    candidates = Candidates(-np.arange(30.0), np.zeros(30, np.int32), np.arange(30))
    order, again = best_first(candidates)
    assert contenders(candidates, order, 10).tolist() == list(range(30))
    assert len(again) == 0


def test_of_one_song_the_best_comes_first_and_the_others_last() -> None:
    candidates = Candidates(np.array([1.0, 3.0, 2.0, 3.0]), np.arange(4), np.array([5, 6, 5, 7]))
    order, again = best_first(candidates)
    assert (order.tolist(), again.tolist()) == ([1, 3, 2], [0])


def test_likeness_is_one_for_the_same_symmetric_and_never_more() -> None:
    snapshot = small_catalogue.snapshot()
    rows = np.arange(0, len(snapshot), 7)
    likeness = Likeness(snapshot, rows)
    matrix = np.array([likeness.to(index) for index in range(len(rows))])
    assert matrix == pytest.approx(matrix.T)
    assert matrix.min() >= 0
    assert matrix.max() <= 1 + 1e-9
    assert np.diag(matrix).max() == pytest.approx(1)


def test_what_is_not_known_of_an_item_is_like_nothing() -> None:
    nameless = [small_catalogue.named(f"demo:nameless-{n}", f"Untitled {n}").SerializeToString() for n in range(2)]
    snapshot = CatalogSnapshot.build([*nameless, *small_catalogue.serialized()[:20]])
    rows = np.arange(len(snapshot))
    nobody = int(np.flatnonzero(snapshot.first_artist == UNKNOWN)[0])
    assert Likeness(snapshot, rows).to(nobody).tolist() == [0.0] * len(rows)


def test_likeness_tells_sound_genre_and_artist() -> None:
    def track(number: int, artist: str, genre: str, energy: float) -> bytes:
        made = small_catalogue.named(f"demo:like-{number}", f"Like {number}")
        made.artists.append(artist)
        made.genres.append(genre)
        made.features.energy = energy
        return made.SerializeToString()

    items = [
        track(0, "A", "jazz", 0.2),
        track(1, "A", "jazz", 0.2),
        track(2, "B", "jazz", 0.2),
        track(3, "B", "rock", 0.2),
        track(4, "B", "rock", 0.9),
    ]
    snapshot = CatalogSnapshot.build(items)
    place = {snapshot.item(row).title: row for row in range(5)}
    likeness = Likeness(snapshot, np.arange(5)).to(place["Like 0"])
    same, genre, sound, nothing = (float(likeness[place[f"Like {number}"]]) for number in (1, 2, 3, 4))
    assert (same, genre, sound) == pytest.approx((1, 0.75, 0.5))
    assert nothing < 0.5
