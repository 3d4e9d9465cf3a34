"""The catalogue in memory is what was put in, however it was put in."""

from __future__ import annotations

import numpy as np
import small_catalogue
from hypothesis import given
from hypothesis import strategies as st

from rhythmiq_recommender import features
from rhythmiq_recommender.postings import Postings, Vocabulary, fold
from rhythmiq_recommender.snapshot import CatalogSnapshot

BLOBS = small_catalogue.serialized()
IDS = [item.uid for item in small_catalogue.items()]


def contents(snapshot: CatalogSnapshot) -> list[tuple[object, ...]]:
    columns, names = snapshot.columns, snapshot.names
    return [
        (
            columns.items[row],
            columns.kind[row].item(),
            columns.explicit[row].item(),
            columns.year[row].item(),
            names.languages.names[columns.language[row]] if columns.language[row] >= 0 else "",
            [fold(names.genres.names[number]) for number in columns.genres[row]],
            [fold(names.artists.names[number]) for number in columns.artists[row]],
            str(columns.raw[row].tolist()),
        )
        for row in range(len(snapshot))
    ]


def test_every_item_is_found_by_its_id_also_one_that_ends_in_zeros() -> None:
    snapshot = small_catalogue.snapshot()
    zeros = [uid for uid in IDS if uid.endswith("00")]
    assert zeros
    for uid in IDS:
        row = snapshot.row_of_name(f"items/{uid}")
        assert row is not None
        assert snapshot.item(row).uid == uid
    assert snapshot.row_of_name("items/ffffffff-ffff-ffff-ffff-ffffffffffff") is None


def test_changes_one_by_one_lead_where_building_at_once_leads() -> None:
    changed = small_catalogue.items()[5]
    new = type(changed)()
    new.CopyFrom(changed)
    new.genres[:] = ["brand new"]
    new.artists[:] = ["Somebody"]
    snapshot = CatalogSnapshot.build(BLOBS[:400])
    before = contents(snapshot)
    after = snapshot.with_changes([*BLOBS[390:], new.SerializeToString()], [IDS[7], f"items/{IDS[8]}", IDS[7]])
    expected = [blob for place, blob in enumerate(BLOBS) if place not in (5, 7, 8)] + [new.SerializeToString()]
    fresh = CatalogSnapshot.build(expected)
    assert contents(after) == contents(fresh)
    assert np.array_equal(after.scores, fresh.scores, equal_nan=True)
    assert np.array_equal(after.vectors, fresh.vectors)
    assert contents(snapshot) == before
    rows = after.by_genre[after.names.genres.ids["brand new"]]
    assert [after.item(row).uid for row in rows.tolist()] == [changed.uid]


def test_deleting_everything_leaves_an_empty_catalogue_that_can_grow_again() -> None:
    empty = CatalogSnapshot.build(BLOBS[:10]).with_changes([], IDS[:10])
    assert len(empty) == 0
    assert contents(empty.with_changes(BLOBS)) == contents(small_catalogue.snapshot())


def test_a_missing_feature_counts_as_the_mean_of_its_kind() -> None:
    snapshot = small_catalogue.snapshot()
    tempo = features.INDEX["tempo"]
    missing = np.isnan(snapshot.columns.raw[:, tempo]) & (snapshot.columns.kind == 1)
    known = ~np.isnan(snapshot.columns.raw[:, tempo]) & (snapshot.columns.kind == 1)
    assert missing.any()
    assert np.allclose(snapshot.scores[missing, tempo], snapshot.scores[known, tempo].mean(), atol=1e-5)


rows = st.lists(st.lists(st.integers(0, 9), max_size=4, unique=True), max_size=20)


@given(rows, rows, st.data())
def test_postings_hold_take_join_and_invert_what_lists_would(
    first: list[list[int]], second: list[list[int]], data: st.DataObject
) -> None:
    joined = Postings.of(first).joined(Postings.of(second))
    both = first + second
    assert [joined[row].tolist() for row in range(len(joined))] == both
    chosen = data.draw(st.lists(st.sampled_from(range(len(both))), max_size=10)) if both else []
    taken = joined.take(np.array(chosen, np.int64))
    assert [taken[row].tolist() for row in range(len(taken))] == [both[row] for row in chosen]
    inverted = joined.inverted(10)
    for value in range(10):
        assert inverted[value].tolist() == [row for row, values in enumerate(both) if value in values]
    sets, numbers = joined.distinct()
    assert [sorted(sets[number].tolist()) for number in numbers.tolist()] == [sorted(values) for values in both]


@given(st.text())
def test_names_are_compared_case_folded_in_nfc(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    vocabulary = Vocabulary()
    assert vocabulary.intern(name) == vocabulary.intern(name.casefold()) == vocabulary.find(name)
