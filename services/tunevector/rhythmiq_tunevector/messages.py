"""Tune vectors between the API's messages and the model."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, time, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.preference.v1 import preference_pb2
from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq.tunevector.v1 import tunevector_pb2
from rhythmiq.type.v1 import audio_pb2, environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_mesh.times import timestamp
from rhythmiq_tunevector.model import (
    Degradation,
    Environment,
    EnvironmentUse,
    Explicit,
    FeatureTarget,
    Filter,
    Kind,
    Mode,
    Pin,
    PreferenceUse,
    Reason,
    Seeds,
    TunedItem,
    TuneVector,
    TuningRecord,
)

_EPOCH = datetime.fromtimestamp(0, UTC)


def draft_of(profile_id: str, message: tunevector_pb2.TuneVector) -> TuneVector:
    """What a listener asks for; id, times and etag are the use case's."""
    return TuneVector(
        id="",
        profile_id=profile_id,
        display_name=message.display_name,
        kind=Kind(message.Kind.Name(message.kind)),
        mode=Mode(message.Mode.Name(message.mode)),
        tuning=tuning_of(message.tuning),
        seeds=seeds_of(message.seeds),
        filter=filter_of(message.filter),
        length=_length_of(message.length),
        energy_curve=tuple(message.energy_curve),
        pins=tuple(Pin(pin.item, pin.position) for pin in message.pins),
        create_time=_EPOCH,
        update_time=_EPOCH,
        etag="",
    )


def vector_message(vector: TuneVector) -> tunevector_pb2.TuneVector:
    """The API's view of a tune vector."""
    return tunevector_pb2.TuneVector(
        name=vector.name,
        uid=vector.id,
        display_name=vector.display_name,
        kind=tunevector_pb2.TuneVector.Kind.Value(vector.kind.value),
        mode=tunevector_pb2.TuneVector.Mode.Value(vector.mode.value),
        tuning=tuning_message(vector.tuning),
        seeds=seeds_message(vector.seeds),
        filter=filter_message(vector.filter),
        length=_length_message(vector.length),
        energy_curve=vector.energy_curve,
        pins=[tunevector_pb2.Pin(item=pin.item, position=pin.position) for pin in vector.pins],
        items=[_item_message(item) for item in vector.items],
        last_tuning=_record_message(vector.last_tuning) if vector.last_tuning else None,
        create_time=timestamp(vector.create_time),
        update_time=timestamp(vector.update_time),
        etag=vector.etag,
    )


def tuning_of(message: audio_pb2.Tuning) -> dict[str, FeatureTarget]:
    """Targets by feature name."""
    return {
        name: FeatureTarget(**{field.name: value for field, value in target.ListFields()})
        for name, target in message.features.items()
    }


def tuning_message(tuning: Any) -> audio_pb2.Tuning | None:
    """None when nothing is asked for."""
    if not tuning:
        return None
    return audio_pb2.Tuning(features={name: audio_pb2.FeatureTarget(**_given(to)) for name, to in tuning.items()})


def seeds_of(message: audio_pb2.Seeds) -> Seeds:
    """Empty when absent."""
    return Seeds(tuple(message.items), tuple(message.artists), tuple(message.genres))


def seeds_message(seeds: Seeds) -> audio_pb2.Seeds | None:
    """None when there are none."""
    return None if seeds == Seeds() else audio_pb2.Seeds(items=seeds.items, artists=seeds.artists, genres=seeds.genres)


def filter_of(message: recommender_pb2.RecommendFilter) -> Filter:
    """Admits everything when absent."""
    return Filter(
        genres=tuple(message.genres),
        exclude_genres=tuple(message.exclude_genres),
        explicit=Explicit(message.Explicit.Name(message.explicit)) if message.explicit else None,
        languages=tuple(message.languages),
        min_year=message.min_year if message.HasField("min_year") else None,
        max_year=message.max_year if message.HasField("max_year") else None,
        exclude_artists=tuple(message.exclude_artists),
    )


def filter_message(filter: Filter) -> recommender_pb2.RecommendFilter | None:  # noqa: A002 - the API's word
    """None when it admits everything."""
    if filter == Filter():
        return None
    explicit = filter.explicit.value if filter.explicit else "EXPLICIT_UNSPECIFIED"
    return recommender_pb2.RecommendFilter(
        genres=filter.genres,
        exclude_genres=filter.exclude_genres,
        explicit=recommender_pb2.RecommendFilter.Explicit.Value(explicit),
        languages=filter.languages,
        min_year=filter.min_year,
        max_year=filter.max_year,
        exclude_artists=filter.exclude_artists,
    )


