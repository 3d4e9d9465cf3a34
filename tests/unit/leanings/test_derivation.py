"""What is, and what is not, a leaning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_leanings import (
    DAY,
    GENRES,
    HOUR,
    NOW,
    PER_GENRE,
    catalogue,
    facts,
    heard,
    history,
    item_id,
    of_genre,
)

from rhythmiq_recommender.leanings.derive import derive
from rhythmiq_recommender.leanings.model import MOST, ItemFacts, Learned, nameable
from rhythmiq_recommender.leanings.shelf import Shelf, shelf_of
from rhythmiq_recommender.learning.history import EMPTY
from rhythmiq_recommender.situation import LeaningType

SHELF = shelf_of(catalogue())
EVERYTHING = list(range(len(GENRES) * PER_GENRE))


def learned(events: list[tuple[int, str, float]], shelf: Shelf = SHELF, now: float = NOW) -> dict[str, Learned]:
    return {each.value.name: each for each in derive(history(events), shelf, now)}


def genres(events: list[tuple[int, str, float]], shelf: Shelf = SHELF, now: float = NOW) -> set[str]:
    return {name for name, each in learned(events, shelf, now).items() if each.value.type is LeaningType.GENRE}


def test_genre_heard_more_than_its_share_is_liked_and_says_what_it_rests_on() -> None:
    events = heard(of_genre("jazz")[:15]) + heard(EVERYTHING[::20], age=3 * DAY)
    found = learned(events)["Jazz"]
    jazz = [event for event in events if event[0] in of_genre("jazz")]
    assert 0.55 <= found.weight <= 1
    assert 0 < found.confidence <= 1
    assert found.evidence == len(jazz)
    assert found.time == NOW - min(age for _, _, age in jazz)


def test_who_hears_everything_alike_leans_to_nothing() -> None:
    assert learned(heard(EVERYTHING[::3])) == {}


def test_what_everybody_hears_is_nobodys_leaning() -> None:
    ids = np.array([item_id(number) for number in EVERYTHING], "S16")
    hits = set(of_genre("pop"))
    plays = np.array([2_000.0 if number in hits else 20.0 for number in EVERYTHING])
    mainstream = heard(of_genre("pop"))
    assert genres(mainstream) == {"Pop"}
    assert genres(mainstream, SHELF.heard(ids, plays)) == set()
    assert genres(heard(of_genre("folk")[:15]), SHELF.heard(ids, plays)) == {"Folk"}


def test_own_plays_do_not_hide_a_leaning_from_the_only_listener() -> None:
    events = heard(of_genre("jazz")) * 1
    ids = np.array([item_id(number) for number, _, _ in events], "S16")
    assert genres(events, SHELF.heard(ids, np.full(len(ids), 1.0))) == {"Jazz"}


def test_what_is_skipped_and_disliked_among_what_is_heard_is_avoided() -> None:
    events = heard(of_genre("metal")[:10], "SKIP") + heard(EVERYTHING[::5], age=5 * DAY)
    found = learned(events)["Metal"]
    assert -1 <= found.weight <= -0.55
    assert found.evidence == 10


def test_genre_that_is_never_heard_is_not_avoided() -> None:
    assert all(each.weight > 0 for each in learned(heard(of_genre("jazz"))).values())


def test_what_is_sought_and_rejected_alike_is_neither() -> None:
    jazz = of_genre("jazz")
    mixed = heard(jazz[:20]) + heard(jazz[20:], "DISLIKE", age=4 * DAY) + heard(EVERYTHING[::16], age=9 * DAY)
    assert "Jazz" not in learned(mixed)


def test_started_and_left_is_a_no_and_liked_after_a_skip_is_a_yes() -> None:
    metal, base = of_genre("metal")[:12], heard(EVERYTHING[::5], age=5 * DAY)
    left = [event for n in metal for event in ((n, "PLAY", DAY + n * HOUR), (n, "SKIP", DAY + n * HOUR - 30))]
    assert learned(base + left)["Metal"].weight < 0
    liked = [event for n in metal for event in ((n, "SKIP", DAY + n * HOUR), (n, "LIKE", DAY + n * HOUR - 30))]
    assert learned(base[::4] + liked)["Metal"].weight > 0


def test_artist_is_liked_only_beyond_the_genre() -> None:
    fan_of_genre = learned(heard(of_genre("jazz")))
    assert {each.value.type for each in fan_of_genre.values()} == {LeaningType.GENRE}
    one_artist = [number for number in of_genre("jazz") if facts(number).artists == ("jazz artist 3",)]
    again = [event for week in range(6) for event in heard(one_artist, age=DAY * (1 + 7 * week))]
    fan_of_artist = learned(heard(of_genre("jazz")[:20], age=3 * DAY) + again)
    assert "jazz artist 3" in fan_of_artist
    assert not {name for name in fan_of_artist if "artist" in name} - {"jazz artist 3"}


def test_one_song_a_hundred_times_is_no_leaning_to_its_genre() -> None:
    loop = [(of_genre("ambient")[0], "COMPLETE", DAY + n * HOUR) for n in range(100)]
    assert genres(loop + heard(EVERYTHING[::10], age=9 * DAY)) == set()


def test_tempo_is_learned_as_a_range_where_hearing_is_concentrated() -> None:
    quick = [number for number in EVERYTHING if 120 <= (facts(number).tempo or 0) <= 134]
    found = [each for each in learned(heard(quick)).values() if each.value.type is LeaningType.TEMPO]
    assert len(found) == 1
    low, high = map(int, found[0].value.name.split("-"))
    assert low <= 120
    assert high >= 134
    assert high - low <= 30


@pytest.mark.parametrize("count", [0, 1, 2])
def test_little_evidence_is_none(count: int) -> None:
    assert learned(heard(of_genre("jazz")[:count])) == {}


def test_a_leaning_that_nothing_new_bears_out_grows_unsure_and_goes() -> None:
    events = heard(of_genre("jazz")[:15]) + heard(EVERYTHING[::40], age=3 * DAY)
    fresh = learned(events)["Jazz"]
    later = learned(events, now=NOW + 90 * DAY)["Jazz"]
    assert later.confidence < fresh.confidence
    assert later.strength < fresh.strength
    assert learned(events, now=NOW + 600 * DAY) == {}


def test_newer_hearing_outweighs_older() -> None:
    then, now_ = heard(of_genre("metal"), age=300 * DAY), heard(of_genre("folk"), age=DAY)
    found = learned(then + now_)
    assert found["Folk"].strength > (found["Metal"].strength if "Metal" in found else 0)


def test_kinds_are_compared_with_their_own_kind() -> None:
    """Who hears only podcasts does not lean to whatever podcasts are about."""
    tracks = [replace_kind(facts(number), 1) for number in EVERYTHING]
    podcasts = [
        ItemFacts(item_id(1_000 + n), 2, ("Society" if n % 2 else "Science",), (f"Show {n % 10}",), (), None, 50.0)
        for n in range(60)
    ]
    shelf = shelf_of(tracks + podcasts)
    assert learned(heard([1_000 + n for n in range(40)]), shelf) == {}
    assert genres(heard([1_000 + n for n in range(1, 60, 2)]), shelf) == {"Society"}


def replace_kind(item: ItemFacts, kind: int) -> ItemFacts:
    return item._replace(kind=kind)


def test_unknown_items_count_for_nothing_and_no_history_says_nothing() -> None:
    assert derive(EMPTY, SHELF, NOW) == []
    assert derive(history(heard([10_000, 10_001])), SHELF, NOW) == []
    assert derive(history(heard(of_genre("jazz"))), shelf_of(()), NOW) == []


def test_same_events_in_any_order_give_the_same() -> None:
    events = heard(of_genre("jazz")[:15]) + heard(of_genre("metal")[:8], "SKIP", age=2 * DAY)
    found = derive(history(events), SHELF, NOW)
    assert derive(history(events[::-1]), SHELF, NOW) == found
    assert [each.strength for each in found] == sorted((each.strength for each in found), reverse=True)
    assert len(found) <= MOST


def test_surroundings_make_no_difference() -> None:
    told = history(heard(of_genre("jazz")))
    elsewhere = replace(told, codes=np.ones_like(told.codes))
    assert derive(told, SHELF, NOW) == derive(elsewhere, SHELF, NOW)


@pytest.mark.parametrize("name", ["", " jazz", "ja\nzz", "x" * 201, "\u3000"])
def test_names_that_no_preference_can_have_are_passed_over(name: str) -> None:
    assert not nameable(name)
    items = [item._replace(genres=(name,)) if item.genres == ("Jazz",) else item for item in catalogue()]
    assert genres(heard(of_genre("jazz")), shelf_of(items)) == set()


def test_names_are_one_however_they_are_spelt_and_the_last_of_two_items_counts() -> None:
    items = list(catalogue())
    spelt = [item._replace(genres=("JAZZ",)) if n % 16 == 4 else item for n, item in enumerate(items)]
    assert {name.lower() for name in genres(heard(of_genre("jazz")), shelf_of(spelt))} == {"jazz"}
    shelf = shelf_of([*items, items[0]._replace(genres=("Other",))])
    assert len(shelf) == len(items)
    assert {shelf.values[number].name for number in shelf.values_of(shelf.rows_of(np.array([item_id(0)], "S16")))} >= {
        "Other"
    }
