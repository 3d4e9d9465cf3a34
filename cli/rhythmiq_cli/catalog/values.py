"""Reads single values of a catalogue file: text from CSV and TSV, typed values from JSON Lines and Parquet.

Each reader returns None where nothing is known, and raises ValueError with the rule that a value breaks. They run a
dozen times a row: the common case comes first, and what repeats (genres, dates) is remembered.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.type.date_pb2 import Date

# How files write that a value is not known.
MISSING = frozenset({None, "", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "\\N"})

_TRUE = frozenset({"true", "1", "1.0", "yes", "t", "y"})
_FALSE = frozenset({"false", "0", "0.0", "no", "f", "n"})
_DATE = re.compile(r"([0-9]{4})(?:\.0|-([0-9]{1,2})(?:-([0-9]{1,2})(?:[T ].*)?)?)?\Z")


def number(raw: Any) -> float | None:
    """A number. Underscores, which Python would take, are refused."""
    if type(raw) is str:
        try:
            if "_" not in raw:
                return float(raw)
        except ValueError:
            pass
    elif isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return raw if raw == raw else None  # NaN is how pandas writes "not known"
    elif not isinstance(raw, (bool, bytes, list, dict)):
        return float(raw)  # Decimal and NumPy numbers
    raise ValueError("must be a number")


def whole_number(raw: Any) -> int | None:
    """A whole number, also as `4.0`."""
    try:
        return int(raw) if type(raw) is str and "_" not in raw else _whole(number(raw))
    except ValueError:
        return _whole(number(raw))


def _whole(value: float | None) -> int | None:
    if value is None:
        return None
    if value != value or value in (float("inf"), float("-inf")) or value != int(value) or abs(value) >= 2**31:
        raise ValueError("must be a whole number")
    return int(value)


def text(raw: Any) -> str:
    """Text without white space around it; numbers in JSON count as text (a title may be 1999)."""
    if type(raw) is str:
        found = raw.strip()
    elif raw is None:
        return ""
    elif isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return str(raw)
    else:
        raise ValueError("must be text")
    if not found.isascii() and any("\ud800" <= character <= "\udfff" for character in found):
        raise ValueError("must be UTF-8")
    return found


def truth(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    lowered = str(raw).strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("must be true or false")


def date(raw: Any) -> Date | None:
    """A date as year, year-month or year-month-day; `0000` is how Spotify writes "not known"."""
    if isinstance(raw, dt.date):  # also datetime
        return Date(year=raw.year, month=raw.month, day=raw.day)
    if isinstance(raw, dict):  # as the JSON API prints it
        return _checked_date(*(_whole(number(raw.get(part, 0))) or 0 for part in ("year", "month", "day")))
    if isinstance(raw, float) and raw != raw:
        return None
    return _date_of_text(str(raw).strip())


@lru_cache(maxsize=65_536)
def _date_of_text(raw: str) -> Date | None:
    found = _DATE.match(raw)
    if not found:
        raise ValueError("must be a date like 2019, 2019-06 or 2019-06-14")
    year, month, day = (int(part or 0) for part in found.groups())
    return _checked_date(year, month, day) if year else None


def _checked_date(year: int, month: int, day: int) -> Date:
    try:
        dt.date(year, month or 1, day or 1)
    except ValueError:
        raise ValueError("must be a date that the calendar has") from None
    return Date(year=year, month=month, day=day)


def duration(raw: Any, unit_s: float) -> Duration | None:
    """A playing time in units of `unit_s` seconds; `201.5s`, as the JSON API prints it, is in seconds."""
    if type(raw) is str and raw.endswith("s"):
        raw, unit_s = raw[:-1], 1.0
    value = number(raw)
    if value is None:
        return None
    if abs(value) > 1e12 or value != value:
        raise ValueError("must be a playing time")
    nanos = round(value * unit_s * 1000) * 1_000_000
    sign = -1 if nanos < 0 else 1
    return Duration(seconds=sign * (abs(nanos) // 1_000_000_000), nanos=sign * (abs(nanos) % 1_000_000_000))


def names(raw: Any, separator: str | None) -> tuple[str, ...]:
    """A list of names: JSON's own, a list written as text (`['a', 'b']`), or names joined by `separator`."""
    if type(raw) is str:
        return _names_of_text(raw, separator)
    if isinstance(raw, Iterable) and not isinstance(raw, (dict, bytes)):
        return tuple(found for one in raw if (found := text(one)))
    if isinstance(raw, float) and raw != raw:
        return ()
    return (text(raw),)


@lru_cache(maxsize=16_384)
def _names_of_text(raw: str, separator: str | None) -> tuple[str, ...]:
    stripped = text(raw)
    listed = _written_list(stripped) if stripped.startswith("[") and stripped.endswith("]") else None
    if listed is None:
        listed = stripped.split(separator) if separator else [stripped]
    return tuple(found for one in listed if (found := one.strip()))


def _written_list(written: str) -> list[str] | None:
    """The names in a list written as JSON or by Python; None when it is a name in brackets."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(written)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found
    return None
