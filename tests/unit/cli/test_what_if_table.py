"""`--suppose` as it is typed, and what would move as a table."""

from __future__ import annotations

import pytest
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.recommender.v1 import item_pb2, recommender_pb2
from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.commands.surroundings import supposed_of
from rhythmiq_cli.commands.what_if_table import print_what_if
from rhythmiq_cli.output import CommandError, ExitCode

Environment = environment_pb2.Environment
Kind = variable_pb2.Variable.Kind
Move = recommender_pb2.Move
Use = recommender_pb2.EnvironmentUse


def answer(*titles: str, uses: tuple[Use, ...]) -> recommender_pb2.RecommendResponse:
    items = [item_pb2.Item(name=f"items/{title}", title=title, artists=[f"By {title}"]) for title in titles]
    return recommender_pb2.RecommendResponse(
        recommendations=[
            recommender_pb2.Recommendation(item=item, rank=rank) for rank, item in enumerate(items, start=1)
        ],
        environment=uses,
        ranker="prior/1",
        degradations=[recommender_pb2.Degradation(subject="preferences", reason="SERVICE_UNAVAILABLE", text="away")],
    )


def noise(level: float) -> Use:
    return Use(kind=Kind.AMBIENT_NOISE, value=Environment(ambient_noise_dba=level))


def evening() -> Use:
    return Use(kind=Kind.LOCAL_TIME, value=Environment(local_time=TimeOfDay(hours=20)))


def what_if() -> recommender_pb2.ExplainResponse:
    return recommender_pb2.ExplainResponse(
        actual=answer("Alpha", "Beta", "Gamma", uses=(noise(40), evening())),
        supposed=answer("Delta", "Beta", "Alpha", uses=(noise(80),)),
        moves=[
            Move(item="items/Delta", title="Delta", supposed_rank=1, text="new in the list: carries well"),
            Move(item="items/Alpha", title="Alpha", rank=1, supposed_rank=3, text="down 2 places: may get lost"),
            Move(item="items/Gamma", title="Gamma", rank=3, text="out of the list: [so] quiet"),
        ],
    )


def test_table_tells_what_moves_where_to_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    print_what_if(what_if())
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert rows[:3] == [
        ["-", "1", "Delta", "By Delta", "new in the list: carries well"],
        ["1", "3", "Alpha", "By Alpha", "down 2 places: may get lost"],
        ["3", "-", "Gamma", "By Gamma", "out of the list: [so] quiet"],
    ]


def test_both_surroundings_are_told_beside_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_what_if(what_if())
    shown = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines() if line.count("│") == 2]
    assert rows == [["ambient noise", "40 dB(A)", "80 dB(A)"], ["local time", "20:00", "unknown"]]
    for told in ("1 of 3 would stay where they are.", "Ranked by prior/1.", "Without preferences: away"):
        assert told in shown


def test_where_nothing_moves_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    same = answer("Alpha", uses=())
    print_what_if(recommender_pb2.ExplainResponse(actual=same, supposed=same))
    shown = capsys.readouterr().out
    assert "Nothing would move." in shown
    assert "Surroundings" not in shown


def test_suppositions_become_an_environment_and_the_kinds_supposed_unknown() -> None:
    pairs = ["noise=80", "time = 08:30", "--place=gym", "heart_rate=unknown", "weather=Unknown", "output=car-speaker"]
    environment, unknown = supposed_of(pairs)
    assert environment == Environment(
        ambient_noise_dba=80,
        local_time=TimeOfDay(hours=8, minutes=30),
        place_type=Environment.GYM,
        audio_output=Environment.CAR_SPEAKER,
    )
    assert unknown == [Kind.HEART_RATE, Kind.WEATHER]


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["noise"], "--suppose 'noise' must be like noise=80 or time=08:30"),
        (["noise="], "must be like noise=80"),
        (["colour=red"], "with one of noise, activity, time"),
        (["noise=loud"], "--suppose noise 'loud' must be a number"),
        (["time=25:00"], "--suppose time '25:00' must be like 18:00"),
        (["activity=flying"], "--suppose activity 'flying' must be one of sleeping"),
        (["noise=80", "noise=unknown"], "--suppose noise is given twice"),
    ],
)
def test_what_cannot_be_supposed_is_refused_with_what_can(pairs: list[str], told: str) -> None:
    with pytest.raises(CommandError) as refused:
        supposed_of(pairs)
    assert told in refused.value.message
    assert refused.value.code is ExitCode.USAGE
