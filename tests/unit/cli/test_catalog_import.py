"""`rhythmiq import catalog` against a catalogue service behind a real socket: every row is imported or reported."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from catalog_server import CatalogServer
from pyarrow import parquet
from typer.testing import CliRunner, Result

from rhythmiq_cli import client as client_module
from rhythmiq_cli.catalog import upload
from rhythmiq_cli.commands.import_catalog import app
from rhythmiq_cli.output import ExitCode

COLUMNS = ["track_id", "name", "artist", "energy", "valence", "tempo", "danceability"]

Run = Callable[..., Result]


@pytest.fixture
def run(catalog_server: CatalogServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `rhythmiq import catalog` with small streams, so that a file of hundreds of rows has several."""
    monkeypatch.setattr(upload, "ROWS_PER_STREAM", 100)
    monkeypatch.setattr(upload, "MAX_BATCH_ITEMS", 40)
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_S", 0.001)

    def invoke(file: Path, *arguments: str) -> Result:
        where = ["--address", catalog_server.address, "--token", "of-the-test"]
        return CliRunner().invoke(app, ["catalog", str(file), *where, *arguments])

    return invoke


def rows(count: int) -> list[list[str]]:
    return [[f"id{n}", f"Song {n}", f"Artist {n % 7}", "0.5", "0.4", "120.5", "0.3"] for n in range(count)]


def write_csv(path: Path, lines: list[list[str]]) -> Path:
    path.write_text("\n".join(",".join(line) for line in [COLUMNS, *lines]) + "\n")
    return path


def counts(result: Result) -> dict[str, int]:
    document = json.loads(result.stdout)
    found = {name: document[name] for name in ("read", "created", "updated", "unchanged", "rejected")}
    assert found["read"] == sum(value for name, value in found.items() if name != "read")
    return found


def test_every_row_is_imported_once_and_a_second_import_changes_nothing(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "a.csv", rows(250))
    first = run(file, "--json")
    assert first.exit_code == 0, first.stderr
    assert counts(first) == {"read": 250, "created": 250, "updated": 0, "unchanged": 0, "rejected": 0}
    assert counts(run(file, "--json"))["unchanged"] == 250
    file = write_csv(file, [[*line[:1], "New title", *line[2:]] for line in rows(10)])
    assert counts(run(file, "--json")) == {"read": 10, "created": 0, "updated": 10, "unchanged": 0, "rejected": 0}
    assert len(catalog_server.items) == 250
    assert catalog_server.item("spotify:id0").title == "New title"
    assert catalog_server.tokens == {"Bearer of-the-test"}


