from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from rhythmiq_mesh.times import duration, timestamp


@given(st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - zone is drawn
def test_timestamp_is_the_well_known_types_own(moment: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(moment)
    assert timestamp(moment) == expected


@given(st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)))
def test_duration_is_the_well_known_types_own(span: timedelta) -> None:
    expected = Duration()
    expected.FromTimedelta(span)
    assert duration(span) == expected
