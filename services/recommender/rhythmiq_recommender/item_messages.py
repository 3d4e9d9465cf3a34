"""Items between the API's messages and the model."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.model import Content, Draft, Item, Kind, ReleaseDate, item_id, item_name

KINDS = {number: Kind(name) for name, number in item_pb2.Item.Kind.items() if number != item_pb2.Item.KIND_UNSPECIFIED}
_NUMBERS = {kind: number for number, kind in KINDS.items()}
_DIGEST_BYTES = 16


def draft_of(message: item_pb2.Item) -> Draft:
    """What to store of a validated message, whose fields that callers may not set are cleared.

    The digest is made of the message itself: equal messages, equal digests, and no walk over the content.
    """
    message.ClearField("name")
    message.ClearField("etag")
    message.DiscardUnknownFields()
    content = content_of(message)
    if not content.features:
        message.ClearField("features")
    serialized = message.SerializeToString(deterministic=True)
    return Draft(item_id(message.external_id), content, digest_of(serialized), serialized)


def digest_of(serialized: bytes) -> bytes:
    """The digest of serialized content."""
    return blake2b(serialized, digest_size=_DIGEST_BYTES).digest()


def content_of(message: item_pb2.Item) -> Content:
    """The content alone."""
    has = message.HasField
    date = message.release_date
    return Content(
        external_id=message.external_id,
        kind=KINDS[message.kind],
        title=message.title,
        artists=list(message.artists),
        genres=list(message.genres),
        instruments=list(message.instruments),
        language=message.language,
        explicit=message.explicit if has("explicit") else None,
        release_date=ReleaseDate(date.year, date.month, date.day) if has("release_date") else None,
        popularity=message.popularity if has("popularity") else None,
        # Seconds as a double are exact to the nanosecond for a day and longer.
        duration=message.duration.seconds + message.duration.nanos / 1e9 if has("duration") else None,
        features={field.name: value for field, value in message.features.ListFields()},
        other_ids=dict(message.other_ids) if message.other_ids else {},
        links=dict(message.links) if message.links else {},
    )


def whole_message(serialized: bytes, item_id: str, etag: str, create_time: datetime, update_time: datetime) -> bytes:
    """The serialized `message_of` an item whose content is `serialized`, without reading that.

    Serialized messages one after another are one message with the fields of both.
    """
    added = item_pb2.Item(name=item_name(item_id), uid=item_id, etag=etag)
    return serialized + added.SerializeToString() + _times(create_time, update_time)


@lru_cache(maxsize=256)
def _times(create_time: datetime, update_time: datetime) -> bytes:
    """Serialized; items stored together have the same."""
    return item_pb2.Item(create_time=create_time, update_time=update_time).SerializeToString()  # type: ignore[arg-type]


def message_of(item: Item) -> item_pb2.Item:
    """The API's view of an item."""
    content = item.content
    message = item_pb2.Item(
        name=item.name,
        uid=item.id,
        external_id=content.external_id,
        kind=_NUMBERS[content.kind],
        title=content.title,
        artists=content.artists,
        genres=content.genres,
        instruments=content.instruments,
        language=content.language,
        explicit=content.explicit,
        popularity=content.popularity,
        # protobuf takes a mapping for a message and a datetime for a Timestamp, at half the time of setting fields.
        features=content.features or None,  # type: ignore[arg-type]
        other_ids=content.other_ids,
        links=content.links,
        create_time=item.create_time,  # type: ignore[arg-type]
        update_time=item.update_time,  # type: ignore[arg-type]
        etag=item.etag,
    )
    if content.release_date is not None:
        date = message.release_date
        date.year, date.month, date.day = content.release_date
    if content.duration is not None:
        seconds = int(content.duration)
        message.duration.seconds = seconds
        message.duration.nanos = round((content.duration - seconds) * 1e9)
    return message
