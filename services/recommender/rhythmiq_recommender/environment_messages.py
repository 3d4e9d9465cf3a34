"""Environment values between the API's messages and plain values (see situation.EnvironmentValue)."""

from __future__ import annotations

from typing import Final

from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_recommender.situation import EnvironmentKind, EnvironmentValue

Environment = environment_pb2.Environment

_NUMBERS: Final = {
    "ambient_noise": "ambient_noise_dba",
    "illuminance": "illuminance_lux",
    "temperature": "temperature_celsius",
    "humidity": "humidity_percent",
    "heart_rate": "heart_rate_bpm",
    "speed": "speed_mps",
}
_ENUMS: Final = {
    "weather": Environment.Weather,
    "activity": Environment.Activity,
    "place_type": Environment.PlaceType,
    "audio_output": Environment.AudioOutput,
    "company": Environment.Company,
}
_KIND_BY_NUMBER: Final = {number: name.lower() for name, number in variable_pb2.Variable.Kind.items()}


def kind_number(kind: EnvironmentKind) -> variable_pb2.Variable.Kind.ValueType:
    """The kind as a number of rhythmiq.variable.v1.Variable.Kind."""
    return variable_pb2.Variable.Kind.Value(kind.upper())


def kind_name(number: variable_pb2.Variable.Kind.ValueType) -> EnvironmentKind:
    """The kind with a number of rhythmiq.variable.v1.Variable.Kind."""
    return _KIND_BY_NUMBER[number]


def values_of(message: environment_pb2.Environment) -> dict[EnvironmentKind, EnvironmentValue]:
    """The values that are given, by kind."""
    values: dict[EnvironmentKind, EnvironmentValue] = {}
    for kind, field in _NUMBERS.items():
        if message.HasField(field):  # type: ignore[arg-type]
            values[kind] = getattr(message, field)
    for kind, enum in _ENUMS.items():
        if number := getattr(message, kind):
            values[kind] = enum.Name(number).lower()
    if message.HasField("local_time"):
        values["local_time"] = hours(message.local_time)
    return values


def message_of_value(kind: EnvironmentKind, value: EnvironmentValue) -> environment_pb2.Environment:
    """An Environment in which only this value is set."""
    if isinstance(value, str):
        return Environment(**{kind: _ENUMS[kind].Value(value.upper())})  # type: ignore[arg-type]
    if kind == "local_time":
        seconds = round(value * 3600) % 86400
        time = TimeOfDay(hours=seconds // 3600, minutes=seconds // 60 % 60, seconds=seconds % 60)
        return Environment(local_time=time)
    return Environment(**{_NUMBERS[kind]: value})  # type: ignore[arg-type]


def value_of_reading(reading: variable_pb2.Reading) -> tuple[EnvironmentKind, EnvironmentValue] | None:
    """Kind and value of a reading; None for what this version does not know."""
    kind = _KIND_BY_NUMBER.get(reading.kind, "")
    match reading.WhichOneof("value"):
        case "number" if kind in _NUMBERS:
            return kind, reading.number
        case "local_time":
            return kind, hours(reading.local_time)
        case str(field) if kind in _ENUMS and field == kind and getattr(reading, field) in _ENUMS[kind].values():
            return kind, _ENUMS[kind].Name(getattr(reading, field)).lower()
        case _:
            return None


def hours(time: TimeOfDay) -> float:
    """Hours since midnight, 0 to 24."""
    return float(time.hours + time.minutes / 60 + time.seconds / 3600)
