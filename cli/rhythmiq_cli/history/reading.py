"""A history as a stream of entries, however it came: a file, a gzip file, an archive, or the folder of one.

Nothing is unpacked to the disk or held in memory but the record at hand. What an archive may unpack to is bounded.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from rhythmiq_cli.history import lastfm, listenbrainz, spotify, values
from rhythmiq_cli.history.json_records import Malformed, records
from rhythmiq_cli.history.listens import Entry, Listen, Unreadable
from rhythmiq_cli.output import CommandError, ExitCode

MAX_PARTS = 10_000
MAX_UNPACKED_BYTES = 64 << 30
# JSON of a history shrinks to about a twentieth. More than this is made to exhaust its reader.
MAX_RATIO = 200
_RATIO_FROM_BYTES = 64 << 20

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv")
# What Spotify and ListenBrainz call them; an archive with any of these is read for these only.
_KNOWN = re.compile(r"((^|/)(Streaming_?History|endsong)[^/]*\.json|(^|/)listens/(.*/)?[^/]+\.jsonl)\Z", re.IGNORECASE)
# In ListenBrainz' archive beside the listens.
_NOT_LISTENS = frozenset({"user.json", "feedback.jsonl", "pinned_recording.jsonl"})
EXPECTED = "Spotify's streaming history (JSON or zip), a ListenBrainz export (JSON Lines or zip) or Last.fm CSV"


@dataclass(frozen=True)
class Part:
    """One file of a history. `size` is what it unpacks to, or an estimate where that is not told."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


class History:
    """The entries of a history in the order of its parts.

    `failures` are the parts that could not be read to their end, each in a sentence.
    """

    def __init__(self, path: Path, files: list[Path], parts: list[Part]) -> None:
        self.path = path
        self.files = files
        self.parts = parts
        self.failures: list[str] = []
        self._size = max(1, sum(part.size for part in parts))
        self._before = 0
        self._current: _Counted | None = None

    @property
    def progress(self) -> float:
        """How much was read, 0 to 1."""
        return min(1.0, (self._before + (self._current.count if self._current else 0)) / self._size)

    def __iter__(self) -> Iterator[Entry]:
        self.failures = []
        self._before = 0
        for part in self.parts:
            try:
                with self._opened(part) as stream:
                    yield from ((part.name, line, found) for line, found in _entries(stream))
            except (Malformed, zipfile.BadZipFile, EOFError, OSError, zlib.error, NotImplementedError) as fault:
                self.failures.append(f"{part.name}, {_told(fault)}; what came before is kept.")
            self._before += part.size

    @contextmanager
    def _opened(self, part: Part) -> Iterator[IO[bytes]]:
        with part.open() as raw:
            self._current = _Counted(raw)
            try:
                yield io.BufferedReader(self._current, 1 << 16)
            finally:
                self._current = None


def _told(fault: Exception) -> str:
    if isinstance(fault, Malformed):
        return str(fault)
    if isinstance(fault, EOFError):
        return "which ends in the middle: it was cut off"
    return f"which is damaged: {str(fault).rstrip('.')}"


