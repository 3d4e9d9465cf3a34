"""Turns the rows of a file into items, by a mapping. Runs once a row: what can be decided before is decided before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq.type.v1 import audio_pb2
from rhythmiq_cli.catalog import values
from rhythmiq_cli.catalog.mapping import KINDS, Column, Mapping
from rhythmiq_cli.catalog.targets import DURATIONS, FEATURES, LISTS, NUMBER_FEATURES
from rhythmiq_cli.catalog.values import MISSING
from rhythmiq_cli.output import CommandError, ExitCode

_SHOWN_CHARACTERS = 100


class Violation(NamedTuple):
    """A field of a row that breaks a rule."""

    field: str
    rule: str
    value: str = ""


class RowRejected(Exception):
    """A row that cannot become an item, with every field at fault."""

    def __init__(self, external_id: str, violations: Sequence[Violation]) -> None:
        super().__init__(violations)
        self.external_id = external_id
        self.violations = tuple(violations)


@dataclass(frozen=True, slots=True)
class _Read:
    """Reads one column for one field of the item."""

    path: str
    key: str
    index: int
    read: Callable[[Any], Any]


class Converter:
    """Makes items of rows whose values come in the order of `columns`."""

    def __init__(self, mapping: Mapping) -> None:
        self._prefix = f"{mapping.source}:" if mapping.source else ""
        self._indices: dict[str, int] = {}
        self._constants: dict[str, Any] = {"kind": _kind(mapping.kind)}
        self._constant_features: dict[str, Any] = {}
        self._features: list[_Read] = []
        self._scalars: list[_Read] = []
        self._lists: list[_Read] = []
        self._keyed: list[tuple[str, _Read]] = []
        self._constant_keyed: dict[str, dict[str, str]] = {}
        for target, columns in mapping.columns.items():
            for column in columns:
                self._add(target, column)

    @property
    def columns(self) -> Sequence[str]:
        """The columns of the file that are needed, in the order in which `item` expects their values."""
        return list(self._indices)

    def _add(self, target: str, column: Column) -> None:
        read = _reader(target, column, self._prefix)
        outer, dot, inner = target.partition(".")
        path = f"features.{target}" if target in FEATURES else "duration" if target in DURATIONS else target
        if column.value is not None:
            try:
                constant = read(column.value)
            except ValueError as error:
                message = f"The mapping's columns.{target}: {column.value!r} {error}."
                raise CommandError(message, ExitCode.USAGE) from None
            if dot:
                self._constant_keyed.setdefault(outer, {})[inner] = constant
            elif target in FEATURES:
                self._constant_features[target] = constant
            elif target in LISTS:
                self._constants[path] = [*self._constants.get(path, ()), *constant]
            else:
                self._constants[path] = constant
            return
        entry = _Read(path, inner or path.removeprefix("features."), self._index(column.name), read)
        if dot:
            self._keyed.append((outer, entry))
        else:
            (self._features if target in FEATURES else self._lists if target in LISTS else self._scalars).append(entry)

    def _index(self, name: str) -> int:
        return self._indices.setdefault(name, len(self._indices))

    def item(self, row: Sequence[Any]) -> item_pb2.Item:
        """The item of a row. Raises RowRejected with every field that cannot be read."""
        try:
            return self._item(row)
        except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
            raise self._rejected(row, error) from None

    def _item(self, row: Sequence[Any]) -> item_pb2.Item:
        features = self._constant_features.copy()
        for entry in self._features:
            raw = row[entry.index]
            # A JSON value may be a list or object, which a set cannot be asked for.
            if type(raw) is str and raw in MISSING:
                continue
            if raw is not None and (value := entry.read(raw)) is not None:
                features[entry.key] = value
        fields = self._constants.copy()
        for entry in self._scalars:
            raw = row[entry.index]
            if entry.key in _ALWAYS_READ or not (raw is None or (type(raw) is str and raw in MISSING)):
                value = entry.read(raw)
                if value is not None:
                    fields[entry.key] = value
        for entry in self._lists:
            raw = row[entry.index]
            if raw is not None and raw != "":
                known = fields.get(entry.key, ())
                fields[entry.key] = [*known, *(name for name in entry.read(raw) if name not in known)]
        if self._keyed or self._constant_keyed:
            fields.update(self._maps(row))
        if features:
            fields["features"] = audio_pb2.AudioFeatures(**features)
        return item_pb2.Item(**fields)

    def _maps(self, row: Sequence[Any]) -> dict[str, dict[str, str]]:
        maps = {outer: dict(constants) for outer, constants in self._constant_keyed.items()}
        for outer, entry in self._keyed:
            raw = row[entry.index]
            if not _is_missing(raw):
                maps.setdefault(outer, {})[entry.key] = entry.read(raw)
        return maps

    def _rejected(self, row: Sequence[Any], error: Exception) -> RowRejected:
        """Reads again, field by field, to tell all that is wrong."""
        violations: list[Violation] = []
        external_id = ""
        for entry in (*self._scalars, *self._lists, *self._features, *(entry for _, entry in self._keyed)):
            raw = row[entry.index]
            try:
                value = entry.read(raw) if entry.key in _ALWAYS_READ or not _is_missing(raw) else None
                if entry.key == "external_id":
                    external_id = str(value)
            except (ValueError, TypeError, OverflowError, ArithmeticError) as fault:
                rule = str(fault) if type(fault) is ValueError else "cannot be read"
                violations.append(Violation(entry.path, rule, _shown(raw)))
        return RowRejected(external_id, violations or [Violation("", f"cannot be read: {error}")])


# Read even where nothing is there: an id must be there, and "NA" is a title.
_ALWAYS_READ = frozenset({"external_id", "title"})


def _is_missing(raw: object) -> bool:
    return raw is None or (isinstance(raw, str) and raw in MISSING)


def _shown(raw: object) -> str:
    shown = str(raw).encode("utf-8", "replace").decode()
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "…"


def _reader(target: str, column: Column, prefix: str) -> Callable[[Any], Any]:
    if target in FEATURES or target == "popularity":
        return _number_reader(column, whole=target not in NUMBER_FEATURES and target != "popularity")
    if target in LISTS:
        return lambda raw: values.names(raw, column.separator)
    if target in DURATIONS:
        unit_s = DURATIONS[target] * (1.0 if column.scale is None else column.scale)
        return lambda raw: values.duration(raw, unit_s)
    if target == "external_id":
        return lambda raw: _external_id(raw, prefix)
    return {"kind": _kind, "explicit": values.truth, "release_date": values.date}.get(target, values.text)


def _number_reader(column: Column, *, whole: bool) -> Callable[[Any], Any]:
    plain: Callable[[Any], float | int | None] = values.whole_number if whole else values.number
    if not column.unknown and column.scale is None:
        return plain
    unknown, scale = frozenset(column.unknown), column.scale

    def read(raw: Any) -> float | int | None:
        value = values.number(raw)
        if value is None or value in unknown:
            return None
        if scale is not None:
            value *= scale
        return values.whole_number(value) if whole else value

    return read


def _kind(raw: Any) -> int:
    name = values.text(raw).lower().replace(" ", "_").replace("-", "_")
    if name not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return item_pb2.Item.Kind.Value(name.upper())


def _external_id(raw: Any, prefix: str) -> str:
    found = values.text(raw)
    if prefix == "spotify:":
        found = found.removeprefix("spotify:track:")
    if not found or found == prefix:
        raise ValueError("is missing")
    return found if found.startswith(prefix) else prefix + found
