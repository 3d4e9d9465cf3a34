"""Which column of a file becomes which field of an item.

A mapping is built in (`spotify`, `rhythmiq`), read from a YAML or JSON file, or given as `--map target=column`; a later
one overrides an earlier one, target by target. docs/importing.md describes it for the people who write one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import yaml

from rhythmiq_cli.catalog.files import names_in_words
from rhythmiq_cli.catalog.targets import FEATURES, LISTS, is_keyed, is_target, targets_in_words
from rhythmiq_cli.output import CommandError, ExitCode

_KEYED_ALIASES = re.compile(r"\AotherIds\.")
_SOURCE = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
KINDS = ("track", "podcast_episode", "soundscape")


@dataclass(frozen=True)
class Column:
    """One column and how to read it.

    `separator` splits a list; `scale` multiplies a number; `unknown` lists numbers that mean "not known";
    a constant `value` takes the place of a column.
    """

    name: str = ""
    separator: str | None = None
    scale: float | None = None
    unknown: tuple[float, ...] = ()
    value: str | None = None


@dataclass(frozen=True)
class Mapping:
    """Columns by target. A list target joins all its columns; any other has one."""

    columns: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    # Put before every id, `source:id`; empty where the ids carry it already.
    source: str = ""
    kind: str = "track"

    def overridden_by(self, other: dict[str, tuple[Column, ...]]) -> Mapping:
        return replace(self, columns={**self.columns, **other})

    def digest(self) -> str:
        """Changes with anything that changes what a row becomes."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def _normal(name: str) -> str:
    """`Track Name`, `track_name` and `Duration (ms)` / `duration_ms` are the same column to the built-in mappings."""
    return re.sub(r"[^a-z0-9.]+", "_", name.casefold()).strip("_")


# For each target the column names by which it is known, best first. Genres take all that are there, the others the
# first one.
_SPOTIFY: dict[str, tuple[Column, ...]] = {
    "external_id": tuple(Column(n) for n in ("track_id", "spotify_id", "track_uri", "spotify_track_uri", "uri", "id")),
    "title": tuple(Column(n) for n in ("track_name", "name", "track", "title", "song")),
    "artists": (
        Column("artists", ";"),
        Column("track_artist"),
        Column("artist_name_s", ";"),
        Column("artist_names", ";"),
        Column("artist_name"),
        Column("artist"),
    ),
    "genres": tuple(
        Column(n, "|")
        for n in ("genres", "genre", "playlist_genre", "track_genre", "subgenres", "subgenre", "playlist_subgenre")
    ),
    "explicit": (Column("explicit"),),
    "release_date": tuple(
        Column(n) for n in ("release_date", "track_album_release_date", "album_release_date", "release_year", "year")
    ),
    "popularity": (Column("popularity"), Column("track_popularity")),
    "duration_ms": (Column("duration_ms"), Column("track_duration_ms")),
    "links.preview": (Column("preview_url"), Column("track_preview_url")),
    "other_ids.isrc": (Column("isrc"),),
    # What Spotify's analysis writes where it found nothing.
    **{name: (Column(name),) for name in FEATURES},
    "tempo": (Column("tempo", unknown=(0.0,)),),
    "key": (Column("key", unknown=(-1.0,)),),
    "mode": (Column("mode", unknown=(-1.0,)),),
    "time_signature": (Column("time_signature", unknown=(0.0,)),),
}

# The project's own names, plain (`external_id`, `tempo`) and as the JSON API prints an item (`externalId`,
# `features.tempo`).
_RHYTHMIQ: dict[str, tuple[Column, ...]] = {
    "external_id": (Column("external_id"), Column("externalid")),
    "title": (Column("title"),),
    "kind": (Column("kind"),),
    "language": (Column("language"),),
    "explicit": (Column("explicit"),),
    "release_date": (Column("release_date"), Column("releasedate")),
    "popularity": (Column("popularity"),),
    "duration_ms": (Column("duration_ms"),),
    "duration_s": (Column("duration_s"), Column("duration")),
    **{name: (Column(name, "|"),) for name in LISTS},
    **{name: (Column(name), Column(f"features.{name}")) for name in FEATURES},
    "time_signature": (Column("time_signature"), Column("features.timesignature")),
}


def detect(columns: Sequence[str]) -> Mapping | None:
    """The built-in mapping that fits the columns of a file, or None."""
    spotify = built_in("spotify", columns)
    features = sum(name in spotify.columns for name in ("danceability", "energy", "valence", "acousticness", "tempo"))
    own = built_in("rhythmiq", columns)
    if {"external_id", "title"} <= own.columns.keys():
        return own
    if {"external_id", "title"} <= spotify.columns.keys() and features >= 3:
        return spotify
    return None


def built_in(name: str, columns: Sequence[str]) -> Mapping:
    """A built-in mapping, narrowed to the columns that a file has."""
    actual = {_normal(column): column for column in reversed(columns)}
    found: dict[str, tuple[Column, ...]] = {}
    for target, candidates in (_SPOTIFY if name == "spotify" else _RHYTHMIQ).items():
        present = tuple(replace(c, name=actual[c.name]) for c in candidates if c.name in actual)
        if present:
            found[target] = present if target == "genres" else present[:1]
    if name == "rhythmiq":
        found.update((_KEYED_ALIASES.sub("other_ids.", c), (Column(c),)) for c in columns if is_keyed(c))
    return Mapping(found, source="spotify" if name == "spotify" else "")