class _Counted(io.RawIOBase):
    """Counts what is read through it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        read = self._raw.read(len(view))
        view[: len(read)] = read
        self.count += len(read)
        return len(read)


def open_history(path: Path) -> History:
    """Finds the parts of a history. Raises CommandError for what is none, or an archive that unpacks to too much."""
    try:
        if path.is_dir():
            return _folder(path)
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise CommandError(f"There is no file {path}.", ExitCode.USAGE) from None
    except OSError as error:
        raise CommandError(f"Cannot read {path}: {error.strerror or error}.", ExitCode.USAGE) from None
    if head.startswith(b"PK"):
        return History(path, [path], _members(path))
    size = path.stat().st_size
    if head.startswith(b"\x1f\x8b"):
        bound = max(_RATIO_FROM_BYTES, size * MAX_RATIO)
        part = Part(path.name, size * 10, lambda: cast("IO[bytes]", _Bounded(path, bound)))
    else:
        part = Part(path.name, size, partial(_open, path))
    return History(path, [path], [part])


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


class _Bounded(gzip.GzipFile):
    """A gzip file that unpacks to `bound` bytes at most: its header does not tell to how many."""

    def __init__(self, path: Path, bound: int) -> None:
        super().__init__(path, "rb")
        self._left = bound

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self._left -= len(found)
        if self._left < 0:
            raise OSError(f"it unpacks to more than {MAX_RATIO} times its size")
        return found


def _folder(path: Path) -> History:
    found = [file for file in path.rglob("*") if file.is_file()]
    by_name = {str(file.relative_to(path)): file for file in found}
    files = [by_name[name] for name in _chosen(list(by_name), path)]
    parts = [Part(str(file.relative_to(path)), file.stat().st_size, partial(_open, file)) for file in files]
    return History(path, files, parts)


def _members(path: Path) -> list[Part]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CommandError(f"{path} is a damaged zip file: {str(error).rstrip('.')}.", ExitCode.REFUSED) from None
    members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
    chosen = [members[name] for name in _chosen(list(members), path)]
    for member in chosen:
        if member.flag_bits & 1:
            raise CommandError(f"{path}: {member.filename} is encrypted: unpack it yourself first.", ExitCode.REFUSED)
        if member.file_size > max(_RATIO_FROM_BYTES, MAX_RATIO * member.compress_size):
            raise CommandError(
                f"{path}: {member.filename} would unpack to more than {MAX_RATIO} times its size: that is no history.",
                ExitCode.REFUSED,
            )
    if sum(member.file_size for member in chosen) > MAX_UNPACKED_BYTES:
        raise CommandError(f"{path} would unpack to more than {MAX_UNPACKED_BYTES >> 30} GiB.", ExitCode.REFUSED)
    return [Part(member.filename, member.file_size, partial(archive.open, member)) for member in chosen]


def _chosen(names: list[str], path: Path) -> list[str]:
    """The listening history among the names, in the order of the numbers in them. Raises CommandError when none is."""
    usable = [name for name in names if name.lower().endswith(_SUFFIXES) and "__MACOSX" not in name]
    chosen = [name for name in usable if _KNOWN.search(name)] or [
        name for name in usable if name.rpartition("/")[2] not in _NOT_LISTENS
    ]
    if not chosen:
        raise CommandError(f"{path} has no listening history in it: expected {EXPECTED}.", ExitCode.REFUSED)
    if len(chosen) > MAX_PARTS:
        raise CommandError(f"{path} has {len(chosen):,} files: at most {MAX_PARTS:,} are read.", ExitCode.REFUSED)
    return sorted(chosen, key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 2 before 10."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"([0-9]{1,18})", name)]


def _entries(stream: IO[bytes]) -> Iterator[tuple[int, Listen | Unreadable]]:
    head = cast("io.BufferedReader", stream).peek(512)[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    # Anything else is tried as CSV, but for what is no text at all.
    if head[:1] in (b"[", b"{", b"") or b"\0" in head:
        return _json_entries(stream)
    return lastfm.scrobbles(stream)


def _json_entries(stream: IO[bytes]) -> Iterator[tuple[int, Listen | Unreadable]]:
    recognised = False
    for line, record in records(stream):
        if isinstance(record, Unreadable):
            yield line, record
            continue
        read = _reader(record)
        if read is None:
            if not recognised:
                raise Malformed(line, 1, f"expected an entry of {EXPECTED}, found {_shown(record)}")
            yield line, Unreadable(f"must be an entry of a history, not {_shown(record)}")
            continue
        recognised = True
        try:
            yield line, read(cast("dict[str, object]", record))
        except values.Wrong as wrong:
            yield line, Unreadable(str(wrong))


def _reader(record: object) -> Callable[[dict[str, object]], Listen] | None:
    if not isinstance(record, dict):
        return None
    if spotify.is_extended(record):
        return spotify.extended
    if listenbrainz.is_listen(record):
        return listenbrainz.listen
    if spotify.is_short(record):
        return spotify.short
    return None


def _shown(record: object) -> str:
    if isinstance(record, dict):
        return "an object with " + ", ".join(list(record)[:5]) if record else "an empty object"
    return f"{record!r:.60}"
