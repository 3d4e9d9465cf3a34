"""Between datetimes and protobuf times.

The well-known types' own conversions cost some 5 µs each, which a list of resources with two times each would feel.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def timestamp(moment: datetime) -> Timestamp:
    """The Timestamp of a timezone-aware datetime."""
    seconds, microseconds = divmod((moment - _EPOCH) // _MICROSECOND, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1000)


def duration(span: timedelta) -> Duration:
    """The Duration of a span; both parts have the sign of the whole."""
    total = span // _MICROSECOND
    sign = -1 if total < 0 else 1
    seconds, microseconds = divmod(abs(total), 1_000_000)
    return Duration(seconds=sign * seconds, nanos=sign * microseconds * 1000)
