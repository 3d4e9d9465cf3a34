"""`rhythmiq recommend`: what fits the listener here and now, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import typer

from rhythmiq.recommender.v1 import item_pb2, recommender_pb2
from rhythmiq.type.v1 import audio_pb2
from rhythmiq_cli import options
from rhythmiq_cli.commands.recommend_table import print_answer
from rhythmiq_cli.commands.surroundings import ENUMS, enum_name, environment_of, one_of, supposed_of
from rhythmiq_cli.commands.what_if_table import print_what_if
from rhythmiq_cli.connect import client_for
from rhythmiq_cli.output import CommandError, ExitCode, print_json, tells_errors

Answer = TypeVar("Answer", recommender_pb2.RecommendResponse, recommender_pb2.ExplainResponse)

_EPILOG = (
    "Example: rhythmiq recommend --noise 78 --activity running --time 18:00 --count 10\n\n"
    "Example: rhythmiq recommend --kind soundscape --max energy=0.2 --json\n\n"
    "Example: rhythmiq recommend --diversity 0.7 --fatigue 0 --no-explore\n\n"
    "Example: rhythmiq recommend --suppose noise=80 --suppose time=08:30"
)
_EXPLICIT = recommender_pb2.RecommendFilter.Explicit
_HERE = "Where you are"
_WHAT = "What you want"


def register(app: typer.Typer) -> None:
    app.command("recommend", epilog=_EPILOG)(recommend)


@tells_errors
def recommend(
    kind: Annotated[str, typer.Option(help="track, podcast_episode or soundscape.", rich_help_panel=_WHAT)] = "track",
    count: Annotated[int, typer.Option(help="1 to 200.", rich_help_panel=_WHAT)] = 20,
    seed_genre: Annotated[
        list[str] | None, typer.Option(help="More like this genre. May be repeated.", rich_help_panel=_WHAT)
    ] = None,
    seed_artist: Annotated[
        list[str] | None, typer.Option(help="More like this artist. May be repeated.", rich_help_panel=_WHAT)
    ] = None,
    seed_item: Annotated[
        list[str] | None, typer.Option(help="More like items/ID. May be repeated.", rich_help_panel=_WHAT)
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="FEATURE=VALUE", help="Near this value, such as tempo=120.", rich_help_panel=_WHAT),
    ] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="FEATURE=VALUE", help="At least, such as energy=0.5.", rich_help_panel=_WHAT),
    ] = None,
    maximum: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="FEATURE=VALUE", help="At most, such as loudness=-8.", rich_help_panel=_WHAT),
    ] = None,
    genre: Annotated[
        list[str] | None, typer.Option(help="Only this genre. May be repeated.", rich_help_panel=_WHAT)
    ] = None,
    exclude_genre: Annotated[
        list[str] | None, typer.Option(help="Not this genre. May be repeated.", rich_help_panel=_WHAT)
    ] = None,
    exclude_explicit: Annotated[
        bool, typer.Option("--exclude-explicit", help="Nothing explicit.", rich_help_panel=_WHAT)
    ] = False,
    diversity: Annotated[
        float | None,
        typer.Option(help="How much variety counts, 0 (best scores first) to 1. Default 0.3.", rich_help_panel=_WHAT),
    ] = None,
    fatigue: Annotated[
        float | None,
        typer.Option(
            help="How much it counts against an item that you have heard it lately, 0 to 1. Default 0.5.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    explore: Annotated[
        bool | None,
        typer.Option(
            "--explore/--no-explore",
            help="Whether a few items may be there only to learn how you like them. Default: as the mesh is set.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed gives the same answer.", rich_help_panel=_WHAT)
    ] = None,
    noise: Annotated[float | None, typer.Option(help="dB(A), 0 to 140.", rich_help_panel=_HERE)] = None,
    activity: Annotated[str | None, typer.Option(help=one_of(ENUMS["activity"]), rich_help_panel=_HERE)] = None,
    time: Annotated[str | None, typer.Option(metavar="HH:MM", help="Local time.", rich_help_panel=_HERE)] = None,
    heart_rate: Annotated[float | None, typer.Option(help="Beats per minute.", rich_help_panel=_HERE)] = None,
    weather: Annotated[str | None, typer.Option(help=one_of(ENUMS["weather"]), rich_help_panel=_HERE)] = None,
    temperature: Annotated[float | None, typer.Option(help="Degrees Celsius.", rich_help_panel=_HERE)] = None,
    humidity: Annotated[float | None, typer.Option(help="Percent.", rich_help_panel=_HERE)] = None,
    light: Annotated[float | None, typer.Option(help="Lux.", rich_help_panel=_HERE)] = None,
    speed: Annotated[float | None, typer.Option(help="Metres per second.", rich_help_panel=_HERE)] = None,
    place: Annotated[str | None, typer.Option(help=one_of(ENUMS["place_type"]), rich_help_panel=_HERE)] = None,
    output: Annotated[str | None, typer.Option(help=one_of(ENUMS["audio_output"]), rich_help_panel=_HERE)] = None,
    company: Annotated[str | None, typer.Option(help=one_of(ENUMS["company"]), rich_help_panel=_HERE)] = None,
    suppose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What if: noise=80, time=08:30, weather=unknown … What would move, and why. May be repeated.",
            rich_help_panel=_HERE,
        ),
    ] = None,
    json: options.Json = False,
    address: options.Address = None,
    token: options.Token = None,
    subject: options.Subject = None,
) -> None:
    """Recommend what fits you, here and now.

    Surroundings given here take the place of your readings; the others are still used.
    """
    supposed, unknown = supposed_of(suppose or ())
    surroundings: dict[str, float | str | None] = {
        "noise": noise,
        "heart-rate": heart_rate,
        "temperature": temperature,
        "humidity": humidity,
        "light": light,
        "speed": speed,
        "activity": activity,
        "weather": weather,
        "place": place,
        "output": output,
        "company": company,
        "time": time,
    }
    request = recommender_pb2.RecommendRequest(
        kind=item_pb2.Item.Kind.Value(enum_name("--kind", kind, item_pb2.Item.Kind.DESCRIPTOR)),
        count=count,
        environment=environment_of(surroundings),
        seeds=audio_pb2.Seeds(items=seed_item, artists=seed_artist, genres=seed_genre),
        tuning=tuning_of(target or (), minimum or (), maximum or ()),
        filter=recommender_pb2.RecommendFilter(
            genres=genre,
            exclude_genres=exclude_genre,
            explicit=_EXPLICIT.EXCLUDE if exclude_explicit else _EXPLICIT.EXPLICIT_UNSPECIFIED,
        ),
        diversity=diversity,
        fatigue=fatigue,
        explore=explore,
        seed=seed,
    )
    with client_for(address, token, subject=subject) as client:
        request.parent = client.profile_name
        if suppose:
            what_if = recommender_pb2.ExplainRequest(
                parent=request.parent, request=request, suppose=supposed, suppose_unknown=unknown
            )
            _show(client.call(client.recommender.Explain, what_if), print_what_if, as_json=json)
        else:
            _show(client.call(client.recommender.Recommend, request), print_answer, as_json=json)


def _show(answer: Answer, print_it: Callable[[Answer], None], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_it(answer)


def tuning_of(targets: Sequence[str], minima: Sequence[str], maxima: Sequence[str]) -> audio_pb2.Tuning:
    """`feature=value` pairs. Raises CommandError for one that is not; the mesh checks feature and range."""
    tuning = audio_pb2.Tuning()
    for part, pairs in (("target", targets), ("min", minima), ("max", maxima)):
        for pair in pairs:
            feature, _, text = pair.partition("=")
            try:
                value = float(text)
            except ValueError:
                raise CommandError(f"--{part} {pair!r} must be like tempo=120.", ExitCode.USAGE) from None
            setattr(tuning.features[feature.strip()], part, value)
    return tuning
