"""`rhythmiq import history` against services behind a real socket: every entry is recorded or accounted for, once."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from interaction_server import InteractionServer, item
from typer.testing import CliRunner, Result

from rhythmiq_cli import client as client_module
from rhythmiq_cli.app import app
from rhythmiq_cli.commands import import_history
from rhythmiq_cli.history import catalogue, upload
from rhythmiq_cli.identity.keys import SigningKey
from rhythmiq_cli.identity.tokens import mint
from rhythmiq_cli.output import ExitCode

Run = Callable[..., Result]
START = datetime(2024, 3, 1, 12, tzinfo=UTC)
ACCOUNTED = (
    "recorded", "repeated", "expired", "ambiguous", "unmatched", "private", "interrupted", "rejected"
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[InteractionServer]:
    with InteractionServer() as running:
        running.items = [item(f"spotify:{n}", f"Song {n}", [f"Artist {n % 3}"], duration_s=200) for n in range(300)]
        yield running


@pytest.fixture
def run(server: InteractionServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `rhythmiq import history` with small streams, so that a file of hundreds of entries has several."""
    monkeypatch.setattr(upload, "ENTRIES_PER_STREAM", 100)
    monkeypatch.setattr(import_history, "ENTRIES_PER_STREAM", 100)
    monkeypatch.setattr(upload, "MAX_MESSAGE_INTERACTIONS", 40)
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(catalogue, "_FIRST_PAUSE_S", 0.001)
    token = mint(SigningKey.load_or_create(tmp_path / "key.pem"), "listener")

    def invoke(file: Path, *arguments: str) -> Result:
        where = ["--address", server.address, "--token", token]
        return CliRunner().invoke(app, ["import", "history", str(file), *where, *arguments])

    return invoke


def spotify(n: int, **others: Any) -> dict[str, Any]:
    """The n-th track, played one after the other, 200 s each, as Spotify's extended history tells it."""
    return {
        "ts": (START + timedelta(seconds=200 * (n + 1))).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "platform": "linux",
        "ip_addr": "192.0.2.1",
        "ms_played": 200_000,
        "master_metadata_track_name": f"Song {n}",
        "master_metadata_album_artist_name": f"Artist {n % 3}",
        "spotify_track_uri": f"spotify:track:{n}",
        "episode_name": None,
        "spotify_episode_uri": None,
        "reason_end": "trackdone",
        "skipped": False,
        "offline_timestamp": None,
        "incognito_mode": False,
        **others,
    }


def write(path: Path, entries: list[dict[str, Any]], indent: int | None = None) -> Path:
    path.write_text(json.dumps(entries, indent=indent))
    return path


def counts(result: Result) -> dict[str, int]:
    """The counts that are not 0; all entries that were read are accounted for."""
    document = json.loads(result.stdout)
    found = {name: document[name] for name in ACCOUNTED}
    assert document["read"] == sum(found.values()), document
    return {name: count for name, count in found.items() if count}


def test_every_entry_is_recorded_once_and_a_second_import_adds_nothing(
    run: Run, server: InteractionServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "Streaming_History_Audio_2026_0.json", [spotify(n) for n in range(250)])
    first = run(file, "--json")
    assert first.exit_code == 0, first.stderr
    assert counts(first) == {"recorded": 250}
    assert counts(run(file, "--json")) == {"repeated": 250}
    assert len(server.stored) == 250
    assert server.recorded()[0] == ("spotify:0", "COMPLETE", "2024-03-01T12:00:00Z")
    one = next(iter(server.stored.values()))
    assert (one.source, one.played.seconds) == ("history-import", 200)
    assert not one.HasField("environment")
    assert max(server.message_counts) <= 40


def test_zip_as_spotify_sends_it_is_read_in_order_and_other_files_are_left(
    run: Run, server: InteractionServer, tmp_path: Path
) -> None:
    file = tmp_path / "my_spotify_data.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        folder = "Spotify Extended Streaming History"
        archive.writestr(f"{folder}/ReadMeFirst_ExtendedStreamingHistory.pdf", b"%PDF")
        archive.writestr(f"{folder}/Userdata.json", '{"email": "ada@example.org"}')
        for part, numbers in enumerate([range(10), range(8, 20)]):
            name = f"{folder}/Streaming_History_Audio_2026_{part}.json"
            archive.writestr(name, json.dumps([spotify(n) for n in numbers], indent=2))
    assert counts(run(file, "--json")) == {"recorded": 20, "repeated": 2}
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(unpacked)
    assert counts(run(unpacked, "--json")) == {"repeated": 22}


