"""`rhythmiq import catalog` against the real mesh: every row is imported or reported, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from local_mesh import LocalMesh, environment, rhythmiq, wait_until

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc
from rhythmiq_cli.output import ExitCode

DATA = Path(os.environ.get("RHYTHMIQ_DATA_DIR", Path(__file__).resolve().parents[3] / "shared" / "data"))
NEEDS_DATA = pytest.mark.skipif(
    not (DATA / "spotify-tracks").is_dir(), reason="no folder with spotify-tracks: set RHYTHMIQ_DATA_DIR"
)
HEADER = "track_id,name,artist,energy,valence,tempo,danceability,genres"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """A mesh of this module's own: what is imported here would be recommended in other tests."""
    running = LocalMesh(tmp_path_factory.mktemp("import-mesh") / "state", "--no-demo")
    running.start()
    try:
        yield running
    finally:
        running.stop()


def write_tracks(path: Path, count: int, artist: str) -> Path:
    lines = (f"{artist}{n},Song {n},{artist},0.5,0.4,{60 + n % 120},0.3,e2e|{artist}" for n in range(count))
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def imported(mesh: LocalMesh, artist: str) -> int:
    """How many items of an artist the catalogue has, counted page by page."""
    with grpc.insecure_channel(mesh.grpc_target) as channel:
        catalog = item_pb2_grpc.CatalogServiceStub(channel)
        metadata = (("authorization", f"Bearer {mesh.token()}"),)
        count, token = 0, ""
        while True:
            request = item_pb2.ListItemsRequest(artist=artist, page_size=200, page_token=token)
            page = catalog.ListItems(request, timeout=10, metadata=metadata)
            count += len(page.items)
            token = page.next_page_token
            if not token:
                return count


def test_rows_are_imported_through_the_edge_and_bad_ones_reported_by_line(mesh: LocalMesh, tmp_path: Path) -> None:
    file = write_tracks(tmp_path / "a.csv", 700, "importer")
    lines = file.read_text().splitlines()
    lines[3] = lines[3].replace(",0.5,", ",loud,")
    lines[650] = lines[650].replace(",0.5,", ",7,")
    file.write_text("\n".join(lines))
    report = tmp_path / "rejected.jsonl"
    command = ("import", "catalog", str(file), "--report", str(report), "--json")
    result = rhythmiq(*command, state=mesh.state)
    assert result.returncode == ExitCode.OK, result.stderr
    first = json.loads(result.stdout)
    assert (first["read"], first["created"], first["rejected"]) == (700, 698, 2)
    assert [json.loads(line)["line"] for line in report.read_text().splitlines()] == [4, 651]
    again = json.loads(rhythmiq(*command, state=mesh.state).stdout)
    assert (again["created"], again["unchanged"], again["rejected"]) == (0, 698, 2)
    assert imported(mesh, "importer") == 698
    assert rhythmiq(*command, "--strict", state=mesh.state).returncode == ExitCode.REFUSED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_import_that_was_killed_goes_on_without_duplicates(
    mesh: LocalMesh, tmp_path: Path, number: signal.Signals
) -> None:
    artist = f"killed{number.value}"
    file = write_tracks(tmp_path / f"{artist}.csv", 30_000, artist)
    checkpoints = mesh.state / "imports"
    before = set(checkpoints.glob("*.json"))
    process = subprocess.Popen(
        [sys.executable, "-m", "rhythmiq_cli", "import", "catalog", str(file)],
        env=environment(mesh.state),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: bool(set(checkpoints.glob("*.json")) - before), 60, "the first stream is acknowledged")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (ExitCode.INTERRUPTED if number is signal.SIGINT else -signal.SIGKILL)
    if number is signal.SIGINT:
        assert "the same command goes on from there" in errors
    result = rhythmiq("import", "catalog", str(file), "--json", state=mesh.state)
    assert result.returncode == ExitCode.OK, result.stderr
    summary = json.loads(result.stdout)
    assert summary["resumedAt"] >= 5_000
    assert summary["read"] == summary["created"] + summary["updated"] + summary["unchanged"] == 30_000
    assert imported(mesh, artist) == 30_000


def test_importing_takes_the_administrators_role(mesh: LocalMesh, tmp_path: Path) -> None:
    file = write_tracks(tmp_path / "a.csv", 3, "nobody")
    listener = mesh.token()
    result = rhythmiq("import", "catalog", str(file), state=mesh.state, RHYTHMIQ_TOKEN=listener)
    assert result.returncode == ExitCode.NOT_ALLOWED
    assert "administrator" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    forged = rhythmiq("import", "catalog", str(file), "--token", "a.b.c", state=mesh.state)
    assert forged.returncode == ExitCode.NOT_ALLOWED
    assert imported(mesh, "nobody") == 0


@NEEDS_DATA
def test_all_real_tracks_are_imported_or_reported_with_a_reason(mesh: LocalMesh, tmp_path: Path) -> None:
    file = DATA / "spotify-tracks" / "tracks_union.csv.gz"
    report = tmp_path / "rejected.jsonl"
    result = rhythmiq("import", "catalog", str(file), "--report", str(report), "--json", state=mesh.state)
    assert result.returncode == ExitCode.OK, result.stderr
    summary = json.loads(result.stdout)
    assert summary["read"] == 66_307
    assert summary["rejected"] == 4
    reported = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(one["line"], one["violations"][0]["field"]) for one in reported] == [
        (7670, "title"),
        (8694, "title"),
        (8695, "title"),
        (17667, "title"),
    ]
    assert all(one["violations"][0]["rule"] for one in reported)
