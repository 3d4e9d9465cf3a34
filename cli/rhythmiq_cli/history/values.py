"""Reads single values of a history: each reader raises Wrong with the field and the rule that it breaks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import NoReturn

from rhythmiq_cli.history.listens import LONGEST_MS

_SHOWN = 60
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# `03 Feb 2021 14:05`, with a comma or seconds as some exporters write it. Last.fm writes English months everywhere.
_WORDED = re.compile(r"([0-9]{1,2}) ([A-Za-z]{3})[a-z]* ([0-9]{4}),? ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\Z")
# Whole seconds have 10 digits until the year 2286, milliseconds have 13 since 2001.
_MILLISECONDS_FROM = 100_000_000_000
# Nobody listened to a stream before there was one: a time before is the unset clock of a player.
_EARLIEST_MS = 946_684_800_000


class Wrong(ValueError):
    """A value that breaks a rule: `field rule, not 'value'`."""


def _wrong(field: str, rule: str, value: object) -> NoReturn:
    shown = str(value)
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
    raise Wrong(f"{field} {rule}, not {shown!r}")


def text(record: Mapping[str, object], *fields: str) -> str:
    """The first of the fields that has text; empty when none has."""
    for field in fields:
        value = record.get(field)
        if isinstance(value, str):
            if found := value.strip():
                return found
        elif value is not None:
            _wrong(field, "must be text", value)
    return ""


def inner(record: Mapping[str, object], field: str) -> Mapping[str, object]:
    """The object in a field; empty when there is none."""
    value = record.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        _wrong(field, "must be an object", value)
    return value


def milliseconds(record: Mapping[str, object], field: str, unit_ms: int = 1) -> int | None:
    """A length of time of at most a day; a longer one is a player that was left alone, and counts as a day."""
    value = record.get(field)
    if value is None or value == "":
        return None
    try:
        found = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        found = -1.0
    if not 0 <= found < float("inf"):
        _wrong(field, "must be a number, 0 or more", value)
    return min(round(found * unit_ms), LONGEST_MS)


def truth(record: Mapping[str, object], field: str) -> bool:
    """Whether a field says yes; some exports write 1 and 0, or null."""
    value = record.get(field)
    if value in (None, False, 0, "", "0", "false", "False", "FALSE"):
        return False
    if value in (True, 1, "1", "true", "True", "TRUE"):
        return True
    return _wrong(field, "must be true or false", value)


def moment(field: str, value: object) -> int:
    """A time in milliseconds since 1970: seconds or milliseconds, ISO 8601, or `03 Feb 2021 14:05`; UTC if unsaid."""
    found = _moment(value)
    if found is None:
        _wrong(field, "must be a time", value)
    if found < _EARLIEST_MS:
        _wrong(field, "must be a time since the year 2000", value)
    return found


def _moment(value: object) -> int | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _of_number(float(value))
    if not isinstance(value, str):
        return None
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,16}(\.[0-9]+)?", value):
        return _of_number(float(value))
    try:
        if worded := _WORDED.match(value):
            day, month, year, hour, minute, second = worded.groups()
            number = _MONTHS.index(month.lower()) + 1
            found = dt.datetime(int(year), number, int(day), int(hour), int(minute), int(second or 0), tzinfo=dt.UTC)
        else:
            found = dt.datetime.fromisoformat(value.removesuffix(" UTC"))
        aware = found if found.tzinfo else found.replace(tzinfo=dt.UTC)
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _of_number(value: float) -> int | None:
    if not 0 <= value < 1e15:
        return None
    return round(value if value >= _MILLISECONDS_FROM else value * 1000)
