"""Items between the API's messages and the model."""

from __future__ import annotations

from hashlib import blake2b

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.model import Content, Draft, Item, Kind, ReleaseDate, item_id

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
    digest = blake2b(message.SerializeToString(deterministic=True), digest_size=_DIGEST_BYTES).digest()
    return Draft(item_id(message.external_id), content_of(message), digest)


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
