"""Last.fm's scrobbles as the common exporters write them: CSV with or without a line that names the columns.

Last.fm itself exports nothing. Known: `uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid`;
`artist,album,track,03 Feb 2021 14:05` without names; and the same columns by their names, in any order.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Protocol

from rhythmiq_cli.history import values
from rhythmiq_cli.history.json_records import Malformed
from rhythmiq_cli.history.listens import End, Listen, Unreadable

_LONGEST_FIELD = 65_536


class _Reader(Protocol):
    """What `csv.reader` makes."""

    line_num: int

    def __next__(self) -> list[str]: ...


_HEADERLESS = ("artist", "album", "track", "time")
# The best-told time first: `uts` is to the second, a worded date to the minute.
_TIMES = ("uts", "timestamp", "date_uts", "played_at", "datetime", "utc_time", "time", "date")
_TITLES = ("track", "title", "song", "name", "track_name", "track name")
_ARTISTS = ("artist", "artist_name", "artist name")


def scrobbles(stream: IO[bytes]) -> Iterator[tuple[int, Listen | Unreadable]]:
    """The scrobbles of a file, with the line on which each starts. Raises Malformed for another kind of file."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    first = text.readline(_LONGEST_FIELD)
    if not first.strip():
        raise Malformed(1, 1, "expected the names of columns or a scrobble, found nothing")
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(_chained(first, text), delimiter=max(",;\t", key=first.count))
    try:
        head = next(reader, [])
    except csv.Error as error:
        raise Malformed(1, 1, f"expected the names of columns or a scrobble, found no CSV ({error})") from None
    names = _names(head)
    if names is not None:
        return _rows(reader, names)
    if len(head) == len(_HEADERLESS) and isinstance(found := _scrobble(head, _HEADERLESS), Listen):
        return _after(found, reader)
    shown = ", ".join(head)[:80]
    raise Malformed(
        1, 1, f"expected the columns artist, track and uts (or a date), or artist,album,track,date; found {shown!r}"
    )


def _chained(first: str, rest: IO[str]) -> Iterator[str]:
    yield first
    yield from rest


def _names(head: Sequence[str]) -> Sequence[str] | None:
    """The columns by name, when the line names them; some exporters write `Date#listener`."""
    names = [name.partition("#")[0].strip().lower() for name in head]
    wanted = (_ARTISTS, _TITLES, _TIMES)
    return names if all(any(name in names for name in group) for group in wanted) else None


def _after(first: Listen, reader: _Reader) -> Iterator[tuple[int, Listen | Unreadable]]:
    yield 1, first
    yield from _rows(reader, _HEADERLESS)


def _rows(reader: _Reader, names: Sequence[str]) -> Iterator[tuple[int, Listen | Unreadable]]:
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, Unreadable(f"cannot be read ({error}): is a quote left open?")
            continue
        if row:
            yield line, _scrobble(row, names)


def _scrobble(row: Sequence[str], names: Sequence[str]) -> Listen | Unreadable:
    if len(row) != len(names):
        return Unreadable(f"must have {len(names)} values; this row has {len(row)}")
    record = dict(zip(names, row, strict=True))
    try:
        return _listen(record)
    except values.Wrong as wrong:
        return Unreadable(str(wrong))


def _listen(record: Mapping[str, str]) -> Listen:
    field, value = next(((name, record[name]) for name in _TIMES if record.get(name)), ("date", ""))
    recording = values.text(record, "track_mbid", "recording_mbid", "mbid")
    return Listen(
        ids=(f"musicbrainz:{recording.lower()}",) if recording else (),
        artist=values.text(record, *_ARTISTS),
        title=values.text(record, *_TITLES),
        start_ms=values.moment(field, value),
        end=End.UNTOLD,
    )
