"""Rows become the items that their mapping promises."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.type.date_pb2 import Date

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.catalog.convert import Converter, RowRejected
from rhythmiq_cli.catalog.mapping import Column, Mapping, detect, resolve
from rhythmiq_cli.output import CommandError

_FEATURES = [
    "danceability",
    "energy",
    "key",
    "loudness",
    "mode",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "tempo",
    "duration_ms",
]
UNION_COLUMNS = [
    *["track_id", "name", "artist", "popularity", "release_date", "genres", "subgenres"],
    *_FEATURES,
    *["in_playlist_songs", "decades", "in_decade_songs"],
]
PLAYLIST_COLUMNS = [
    *["track_id", "track_name", "track_artist", "track_popularity", "track_album_id", "track_album_name"],
    *["track_album_release_date", "playlist_name", "playlist_id", "playlist_genre", "playlist_subgenre"],
    *_FEATURES,
]


def item_of(row: dict[str, Any], mapping: Mapping | None = None) -> item_pb2.Item:
    converter = Converter(mapping or resolve(list(row)))
    return converter.item([row[name] for name in converter.columns])


def spotify(**changed: Any) -> item_pb2.Item:
    row = dict.fromkeys(UNION_COLUMNS, "") | {
        "track_id": "6f8",
        "name": "Song",
        "artist": "Somebody",
        "tempo": "122.036",
    }
    return item_of(row | changed)


def test_spotify_row_becomes_a_track_with_all_its_features() -> None:
    item = spotify(
        popularity="66", release_date="2019-06-14", genres="edm|pop", subgenres="dance pop|pop", danceability="0.748",
        energy="0.916", key="6", loudness="-2.634", mode="1", duration_ms="194754",
    )  # fmt: skip
    assert json_format.MessageToDict(item) == {
        "externalId": "spotify:6f8",
        "kind": "TRACK",
        "title": "Song",
        "artists": ["Somebody"],
        "genres": ["edm", "pop", "dance pop"],
        "releaseDate": {"year": 2019, "month": 6, "day": 14},
        "popularity": 66.0,
        "duration": "194.754s",
        "features": {
            "danceability": 0.748,
            "energy": 0.916,
            "key": 6,
            "loudness": -2.634,
            "mode": 1,
            "tempo": 122.036,
        },
    }


def test_playlist_columns_are_known_and_both_genre_columns_count() -> None:
    row = dict.fromkeys(PLAYLIST_COLUMNS, "") | {
        "track_id": "6f8", "track_name": "Song", "track_artist": "Somebody", "track_popularity": "12",
        "playlist_genre": "pop", "playlist_subgenre": "dance pop", "track_album_release_date": "1957",
    }  # fmt: skip
    item = item_of(row)
    assert (item.title, list(item.artists), item.popularity) == ("Song", ["Somebody"], 12)
    assert list(item.genres) == ["pop", "dance pop"]
    assert item.release_date == Date(year=1957)


def test_column_names_are_known_however_they_are_spelled() -> None:
    row = {
        "Track URI": "spotify:track:6f8", "Track Name": "Song", "Artist Name(s)": "One;Two", "Duration (ms)": "1000",
        "Danceability": "0.5", "Energy": "0.5", "Valence": "0.5",
    }  # fmt: skip
    item = item_of(row)
    assert item.external_id == "spotify:6f8"
    assert list(item.artists) == ["One", "Two"]
    assert item.duration.seconds == 1


def test_what_spotify_writes_for_unknown_is_left_out() -> None:
    item = spotify(tempo="0.0", key="-1", mode="", popularity="NA", release_date="0000", loudness="nan")
    assert not item.HasField("features")
    assert not item.HasField("release_date")
    assert not item.HasField("popularity")


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2019", Date(year=2019)),
        ("2019.0", Date(year=2019)),
        ("2019-06", Date(year=2019, month=6)),
        ("2019-06-14", Date(year=2019, month=6, day=14)),
        ("2019-06-14T00:00:00Z", Date(year=2019, month=6, day=14)),
        (2019, Date(year=2019)),
        (dt.date(2019, 6, 14), Date(year=2019, month=6, day=14)),
        (dt.datetime(2019, 6, 14, 3, tzinfo=dt.UTC), Date(year=2019, month=6, day=14)),
        ({"year": 2019, "month": 6}, Date(year=2019, month=6)),
    ],
)
def test_dates_are_taken_as_far_as_they_are_known(written: Any, date: Date) -> None:
    assert spotify(release_date=written).release_date == date


@pytest.mark.parametrize(
    ("field", "written", "path"),
    [
        ("energy", "high", "features.energy"),
        ("energy", "1_0", "features.energy"),
        ("energy", True, "features.energy"),
        ("energy", [0.5], "features.energy"),
        ("energy", {}, "features.energy"),
        ("key", "6.5", "features.key"),
        ("mode", "inf", "features.mode"),
        ("popularity", "many", "popularity"),
        ("release_date", "14.06.2019", "release_date"),
        ("release_date", "2019-02-30", "release_date"),
        ("duration_ms", "3:15", "duration"),
        ("duration_ms", "inf", "duration"),
        ("name", "\udcff", "title"),
        ("name", ["a"], "title"),
        ("artist", {"name": "a"}, "artists"),
        ("track_id", " ", "external_id"),
        ("track_id", None, "external_id"),
    ],
)
def test_value_that_cannot_be_read_is_told_with_its_field(field: str, written: Any, path: str) -> None:
    with pytest.raises(RowRejected) as rejected:
        spotify(**{field: written})
    assert [violation.field for violation in rejected.value.violations] == [path]
    assert rejected.value.violations[0].rule


def test_every_field_at_fault_is_told_at_once() -> None:
    with pytest.raises(RowRejected) as rejected:
        spotify(energy="high", tempo="fast", popularity="x" * 1000)
    assert {violation.field for violation in rejected.value.violations} == {
        "features.energy",
        "features.tempo",
        "popularity",
    }
    assert rejected.value.external_id == "spotify:6f8"
    assert max(len(violation.value) for violation in rejected.value.violations) <= 101


def test_numbers_out_of_range_are_left_to_the_rules_of_the_schema() -> None:
    assert spotify(energy="1.5").features.energy == 1.5
    assert spotify(duration_ms="-1500").duration.ToMilliseconds() == -1500


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("['A', \"B's\"]", ["A", "B's"]),
        ('["A", "B"]', ["A", "B"]),
        ("[untitled]", ["[untitled]"]),
        ("[1]", ["[1]"]),
        (["A", " ", "B"], ["A", "B"]),
        ("NA", ["NA"]),
        (1999, ["1999"]),
        (float("nan"), []),
    ],
)
def test_lists_are_read_as_json_as_python_or_as_one_name(written: Any, names: list[str]) -> None:
    assert list(spotify(artist=written).artists) == names


def test_typed_values_are_read_as_parquet_and_json_give_them() -> None:
    item = spotify(energy=Decimal("0.5"), tempo=float("nan"), key=6.0, duration_ms=1000, name=1999, popularity=66)
    assert (item.features.energy, item.features.key, item.title, item.popularity) == (0.5, 6, "1999", 66)
    assert not item.features.HasField("tempo")


def test_item_printed_by_the_api_is_read_back_as_it_was() -> None:
    item = item_pb2.Item(
        external_id="mylabel:1", kind=item_pb2.Item.PODCAST_EPISODE, title="Talk", artists=["A", "B"], genres=["news"],
        language="de", explicit=False, popularity=5, links={"preview": "https://example.org/1"},
        other_ids={"isrc": "X1"}, release_date=Date(year=2020, month=1),
    )  # fmt: skip
    item.duration.FromMilliseconds(1_500)
    item.features.tempo = 100.0
    item.features.time_signature = 4
    row = json_format.MessageToDict(item)
    for outer in ("features", "links", "otherIds"):
        row |= {f"{outer}.{name}": value for name, value in row[outer].items()}
    assert item_of(row) == item


def test_mapping_file_renames_scales_splits_and_adds_constants(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(
        """