def test_play_complete_and_skip_follow_from_how_long_and_why_it_ended(
    run: Run, server: InteractionServer, tmp_path: Path
) -> None:
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"ms_played": 3_000}, "COMPLETE"),  # the player says that it came to the end
        ({"ms_played": 181_000, "reason_end": "fwdbtn", "skipped": True}, "COMPLETE"),
        ({"ms_played": 100_000, "reason_end": "fwdbtn", "skipped": True}, "SKIP"),
        ({"ms_played": 100_000, "reason_end": "endplay", "skipped": None}, "PLAY"),
        ({"ms_played": 29_000, "reason_end": "endplay", "skipped": None}, "SKIP"),
        ({"ms_played": 29_000, "reason_end": "unexpected-exit"}, None),
        ({"ms_played": 31_000, "reason_end": "unexpected-exit"}, "PLAY"),
    ]
    file = write(tmp_path / "endsong_0.json", [spotify(n, **others) for n, (others, _) in enumerate(cases)])
    assert counts(run(file, "--json")) == {"recorded": 6, "interrupted": 1}
    found = {name: kind for name, kind, _ in server.recorded()}
    assert found == {f"spotify:{n}": kind for n, (_, kind) in enumerate(cases) if kind}


def test_private_sessions_are_left_out_unless_asked_for(run: Run, server: InteractionServer, tmp_path: Path) -> None:
    file = write(tmp_path / "endsong_0.json", [spotify(0), spotify(1, incognito_mode=True)])
    report = tmp_path / "report.jsonl"
    assert counts(run(file, "--json", "--report", str(report))) == {"recorded": 1, "private": 1}
    assert "Song 1" not in report.read_text()
    assert counts(run(file, "--json", "--include-private")) == {"recorded": 1, "repeated": 1}


