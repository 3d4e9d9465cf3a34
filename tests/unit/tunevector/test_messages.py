from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq.tunevector.v1 import tunevector_pb2
from rhythmiq.type.v1 import audio_pb2, environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_tunevector import messages, model

Environment = environment_pb2.Environment


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (model.Environment, environment_pb2.Environment),
        (model.FeatureTarget, audio_pb2.FeatureTarget),
        (model.Seeds, audio_pb2.Seeds),
        (model.Filter, recommender_pb2.RecommendFilter),
        (model.Reason, recommender_pb2.Reason),
        (model.EnvironmentUse, recommender_pb2.EnvironmentUse),
        (model.PreferenceUse, recommender_pb2.PreferenceUse),
        (model.Degradation, recommender_pb2.Degradation),
        (model.TunedItem, tunevector_pb2.TunedItem),
        (model.TuningRecord, tunevector_pb2.TuningRecord),
        (model.Pin, tunevector_pb2.Pin),
    ],
)
def test_the_model_knows_every_field_of_the_api(ours: type, theirs: type) -> None:
    assert {field.name for field in fields(ours)} == set(theirs.DESCRIPTOR.fields_by_name)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (model.Kind, tunevector_pb2.TuneVector.Kind),
        (model.Mode, tunevector_pb2.TuneVector.Mode),
        (model.Explicit, recommender_pb2.RecommendFilter.Explicit),
    ],
)
def test_the_model_knows_every_value_of_its_enumerations(
    ours: type[model.Kind | model.Mode | model.Explicit], theirs: object
) -> None:
    names: list[str] = theirs.keys()  # type: ignore[attr-defined]
    assert [each.value for each in ours] == [name for name in names if not name.endswith("UNSPECIFIED")]


def test_every_value_of_an_environment_survives_the_model() -> None:
    message = Environment(
        ambient_noise_dba=0,
        illuminance_lux=1,
        temperature_celsius=-2.5,
        humidity_percent=3,
        weather=Environment.RAIN,
        activity=Environment.RUNNING,
        heart_rate_bpm=60,
        place_type=Environment.HOME,
        speed_mps=0,
        local_time=TimeOfDay(hours=23, minutes=59, seconds=58, nanos=7000),
        audio_output=Environment.CAR_SPEAKER,
        company=Environment.ALONE,
    )
    assert messages.environment_message(messages.environment_of(message)) == message
    assert messages.environment_message(messages.environment_of(Environment())) is None


def test_values_of_a_newer_peer_are_unspecified_rather_than_an_error() -> None:
    newer = Environment.FromString(Environment(weather=Environment.RAIN).SerializeToString().replace(b"\x04", b"\x7f"))
    assert messages.environment_of(newer) == model.Environment()
    use = recommender_pb2.EnvironmentUse.FromString(b"\x08\x7f\x10\x7f")
    assert (messages.environment_use_of(use).kind, messages.environment_use_of(use).origin) == (
        "KIND_UNSPECIFIED",
        "ORIGIN_UNSPECIFIED",
    )
    reason = recommender_pb2.Reason.FromString(b"\x08\x7f")
    assert messages.reason_of(reason).group == "GROUP_UNSPECIFIED"


def test_an_age_of_nothing_is_not_an_age_of_zero() -> None:
    fresh = recommender_pb2.EnvironmentUse(kind=variable_pb2.Variable.WEATHER, age=Duration())
    assert messages.environment_use_of(fresh).age == timedelta()
    fresh.ClearField("age")
    assert messages.environment_use_of(fresh).age is None
