"""`rhythmiq import history` against the real mesh: what was heard elsewhere becomes the listener's interactions."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local_mesh import LocalMesh, rhythmiq

from rhythmiq.recommender.v1 import interaction_pb2, interaction_pb2_grpc, item_pb2, item_pb2_grpc
from rhythmiq_cli.output import ExitCode

Type = interaction_pb2.Interaction


def entry(item: item_pb2.Item, end: datetime, **others: object) -> dict[str, object]:
    return {
        "ts": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ms_played": 60_000,
        "master_metadata_track_name": item.title,
        "master_metadata_album_artist_name": item.artists[0],
        "spotify_track_uri": "spotify:track:of-another-catalogue",
        "reason_end": "trackdone",
        "skipped": False,
        "incognito_mode": False,
        **others,
    }


def export(path: Path, items: list[item_pb2.Item], now: datetime) -> Path:
    """Plays of the last days, one that was skipped, one in private, one of ten years ago, one of nothing here."""
    plays = [entry(one, now - timedelta(hours=n + 1)) for n, one in enumerate(items)]
    plays.append(entry(items[0], now - timedelta(days=2), reason_end="fwdbtn", skipped=True, ms_played=5_000))
    plays.append(entry(items[0], now - timedelta(days=3), incognito_mode=True))
    plays.append(entry(items[0], now - timedelta(days=3_660)))
    plays.append(entry(items[0], now - timedelta(days=4), master_metadata_track_name="Not in this catalogue"))
    half = len(plays) // 2
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, some in enumerate((plays[:half], plays[half:])):
            archive.writestr(
                f"Spotify Extended Streaming History/Streaming_History_Audio_{part}.json", json.dumps(some)
            )
    return path


def demo_items(mesh: LocalMesh, wanted: int) -> list[item_pb2.Item]:
    """Tracks whose artist and title are theirs alone."""
    with mesh.channel() as channel:
        request = item_pb2.ListItemsRequest(page_size=200, kind=item_pb2.Item.TRACK)
        catalog = item_pb2_grpc.CatalogServiceStub(channel)
        items: dict[tuple[str, str], list[item_pb2.Item]] = {}
        while True:
            page = catalog.ListItems(request, timeout=10, metadata=mesh.metadata())
            for one in page.items:
                items.setdefault((one.artists[0].casefold(), one.title.casefold()), []).append(one)
            request.page_token = page.next_page_token
            if not request.page_token:
                return [same[0] for same in items.values() if len(same) == 1][:wanted]


def recorded(mesh: LocalMesh, subject: str) -> list[interaction_pb2.Interaction]:
    with mesh.channel() as channel:
        service = interaction_pb2_grpc.InteractionServiceStub(channel)
        request = interaction_pb2.ListInteractionsRequest(parent=mesh.profile_name(subject), page_size=200)
        return list(service.ListInteractions(request, timeout=10, metadata=mesh.metadata(subject)).interactions)


def test_history_becomes_interactions_once_and_the_rest_is_accounted_for(mesh: LocalMesh, tmp_path: Path) -> None:
    subject = "history-listener"
    items = demo_items(mesh, 30)
    assert len(items) == 30
    created = rhythmiq("profile", "create", "--email", "history@example.org", "--subject", subject, state=mesh.state)
    assert created.returncode == ExitCode.OK, created.stderr
    file = export(tmp_path / "my_spotify_data.zip", items, datetime.now(UTC).replace(microsecond=0))
    command = ("import", "history", str(file), "--subject", subject, "--json")
    first = rhythmiq(*command, state=mesh.state)
    assert first.returncode == ExitCode.OK, first.stderr
    found = json.loads(first.stdout)
    assert (found["read"], found["recorded"], found["expired"]) == (34, 31, 1), found
    assert (found["private"], found["unmatched"], found["matchedByName"]) == (1, 1, 32), found
    again = json.loads(rhythmiq(*command, state=mesh.state).stdout)
    assert (again["recorded"], again["repeated"], again["expired"]) == (0, 31, 1)
    stored = recorded(mesh, subject)
    assert {one.item for one in stored} == {one.name for one in items}
    assert sorted(Type.Type.Name(one.type) for one in stored) == ["COMPLETE"] * 30 + ["SKIP"]
    assert {one.source for one in stored} == {"history-import"}


def test_history_takes_a_profile(mesh: LocalMesh, tmp_path: Path) -> None:
    file = export(tmp_path / "data.zip", demo_items(mesh, 3), datetime.now(UTC))
    result = rhythmiq("import", "history", str(file), "--subject", "nobody-yet", state=mesh.state)
    assert result.returncode == ExitCode.NOT_FOUND
    assert len(result.stderr.strip().splitlines()) == 1
