"""Opens catalogue files: plain or gzip, told by content, with what is wrong with them in one sentence."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from rhythmiq_cli.output import CommandError, ExitCode

# What is taken for a text file by its name most often, by its first bytes.
_KNOWN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF-": "a PDF",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\x1f\x8b": "compressed with gzip twice",
    b"SQLite format 3": "an SQLite database",
    b"PAR1": "a Parquet file",
}
_HEAD_BYTES = 4_096
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1a\x1b"))
_NAMES_SHOWN = 40
_NAME_CHARACTERS = 60


class TextFile:
    """A text file, plain or gzip, with the position in what lies on the disk."""

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        self.path = path
        self._raw = raw
        self._size = max(1, path.stat().st_size)
        packed = is_gzip(raw)
        stream: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
        # Bytes that are not UTF-8 become lone surrogates, which no string field takes: such a row is reported, by line.
        self.text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        with self.reading():
            _refuse_unless_text(path, cast("io.BufferedReader", stream).peek(_HEAD_BYTES)[:_HEAD_BYTES])

    @property
    def progress(self) -> float:
        return min(1.0, self._raw.tell() / self._size)

    def reading(self) -> Reading:
        return Reading(self.path)

    def close(self) -> None:
        self.text.close()
        self._raw.close()


class Reading:
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


def is_gzip(raw: IO[bytes]) -> bool:
    head = raw.read(2)
    raw.seek(0)
    return head == b"\x1f\x8b"


def _refuse_unless_text(path: Path, head: bytes) -> None:
    """A few odd bytes are a damaged row's matter; here it is about files that are something else as a whole."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise CommandError(f"{path} is UTF-16: save it as UTF-8.", ExitCode.REFUSED)
    known = next((kind for start, kind in _KNOWN.items() if head.startswith(start)), None)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if known is None and controls > max(4, len(head) // 20):
        known = "binary"
    if known is not None:
        raise CommandError(
            f"{path} is not a text file, it is {known}: give CSV, TSV, JSON Lines or Parquet.", ExitCode.REFUSED
        )


def names_in_words(names: Sequence[str]) -> str:
    """Column names for a message: printable whatever the file holds, and not longer than one can read."""
    shown = [ascii(name)[1:-1] if not name.isprintable() else name for name in names[:_NAMES_SHOWN]]
    told = ", ".join(name if len(name) <= _NAME_CHARACTERS else f"{name[:_NAME_CHARACTERS]}…" for name in shown)
    return told if len(names) <= _NAMES_SHOWN else f"{told} and {len(names) - _NAMES_SHOWN:,} more"
