"""A recommendation as a person reads it: what, by whom, why, and what it was made from."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.output import print_line, print_table

_REASONS_SHOWN = 3
_UNITS = {
    "ambient_noise_dba": "dB(A)",
    "illuminance_lux": "lx",
    "temperature_celsius": "°C",
    "humidity_percent": "%",
    "heart_rate_bpm": "bpm",
    "speed_mps": "m/s",
}
_ORIGINS = {
    recommender_pb2.EnvironmentUse.READING: "reading",
    recommender_pb2.EnvironmentUse.REQUEST: "given",
    recommender_pb2.EnvironmentUse.PROFILE_TIME_ZONE: "profile's time zone",
}


def print_answer(answer: recommender_pb2.RecommendResponse) -> None:
    """Prints the whole answer: items, then environment, preferences, ranker and what was missing."""
    rows = [
        (str(one.rank), one.item.title, ", ".join(one.item.artists), "; ".join(_reasons(one)))
        for one in answer.recommendations
    ]
    if rows:
        print_table(("#", "Title", "By", "Why"), rows, right="#")
    else:
        print_line("Nothing fits.")
    if answer.environment:
        print_line()
        uses = [(kind_of(use), value_of(use), _origin(use), age_of(use.age)) for use in answer.environment]
        print_table(("Surroundings", "Value", "From", "Age"), uses)
    if answer.preferences:
        told = ", ".join(f"{use.value} ({use.weight:+.2g})" for use in answer.preferences)
        print_line(f"\nPreferences used: {told}")
    print_line(f"\nRanked by {answer.ranker}.")
    print_degradations(answer)


def print_degradations(answer: recommender_pb2.RecommendResponse) -> None:
    """What the answer lacks, a line each."""
    for degradation in answer.degradations:
        print_line(f"Without {degradation.subject}: {degradation.text or _words(degradation.reason)}")


def _reasons(one: recommender_pb2.Recommendation) -> list[str]:
    """What speaks most for the item, one reason of each group: a listener asks why it is there, and why now."""
    strongest: dict[int, str] = {}
    for reason in one.reasons:
        if reason.contribution > 0 and reason.text:
            strongest.setdefault(reason.group, reason.text)
    return list(strongest.values())[:_REASONS_SHOWN]


def kind_of(use: recommender_pb2.EnvironmentUse) -> str:
    """The kind in words: `ambient noise`."""
    return _words(variable_pb2.Variable.Kind.Name(use.kind))


def value_of(use: recommender_pb2.EnvironmentUse) -> str:
    """The value in words, with its unit."""
    for field, value in use.value.ListFields():
        if field.name == "local_time":
            return f"{value.hours:02d}:{value.minutes:02d}"
        if field.enum_type is not None:
            return _words(field.enum_type.values_by_number[value].name)
        return f"{value:g} {_UNITS[field.name]}"
    return ""


def _origin(use: recommender_pb2.EnvironmentUse) -> str:
    return _ORIGINS.get(use.origin, "")


def age_of(age: Duration) -> str:
    """An age as people say it: `40 s`, `12 min`, `3 h`, `2 days`; empty for none."""
    seconds = age.seconds
    if not seconds and not age.nanos:
        return ""
    for unit, size, up_to in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 48 * 3600)):
        if seconds < up_to:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} days"


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
