from __future__ import annotations

import pytest

from rhythmiq.preference.v1 import internal_pb2, preference_pb2
from rhythmiq.profile.v1 import profile_pb2
from rhythmiq.tunevector.v1 import tunevector_pb2
from rhythmiq.type.v1 import audio_pb2, environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.interceptors.validation import admit, validate

PARENT = "profiles/00000000-0000-5000-8000-000000000000"


def violations(message: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidArgument) as refused:
        validate(message)  # type: ignore[arg-type]
    return [(violation.field, violation.rule) for violation in refused.value.violations]


def test_violation_names_the_field_by_its_path_and_the_rule() -> None:
    good = variable_pb2.Reading(kind=variable_pb2.Variable.AMBIENT_NOISE, number=50, source="phone")
    good.observe_time.seconds = 1_700_000_000
    bad = variable_pb2.Reading()
    bad.CopyFrom(good)
    bad.number = float("inf")
    request = variable_pb2.BatchRecordReadingsRequest(parent=PARENT, readings=[good, bad])
    assert violations(request) == [("readings[1].number", "must be finite")]


def test_map_key_is_named() -> None:
    tuning = audio_pb2.Tuning(features={"tempo": audio_pb2.FeatureTarget(min=5, max=1)})
    assert ("features['tempo']", "min must not be greater than max") in violations(tuning)


@pytest.mark.parametrize(
    ("feature", "target"),
    [
        ("energy", 1.5),
        ("loudness", 11),
        ("loudness", -71),
        ("tempo", 301),
        ("popularity", 101),
        ("key", 12),
        ("mode", 2),
        ("time_signature", 0),
        ("duration_ms", -1),
        ("tempo", float("nan")),
    ],
)
def test_feature_outside_its_range_is_refused(feature: str, target: float) -> None:
    assert violations(audio_pb2.Tuning(features={feature: audio_pb2.FeatureTarget(target=target)}))


@pytest.mark.parametrize(("feature", "target"), [("energy", 1), ("loudness", -70), ("tempo", 300), ("key", 0)])
def test_feature_at_the_end_of_its_range_is_accepted(feature: str, target: float) -> None:
    validate(audio_pb2.Tuning(features={feature: audio_pb2.FeatureTarget(target=target)}))


@pytest.mark.parametrize(
    "email", ["", "a", "a@b", "a b@c.de", "@c.de", "a@@c.de", "a@c..de", "a@-", "<a@c.de>", "a@c.d1"]
)
def test_what_is_no_email_is_refused(email: str) -> None:
    assert violations(profile_pb2.Profile(email=email))[0][0] == "email"


@pytest.mark.parametrize("email", ["a@b.co", "first.last+tag@sub.example.org", "ü@exämple.org"])
def test_what_is_an_email_is_accepted(email: str) -> None:
    validate(profile_pb2.Profile(email=email))


def test_offending_value_is_never_echoed() -> None:
    secret = "x" * 3000
    with pytest.raises(InvalidArgument) as refused:
        validate(profile_pb2.Profile(email=secret, display_name=secret, locale=secret))
    assert secret[:20] not in refused.value.message
    assert all(secret[:20] not in violation.rule for violation in refused.value.violations)


def test_long_unknown_map_key_is_cut_in_the_message() -> None:
    tuning = audio_pb2.Tuning(features={"k" * 5000: audio_pb2.FeatureTarget(target=0.5)})
    assert all(len(field) < 100 for field, _ in violations(tuning))


def test_number_of_violations_is_bounded() -> None:
    curve = tunevector_pb2.TuneVector(energy_curve=[2.0] * 50)
    assert len(violations(curve)) == 20


def test_output_only_input_is_ignored_also_below_and_in_lists() -> None:
    reading = variable_pb2.Reading(uid="forged", kind=variable_pb2.Variable.AMBIENT_NOISE, number=1, source="s")
    reading.observe_time.seconds = 1
    reading.create_time.seconds = 5
    request = variable_pb2.BatchRecordReadingsRequest(parent=PARENT, readings=[reading])
    admit(request)
    assert request.readings[0].uid == ""
    assert not request.readings[0].HasField("create_time")
    assert request.readings[0].number == 1


def test_services_tell_each_other_what_is_output_for_listeners() -> None:
    learned = preference_pb2.Preference(type=preference_pb2.Preference.GENRE, value="x", weight=0.5, confidence=0.75)
    among_services = internal_pb2.BatchWriteLearnedPreferencesRequest(parent=PARENT, preferences=[learned])
    admit(among_services)
    assert among_services.preferences[0].confidence == 0.75
    from_a_listener = preference_pb2.CreatePreferenceRequest(parent=PARENT, preference=learned)
    admit(from_a_listener)
    assert from_a_listener.preference.confidence == 0


@pytest.mark.parametrize("hours", [-1, 24])
def test_local_time_outside_a_day_is_refused(hours: int) -> None:
    environment = environment_pb2.Environment()
    environment.local_time.hours = hours
    assert violations(environment)[0][0] == "local_time"


def test_pattern_of_a_name_is_told_by_what_it_stands_for() -> None:
    assert violations(profile_pb2.GetProfileRequest(name="profiles/X")) == [
        ("name", "must have the form profiles/{lower-case UUID}")
    ]
    request = profile_pb2.CreateProfileRequest(profile=profile_pb2.Profile(email="a@b.co"), request_id="1")
    assert violations(request) == [("request_id", "must have the form {lower-case UUID4}")]
