"""Between the API's messages and the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.type.v1.environment_pb2 import Environment
from rhythmiq.type.v1.erasure_pb2 import ErasureReceipt
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.times import duration, set_timestamp
from rhythmiq_variable import use_cases
from rhythmiq_variable.model import DEFAULT_RETENTION, KINDS, Draft, Kind, Reading, Receipt, Value, ValueType, Variable

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS: Final = 1_000_000_000
_NANOS_PER_MILLISECOND: Final = 1_000_000

_KIND: Final[dict[variable_pb2.Variable.Kind.ValueType, Kind]] = {
    variable_pb2.Variable.Kind.Value(kind.value): kind for kind in Kind
}
_KIND_NUMBER: Final = {kind: number for number, kind in _KIND.items()}
_VALUE_TYPES: Final = {value_type.value: value_type for value_type in ValueType}
_ENUMS: Final[dict[ValueType, Any]] = {
    ValueType.WEATHER: Environment.Weather,
    ValueType.ACTIVITY: Environment.Activity,
    ValueType.PLACE_TYPE: Environment.PlaceType,
    ValueType.AUDIO_OUTPUT: Environment.AudioOutput,
    ValueType.COMPANY: Environment.Company,
}


def kind_of(number: variable_pb2.Variable.Kind.ValueType) -> Kind:
    """The kind of an enum value that the schema has admitted."""
    return _KIND[number]


def kind_number(kind: Kind) -> variable_pb2.Variable.Kind.ValueType:
    """The enum value of a kind."""
    return _KIND_NUMBER[kind]


def retention_of(message: variable_pb2.Variable) -> timedelta:
    """To the millisecond; the default where none is given."""
    if not message.HasField("retention"):
        return DEFAULT_RETENTION
    given = message.retention
    return timedelta(seconds=given.seconds, milliseconds=given.nanos // _NANOS_PER_MILLISECOND)


def draft_of(message: variable_pb2.Reading, field: str) -> Draft:
    """A reading as it arrives at `field` of the request. Raises InvalidArgument for a time that is none."""
    name = message.WhichOneof("value")
    assert name is not None  # the schema requires it
    value_type = _VALUE_TYPES[name]
    return Draft(
        field=field,
        kind=_KIND[message.kind],
        value_type=value_type,
        value=_value(value_type, getattr(message, name)),
        observe_time=time_of(message.observe_time, f"{field}.observe_time"),
        source=message.source,
    )


def time_of(message: Timestamp, field: str, *, up: bool = False) -> datetime:
    """To the millisecond, rounded down or `up`. Raises InvalidArgument outside the years 1 to 9999."""
    milliseconds, rest = divmod(message.nanos, _NANOS_PER_MILLISECOND)
    try:
        if not 0 <= message.nanos < _NANOS:
            raise OverflowError
        return _EPOCH + timedelta(seconds=message.seconds, milliseconds=milliseconds + (up and rest > 0))
    except OverflowError:
        raise InvalidArgument.of(field, "must be a time in the years 1 to 9999") from None


def variable_message(variable: Variable) -> variable_pb2.Variable:
    """The API's view of a variable."""
    rule = KINDS[variable.kind]
    message = variable_pb2.Variable(
        name=variable.name,
        uid=variable.id,
        kind=_KIND_NUMBER[variable.kind],
        consent_version=variable.consent_version,
        retention=duration(variable.retention),
        unit=rule.unit,
        min_value=rule.min_value,
        max_value=rule.max_value,
        etag=variable.etag,
    )
    set_timestamp(message.consent_time, variable.consent_time)
    set_timestamp(message.create_time, variable.create_time)
    set_timestamp(message.update_time, variable.update_time)
    return message


def reading_message(reading: Reading) -> variable_pb2.Reading:
    """The API's view of a reading."""
    message = variable_pb2.Reading(
        name=reading.name,
        uid=reading.id,
        kind=_KIND_NUMBER[reading.kind],
        source=reading.source,
    )
    set_timestamp(message.observe_time, reading.observe_time)
    set_timestamp(message.create_time, reading.create_time)
    set_timestamp(message.expire_time, reading.expire_time)
    _set_value(message, KINDS[reading.kind].value_type, reading.value)
    return message


def receipt_message(name: str, receipt: Receipt) -> ErasureReceipt:
    """The API's view of an erasure."""
    erased = [ErasureReceipt.Erased(what=part.what, count=part.count) for part in receipt.erased]
    message = ErasureReceipt(name=name, erased=erased, pending=receipt.pending)
    set_timestamp(message.erase_time, receipt.time)
    return message


def environment_message(name: str, environment: use_cases.Environment) -> variable_pb2.GetEnvironmentResponse:
    """The API's view of the surroundings, with ages."""
    return variable_pb2.GetEnvironmentResponse(
        name=name,
        values=[
            variable_pb2.GetEnvironmentResponse.Value(
                reading=reading_message(reading),
                unit=KINDS[reading.kind].unit,
                # A clock that is ahead of ours makes no negative age.
                age=duration(max(environment.now - reading.observe_time, timedelta(0))),
            )
            for reading in environment.readings
        ],
        missing_kinds=[_KIND_NUMBER[kind] for kind in environment.missing],
    )


def _value(value_type: ValueType, given: Any) -> Value:
    if value_type is ValueType.NUMBER:
        return float(given)
    if value_type is ValueType.LOCAL_TIME:
        seconds = (given.hours * 60 + given.minutes) * 60 + given.seconds
        return int(seconds * _NANOS + given.nanos)
    return str(_ENUMS[value_type].Name(given))


def _set_value(message: variable_pb2.Reading, value_type: ValueType, value: Value) -> None:
    if value_type is ValueType.LOCAL_TIME:
        seconds, nanos = divmod(int(value), _NANOS)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        message.local_time.CopyFrom(TimeOfDay(hours=hours, minutes=minutes, seconds=seconds, nanos=nanos))
    elif value_type is ValueType.NUMBER:
        message.number = float(value)
    else:
        setattr(message, value_type.value, _ENUMS[value_type].Value(value))
