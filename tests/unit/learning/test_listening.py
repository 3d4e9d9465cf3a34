"""Surroundings, histories and listens mean the same in training and in serving."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rhythmiq_recommender.learning.encoding import CATEGORIES, CODES, KINDS, NOWHERE, OFFSETS, WIDTHS, cells, codes_of
from rhythmiq_recommender.learning.history import EMPTY, LONGEST_HISTORY, Deed, History, history_of
from rhythmiq_recommender.learning.listening import (
    AUDIO_NAMES,
    TYPES,
    VERDICTS,
    Catalogue,
    Listens,
    audio_of,
    keys_of,
    tables_of,
)
from rhythmiq_recommender.learning.tables import UnfitTables
from rhythmiq_recommender.prior import CONDITIONS


def catalogue(count: int = 6) -> Catalogue:
    ids = np.array([bytes([number + 1] * 16) for number in range(count)], "S16")
    place = np.arange(count)
    return Catalogue(
        ids,
        np.array([1, 1, 1, 1, 1, 2][:count], np.int8),
        place % 2,
        ("Ada", "Bo"),
        place % 3,
        ("jazz", "pop", "rock"),
        np.zeros((count, len(AUDIO_NAMES)), np.float32),
        np.full(count, np.nan, np.float32),
    )


def listens(rows: list[tuple[int, int, str, float]]) -> Listens:
    listener, item, kind, time = zip(*rows, strict=True)
    count = len(rows)
    return Listens(
        np.array(listener, np.int64),
        np.array(item, np.int64),
        np.array([TYPES.index(name) for name in kind], np.int8),
        np.array(time, np.float64),
        np.tile(NOWHERE, (count, 1)),
        np.full(count, -1, np.int64),
        np.full(count, np.nan, np.float32),
    )


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        ("activity", "working", "working"),
        ("local_time", 4.99, "night"),
        ("local_time", 5.0, "early morning"),
        ("local_time", 23.0, "night"),
        ("local_time", 24.0, "night"),
        ("ambient_noise", 39.9, "silent"),
        ("ambient_noise", 80.0, "very loud"),
        ("temperature", -10.0, "cold"),
        ("heart_rate", 140.0, "racing"),
        ("speed", 0.0, "still"),
    ],
)
def test_a_value_gets_the_code_of_its_bucket(kind: str, value: float | str, name: str) -> None:
    category = CATEGORIES[KINDS.index(kind)]
    codes = codes_of({kind: value})
    assert category.names[codes[KINDS.index(kind)]] == name
    assert (np.delete(codes, KINDS.index(kind)) == -1).all()


@pytest.mark.parametrize(
    "environment",
    [{}, {"activity": "levitating"}, {"activity": 3.0}, {"speed": "fast"}, {"speed": float("nan")}, {"mood": "blue"}],
)
def test_what_is_absent_or_not_understood_is_unknown(environment: dict[str, float | str]) -> None:
    assert np.array_equal(codes_of(environment), NOWHERE)


def test_every_kind_that_the_prior_knows_has_codes_with_a_typical_value_of_their_own() -> None:
    assert {condition.kind for condition in CONDITIONS.values()} <= set(KINDS)
    for category in CATEGORIES:
        assert (
            len(category.names) == (len(category.edges) or len(category.names) - 1) + 1 or category.kind == "local_time"
        )
        for code in range(len(category.names)):
            assert category.code(category.value(code)) == code


def test_codes_of_all_kinds_stand_side_by_side() -> None:
    codes = np.array([width - 1 for width in WIDTHS], np.int8)
    assert cells(codes).tolist() == (OFFSETS + np.array(WIDTHS) - 1).tolist()
    assert cells(NOWHERE).tolist() == [CODES] * len(KINDS)


def test_a_history_is_in_order_of_time_and_knows_no_impressions() -> None:
    one, two = b"a" * 16, b"b" * 16
    found = history_of(
        [
            Deed(two, "SKIP", 20.0, {"activity": "walking"}),
            Deed(one, "LIKE", 10.0, {}),
            Deed(one, "IMPRESSION", 5.0, {}),
            Deed(one, "TELEPATHY", 6.0, {}),
        ]
    )
    assert found.item.tolist() == [one, two]
    assert found.liked.tolist() == pytest.approx([VERDICTS["LIKE"], VERDICTS["SKIP"]])
    assert found.codes[1, KINDS.index("activity")] == CATEGORIES[KINDS.index("activity")].code("walking")
    assert len(history_of([])) == 0


def test_a_history_keeps_the_newest_events() -> None:
    deeds = [Deed(b"a" * 16, "PLAY", float(number), {}) for number in range(LONGEST_HISTORY + 7)]
    found = history_of(deeds)
    assert len(found) == LONGEST_HISTORY
    assert found.time[0] == 7.0
    later = found.plus(history_of([Deed(b"b" * 16, "PLAY", 9_999.0, {})]))
    assert (len(later), later.item[-1], later.time[0]) == (LONGEST_HISTORY, b"b" * 16, 8.0)
    assert found.plus(EMPTY) is found
    assert found.newest(2).time.tolist() == found.time[-2:].tolist()
    assert found.newest(10_000) is found
    with pytest.raises(ValueError, match="differ in length"):
        History(found.item, found.time[1:], found.liked, found.codes)


def test_tables_are_of_one_kind_in_sessions_and_without_impressions() -> None:
    rows = [
        (1, 0, "PLAY", 100.0),
        (0, 1, "LIKE", 5_000.0),
        (0, 0, "PLAY", 0.0),
        (0, 0, "SKIP", 60.0),
        (0, 2, "IMPRESSION", 61.0),
        (0, 5, "PLAY", 62.0),
    ]
    tables = tables_of(listens(rows), catalogue(), 1)
    events = tables.events
    assert events.user.tolist() == [0, 0, 0, 1]
    assert events.item.tolist() == [0, 0, 1, 0]
    assert events.session is not None
    assert events.session.tolist() == [0, 0, 1, 2]
    assert tables.positive.tolist() == [True, False, True, True]
    assert tables.context.kinds == KINDS


def test_listens_that_teach_nothing_or_contradict_themselves_are_refused() -> None:
    some = listens([(0, 0, "PLAY", 0.0)])
    with pytest.raises(UnfitTables, match="no interactions"):
        tables_of(some, catalogue(), 3)
    with pytest.raises(UnfitTables, match="row of the catalogue"):
        tables_of(replace(some, item=np.array([99])), catalogue(), 1)
    for change, reason in (
        ({"time": np.array([np.inf])}, "finite"),
        ({"type": np.array([9], np.int8)}, "TYPES"),
        ({"codes": np.zeros((1, 2), np.int8)}, "kind of surroundings"),
        ({"item": np.zeros(2, np.int64)}, "column item has 2"),
    ):
        with pytest.raises(UnfitTables, match=reason):
            replace(some, **change)
    for change, reason in (
        ({"ids": catalogue().ids[::-1]}, "ascending"),
        ({"audio": np.zeros((6, 2), np.float32)}, "audio"),
        ({"kind": np.zeros(2, np.int8)}, "kind has 2"),
    ):
        with pytest.raises(UnfitTables, match=reason):
            replace(catalogue(), **change)


def test_surroundings_that_were_never_shared_are_unknown() -> None:
    some = listens([(0, 0, "PLAY", 0.0)])
    told = replace(some, codes=np.zeros((1, len(KINDS)), np.int8))
    assert (told.without_surroundings().codes == -1).all()
    without = told.without_surroundings(frozenset({"weather"})).codes
    assert (without == -1).sum() == 1
    assert without[0, KINDS.index("weather")] == -1


def test_items_and_names_are_found_again_in_another_catalogue() -> None:
    world = catalogue()
    assert world.rows_of(np.array([world.ids[3], b"zz" * 8, world.ids[0]], "S16")).tolist() == [3, -1, 0]
    assert world.rows_of(np.zeros(0, "S16")).tolist() == []
    assert world.artist_keys[1] == keys_of(("Bo",))[0]
    assert world.genre_keys.shape == (3,)
    assert audio_of(np.zeros((2, 14))).shape == (2, len(AUDIO_NAMES))
