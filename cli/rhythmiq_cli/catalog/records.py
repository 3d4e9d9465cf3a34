"""Splits CSV and TSV into records, such that a stray quote costs the row in which it stands and no other.

A quote that opens a value and is never closed swallows the rows after it, up to the next quote or the end of the file.
`csv` alone cannot tell this from a value with newlines. Here a record of several lines is taken only where it is well
formed: each quote on its further lines closes a value (a delimiter or the line's end comes next), no value without
quotes has one inside, and the values are as many as the header's. Otherwise its first line alone is rejected, and
reading goes on with the next line.

One case cannot be told, since both readings are well formed: a stray quote, and within its reach a value in quotes that
itself starts with a delimiter or a newline, in just the column that makes the number of values right.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

# A record may go over so many lines and characters. It bounds the memory, and what is read again after a stray quote.
MAX_LINES = 1_000
MAX_CHARACTERS = 1024 * 1024
MAX_VALUE_CHARACTERS = 131_072
_BLOCK_LINES = 64
_FAILURES = (EOFError, OSError, zlib.error)
_OPEN = "cannot be read: the quote that opens here is not closed"


@dataclass(frozen=True)
class BadRow:
    """Why a row cannot be read; `field` is the column where that is known."""

    rule: str
    field: str = ""


class _LeftOpenError(Exception):
    """A quote is open at the end of the file, or past the bounds of a record."""


class Records:
    """The records of delimited `lines` (with their ends), each with the line on which it starts, counted from 1.

    The first one is the header, which tells how many values the others have; blank lines after it are passed over. A
    single line is read as leniently as `csv` does: a quote inside a value without quotes is a character like others.
    """

    def __init__(self, lines: Iterator[str], delimiter: str) -> None:
        csv.field_size_limit(MAX_VALUE_CHARACTERS)
        self._lines = lines
        self._parse = partial(csv.reader, delimiter=delimiter)
        self._well_formed = _rest_of_record(delimiter).fullmatch
        self._header: Sequence[str] | None = None
        # How many lines of the block at hand are in records that were read.
        self._done = 0
        # Why the lines ended before the file did, kept until those before are read.
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, list[str] | BadRow]]:
        before, width = 0, -1
        block = self._block()
        while block:
            bad: BadRow | None = None
            self._done = done = 0
            reader = self._parse(chain(block, self._beyond(block)))
            try:
                for values in reader:
                    line, upto = done + 1, reader.line_num
                    if upto != line and (bad := self._misread(block[done:upto], values)) is not None:
                        break
                    self._done = done = upto
                    if len(values) == width:
                        yield before + line, values
                    elif width < 0:
                        self._header, width = values, len(values)
                        yield before + line, values
                    elif values:
                        yield (
                            before + line,
                            BadRow(f"must have {width} values, as the header has; this row has {len(values)}"),
                        )
            except (_LeftOpenError, csv.Error) as error:
                bad = self._unreadable(block[done : reader.line_num], error)
            if bad is not None:
                done += 1
                yield before + done, bad
            before += done
            block = block[done:] or self._block()

    def _block(self) -> list[str]:
        """The next lines: several at once, so that the parser takes them without a step in Python for each."""
        block: list[str] = []
        if self._failure is None:
            try:
                for line in islice(self._lines, _BLOCK_LINES):
                    block.append(line)  # noqa: PERF402 - keeps the lines before a failure
            except _FAILURES as failure:
                self._failure = failure
        if not block and self._failure is not None:
            raise self._failure
        return block

    def _beyond(self, block: list[str]) -> Iterator[str]:
        """Adds lines to a block whose last record is not at its end, up to the bounds of a record."""
        if self._done == len(block):
            return
        characters = sum(map(len, block[self._done :]))
        while len(block) - self._done < MAX_LINES and characters <= MAX_CHARACTERS and self._failure is None:
            try:
                line = next(self._lines, None)
            except _FAILURES as failure:
                self._failure = failure
                break
            if line is None:
                break
            characters += len(line)
            block.append(line)
            yield line
            if self._done == len(block):
                return
        raise _LeftOpenError

    def _misread(self, span: Sequence[str], values: Sequence[str]) -> BadRow | None:
        """Why the lines of `span` are no record together, or None when they are."""
        if not self._well_formed("".join(span[1:])):
            return BadRow(f"{_OPEN} at the end of a value", self._open_column(span[0]))
        if self._header is not None and len(values) != len(self._header):
            rule = f"{_OPEN} on this line, and closed {len(span) - 1:,} further on the row would have "
            return BadRow(f"{rule}{len(values):,} values, not {len(self._header)}", self._open_column(span[0]))
        return None

    def _unreadable(self, span: Sequence[str], error: Exception) -> BadRow:
        if len(span) == 1 and isinstance(error, csv.Error):
            return BadRow(f"must have no value longer than {MAX_VALUE_CHARACTERS:,} characters, nor a quote left open")
        reach = f"within {MAX_LINES:,} lines, or is the value longer than {MAX_VALUE_CHARACTERS:,} characters"
        return BadRow(f"{_OPEN} {reach if len(span) > 1 else 'before the file ends'}", self._open_column(span[0]))

    def _open_column(self, line: str) -> str:
        """The column of the value that is open where `line` ends."""
        try:
            index = len(next(self._parse([line]))) - 1
        except csv.Error:
            return ""
        return self._header[index].strip() if self._header is not None and index < len(self._header) else ""


def _rest_of_record(delimiter: str) -> re.Pattern[str]:
    """Matches what follows the first line of a well-formed record: it starts inside quotes."""
    end = re.escape(delimiter)
    quoted_rest = r'[^"]*+(?:""[^"]*+)*+"'
    return re.compile(rf'{quoted_rest}(?:{end}(?:"{quoted_rest}|[^"{end}\r\n]*+))*+(?:\r\n|\r|\n)?')