def resolve(
    columns: Sequence[str],
    *,
    base: str | None = None,
    overrides: Sequence[str] = (),
    source: str | None = None,
    kind: str | None = None,
) -> Mapping:
    """The mapping for a file with `columns`: detected, or the built-in or file that `base` names, then the overrides.

    Raises CommandError when it names an unknown target, or leaves open where ids and titles come from.
    """
    if base in {"spotify", "rhythmiq"}:
        mapping = built_in(base, columns)
    elif base is not None:
        mapping = load(Path(base))
    else:
        mapping = detect(columns) or Mapping()
    mapping = mapping.overridden_by(parse_overrides(overrides))
    mapping = replace(
        mapping,
        source=mapping.source if source is None else source,
        kind=_checked_kind(kind) if kind else mapping.kind,
    )
    if mapping.source and not _SOURCE.match(mapping.source):
        raise CommandError(
            f"The source {mapping.source!r} must be a lower-case word of at most 32 characters, such as mylabel.",
            ExitCode.USAGE,
        )
    for target in ("external_id", "title"):
        if target not in mapping.columns:
            raise CommandError(
                f"No column is mapped to {target}: add --map {target}=COLUMN with one of: {names_in_words(columns)}.",
                ExitCode.USAGE,
            )
    return mapping


def parse_overrides(overrides: Sequence[str]) -> dict[str, tuple[Column, ...]]:
    """`target=column` pairs; a list target may be given more than once."""
    found: dict[str, tuple[Column, ...]] = {}
    for text in overrides:
        target, equals, name = text.partition("=")
        if not equals or not name:
            raise CommandError(f"--map {text!r} must be TARGET=COLUMN, such as title=Name.", ExitCode.USAGE)
        _check_target(target)
        column = Column(name, "|" if target in LISTS else None)
        found[target] = (*found.get(target, ()), column) if target in LISTS else (column,)
    return found


def load(path: Path) -> Mapping:
    """Reads a mapping file, YAML or JSON. Raises CommandError that names the entry at fault."""
    try:
        # Every JSON document is a YAML document. BaseLoader takes every scalar as text: a column may be called `No`.
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - makes text only
    except OSError as error:
        raise CommandError(f"Cannot read the mapping {path}: {error.strerror or error}.", ExitCode.USAGE) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"The mapping {path} is neither YAML nor JSON: {error}.", ExitCode.USAGE) from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("columns"), dict):
        raise CommandError(f"The mapping {path} needs `columns:` with lines like `title: Name`.", ExitCode.USAGE)
    unknown = loaded.keys() - {"columns", "source", "kind"}
    if unknown:
        raise CommandError(
            f"The mapping {path} has {min(map(str, unknown))!r}; it may have columns, source and kind.",
            ExitCode.USAGE,
        )
    columns: dict[str, tuple[Column, ...]] = {}
    for target, entry in loaded["columns"].items():
        _check_target(str(target))
        entries = entry if isinstance(entry, list) and target in LISTS else [entry]
        columns[str(target)] = tuple(_column(str(target), one) for one in entries)
    return Mapping(columns, str(loaded.get("source", "")), _checked_kind(str(loaded.get("kind", "track"))))


def _column(target: str, entry: object) -> Column:
    default_separator = "|" if target in LISTS else None
    if isinstance(entry, str):
        return Column(entry, default_separator)
    known = {"column", "separator", "scale", "unknown", "value"}
    if not isinstance(entry, dict) or not entry.keys() <= known or ("column" in entry) == ("value" in entry):
        raise CommandError(
            f"columns.{target} must be a column's name, or have `column` (and separator, scale, unknown) or `value`.",
            ExitCode.USAGE,
        )
    options = cast("MappingType[str, object]", entry)
    try:
        unknown = options.get("unknown", ())
        listed = unknown if isinstance(unknown, (list, tuple)) else [unknown]
        scale = options.get("scale")
        return Column(
            name=str(options.get("column", "")),
            separator=str(options["separator"]) if "separator" in options else default_separator,
            scale=None if scale is None else float(str(scale)),
            unknown=tuple(float(str(one)) for one in listed),
            value=str(options["value"]) if "value" in options else None,
        )
    except ValueError:
        raise CommandError(f"columns.{target}: scale and unknown must be numbers.", ExitCode.USAGE) from None


def _check_target(target: str) -> None:
    if not is_target(target):
        raise CommandError(f"There is no target {target!r}; there are: {targets_in_words()}.", ExitCode.USAGE)


def _checked_kind(kind: str) -> str:
    lowered = kind.lower()
    if lowered not in KINDS:
        raise CommandError(f"The kind {kind!r} must be one of {', '.join(KINDS)}.", ExitCode.USAGE)
    return lowered
