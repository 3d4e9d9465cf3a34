from __future__ import annotations

import uuid

import pytest
from drafts import Item, draft, everything_known, track

from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_recommender.item_messages import content_of, draft_of, message_of
from rhythmiq_recommender.model import (
    MAX_REJECTIONS,
    NAMESPACE,
    ImportSummary,
    Rejection,
    broken_rule,
    item_id,
)
from rhythmiq_recommender.model import Item as StoredItem


@pytest.mark.parametrize("external_id", ["spotify:6f807x0ima9a1j3VPbc7VN", "own:é-日本", "x:" + "y" * 198])
def test_item_id_is_the_uuid_of_version_5_of_its_external_id(external_id: str) -> None:
    assert item_id(external_id) == str(uuid.uuid5(NAMESPACE, external_id))


@pytest.mark.parametrize("message", [everything_known(), track(1)], ids=["everything", "only what is required"])
def test_a_stored_item_is_told_as_it_was_sent(message: Item) -> None:
    sent = Item.FromString(message.SerializeToString())
    now = SystemClock().now()
    stored = draft_of(message)
    told = message_of(StoredItem(stored.id, stored.content, now, now, "etag"))
    assert (told.name, told.uid, told.etag) == (f"items/{stored.id}", stored.id, "etag")
    assert told.create_time.ToDatetime(tzinfo=now.tzinfo) == now
    for own in ("name", "uid", "create_time", "update_time", "etag"):
        told.ClearField(own)
    assert told == sent


def test_equal_contents_have_equal_digests_whatever_the_name_and_etag_sent() -> None:
    assert draft(1).digest == draft(1, name="items/x", etag="y").digest
    assert draft(1).digest != draft(1, title="Another").digest
    one, other = (
        draft(1, links={"a": "https://a", "b": "https://b"}),
        draft(1, links={"b": "https://b", "a": "https://a"}),
    )
    assert one.digest == other.digest


@pytest.mark.parametrize("field", ["other_ids", "links"])
def test_nul_in_a_maps_key_breaks_a_rule(field: str) -> None:
    broken = broken_rule(content_of(track(1, **{field: {"a\0b": "https://example.org"}})))
    assert broken is not None
    assert broken.field == field
    assert broken_rule(content_of(everything_known())) is None


def test_versions_of_one_item_count_as_if_stored_one_after_another() -> None:
    summary = ImportSummary()
    summary.count(None, [b"a", b"a", b"b"])
    assert (summary.created, summary.unchanged, summary.updated) == (1, 1, 1)
    summary.count(b"b", [b"b", b"c"])
    assert (summary.created, summary.unchanged, summary.updated) == (1, 2, 2)


def test_only_the_first_rejections_are_kept_and_all_are_counted() -> None:
    summary = ImportSummary()
    for position in range(MAX_REJECTIONS + 5):
        summary.reject(Rejection(position, "x", "title", "value is required"))
    assert summary.rejected == MAX_REJECTIONS + 5
    assert [rejection.position for rejection in summary.rejections] == list(range(MAX_REJECTIONS))
