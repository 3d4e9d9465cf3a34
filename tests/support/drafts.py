"""Items to import, as messages and as drafts."""

from __future__ import annotations

from typing import Any

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.item_messages import draft_of
from rhythmiq_recommender.model import Draft

Item = item_pb2.Item


def track(number: int | str, **fields: Any) -> item_pb2.Item:
    """A valid track with the external id `test:{number}`."""
    return Item(**{"external_id": f"test:{number}", "kind": Item.TRACK, "title": f"Track {number}", **fields})


def draft(number: int | str, **fields: Any) -> Draft:
    """The draft of `track`."""
    return draft_of(track(number, **fields))


def everything_known(number: int | str = "full") -> item_pb2.Item:
    """A track with every field that a caller can set."""
    message = track(
        number,
        artists=["Björk", "Thom Yorke"],
        genres=["Art Pop", "électronique"],
        instruments=["voice", "harp"],
        language="en-GB",
        explicit=False,
        popularity=0.0,
        other_ids={"isrc": "GBAAA0000001", "with.dot and $": "x"},
        links={"preview": "https://example.org/a"},
    )
    message.release_date.year, message.release_date.month = 2001, 8
    message.duration.seconds, message.duration.nanos = 86_399, 999_999_999
    audio = message.features
    audio.danceability, audio.energy, audio.speechiness, audio.acousticness = 0.0, 1.0, 0.1, 0.2
    audio.instrumentalness, audio.liveness, audio.valence = 0.3, 0.4, 0.5
    audio.loudness, audio.tempo, audio.key, audio.mode, audio.time_signature = -70.0, 122.036, 0, 0, 4
    return message
