"""Spotify's entries: the extended streaming history, and the short one of the account data."""

from __future__ import annotations

from collections.abc import Mapping

from rhythmiq_cli.history import values
from rhythmiq_cli.history.listens import End, Listen

_DONE = frozenset({"trackdone", "endplay_trackdone"})
_FAULTS = frozenset({"trackerror", "unexpected-exit", "unexpected-exit-while-paused"})


def is_extended(record: Mapping[str, object]) -> bool:
    return "ts" in record and "ms_played" in record


def is_short(record: Mapping[str, object]) -> bool:
    return "endTime" in record and "msPlayed" in record


def extended(record: Mapping[str, object]) -> Listen:
    """An entry of `Streaming_History_Audio_*.json` or `endsong_*.json`. `ts` is when it ended. Raises Wrong."""
    played_ms = values.milliseconds(record, "ms_played") or 0
    return Listen(
        ids=ids_of(values.text(record, "spotify_track_uri", "spotify_episode_uri", "audiobook_chapter_uri")),
        artist=values.text(record, "master_metadata_album_artist_name", "episode_show_name", "audiobook_title"),
        title=values.text(record, "master_metadata_track_name", "episode_name", "audiobook_chapter_title"),
        start_ms=values.moment("ts", record["ts"]) - played_ms,
        played_ms=played_ms,
        end=_end(values.text(record, "reason_end"), skipped=values.truth(record, "skipped")),
        private=values.truth(record, "incognito_mode"),
    )


def short(record: Mapping[str, object]) -> Listen:
    """An entry of `StreamingHistory_music_*.json`, which knows no id and tells the end to the minute. Raises Wrong."""
    played_ms = values.milliseconds(record, "msPlayed") or 0
    return Listen(
        ids=(),
        artist=values.text(record, "artistName", "podcastName"),
        title=values.text(record, "trackName", "episodeName"),
        start_ms=values.moment("endTime", record["endTime"]) - played_ms,
        played_ms=played_ms,
        end=End.OTHERWISE,
    )


def ids_of(uri: str) -> tuple[str, ...]:
    """Ids in the catalogue for a URI or address of Spotify, such as `spotify:track:6f8…`; none for a local file."""
    if uri.startswith("spotify:local:"):
        return ()
    kind, _, found = uri.partition("?")[0].rstrip("/").replace("/", ":").rpartition(":")
    if not found or not kind.endswith(("track", "episode", "chapter")):
        return ()
    # An episode's id was imported bare or with its kind.
    return (f"spotify:{found}",) if kind.endswith("track") else (f"spotify:{found}", f"spotify:episode:{found}")


def _end(reason: str, *, skipped: bool) -> End:
    if reason in _DONE:
        return End.DONE
    if skipped:
        return End.SKIPPED
    if reason in _FAULTS:
        return End.FAULT
    return End.OTHERWISE