def test_tsv_json_lines_and_parquet_give_the_same_items_as_csv(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    lines = rows(120)
    run(write_csv(tmp_path / "a.csv", lines), "--json")
    expected = dict(catalog_server.items)
    tsv = tmp_path / "a.tsv"
    tsv.write_text("\n".join("\t".join(line) for line in [COLUMNS, *lines]))
    typed = [[*line[:3], *map(float, line[3:])] for line in lines]
    jsonl = tmp_path / "a.jsonl"
    jsonl.write_text("".join(json.dumps(dict(zip(COLUMNS, line, strict=True))) + "\n" for line in typed))
    table = tmp_path / "a.parquet"
    parquet.write_table(pa.table(dict(zip(COLUMNS, zip(*typed, strict=True), strict=True))), table)
    for file in (tsv, jsonl, table):
        catalog_server.items.clear()
        assert counts(run(file, "--json"))["created"] == 120
        assert catalog_server.items == expected


def test_bad_rows_are_reported_by_line_from_file_and_server_alike(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    lines = rows(230)
    lines[0][3] = "loud"  # line 2: not a number
    lines[3][1] = '"two\nlines"'  # line 5, and the lines after it move by one
    lines[5][3] = "1.5"  # line 8: the server's rule
    lines[7][0] = ""  # line 10: no id
    lines[200] = ["short"]  # line 203
    file = write_csv(tmp_path / "a.csv", lines)
    report = tmp_path / "rejected.jsonl"
    result = run(file, "--report", str(report), "--json")
    assert result.exit_code == 0
    assert counts(result) == {"read": 230, "created": 226, "updated": 0, "unchanged": 0, "rejected": 4}
    reported = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(one["line"], one["violations"][0]["field"]) for one in reported] == [
        (2, "features.energy"),
        (8, "features.energy"),
        (10, "external_id"),
        (203, ""),
    ]
    assert reported[0]["violations"][0] == {"field": "features.energy", "rule": "must be a number", "value": "loud"}
    assert reported[1]["externalId"] == "spotify:id5"
    assert json.loads(result.stdout)["firstRejections"] == reported
    assert catalog_server.item("spotify:id3").title == "two\nlines"


def test_strict_makes_a_rejected_row_a_failure(run: Run, tmp_path: Path) -> None:
    lines = rows(10)
    lines[4][3] = "loud"
    file = write_csv(tmp_path / "a.csv", lines)
    assert run(file).exit_code == ExitCode.OK
    result = run(file, "--strict")
    assert result.exit_code == ExitCode.REFUSED
    assert "line 6: features.energy must be a number, not 'loud'" in result.stderr
    assert "10 rows read: 0 created, 0 updated, 9 unchanged, 1 rejected." in result.stdout


def test_more_rejections_than_an_answer_names_are_all_reported(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "ROWS_PER_STREAM", 400)
    lines = rows(700)
    for number, line in enumerate(lines):
        if number % 5:
            line[3] = "7"
    file = write_csv(tmp_path / "a.csv", lines)
    report = tmp_path / "rejected.jsonl"
    result = run(file, "--report", str(report))
    assert "700 rows read: 140 created, 0 updated, 0 unchanged, 560 rejected." in result.stdout
    assert "550 more rejected rows" in result.stderr
    reported = [json.loads(line)["line"] for line in report.read_text().splitlines()]
    assert reported == [number + 2 for number in range(700) if number % 5]


def test_short_absence_of_the_store_is_bridged(run: Run, catalog_server: CatalogServer, tmp_path: Path) -> None:
    catalog_server.refuse_after = 4
    result = run(write_csv(tmp_path / "a.csv", rows(250)), "--json")
    assert result.exit_code == 0
    assert counts(result)["read"] == len(catalog_server.items) == 250


def test_import_goes_on_after_the_last_acknowledged_row(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    lines = rows(450)
    lines[10][3] = "loud"
    lines[440][3] = "7"
    file = write_csv(tmp_path / "a.csv", lines)
    report = tmp_path / "rejected.jsonl"
    catalog_server.refuse_from_stream = 3
    broken = run(file, "--report", str(report))
    assert broken.exit_code == ExitCode.UNAVAILABLE
    assert "200 rows are done: the same command goes on from there" in broken.stderr
    assert [json.loads(line)["line"] for line in report.read_text().splitlines()] == [12]
    stored = len(catalog_server.items)

    catalog_server.refuse_from_stream = None
    catalog_server.message_sizes.clear()
    result = run(file, "--report", str(report), "--json")
    assert result.exit_code == 0
    assert "Going on after row 200" in result.stderr
    assert json.loads(result.stdout)["resumedAt"] == 200
    assert counts(result) == {"read": 450, "created": 448, "updated": 0, "unchanged": 0, "rejected": 2}
    assert (stored, len(catalog_server.items)) == (199, 448)
    assert [json.loads(line)["line"] for line in report.read_text().splitlines()] == [12, 442]
    assert len(catalog_server.message_sizes) == 8  # 250 rows, not 450


def test_restart_and_a_changed_file_or_mapping_start_from_the_first_row(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "a.csv", rows(300))

    def interrupt() -> None:
        catalog_server.streams = 0
        catalog_server.refuse_from_stream = 2
        assert run(file).exit_code == ExitCode.UNAVAILABLE
        catalog_server.refuse_from_stream = None

    for arguments in (["--restart"], ["--source", "other"]):
        interrupt()
        result = run(file, "--json", *arguments)
        assert "resumedAt" not in json.loads(result.stdout)
        assert counts(result)["read"] == 300
    interrupt()
    os.utime(file, ns=(1, 1))
    assert "resumedAt" not in json.loads(run(file, "--json").stdout)


def test_damaged_checkpoint_starts_from_the_first_row(
    run: Run, catalog_server: CatalogServer, tmp_path: Path, state_folder: Path
) -> None:
    file = write_csv(tmp_path / "a.csv", rows(300))
    catalog_server.refuse_from_stream = 2
    run(file)
    catalog_server.refuse_from_stream = None
    (checkpoint,) = (state_folder / "imports").glob("*.json")
    checkpoint.write_text("{")
    assert counts(run(file, "--json"))["read"] == 300
    assert not list((state_folder / "imports").iterdir())


def test_what_comes_before_a_cut_in_the_file_is_imported(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv.gz"
    plain = write_csv(tmp_path / "a.csv", [[os.urandom(20).hex(), *line[1:]] for line in rows(3_000)])
    packed = gzip.compress(plain.read_bytes())
    file.write_bytes(packed[: len(packed) // 2])
    result = run(file)
    assert result.exit_code == ExitCode.REFUSED
    assert "ends in the middle" in result.stderr
    assert len(catalog_server.items) > 1_000
    assert f"{len(catalog_server.items):,} rows are done" in result.stderr


def test_messages_stay_below_512_kib_and_an_item_that_cannot_is_reported(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    wide = [{"external_id": f"x:{n}", "title": f"T{n}", "genres": ["g" * 90_000]} for n in range(30)]
    wide[7]["genres"] = ["g" * 600_000]
    file.write_text("".join(json.dumps(row) + "\n" for row in wide))
    result = run(file, "--json")
    assert counts(result)["rejected"] == 30  # a genre has at most 100 characters
    assert max(catalog_server.message_sizes) <= upload.MAX_BATCH_BYTES
    assert any("512 KiB" in rule for rule in json.loads(result.stdout)["rules"])


def test_dry_run_sends_nothing_and_finds_what_the_server_would_refuse(
    run: Run, catalog_server: CatalogServer, tmp_path: Path
) -> None:
    lines = rows(230)
    lines[0][3] = "loud"
    lines[1][3] = "1.5"
    file = write_csv(tmp_path / "a.csv", lines)
    report = tmp_path / "rejected.jsonl"
    result = run(file, "--dry-run", "--report", str(report))
    assert result.exit_code == 0
    assert "230 rows read: 228 fit to import, 2 rejected." in result.stdout
    assert [json.loads(line)["line"] for line in report.read_text().splitlines()] == [2, 3]
    document = json.loads(run(file, "--dry-run", "--json").stdout)
    assert (document["read"], document["valid"], document["dryRun"]) == (230, 228, True)
    assert catalog_server.streams == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--format", "xml"], "must be one of csv, tsv, jsonl, parquet"),
        (["--map", "title=Gone"], "no column 'Gone'"),
        (["--report", "/proc/none/report"], "Cannot write the report"),
        (["--address", "ftp://x"], "must be like http://127.0.0.1:8080"),
    ],
)
def test_wrong_options_exit_with_2_and_one_sentence(run: Run, tmp_path: Path, arguments: list[str], told: str) -> None:
    result = run(write_csv(tmp_path / "a.csv", rows(3)), *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_mesh_that_is_not_there_is_one_sentence_with_the_way_out(tmp_path: Path, run: Run) -> None:
    file = write_csv(tmp_path / "a.csv", rows(3))
    result = run(file, "--address", "http://127.0.0.1:1")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "Cannot reach the mesh at http://127.0.0.1:1: start it with `rhythmiq up`" in result.stderr


def test_second_import_of_the_same_file_at_once_is_refused(
    run: Run, tmp_path: Path, catalog_server: CatalogServer
) -> None:
    file = write_csv(tmp_path / "a.csv", rows(150))
    second: list[Result] = []
    catalog_server.on_stream = lambda: second.append(run(file)) if not second else None
    assert run(file).exit_code == 0
    assert second[0].exit_code == ExitCode.CONFLICT
    assert "running already" in second[0].stderr


def test_help_shows_an_example() -> None:
    result = CliRunner().invoke(app, ["catalog", "--help"])
    assert "rhythmiq import catalog tracks.csv.gz" in result.stdout
