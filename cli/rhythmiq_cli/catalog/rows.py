"""Reads catalogue files row by row, in bounded memory: CSV, TSV, JSON Lines and Parquet, plain or gzip.

A source yields `(line, values)`: the line of the file on which the row starts, counted from 1 (for Parquet: the row's
number), and its values in the order of `columns`. A row that cannot be read yields a `BadRow` in place of the values,
and reading goes on with the next.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from rhythmiq_cli.output import CommandError, ExitCode

FORMATS = ("csv", "tsv", "jsonl", "parquet")
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
# A field longer than this is an open quote that swallowed the lines after it, not a value.
_LONGEST_FIELD = 131_072
# JSON Lines has no header: its columns are the keys of the first so many rows.
_SAMPLED_ROWS = 1_000
_PARQUET_BATCH = 2_000


@dataclass(frozen=True)
class BadRow:
    """Why a row cannot be read."""

    rule: str


Values = Sequence[Any]
Row = tuple[int, Values | BadRow]


class RowSource(Protocol):
    """A file of rows with named columns."""

    @property
    def columns(self) -> Sequence[str]: ...

    @property
    def textual(self) -> bool:
        """Whether every value is a string (CSV, TSV), so that an empty one means nothing is there."""
        ...

    @property
    def progress(self) -> float:
        """How much of the file was read, 0 to 1."""
        ...

    def use(self, columns: Sequence[str]) -> None:
        """Narrows the rows to these columns, in this order; to be called before the rows are read.

        A delimited file refuses a column that is not in its header by a CommandError; JSON Lines takes any.
        """
        ...

    def __iter__(self) -> Iterator[Row]: ...

    def close(self) -> None: ...


def format_of(path: Path) -> str:
    """The format that a file's name tells. Raises CommandError when it tells none."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    found = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if found is None:
        raise CommandError(
            f"Cannot tell the format of {path} from its name: add --format {'|'.join(FORMATS)}.", ExitCode.USAGE
        )
    return found


def open_rows(path: Path, file_format: str | None = None) -> RowSource:
    """Opens a catalogue file; gzip is recognised by content. Raises CommandError when it cannot be read."""
    kind = file_format or format_of(path)
    try:
        raw = path.open("rb")
    except FileNotFoundError:
        raise CommandError(f"There is no file {path}.", ExitCode.USAGE) from None
    except OSError as error:
        raise CommandError(f"Cannot read {path}: {error.strerror or error}.", ExitCode.USAGE) from None
    try:
        if kind == "parquet":
            return ParquetRows(path, raw)
        source = _DecompressedFile(path, raw)
        return JsonRows(source) if kind == "jsonl" else DelimitedRows(source, "\t" if kind == "tsv" else None)
    except BaseException:
        raw.close()
        raise


class _DecompressedFile:
    """A text file, plain or gzip, with the position in what lies on the disk."""

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        self.path = path
        self._raw = raw
        self._size = max(1, path.stat().st_size)
        stream: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if _is_gzip(raw) else raw
        # Bytes that are not UTF-8 become lone surrogates, which no string field takes: such a row is reported, by line.
        self.text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        with self.reading():
            self._refuse_utf16()

    def _refuse_utf16(self) -> None:
        head = self._raw.peek(4)[:4] if isinstance(self._raw, io.BufferedReader) else b""
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise CommandError(f"{self.path} is UTF-16: save it as UTF-8.", ExitCode.REFUSED)

    @property
    def progress(self) -> float:
        return min(1.0, self._raw.tell() / self._size)

    def reading(self) -> _Reading:
        return _Reading(self.path)

    def close(self) -> None:
        self.text.close()
        self._raw.close()