def environment_of(message: environment_pb2.Environment) -> Environment:
    """The values that are given and known to this version; times of day to the microsecond."""
    values: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "local_time":
            values[field.name] = time(value.hours, value.minutes, value.seconds, value.nanos // 1000)
        elif field.enum_type is None:
            values[field.name] = value
        elif value in field.enum_type.values_by_number:
            values[field.name] = field.enum_type.values_by_number[value].name
    return Environment(**values)


def environment_message(environment: Environment) -> environment_pb2.Environment | None:
    """None when nothing is known."""
    # The message takes the names of enumeration values, as the model keeps them.
    values = _given(environment)
    if environment.local_time is not None:
        at = environment.local_time
        values["local_time"] = TimeOfDay(
            hours=at.hour, minutes=at.minute, seconds=at.second, nanos=at.microsecond * 1000
        )
    return environment_pb2.Environment(**values) if values else None


def reason_of(message: recommender_pb2.Reason) -> Reason:
    """A reason with its group by name."""
    return Reason(_enum_name(message.Group, message.group), message.subject, message.contribution, message.text)


def environment_use_of(message: recommender_pb2.EnvironmentUse) -> EnvironmentUse:
    """An environment value that was used."""
    return EnvironmentUse(
        kind=_enum_name(variable_pb2.Variable.Kind, message.kind),
        origin=_enum_name(message.Origin, message.origin),
        value=environment_of(message.value),
        age=message.age.ToTimedelta() if message.HasField("age") else None,
    )


def preference_use_of(message: recommender_pb2.PreferenceUse) -> PreferenceUse:
    """A preference that was used."""
    kind = _enum_name(preference_pb2.Preference.Type, message.type)
    return PreferenceUse(message.name, kind, message.value, message.weight)


def degradation_of(message: recommender_pb2.Degradation) -> Degradation:
    """What was missing."""
    return Degradation(message.subject, message.reason, message.text)


def _length_of(message: tunevector_pb2.Length) -> int | timedelta:
    return message.count if message.HasField("count") else message.duration.ToTimedelta()


def _length_message(length: int | timedelta) -> tunevector_pb2.Length:
    if isinstance(length, int):
        return tunevector_pb2.Length(count=length)
    return tunevector_pb2.Length(duration=_duration(length))


def _item_message(item: TunedItem) -> tunevector_pb2.TunedItem:
    return tunevector_pb2.TunedItem(
        item=item.item,
        title=item.title,
        artists=item.artists,
        duration=_duration(item.duration),
        position=item.position,
        pinned=item.pinned,
        score=item.score,
        reasons=[
            recommender_pb2.Reason(
                group=recommender_pb2.Reason.Group.Value(reason.group),
                subject=reason.subject,
                contribution=reason.contribution,
                text=reason.text,
            )
            for reason in item.reasons
        ],
    )


def _record_message(record: TuningRecord) -> tunevector_pb2.TuningRecord:
    return tunevector_pb2.TuningRecord(
        tune_time=timestamp(record.tune_time),
        environment=[
            recommender_pb2.EnvironmentUse(
                kind=variable_pb2.Variable.Kind.Value(use.kind),
                origin=recommender_pb2.EnvironmentUse.Origin.Value(use.origin),
                value=environment_message(use.value),
                age=_duration(use.age),
            )
            for use in record.environment
        ],
        preferences=[
            recommender_pb2.PreferenceUse(
                name=use.name,
                type=preference_pb2.Preference.Type.Value(use.type),
                value=use.value,
                weight=use.weight,
            )
            for use in record.preferences
        ],
        ranker=record.ranker,
        degradations=[
            recommender_pb2.Degradation(subject=one.subject, reason=one.reason, text=one.text)
            for one in record.degradations
        ],
        total_duration=_duration(record.total_duration),
    )


def _given(values: FeatureTarget | Environment) -> dict[str, Any]:
    named = {field.name: getattr(values, field.name) for field in fields(values)}
    return {name: value for name, value in named.items() if value is not None}


def _enum_name(enum: Any, number: int) -> str:
    """The name of an enumeration value; of one that this version does not know, that of UNSPECIFIED."""
    name: str = enum.Name(number if number in enum.values() else 0)
    return name


def _duration(duration: timedelta | None) -> Duration | None:
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration)
    return message
