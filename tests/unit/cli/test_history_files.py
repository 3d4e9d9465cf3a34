"""Histories as files: any length in bounded memory, faults told by file and line, nothing unpacked without end."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from rhythmiq_cli.history.json_records import LONGEST_RECORD, Malformed, records
from rhythmiq_cli.history.listens import Listen, Unreadable
from rhythmiq_cli.history.reading import MAX_RATIO, open_history
from rhythmiq_cli.output import CommandError, ExitCode


def entry(n: int, **others: Any) -> dict[str, Any]:
    return {
        "ts": "2024-03-01T12:00:00Z",
        "ms_played": 1000 + n,
        "master_metadata_track_name": f"Söng {n}",
        "master_metadata_album_artist_name": "Artist",
        "spotify_track_uri": f"spotify:track:{n}",
        **others,
    }


def read(text: str | bytes) -> tuple[list[tuple[int, object]], str]:
    """The records before a fault, and the fault."""
    found: list[tuple[int, object]] = []
    try:
        found += records(io.BytesIO(text.encode() if isinstance(text, str) else text))
    except Malformed as fault:
        return found, str(fault)
    return found, ""


class Trickle(io.RawIOBase):
    """Gives a few bytes at a time, so that records and characters are cut anywhere."""

    def __init__(self, content: bytes, step: int) -> None:
        self._pieces = [content[at : at + step] for at in range(0, len(content), step)]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._pieces.pop(0) if self._pieces else b""
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_array_gives_each_record_with_its_line_however_it_is_cut(indent: int | None, step: int) -> None:
    wanted = [entry(n, nested={"a": [1, "},{", '"']}) for n in range(40)]
    text = json.dumps(wanted, indent=indent, ensure_ascii=False)
    stream: IO[bytes] = io.BufferedReader(Trickle(text.encode(), step), 16)
    found = list(records(stream))
    assert [value for _, value in found] == wanted
    lines = text.splitlines()
    if indent:
        assert all(lines[line - 1].strip() == "{" for line, _ in found)
        assert len({line for line, _ in found}) == 40


@pytest.mark.parametrize(
    ("text", "kept", "fault"),
    [
        ("", 0, "line 1, column 1: the file is empty"),
        ("hello", 0, "line 1, column 1: expected a JSON array or JSON Lines, found 'hello'"),
        ("[", 0, "line 1, column 2: expected another record or ']', but the file ends: it was cut off"),
        ('[{"a": 1}', 1, "line 1, column 10: expected ',' or ']', but the file ends: it was cut off"),
        ('[{"a": 1},\n', 1, "line 2, column 1: expected another record or ']', but the file ends: it was cut off"),
        ('[{"a": 1},\n {"a": "tex', 1, "line 2, column 2: the file ends in the middle of this record: it was cut off"),
        ('[{"a": 1}\n {"a": 2}]', 1, "line 2, column 2: expected ',' or ']' after a record, found '{\"a\": 2}]'"),
        ('[{"a": 1}] x', 1, "line 1, column 12: expected nothing after the array's ']', found 'x'"),
        ("[" + "[" * 100_000, 0, "line 1, column 2: expected a record, found JSON that is nested too deeply"),
        (b"\xff\xfe[\x00", 0, "line 1, column 1: the text is UTF-16: save it as UTF-8"),
    ],
)
def test_malformed_array_is_told_by_place_and_expectation(text: str | bytes, kept: int, fault: str) -> None:
    found, told = read(text)
    assert len(found) == kept
    assert told == fault


def test_fault_in_the_middle_of_a_long_array_is_told_where_it_is() -> None:
    lines = [json.dumps(entry(n)) for n in range(5_000)]
    lines[3_000] = lines[3_000].replace('"ms_played":', '"ms_played"')
    found, told = read("[\n" + ",\n".join(lines) + "\n]")
    assert len(found) == 3_000
    assert told.startswith("line 3002, column ")
    assert "is not JSON" in told


def test_json_lines_go_on_after_a_bad_line() -> None:
    found, told = read('{"a": 1}\n{oops}\n\n[1]\n' + '{"a": "' + "x" * (2 * LONGEST_RECORD) + '"}\n{"a": 2}\n{"a": ')
    assert told == ""
    assert [line for line, _ in found] == [1, 2, 4, 5, 6, 7]
    values = [value for _, value in found]
    assert values[0] == {"a": 1}
    assert values[4] == {"a": 2}
    assert [isinstance(value, Unreadable) for value in values] == [False, True, False, True, False, True]


def test_record_without_end_is_refused_before_it_fills_the_memory() -> None:
    tracemalloc.start()
    found, told = read('[{"a": "' + "x" * (40 * LONGEST_RECORD))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found
    assert "is not JSON" in told
    # The input itself is 40 MiB here, and its encoding another 40.
    assert peak < 100 * LONGEST_RECORD


def test_large_array_is_read_in_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "endsong_0.json"
    with file.open("w") as out:
        out.write("[")
        for n in range(8_000):
            out.write((",\n" if n else "") + json.dumps(entry(n)))
        out.write("]")
    history = open_history(file)
    tracemalloc.start()
    count = sum(1 for _ in history)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8_000
    assert not history.failures
    assert history.progress == 1.0
    assert peak < file.stat().st_size / 2


def listens(path: Path) -> Iterator[Listen | Unreadable]:
    yield from (found for _, _, found in open_history(path))


def test_gzip_file_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    file = tmp_path / "endsong_0.json.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps([entry(1)]).encode()))
    assert [one.title for one in listens(file) if isinstance(one, Listen)] == ["Söng 1"]


def test_parts_are_read_by_number_and_a_broken_one_does_not_cost_the_others(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in (10, 2, 1):
            text = json.dumps([entry(number)])
            archive.writestr(f"Streaming_History_Audio_2024_{number}.json", text if number != 2 else text[:-5])
    history = open_history(file)
    assert [one.played_ms for _, _, one in history if isinstance(one, Listen)] == [1001, 1010]
    told = "line 1, column 2: the file ends in the middle of this record: it was cut off; what came before is kept."
    assert history.failures == [f"Streaming_History_Audio_2024_2.json, {told}"]


def test_damaged_archive_is_told_and_what_can_be_read_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in (1, 2):
            archive.writestr(f"endsong_{number}.json", json.dumps([entry(number)]))
    content = bytearray(file.read_bytes())
    at = content.index(b"1001")
    content[at : at + 4] = b"1002"  # the checksum does not fit any more
    file.write_bytes(content)
    history = open_history(file)
    assert 1002 in [one.played_ms for _, _, one in history if isinstance(one, Listen)]
    assert len(history.failures) == 1
    assert history.failures[0].startswith("endsong_1.json, which is damaged: Bad CRC-32")
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(CommandError, match="is a damaged zip file") as refused:
        open_history(file)
    assert refused.value.code == ExitCode.REFUSED


def test_archive_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("endsong_0.json", "w", force_zip64=True) as member,
    ):
        for _ in range(100):
            member.write(b" " * (1 << 20))
    with pytest.raises(CommandError, match=f"more than {MAX_RATIO} times its size"):
        open_history(file)
    gz = tmp_path / "endsong_0.json.gz"
    with gzip.open(gz, "wb") as out:
        for _ in range(100):
            out.write(b" " * (1 << 20))
    history = open_history(gz)
    assert list(history) == []
    assert f"it unpacks to more than {MAX_RATIO} times its size" in history.failures[0]


def test_what_is_no_history_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    missing = tmp_path / "missing.json"
    with pytest.raises(CommandError, match="There is no file"):
        open_history(missing)
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.jpg", b"")
        made.writestr("user.json", b"{}")
    with pytest.raises(CommandError, match="has no listening history in it: expected Spotify's"):
        open_history(archive)
    for name, text, told in [
        ("Playlist1.json", '{"playlists": []}', "found an object with playlists"),
        ("Searches.json", '[{"searchTime": "x", "platform": "y"}]', "found an object with searchTime, platform"),
        ("numbers.json", "[1, 2]", "found 1"),
        ("people.csv", "name,age\nAda,36\n", "expected the columns artist, track and uts (or a date)"),
        ("empty.csv", "", "the file is empty"),
        ("picture.csv", "\x00\x01\x02", "expected a JSON array or JSON Lines"),
    ]:
        file = tmp_path / name
        file.write_text(text)
        history = open_history(file)
        assert list(history) == []
        assert told in history.failures[0], history.failures


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"ts": "2024-13-01T00:00:00Z"}, "ts must be a time, not '2024-13-01T00:00:00Z'"),
        ({"ts": None}, "ts must be a time, not 'None'"),
        ({"ts": "1970-01-01T00:00:00Z"}, "ts must be a time since the year 2000, not '1970-01-01T00:00:00Z'"),
        ({"ms_played": "long"}, "ms_played must be a number, 0 or more, not 'long'"),
        ({"ms_played": float("nan")}, "ms_played must be a number, 0 or more, not 'nan'"),
        ({"skipped": "perhaps"}, "skipped must be true or false, not 'perhaps'"),
        ({"master_metadata_track_name": 7}, "master_metadata_track_name must be text, not '7'"),
    ],
)
def test_entry_that_cannot_be_read_is_told_by_field_and_rule(
    tmp_path: Path, changed: dict[str, Any], rule: str
) -> None:
    file = tmp_path / "endsong_0.json"
    file.write_text(json.dumps([entry(1), entry(2, **changed), entry(3)]))
    found = list(listens(file))
    assert found[1] == Unreadable(rule)
    assert all(isinstance(found[index], Listen) for index in (0, 2))


def test_csv_rows_are_told_by_line_also_after_quoted_newlines(tmp_path: Path) -> None:
    file = tmp_path / "scrobbles.csv"
    file.write_text(
        'Artist,Album,"Two\nlines",01 Mar 2024 12:00\nA,B\nA,B,C,32 Mar 2024 12:00\nA,B,C,01 Jan 1970 00:00\n'
    )
    found = [(line, one) for _, line, one in open_history(file)]
    assert [line for line, _ in found] == [1, 3, 4, 5]
    assert isinstance(found[0][1], Listen)
    assert found[1][1] == Unreadable("must have 4 values; this row has 2")
    assert found[2][1] == Unreadable("time must be a time, not '32 Mar 2024 12:00'")
    assert found[3][1] == Unreadable("time must be a time since the year 2000, not '01 Jan 1970 00:00'")


def test_short_history_of_spotify_starts_before_its_end(tmp_path: Path) -> None:
    file = tmp_path / "StreamingHistory_music_0.json"
    file.write_text(
        json.dumps([{"endTime": "2024-03-01 12:00", "artistName": "A", "trackName": "B", "msPlayed": 60_000}])
    )
    one = next(listens(file))
    assert isinstance(one, Listen)
    assert (one.artist, one.title, one.start_ms) == ("A", "B", 1_709_294_340_000)