source: mylabel
kind: soundscape
columns:
  external_id: No
  title: Name
  artists: {column: Makers, separator: "/"}
  genres: [Style, {column: Tags, separator: ";"}, {value: field recording}]
  energy: {column: Power, scale: 0.01, unknown: -1}
  duration_s: {column: Minutes, scale: 60}
  language: {value: en}
  key: {value: 3}
  links.page: URL
  other_ids.shop: {value: s-1}
"""
    )
    row = {
        "No": "7", "Name": "Rain", "Makers": "A / B", "Style": "rain", "Tags": "night;rain", "Power": "25",
        "Minutes": "1.5", "URL": "https://example.org",
    }  # fmt: skip
    item = item_of(row, resolve(list(row), base=str(file)))
    assert json_format.MessageToDict(item) == {
        "externalId": "mylabel:7", "kind": "SOUNDSCAPE", "title": "Rain", "artists": ["A", "B"], "language": "en",
        "genres": ["field recording", "rain", "night"], "duration": "90s", "features": {"energy": 0.25, "key": 3},
        "links": {"page": "https://example.org"}, "otherIds": {"shop": "s-1"},
    }  # fmt: skip
    unknown = item_of(row | {"Power": "-1"}, resolve(list(row), base=str(file)))
    assert not unknown.features.HasField("energy")


def test_mapping_file_may_be_json(tmp_path: Path) -> None:
    file = tmp_path / "mapping.json"
    file.write_text('{"source": "x", "columns": {"external_id": "a", "title": "b"}}')
    assert item_of({"a": "1", "b": "T"}, resolve(["a", "b"], base=str(file))).external_id == "x:1"


def test_single_mappings_and_options_override_what_was_detected() -> None:
    columns = [*UNION_COLUMNS, "Real Title", "Mood"]
    mapping = resolve(
        columns, overrides=["title=Real Title", "genres=genres", "genres=Mood"], source="mine", kind="podcast_episode"
    )
    row = dict.fromkeys(columns, "") | {"track_id": "1", "Real Title": "T", "genres": "a|b", "Mood": "c"}
    item = item_of(row, mapping)
    assert (item.external_id, item.title, list(item.genres)) == ("mine:1", "T", ["a", "b", "c"])
    assert item.kind == item_pb2.Item.PODCAST_EPISODE


def test_ids_that_carry_their_source_are_kept() -> None:
    row = {"external_id": "mylabel:1", "title": "T"}
    assert item_of(row).external_id == "mylabel:1"
    assert item_of(row, resolve(list(row), source="mylabel")).external_id == "mylabel:1"


def test_files_are_recognised_by_their_columns_alone() -> None:
    found = detect(UNION_COLUMNS)
    assert found is not None
    assert found.source == "spotify"
    assert detect(["id", "name", "colour"]) is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "No column is mapped to external_id"),
        ({"overrides": ["external_id=a"]}, "No column is mapped to title"),
        ({"overrides": ["external_id"]}, "must be TARGET=COLUMN"),
        ({"overrides": ["colour=a"]}, "There is no target 'colour'"),
        ({"overrides": ["external_id=a", "title=b"], "source": "My Label"}, "must be a lower-case word"),
        ({"overrides": ["external_id=a", "title=b"], "kind": "film"}, "must be one of track"),
        ({"base": "gone.yaml"}, "Cannot read the mapping"),
    ],
)
def test_mapping_that_leaves_something_open_is_one_clear_sentence(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        resolve(["a", "b"], **arguments)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("- a", "needs `columns:`"),
        ("columns: {title: a}\ncolour: b", "has 'colour'"),
        ("columns: {colour: a}", "There is no target 'colour'"),
        ("columns: {title: {separator: x}}", "columns.title must be"),
        ("columns: {title: {column: a, value: b}}", "columns.title must be"),
        ("columns: {tempo: {column: a, scale: fast}}", "columns.tempo: scale and unknown must be numbers"),
        ("columns: {energy: {value: high}, title: a, external_id: b}", "columns.energy: 'high' must be a number"),
        ("columns: {title: a}\nkind: film", "must be one of"),
        ("{", "neither YAML nor JSON"),
    ],
)
def test_broken_mapping_file_names_the_entry_at_fault(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "mapping.yaml"
    file.write_text(content)
    with pytest.raises(CommandError, match=told):
        Converter(resolve(["a", "b"], base=str(file)))


def test_anything_that_changes_an_item_changes_the_digest() -> None:
    base = Mapping({"title": (Column("a"),)})
    others = [
        Mapping({"title": (Column("b"),)}),
        Mapping({"title": (Column("a", scale=2.0),)}),
        Mapping(base.columns, source="x"),
        Mapping(base.columns, kind="soundscape"),
    ]
    assert len({mapping.digest() for mapping in (base, *others)}) == 5