class _Reading:
    """Tells a damaged or unreadable file in one sentence."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, EOFError):
            raise CommandError(
                f"{self._path} ends in the middle: it was cut off; what came before the cut is kept.", ExitCode.REFUSED
            ) from None
        if isinstance(error, (OSError, zlib.error)):
            raise CommandError(f"{self._path} is damaged: {error}.", ExitCode.REFUSED) from None


def _is_gzip(raw: IO[bytes]) -> bool:
    head = raw.read(2)
    raw.seek(0)
    return head == b"\x1f\x8b"


class DelimitedRows:
    """CSV (comma, semicolon or tab, as the header shows) and TSV, with quoting and quoted newlines."""

    textual = True

    def __init__(self, source: _DecompressedFile, delimiter: str | None) -> None:
        self._source = source
        with source.reading():
            # One physical line is enough to tell the delimiter; the header itself may go on if it has quoted newlines.
            first = source.text.readline()
            if delimiter is None:
                delimiter = max(",;\t", key=first.count)
            csv.field_size_limit(_LONGEST_FIELD)
            self._reader = csv.reader(itertools.chain([first], source.text), delimiter=delimiter)
            try:
                header = next(self._reader, [])
            except csv.Error as error:
                raise CommandError(f"{source.path} has no readable header line: {error}.", ExitCode.REFUSED) from None
        self.columns: Sequence[str] = [name.strip() for name in header]
        if not any(self.columns):
            raise CommandError(f"{source.path} is empty: its first line must name the columns.", ExitCode.REFUSED)
        self._indices: list[int] | None = None

    @property
    def progress(self) -> float:
        return self._source.progress

    def use(self, columns: Sequence[str]) -> None:
        positions = {name: index for index, name in reversed(list(enumerate(self.columns)))}
        missing = [name for name in columns if name not in positions]
        if missing:
            raise CommandError(
                f"{self._source.path} has no column {missing[0]!r}; its columns are: {', '.join(self.columns)}.",
                ExitCode.USAGE,
            )
        self._indices = [positions[name] for name in columns]

    def __iter__(self) -> Iterator[Row]:
        reader, width = self._reader, len(self.columns)
        indices = self._indices if self._indices is not None else list(range(width))
        with self._source.reading():
            while True:
                line = reader.line_num + 1
                try:
                    values = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield line, BadRow(f"cannot be read up to line {reader.line_num} ({error}): is a quote left open?")
                    continue
                if len(values) == width:
                    yield line, [values[index] for index in indices]
                elif values:
                    yield line, BadRow(f"must have {width} values, as the header has; this row has {len(values)}")

    def close(self) -> None:
        self._source.close()


class JsonRows:
    """JSON Lines: one object a line. A nested value is a column of its own by its path, `features.tempo`."""

    textual = False

    def __init__(self, source: _DecompressedFile) -> None:
        self._source = source
        self._lines = enumerate(source.text, start=1)
        with source.reading():
            self._sample = list(itertools.islice(self._objects(), _SAMPLED_ROWS))
        names: dict[str, None] = {}
        for _, values in self._sample:
            if not isinstance(values, BadRow):
                names.update(dict.fromkeys(values))
        self.columns: Sequence[str] = list(names)
        if not self.columns:
            raise CommandError(f"{source.path} has no JSON object in its first lines.", ExitCode.REFUSED)
        self._used: Sequence[str] = self.columns

    @property
    def progress(self) -> float:
        return self._source.progress

    def use(self, columns: Sequence[str]) -> None:
        self._used = columns

    def _objects(self) -> Iterator[tuple[int, dict[str, object] | BadRow]]:
        for line, text in self._lines:
            if text.isspace():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield line, BadRow(f"must be JSON: {error}")
                continue
            yield line, _flatten(value) if isinstance(value, dict) else BadRow("must be a JSON object")

    def __iter__(self) -> Iterator[Row]:
        used = self._used
        with self._source.reading():
            for line, found in itertools.chain(self._sample, self._objects()):
                yield line, found if isinstance(found, BadRow) else [found.get(name) for name in used]

    def close(self) -> None:
        self._source.close()


def _flatten(value: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat[prefix + key] = inner
        if isinstance(inner, dict) and prefix.count(".") < 2:
            flat.update(_flatten(cast("dict[str, object]", inner), f"{prefix}{key}."))
    return flat


class ParquetRows:
    """Parquet, a few thousand rows at a time; only the columns in use are read."""

    textual = False

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        # Not at the top: it takes a third of a second, which the other formats need not wait for.
        import pyarrow as pa
        from pyarrow import parquet

        self._path = path
        self._raw = _seekable(path, raw)
        try:
            self._file = parquet.ParquetFile(self._raw)
        except (pa.ArrowException, OSError) as error:
            self._raw.close()
            raise CommandError(f"{path} is not a Parquet file: {_first_line(error)}.", ExitCode.REFUSED) from None
        self._unreadable: tuple[type[Exception], ...] = (pa.ArrowException, OSError)
        self._total = max(1, self._file.metadata.num_rows)
        self._read = 0
        self.columns: Sequence[str] = _parquet_paths(self._file.schema_arrow)
        self._used: Sequence[str] = self.columns

    @property
    def progress(self) -> float:
        return float(min(1.0, self._read / self._total))

    def use(self, columns: Sequence[str]) -> None:
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise CommandError(
                f"{self._path} has no column {missing[0]!r}; its columns are: {', '.join(self.columns)}.",
                ExitCode.USAGE,
            )
        self._used = columns

    def __iter__(self) -> Iterator[Row]:
        try:
            for batch in self._file.iter_batches(batch_size=_PARQUET_BATCH, columns=list(self._used)):
                columns = [_parquet_values(batch, name) for name in self._used]
                start = self._read
                self._read += batch.num_rows
                yield from enumerate(zip(*columns, strict=True), start=start + 1)
        except self._unreadable as error:
            raise CommandError(f"{self._path} is damaged: {_first_line(error)}.", ExitCode.REFUSED) from None

    def close(self) -> None:
        self._file.close()
        self._raw.close()


def _seekable(path: Path, raw: IO[bytes]) -> IO[bytes]:
    """Parquet is read from its end: a compressed file is unpacked to the disk first, never into memory."""
    if not _is_gzip(raw):
        return raw
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the source
    try:
        with _Reading(path), raw, gzip.GzipFile(fileobj=raw) as stream:
            shutil.copyfileobj(stream, unpacked)
    except CommandError:
        unpacked.close()
        raise
    unpacked.seek(0)
    return cast("IO[bytes]", unpacked)


def _parquet_paths(schema: Any) -> list[str]:
    paths: list[str] = []
    for field in schema:
        paths.append(field.name)
        with suppress(AttributeError, TypeError):
            inner = field.type
            if str(inner).startswith("struct<"):
                paths += [f"{field.name}.{inner.field(index).name}" for index in range(inner.num_fields)]
    return paths


def _parquet_values(batch: Any, name: str) -> list[Any]:
    if name in batch.schema.names:
        return cast("list[Any]", batch.column(name).to_pylist())
    outer, _, inner = name.partition(".")
    return [None if value is None else value.get(inner) for value in batch.column(outer).to_pylist()]


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