def test_listenbrainz_export_is_matched_by_every_id_it_has(run: Run, server: InteractionServer, tmp_path: Path) -> None:
    server.items = [
        item("label:1", "One", ["A"], musicbrainz="0A0A0A0A-0000-4000-8000-000000000001"),
        item("label:2", "Two", ["A"], isrc="AT-A12-26-00001"),
        item("spotify:3", "Three", ["A"], duration_s=100),
        item("label:4", "Four", ["Sigur Rós"]),
    ]

    def listen(n: int, artist: str, title: str, mapping: dict[str, Any] | None = None, **info: Any) -> str:
        track = {"artist_name": artist, "track_name": title, "additional_info": info, "mbid_mapping": mapping}
        return json.dumps({"listened_at": START.timestamp() + n, "inserted_at": 0, "track_metadata": track})

    lines = {
        "listens/2025/12.jsonl": listen(0, "x", "x", {"recording_mbid": "0a0a0a0a-0000-4000-8000-000000000001"}),
        "listens/2026/1.jsonl": listen(1, "x", "x", isrc="ATA122600001"),
        "listens/2026/2.jsonl": listen(
            2, "x", "x", spotify_id="https://open.spotify.com/track/3", duration_played=95, duration=100
        ),
        "listens/2026/10.jsonl": "\n".join([listen(3, "SIGUR ROS", "four"), listen(4, "Nobody", "Nothing"), "{oops"]),
        "user.json": '{"user_id": 1, "username": "ada"}',
        "feedback.jsonl": '{"recording_mbid": null, "score": 1, "created": 1}',
    }
    file = tmp_path / "listenbrainz_ada_1.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in lines.items():
            archive.writestr(name, text + "\n")
    result = run(file, "--json")
    assert result.exit_code == 0, result.stderr
    assert counts(result) == {"recorded": 4, "unmatched": 1, "rejected": 1}
    document = json.loads(result.stdout)
    assert (document["matchedById"], document["matchedByName"]) == (3, 1)
    assert document["firstRejections"][0].startswith("listens/2026/10.jsonl, line 3: must be JSON")
    assert [(name, kind) for name, kind, _ in server.recorded()] == [
        ("label:1", "PLAY"), ("label:2", "PLAY"), ("spotify:3", "COMPLETE"), ("label:4", "PLAY")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        'Artist 1,Album,Song 1,01 Mar 2024 12:00\n"Artist 2","An, album",Song 2,01 Mar 2024 12:05\n',
        (
            "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
            '"1709294400","01 Mar 2024, 12:00","Artist 1","","","","Song 1",""\n'
            '"1709294700","01 Mar 2024, 12:05","Artist 2","","","","Song 2",""\n'
        ),
        "Artist;Album;AlbumId;Track;Date#ada\nArtist 1;;;Song 1;1709294400000\nArtist 2;;;Song 2;1709294700000\n",
    ],
    ids=["headerless", "uts", "milliseconds"],
)
def test_each_common_form_of_lastfm_csv_gives_the_same_plays(
    run: Run, server: InteractionServer, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "scrobbles.csv"
    file.write_text(text)
    result = run(file, "--json")
    assert result.exit_code == 0, result.stderr
    assert server.recorded() == [
        ("spotify:1", "PLAY", "2024-03-01T12:00:00Z"), ("spotify:2", "PLAY", "2024-03-01T12:05:00Z")
    ]  # fmt: skip


def test_report_tells_what_was_missing_ambiguous_and_rejected(
    run: Run, server: InteractionServer, tmp_path: Path
) -> None:
    server.items += [item("spotify:twin1", "Twin", ["Gemini"]), item("spotify:twin2", "Twin", ["Gemini"])]
    names = [("Gone", "A"), ("Gone", "A"), ("Lost", "A"), ("Twin", "Gemini")]
    unknown = [
        spotify(
            n,
            spotify_track_uri=f"spotify:track:none{n}",
            master_metadata_track_name=title,
            master_metadata_album_artist_name=artist,
        )
        for n, (title, artist) in enumerate(names)
    ]
    broken = [spotify(9, ts="yesterday"), spotify(10, ms_played=-1), spotify(11, ts="2999-01-01T00:00:00Z")]
    file = write(tmp_path / "endsong_0.json", [spotify(5), *unknown, *broken], indent=1)
    report = tmp_path / "report.jsonl"
    result = run(file, "--report", str(report))
    assert result.exit_code == 0, result.stderr
    assert "8 entries read: 1 recorded" in result.stdout
    assert "Gone" in result.stdout
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert lines[0]["kind"] == "summary"
    assert (lines[0]["ambiguous"], lines[0]["unmatched"], lines[0]["rejected"]) == (1, 3, 3)
    titles = [(one["title"], one["listens"]) for one in lines if one["kind"] == "missingTitle"]
    assert titles[0] == ("Gone", 2)
    assert set(titles) == {("Gone", 2), ("Lost", 1), ("Twin", 1)}
    entries = [one for one in lines if one["kind"] == "entry"]
    assert [one["outcome"] for one in entries] == ["unmatched"] * 3 + ["ambiguous"] + ["rejected"] * 3
    assert "ts must be a time, not 'yesterday'" in entries[4]["rule"]
    text = file.read_text().splitlines()
    assert [text[one["line"] - 1].strip() for one in entries] == ["{"] * 7
    assert run(file, "--strict").exit_code == ExitCode.REFUSED


def test_what_is_older_than_interactions_are_kept_is_counted_not_refused(
    run: Run, server: InteractionServer, tmp_path: Path
) -> None:
    entries = [spotify(n) for n in range(300)]
    server.oldest_ms = int((START + timedelta(seconds=200 * 230)).timestamp() * 1000)
    forwards = write(tmp_path / "endsong_0.json", entries)
    result = run(forwards, "--json")
    assert result.exit_code == 0, result.stderr
    assert counts(result) == {"recorded": 69, "expired": 231}
    assert server.streams < 20
    server.stored.clear()
    backwards = write(tmp_path / "endsong_1.json", entries[::-1])
    assert counts(run(backwards, "--json")) == {"recorded": 69, "expired": 231}


def test_item_that_is_deleted_meanwhile_costs_only_its_own_entry(
    run: Run, server: InteractionServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "endsong_0.json", [spotify(n) for n in range(100)])
    server.deleted = {server.items[70].name}
    result = run(file, "--json")
    assert result.exit_code == 0, result.stderr
    found = counts(result)
    assert found["rejected"] == 1
    assert len(server.stored) == 99
    assert "does not exist" in json.loads(result.stdout)["firstRejections"][0]


def test_interrupted_import_goes_on_where_it_was_acknowledged(
    run: Run, server: InteractionServer, tmp_path: Path
) -> None:
    file = write(tmp_path / "endsong_0.json", [spotify(n) for n in range(299)] + [spotify(299, ts="never")])
    server.refuse_from_stream = 4  # one asks for the oldest entry, two are acknowledged
    failed = run(file, "--json")
    assert failed.exit_code == ExitCode.UNAVAILABLE
    assert "200 entries are done: the same command goes on from there." in failed.stderr
    server.refuse_from_stream = None
    again = run(file, "--json")
    assert json.loads(again.stdout)["resumedAt"] == 200
    assert counts(again) == {"recorded": 299, "rejected": 1}
    assert len(server.stored) == 299


def test_mesh_that_is_away_for_a_moment_is_asked_again(run: Run, server: InteractionServer, tmp_path: Path) -> None:
    server.away_for = 2
    assert counts(run(write(tmp_path / "endsong_0.json", [spotify(0)]), "--json")) == {"recorded": 1}


def test_dry_run_sends_nothing_and_tells_what_would_match(run: Run, server: InteractionServer, tmp_path: Path) -> None:
    file = write(tmp_path / "endsong_0.json", [spotify(0), spotify(1), spotify(900)])
    result = run(file, "--dry-run", "--json")
    document = json.loads(result.stdout)
    assert (document["read"], document["sendable"], document["unmatched"], document["dryRun"]) == (3, 2, 1, True)
    assert server.streams == 0
    assert "2 would be sent" in run(file, "--dry-run").stdout


def test_record_that_is_cut_off_loses_nothing_before_it(run: Run, server: InteractionServer, tmp_path: Path) -> None:
    text = json.dumps([spotify(n) for n in range(150)], indent=1)
    file = tmp_path / "Streaming_History_Audio_2026_0.json"
    file.write_text(text[:-400])
    result = run(file, "--json")
    assert result.exit_code == ExitCode.REFUSED
    assert counts(result) == {"recorded": 149}
    assert "the file ends in the middle of this record: it was cut off" in result.stderr
    assert len(server.stored) == 149


def test_empty_catalogue_is_said_before_anything_is_read(run: Run, server: InteractionServer, tmp_path: Path) -> None:
    server.items = []
    result = run(write(tmp_path / "endsong_0.json", [spotify(0)]))
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "rhythmiq import catalog" in result.stderr
