"""Reads JSON Lines and JSON arrays of any length record by record, in bounded memory, and tells where a fault is.

The standard decoder reads each record out of a window of the file. (A streaming parser such as ijson would be one more
dependency, and does not tell the line on which a record starts.)
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import IO

from rhythmiq_cli.history.listens import Unreadable

# A record of a listening history has about 1 KiB; this much is no record but a damaged file.
LONGEST_RECORD = 1 << 20
_READ = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
# The longest word of JSON, `false`, may be cut to as little as one letter.
_LONGEST_WORD = 5
_SHOWN = 40

# The line on which a record starts, counted from 1, and its value.
Record = tuple[int, object]


class Malformed(Exception):
    """A file that cannot be read on from here."""

    def __init__(self, line: int, column: int, problem: str) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")


def records(stream: IO[bytes]) -> Iterator[Record]:
    """The records of a JSON array, or of JSON Lines. A line that is not JSON is Unreadable, and reading goes on.

    Raises Malformed after the records before a fault in an array, and where a file ends in the middle.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    window = _Window(text)
    first = window.peek()
    if first == "[":
        return _array(window)
    if first == "{":
        return _lines(window)
    if first == "":
        raise Malformed(1, 1, "the file is empty")
    if first in "\udcff\udcfe":
        raise Malformed(1, 1, "the text is UTF-16: save it as UTF-8")
    raise Malformed(*window.place(), f"expected a JSON array or JSON Lines, found {window.shown()}")


class _Window:
    """A piece of the text, with the place in the file of where reading stands."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self._buffer = ""
        self._at = 0
        self._line = 1
        self._column = 1
        self._ended = False
        self._decoder = json.JSONDecoder()

    def _more(self) -> bool:
        if self._ended:
            return False
        read = self._text.read(_READ)
        self._ended = not read
        self._buffer = self._buffer[self._at :] + read
        self._at = 0
        return not self._ended

    def _advance(self, end: int) -> None:
        newlines = self._buffer.count("\n", self._at, end)
        if newlines:
            self._line += newlines
            self._column = end - self._buffer.rindex("\n", self._at, end)
        else:
            self._column += end - self._at
        self._at = end

    def place(self) -> tuple[int, int]:
        return self._line, self._column

    def shown(self) -> str:
        """What stands here, for a message."""
        return repr(self._buffer[self._at : self._at + _SHOWN])

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            assert found is not None  # it matches nothing, too
            self._advance(found.end())
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        self._advance(self._at + 1)

    def line_text(self) -> str | None:
        """The rest of this line; None when it is longer than a record may be (it is passed over)."""
        too_long = False
        while (end := self._buffer.find("\n", self._at)) < 0 and not self._ended:
            if len(self._buffer) - self._at > LONGEST_RECORD:
                too_long = True
                self._advance(len(self._buffer))
            self._more()
        start, end = self._at, len(self._buffer) if end < 0 else end + 1
        found = self._buffer[start:end]
        self._advance(end)
        return None if too_long or len(found) > LONGEST_RECORD else found

    def value(self) -> object:
        """The JSON value that starts here. Raises Malformed."""
        while True:
            try:
                found, end = self._decoder.raw_decode(self._buffer, self._at)
                # A number at the window's edge may go on behind it.
                if end < len(self._buffer) or isinstance(found, (dict, list)) or not self._more():
                    self._advance(end)
                    return found
            except RecursionError:
                raise Malformed(*self.place(), "expected a record, found JSON that is nested too deeply") from None
            except ValueError as error:
                if len(self._buffer) - self._at <= LONGEST_RECORD and self._more():
                    continue
                raise self._fault(error) from None

    def _is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the end of the text is what is wrong, rather than something before it."""
        left = len(self._buffer.rstrip()) - error.pos
        return left <= _LONGEST_WORD or error.msg.startswith("Unterminated string")

    def _fault(self, error: ValueError) -> Malformed:
        if self._ended and isinstance(error, json.JSONDecodeError) and self._is_cut(error):
            return Malformed(*self.place(), "the file ends in the middle of this record: it was cut off")
        if isinstance(error, json.JSONDecodeError):
            self._advance(max(self._at, min(error.pos, len(self._buffer))))
            return Malformed(*self.place(), f"is not JSON ({error.msg}), found {self.shown()}")
        return Malformed(*self.place(), f"is not JSON ({error})")


def _array(window: _Window) -> Iterator[Record]:
    window.skip()
    if window.peek() != "]":
        while True:
            if not window.peek():
                raise Malformed(*window.place(), "expected another record or ']', but the file ends: it was cut off")
            line, _ = window.place()
            yield line, window.value()
            after = window.peek()
            if after == "]":
                break
            if not after:
                raise Malformed(*window.place(), "expected ',' or ']', but the file ends: it was cut off")
            if after != ",":
                raise Malformed(*window.place(), f"expected ',' or ']' after a record, found {window.shown()}")
            window.skip()
    window.skip()
    if window.peek():
        raise Malformed(*window.place(), f"expected nothing after the array's ']', found {window.shown()}")


def _lines(window: _Window) -> Iterator[Record]:
    while window.peek():
        line, _ = window.place()
        text = window.line_text()
        if text is None:
            yield line, Unreadable(f"must be shorter than {LONGEST_RECORD >> 20} MiB")
            continue
        try:
            yield line, json.loads(text)
        except (ValueError, RecursionError) as error:
            yield line, Unreadable(f"must be JSON: {error}")
