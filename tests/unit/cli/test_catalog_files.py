"""Every row of every supported file is read, with the line on which it starts."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from rhythmiq_cli.catalog.records import BadRow
from rhythmiq_cli.catalog.rows import open_rows
from rhythmiq_cli.output import CommandError, ExitCode


def read(path: Path, *columns: str, file_format: str | None = None) -> list[tuple[int, Any]]:
    rows = open_rows(path, file_format)
    try:
        rows.use(columns or rows.columns)
        return [(line, values if isinstance(values, BadRow) else list(values)) for line, values in rows]
    finally:
        rows.close()


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,title,tempo\n1,One,120\n2,Two,90\n")
    assert read(file, "tempo", "id") == [(2, ["120", "1"]), (3, ["90", "2"])]


def test_line_numbers_are_those_of_the_file_also_after_quoted_newlines_and_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('id,title\n1,"two\nlines, and a comma"\n\n2,"a ""quoted"" word"\n')
    assert read(file) == [(2, ["1", "two\nlines, and a comma"]), (5, ["2", 'a "quoted" word'])]


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
@pytest.mark.parametrize("packed", [False, True])
def test_delimiters_are_told_by_the_header_and_gzip_by_the_content(
    tmp_path: Path, name: str, separator: str, packed: bool
) -> None:
    content = f"\ufeffid{separator}title\r\n1{separator}Größe\r\n".encode()
    file = tmp_path / name
    file.write_bytes(gzip.compress(content) if packed else content)
    assert read(file, "id", "title") == [(2, ["1", "Größe"])]


def test_row_of_another_width_is_a_bad_row_and_the_next_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,title\n1\n2,Two\n3,Three,extra\n")
    rows = read(file)
    assert [line for line, _ in rows] == [2, 3, 4]
    assert rows[0][1] == BadRow("must have 2 values, as the header has; this row has 1")
    assert rows[1][1] == ["2", "Two"]
    assert isinstance(rows[2][1], BadRow)


def test_json_lines_give_nested_values_by_their_path_and_bad_lines_by_number(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    text = '{"id": 1, "features": {"tempo": 120.5}}\n\n{broken\n[1]\n{"id": 2, "late": true}\n'
    file.write_bytes(gzip.compress(text.encode()))
    rows = read(file, "id", "features.tempo", "late")
    assert rows[0] == (1, [1, 120.5, None])
    assert (rows[1][0], type(rows[1][1])) == (3, BadRow)
    assert rows[2] == (4, BadRow("must be a JSON object"))
    assert rows[3] == (5, [2, None, True])


@pytest.mark.parametrize("name", ["a.parquet", "a.parquet.gz"])
def test_parquet_is_read_in_batches_with_typed_and_nested_values(tmp_path: Path, name: str) -> None:
    plain = tmp_path / "plain.parquet"
    count = 5_000
    table = pa.table(
        {
            "id": list(range(count)),
            "artists": [["A", "B"]] * count,
            "features": [{"tempo": 120.0}] * (count - 1) + [None],
            "released": [dt.date(2019, 6, 14)] * count,
            "unused": ["x"] * count,
        }
    )
    parquet.write_table(table, plain, row_group_size=1_500)
    file = tmp_path / name
    file.write_bytes(gzip.compress(plain.read_bytes()) if name.endswith(".gz") else plain.read_bytes())
    rows = open_rows(file)
    assert "features.tempo" in rows.columns
    rows.use(["id", "artists", "features.tempo", "released"])
    read_rows = list(rows)
    rows.close()
    assert [line for line, _ in read_rows] == list(range(1, count + 1))
    assert list(read_rows[0][1]) == [0, ["A", "B"], 120.0, dt.date(2019, 6, 14)]  # type: ignore[arg-type]
    assert list(read_rows[-1][1])[2] is None  # type: ignore[arg-type]
    assert rows.progress == 1.0


def test_only_the_part_before_a_cut_is_read_and_the_cut_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.gz"
    content = "id,title\n" + "".join(f"{number},{hash(str(number))}\n" for number in range(20_000))
    packed = gzip.compress(content.encode())
    file.write_bytes(packed[: len(packed) // 2])
    rows = open_rows(file)
    seen: list[Any] = []
    with pytest.raises(CommandError, match="ends in the middle") as failure:
        seen.extend(rows)
    rows.close()
    assert len(seen) > 100
    assert failure.value.code is ExitCode.REFUSED


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.xyz", b"", "Cannot tell the format"),
        ("a.csv", b"", "is empty"),
        ("a.csv", "id,title\n".encode("utf-16"), "is UTF-16"),
        ("a.jsonl", b"\n", "no JSON object"),
        ("a.parquet", b"not parquet at all", "is not a Parquet file"),
        ("a.parquet", b"\x1f\x8bnot gzip", "is damaged"),
        ("a.csv", b"\x1f\x8bnot gzip", "is damaged"),
    ],
)
def test_file_that_cannot_be_read_is_one_clear_sentence(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(CommandError, match=told):
        read(file)


def test_missing_file_folder_and_column_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no file .*gone\.csv"):
        open_rows(tmp_path / "gone.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CommandError, match="Cannot read"):
        open_rows(tmp_path / "folder.csv")
    file = tmp_path / "a.csv"
    file.write_text("id,title\n")
    with pytest.raises(CommandError, match="no column 'tempo'; its columns are: id, title"):
        read(file, "tempo")
    table = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"id": [1]}), table)
    with pytest.raises(CommandError, match="no column 'tempo'; its columns are: id"):
        read(table, "tempo")


def test_format_can_be_named_where_the_file_name_tells_none(tmp_path: Path) -> None:
    file = tmp_path / "export"
    file.write_text(json.dumps({"id": "1"}) + "\n")
    assert read(file, "id", file_format="jsonl") == [(1, ["1"])]
