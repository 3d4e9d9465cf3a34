"""ListenBrainz' entries: one listen, in an export's JSON Lines as in its API's answers."""

from __future__ import annotations

from collections.abc import Mapping

from rhythmiq_cli.history import values
from rhythmiq_cli.history.listens import End, Listen
from rhythmiq_cli.history.spotify import ids_of


def is_listen(record: Mapping[str, object]) -> bool:
    return "track_metadata" in record and "listened_at" in record


def listen(record: Mapping[str, object]) -> Listen:
    """A listen. `listened_at` is when it began; how long it was heard is told by few players. Raises Wrong."""
    track = values.inner(record, "track_metadata")
    info = values.inner(track, "additional_info")
    played_ms = values.milliseconds(info, "duration_played", 1000)
    duration_ms = values.milliseconds(info, "duration_ms") or values.milliseconds(info, "duration", 1000)
    return Listen(
        ids=_ids(track, info),
        artist=values.text(track, "artist_name"),
        title=values.text(track, "track_name"),
        start_ms=values.moment("listened_at", record["listened_at"]),
        played_ms=played_ms,
        duration_ms=duration_ms,
        end=End.UNTOLD,
    )


def _ids(track: Mapping[str, object], info: Mapping[str, object]) -> tuple[str, ...]:
    """What the player said comes before what ListenBrainz found by the names."""
    found: dict[str, None] = {}
    for address in (values.text(info, "spotify_id"), values.text(info, "origin_url")):
        if "spotify" in address:
            found.update(dict.fromkeys(ids_of(address)))
    for source in (info, values.inner(track, "mbid_mapping")):
        if recording := values.text(source, "recording_mbid"):
            found[f"musicbrainz:{recording.lower()}"] = None
    if isrc := values.text(info, "isrc"):
        found[f"isrc:{isrc.upper().replace('-', '')}"] = None
    return tuple(found)
