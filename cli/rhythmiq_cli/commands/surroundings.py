"""Surroundings as a person types them: `--noise 78`, `--suppose time=08:30`, `--suppose noise=unknown`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from google.protobuf.descriptor import EnumDescriptor
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.output import CommandError, ExitCode

Environment = environment_pb2.Environment
Kind = variable_pb2.Variable.Kind

UNKNOWN: Final = "unknown"
"""In the place of a value: suppose that the kind is not known."""

ENUMS: Final[Mapping[str, EnumDescriptor]] = {
    "activity": Environment.Activity.DESCRIPTOR,
    "weather": Environment.Weather.DESCRIPTOR,
    "place_type": Environment.PlaceType.DESCRIPTOR,
    "audio_output": Environment.AudioOutput.DESCRIPTOR,
    "company": Environment.Company.DESCRIPTOR,
}
"""By field of Environment: the names that its value may have."""


class _Option(NamedTuple):
    field: str
    """Of rhythmiq.type.v1.Environment."""
    kind: Kind.ValueType


_OPTIONS: Final[Mapping[str, _Option]] = {
    "noise": _Option("ambient_noise_dba", Kind.AMBIENT_NOISE),
    "activity": _Option("activity", Kind.ACTIVITY),
    "time": _Option("local_time", Kind.LOCAL_TIME),
    "heart-rate": _Option("heart_rate_bpm", Kind.HEART_RATE),
    "weather": _Option("weather", Kind.WEATHER),
    "temperature": _Option("temperature_celsius", Kind.TEMPERATURE),
    "humidity": _Option("humidity_percent", Kind.HUMIDITY),
    "light": _Option("illuminance_lux", Kind.ILLUMINANCE),
    "speed": _Option("speed_mps", Kind.SPEED),
    "place": _Option("place_type", Kind.PLACE_TYPE),
    "output": _Option("audio_output", Kind.AUDIO_OUTPUT),
    "company": _Option("company", Kind.COMPANY),
}
"""What each option is called in the API, in the order of `rhythmiq recommend --help`."""


def environment_of(options: Mapping[str, float | str | None]) -> Environment:
    """The environment that options tell, by option (`noise`, `time` …); None is not told.

    Raises CommandError for a name or time that there is not.
    """
    environment = Environment()
    for option, value in options.items():
        if value is not None:
            _set(environment, option, value, f"--{option}")
    return environment


def supposed_of(pairs: Sequence[str]) -> tuple[Environment, list[Kind.ValueType]]:
    """The environment that `option=value` pairs suppose, and the kinds that they suppose unknown.

    Raises CommandError for what is no such pair, and for an option that comes twice.
    """
    environment, unknown, seen = Environment(), list[Kind.ValueType](), set[str]()
    for pair in pairs:
        option, equals, value = (part.strip() for part in pair.partition("="))
        option = option.removeprefix("--").lower().replace("_", "-")
        if not equals or not value or option not in _OPTIONS:
            told = f"noise=80 or time=08:30, with one of {', '.join(_OPTIONS)} before the sign"
            raise CommandError(f"--suppose {pair!r} must be like {told}.", ExitCode.USAGE)
        if option in seen:
            raise CommandError(f"--suppose {option} is given twice: say one value.", ExitCode.USAGE)
        seen.add(option)
        if value.lower() == UNKNOWN:
            unknown.append(_OPTIONS[option].kind)
        else:
            _set(environment, option, value, f"--suppose {option}")
    return environment, unknown


def one_of(enum: EnumDescriptor) -> str:
    """The names that an enum's option takes, for people."""
    return ", ".join(value.name.lower() for value in enum.values[1:])


def enum_name(label: str, name: str, enum: EnumDescriptor) -> str:
    """The enum's own name for what was typed as `label` (`--activity`). Raises CommandError when it has none."""
    wanted = name.strip().upper().replace("-", "_").replace(" ", "_")
    if wanted not in {value.name for value in enum.values[1:]}:
        raise CommandError(f"{label} {name!r} must be one of {one_of(enum)}.", ExitCode.USAGE)
    return wanted


def _set(environment: Environment, option: str, value: float | str, label: str) -> None:
    field = _OPTIONS[option].field
    if option == "time":
        environment.local_time.CopyFrom(_time_of_day(label, str(value)))
    elif (enum := ENUMS.get(field)) is not None:
        setattr(environment, field, enum.values_by_name[enum_name(label, str(value), enum)].number)
    else:
        setattr(environment, field, _number(label, value))


def _number(label: str, value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CommandError(f"{label} {value!r} must be a number.", ExitCode.USAGE) from None


def _time_of_day(label: str, text: str) -> TimeOfDay:
    hours, _, minutes = text.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise CommandError(f"{label} {text!r} must be like 18:00.", ExitCode.USAGE)
    return TimeOfDay(hours=int(hours), minutes=int(minutes))
