"""A recommendation as a table: reasons that speak for an item, surroundings in words, what was missing."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.recommender.v1 import item_pb2, recommender_pb2
from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.commands.recommend import tuning_of
from rhythmiq_cli.commands.recommend_table import age_of, print_answer, value_of
from rhythmiq_cli.commands.surroundings import environment_of

Use = recommender_pb2.EnvironmentUse
Group = recommender_pb2.Reason.Group
Kind = variable_pb2.Variable.Kind


def answer() -> recommender_pb2.RecommendResponse:
    reasons = [
        recommender_pb2.Reason(group=Group.SURROUNDINGS, contribution=0.5, text="carries well in noise"),
        recommender_pb2.Reason(group=Group.TUNING, contribution=-0.4, text="not your tempo"),
        recommender_pb2.Reason(group=Group.PREFERENCES, contribution=0.3, text="you like jazz"),
        recommender_pb2.Reason(group=Group.SURROUNDINGS, contribution=0.1, text="lively"),
    ]
    item = item_pb2.Item(title="[bold]Signals", artists=["A", "B"])
    return recommender_pb2.RecommendResponse(
        recommendations=[recommender_pb2.Recommendation(item=item, rank=1, reasons=reasons)],
        environment=[
            Use(
                kind=Kind.AMBIENT_NOISE,
                origin=Use.READING,
                value=environment_pb2.Environment(ambient_noise_dba=78),
                age=Duration(seconds=400),
            )
        ],
        preferences=[recommender_pb2.PreferenceUse(value="jazz", weight=0.8)],
        ranker="prior/1",
        degradations=[
            recommender_pb2.Degradation(subject="preferences", reason="SERVICE_UNAVAILABLE", text="not reachable"),
            recommender_pb2.Degradation(subject="environment.weather", reason="STALE_READING"),
        ],
    )


def test_table_tells_why_where_and_what_was_missing(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(answer())
    shown = capsys.readouterr().out
    assert "[bold]Signals" in shown
    assert "A, B" in shown
    assert "carries well in noise; you like jazz" in shown
    assert "not your tempo" not in shown
    assert "lively" not in shown
    for told in ("ambient noise", "78 dB(A)", "reading", "6 min", "jazz (+0.8)", "Ranked by prior/1."):
        assert told in shown
    assert "Without preferences: not reachable" in shown
    assert "Without environment.weather: stale reading" in shown


def test_empty_answer_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(recommender_pb2.RecommendResponse(ranker="prior/1"))
    assert "Nothing fits." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, ""), (40, "40 s"), (89, "89 s"), (600, "10 min"), (7200, "2 h"), (200_000, "2 days")]
)
def test_ages_are_told_as_people_say_them(seconds: int, told: str) -> None:
    assert age_of(Duration(seconds=seconds)) == told


def test_values_are_told_with_their_unit() -> None:
    environment = environment_pb2.Environment
    told = [
        (environment(temperature_celsius=-3.5), "-3.5 °C"),
        (environment(activity=environment.RUNNING), "running"),
        (environment(local_time=TimeOfDay(hours=8, minutes=5)), "08:05"),
        (environment(audio_output=environment.NOISE_CANCELLING_HEADPHONES), "noise cancelling headphones"),
        (environment(), ""),
    ]
    for value, words in told:
        assert value_of(Use(value=value)) == words


def test_options_become_the_request() -> None:
    environment = environment_of(
        {"noise": 0.0, "place": "Gym", "output": "car-speaker", "time": "7:30", "weather": None, "speed": None}
    )
    assert environment.HasField("ambient_noise_dba")
    assert not environment.HasField("speed_mps")
    assert environment.place_type == environment_pb2.Environment.GYM
    assert environment.audio_output == environment_pb2.Environment.CAR_SPEAKER
    assert (environment.local_time.hours, environment.local_time.minutes) == (7, 30)
    tuning = tuning_of(["tempo=120"], ["energy=0.5", "tempo=100"], ["loudness=-8"])
    assert (tuning.features["tempo"].target, tuning.features["tempo"].min) == (120, 100)
    assert tuning.features["loudness"].max == -8
