"""Exploration is bounded, harmless and logged exactly: every promise by simulation."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from candidates import drawn
from scipy.stats import chisquare

from rhythmiq_recommender.arranging.exploration import FIRST, POOL, WITHIN, Placed, explored
from rhythmiq_recommender.arranging.variety import Candidates, best_first, contenders, spaced
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.snapshot import UNKNOWN

DRAWS = 20_000
SHARES = (0.05, 0.3)


def world(seed: int, count: int = 20, **fields: int) -> tuple[list[int], Candidates, IntArray]:
    """The best list, all candidates, and those that contend for the list."""
    candidates = drawn(seed, **fields)
    order, _ = best_first(candidates)
    best = order[spaced(candidates.artists[order], count)].tolist()
    return best, candidates, contenders(candidates, order, count)


def lists(seed: int, share: float, draws: int = 300) -> tuple[list[int], Candidates, IntArray, list[list[Placed]]]:
    best, candidates, some = world(seed)
    dice = random.Random(seed)
    return best, candidates, some, [explored(best, candidates, some, share, dice) for _ in range(draws)]


@pytest.mark.parametrize("share", SHARES)
def test_items_stand_at_places_as_often_as_their_propensities_say(share: float) -> None:
    _, _, _, found = lists(3, share, DRAWS)
    for place in range(20):
        seen = Counter(placed[place].position for placed in found)
        told = {placed[place].position: placed[place].propensity for placed in found}
        assert sum(told.values()) == pytest.approx(1)
        if len(told) > 1:
            expected = [DRAWS * told[position] for position in sorted(told)]
            assert chisquare([seen[position] for position in sorted(told)], expected).pvalue > 1e-4


def test_an_item_has_one_propensity_at_a_place_whatever_else_the_list_has() -> None:
    _, _, _, found = lists(4, 0.3, 2_000)
    told = {(place, each.position, each.propensity) for placed in found for place, each in enumerate(placed)}
    assert len(told) == len({(place, position) for place, position, _ in told})


@pytest.mark.parametrize("share", SHARES)
def test_no_more_places_are_explored_than_the_share_allows(share: float) -> None:
    for seed in range(10):
        *_, found = lists(seed, share)
        counts = [sum(each.explored for each in placed) for placed in found]
        assert max(counts) <= math.ceil(share * 20)
        assert np.mean(counts) <= share * 20
        assert any(counts)


def test_explored_places_are_never_the_first_two_nor_next_to_each_other() -> None:
    for seed in range(10):
        *_, found = lists(seed, 0.3)
        for placed in found:
            places = [place for place, each in enumerate(placed, start=1) if each.explored]
            assert all(place >= FIRST for place in places)
            assert all(after - before > 1 for before, after in pairwise(places))


def test_what_is_explored_is_nearly_as_good_as_what_gives_way() -> None:
    for seed in range(10):
        best, candidates, some, found = lists(seed, 0.3)
        most = WITHIN * candidates.scores[some].std()
        for placed in found:
            for place, each in enumerate(placed):
                if each.explored:
                    assert candidates.scores[each.position] >= candidates.scores[best[place]] - most
                else:
                    assert each.position == best[place]


def test_an_outstanding_item_never_gives_way() -> None:
    best, candidates, some = world(5)
    candidates.scores[best[5]] += 100
    dice = random.Random(5)
    for _ in range(300):
        assert explored(best, candidates, some, 0.3, dice)[5] == Placed(best[5])


def test_nobody_is_in_a_list_twice_and_explored_artists_are_nobody_elses() -> None:
    for seed in range(10):
        best, candidates, _, found = lists(seed, 0.3)
        known = {int(candidates.artists[position]) for position in best} - {UNKNOWN}
        for placed in found:
            positions = [each.position for each in placed]
            assert len(set(positions)) == len(positions)
            songs = candidates.songs[positions].tolist()
            assert len(set(songs)) == len(songs)
            artists = [int(candidates.artists[each.position]) for each in placed if each.explored]
            assert len(set(artists)) == len(artists)
            assert not known & set(artists)


def test_at_most_so_many_take_part_that_each_is_seen() -> None:
    best, _, _, found = lists(6, 0.3, 3_000)
    explorers = {each.position for placed in found for each in placed if each.explored}
    assert len(explorers) <= POOL
    assert not explorers & set(best)


def test_a_pool_too_small_for_the_share_explores_less_and_says_so() -> None:
    """22 candidates for 20 places: two are left, so two of the 18 free places at most."""
    best, candidates, some = world(7, count=20)
    keep = np.concatenate([best, [position for position in some if position not in best][:2]])
    few = candidates.take(keep)._replace(artists=np.full(22, UNKNOWN, np.int32))
    dice = random.Random(7)
    found = [explored(list(range(20)), few, np.arange(22), 0.3, dice) for _ in range(DRAWS)]
    assert max(sum(each.explored for each in placed) for placed in found) <= 2
    seen = Counter(placed[10].position for placed in found)
    told = {placed[10].position: placed[10].propensity for placed in found}
    assert sum(told.values()) == pytest.approx(1)
    assert chisquare([seen[one] for one in sorted(told)], [DRAWS * told[one] for one in sorted(told)]).pvalue > 1e-4


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_list_of_two_is_as_it_is(count: int) -> None:
    best, candidates, some = world(8, count=20)
    placed = explored(best[:count], candidates, some, 0.3, random.Random(8))
    assert placed == [Placed(position) for position in best[:count]]


def test_a_list_that_has_everyone_explores_nothing() -> None:
    best, candidates, some = world(9, count=30, artists=3)
    assert all(each.propensity == 1 for each in explored(best, candidates, some, 0.3, random.Random(9)))
