"""A stray quote costs the row in which it stands: every other row of the file is read as it is, at its line."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmiq_cli.catalog.files import names_in_words
from rhythmiq_cli.catalog.records import MAX_LINES, BadRow, Records
from rhythmiq_cli.catalog.rows import Row, open_rows
from rhythmiq_cli.output import CommandError, ExitCode

Read = list[tuple[int, list[str] | BadRow]]


def records(text: str, delimiter: str = ",") -> Read:
    return list(Records(iter(io.StringIO(text, newline="")), delimiter))


def lines_of(read: Read) -> tuple[list[int], list[int]]:
    """The lines of the rows that were read, and of those that were reported."""
    bad = [line for line, values in read if isinstance(values, BadRow)]
    return [line for line, values in read if not isinstance(values, BadRow)], bad


def _starts_plainly(value: str) -> bool:
    # A value that itself starts with a delimiter or a newline makes a stray quote before it look like a closed one.
    return value.lstrip('"')[:1] not in {",", "\t", "\n", "\r"} or not value.strip('"')


VALUES = st.text(st.sampled_from('ab ",\n\r\té5'), max_size=8).filter(_starts_plainly)


def written_value(value: str, quote_all: bool) -> str:
    # Not by csv.writer, which leaves a lone carriage return without quotes.
    return '"' + value.replace('"', '""') + '"' if quote_all or set(value) & set(',\t"\r\n') else value


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, str, list[list[str]], int]:
    """A delimiter, a file with one quote too many, its rows, and which of them it hit."""
    delimiter, width = draw(st.sampled_from(",\t")), draw(st.integers(2, 4))
    rows = draw(st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1, max_size=90))
    quote_all = draw(st.booleans())
    end = draw(st.sampled_from(["\n", "\r\n"]))
    written = [delimiter.join(written_value(value, quote_all) for value in row) + end for row in rows]
    hit = draw(st.integers(0, len(rows) - 1))
    place = draw(st.integers(0, len(written[hit]) - len(end)))
    header = delimiter.join("abcd"[:width]) + end
    damaged = written[hit][:place] + '"' + written[hit][place:]
    return delimiter, "".join([header, *written[:hit], damaged, *written[hit + 1 :]]), rows, hit


@given(damaged_files())
def test_one_stray_quote_anywhere_leaves_every_other_row_as_it_is(
    file: tuple[str, str, list[list[str]], int],
) -> None:
    delimiter, text, rows, hit = file
    read = [values for _, values in records(text, delimiter)][1:]
    after = len(rows) - hit - 1
    assert read[:hit] == rows[:hit]
    assert read[len(read) - after :] == rows[hit + 1 :]
    # The damaged row itself is read or reported too (with a line of its own for each that it went over).
    assert len(read) - after - hit >= 1


@given(damaged_files())
def test_sound_file_is_read_as_csv_reads_it(file: tuple[str, str, list[list[str]], int]) -> None:
    delimiter, _, rows, _ = file
    text = "\r\n".join(
        delimiter.join(written_value(value, True) for value in row) for row in [["x"] * len(rows[0]), *rows]
    )
    assert [values for _, values in records(text, delimiter)][1:] == rows
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))[1:] == rows


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 999, 1_001, 3_000])
def test_quote_that_is_never_closed_costs_its_own_row_only(delimiter: str, count: int) -> None:
    lines = [f"id{delimiter}title", f'1{delimiter}"open', *(f"{n}{delimiter}t{n}" for n in range(2, count + 1))]
    read = records("\n".join(lines), delimiter)
    good, bad = lines_of(read)
    assert bad == [2]
    assert good == [1, *range(3, count + 2)]
    reported = read[1][1]
    assert isinstance(reported, BadRow)
    assert reported.field == "title"
    assert "the quote that opens here is not closed" in reported.rule


@pytest.mark.parametrize(
    "following",
    [
        '3,"Quoted",x',  # the next quote opens a value: a letter comes after it
        '3,a 7" single,x',  # the next quote is a character of a value
        "3,plain,x",
        '3,"",x',
        '3,"""Heroes""",x',
        'a",x,y',  # closes well, in a row with too many values
    ],
)
def test_quote_closed_only_after_swallowing_rows_costs_its_own_row_only(following: str) -> None:
    read = records(f'id,title,genre\n1,One,x\n2,"Two,x\n{following}\n4,"Four\nlines",x\n5,Five,x\n')
    assert read[2][0] == 3
    assert isinstance(read[2][1], BadRow)
    assert [line for line, _ in read] == [1, 2, 3, 4, 5, 7]
    assert read[-2:] == [(5, ["4", "Four\nlines", "x"]), (7, ["5", "Five", "x"])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_values_of_many_lines_are_read_also_across_blocks_of_lines(end: str) -> None:
    verses = end.join(f'verse {n}, ""again""' for n in range(150))
    text = "".join([f"id,lyrics{end}", *(f'{n},"{verses}"{end}' for n in range(5)), f"5,short{end}"])
    read = records(text)
    assert [line for line, _ in read] == [1, 2, 152, 302, 452, 602, 752]
    assert read[1][1] == ["0", verses.replace('""', '"')]
    assert read[-1][1] == ["5", "short"]


def test_value_of_more_lines_than_the_bound_is_reported_from_its_first_line() -> None:
    longest = "\n".join(["x"] * MAX_LINES)
    assert lines_of(records(f'id,title\n1,"{longest}"\n2,b\n')) == ([1, 2, MAX_LINES + 2], [])
    read = records(f'id,title\n1,"{longest}\n"\n2,b\n')
    assert isinstance(read[1][1], BadRow)
    assert read[-1] == (MAX_LINES + 3, ["2", "b"])


def test_header_with_an_open_quote_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('id,"title\n1,One\n')
    with pytest.raises(CommandError, match=r"no readable header: line 1 .*not closed"):
        open_rows(file)


def test_rows_between_an_open_quote_and_a_cut_are_read(tmp_path: Path) -> None:
    packed = gzip.compress(b'id,title\n1,"open\n2,Two\n' + b"".join(b"%d,%d\n" % (n, n * n) for n in range(9_000)))
    file = tmp_path / "a.csv.gz"
    for cut in (len(packed) - 9, len(packed) // 2, 300):
        file.write_bytes(packed[:cut])
        rows = open_rows(file)
        seen: list[Row] = []
        with pytest.raises(CommandError, match="ends in the middle"):
            seen.extend(rows)
        rows.close()
        assert [line for line, _ in seen] == list(range(2, len(seen) + 2))
        assert seen[1] == (3, ("2", "Two"))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(range(256)), "zip archive"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "PNG image"),
        (bytes(range(256)) * 10, "binary"),
        ("id,title\n1,One\n".encode("utf-16-le"), "binary"),
    ],
)
def test_file_that_is_no_text_is_told_without_its_bytes(
    tmp_path: Path, name: str, packed: bool, content: bytes, told: str
) -> None:
    file = tmp_path / name
    file.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(CommandError, match=f"not a text file, it is .*{told}") as failure:
        open_rows(file)
    assert failure.value.code is ExitCode.REFUSED
    assert str(failure.value).isprintable()


def test_column_names_in_messages_are_printable_and_short() -> None:
    told = names_in_words(["title", "Gr\udcf6\x1b[31m", "x" * 5_000, *(f"c{n}" for n in range(100))])
    assert told.isprintable()
    assert told.startswith("title, Gr\\udcf6\\x1b[31m, xxx")
    assert told.endswith("and 63 more")
    assert len(told) < 500
