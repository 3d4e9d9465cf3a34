"""Reads catalogue files row by row, in bounded memory: CSV, TSV, JSON Lines and Parquet, plain or gzip.

A source yields `(line, values)`: the line of the file on which the row starts, counted from 1 (for Parquet: the row's
number), and its values in the order of `columns`. A row that cannot be read yields a `BadRow` in place of the values,
and reading goes on with the next.
"""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Protocol, cast

from rhythmiq_cli.catalog.files import Reading, TextFile, is_gzip, names_in_words
from rhythmiq_cli.catalog.records import BadRow, Records
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
# JSON Lines has no header: its columns are the keys of the first so many rows.
_SAMPLED_ROWS = 1_000
_PARQUET_BATCH = 2_000


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
        source = TextFile(path, raw)
        return JsonRows(source) if kind == "jsonl" else DelimitedRows(source, "\t" if kind == "tsv" else None)
    except BaseException:
        raw.close()
        raise


class DelimitedRows:
    """CSV (comma, semicolon or tab, as the header shows) and TSV, with quoting and quoted newlines."""

    textual = True

    def __init__(self, source: TextFile, delimiter: str | None) -> None:
        self._source = source
        with source.reading():
            # One physical line is enough to tell the delimiter; the header itself may go on if it has quoted newlines.
            first = source.text.readline()
            if delimiter is None:
                delimiter = max(",;\t", key=first.count)
            self._records = iter(Records(itertools.chain([first], source.text), delimiter))
            line, header = next(self._records, (1, []))
        if isinstance(header, BadRow):
            raise CommandError(f"{source.path} has no readable header: line {line} {header.rule}.", ExitCode.REFUSED)
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
                f"{self._source.path} has no column {missing[0]!r}; its columns are: {names_in_words(self.columns)}.",
                ExitCode.USAGE,
            )
        self._indices = [positions[name] for name in columns]

    def __iter__(self) -> Iterator[Row]:
        indices = self._indices if self._indices is not None else range(len(self.columns))
        # With a single index, itemgetter would give a bare value.
        pick = itemgetter(*indices) if len(indices) > 1 else lambda values: [values[index] for index in indices]
        with self._source.reading():
            for line, values in self._records:
                yield line, values if isinstance(values, BadRow) else pick(values)

    def close(self) -> None:
        self._source.close()


class JsonRows:
    """JSON Lines: one object a line. A nested value is a column of its own by its path, `features.tempo`."""

    textual = False

    def __init__(self, source: TextFile) -> None:
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
                f"{self._path} has no column {missing[0]!r}; its columns are: {names_in_words(self.columns)}.",
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
    if not is_gzip(raw):
        return raw
    unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the source
    try:
        with Reading(path), raw, gzip.GzipFile(fileobj=raw) as stream:
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
