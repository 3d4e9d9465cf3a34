"""`rhythmiq recommend`: what fits the listener here and now, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.descriptor import EnumDescriptor
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.recommender.v1 import item_pb2, recommender_pb2
from rhythmiq.type.v1 import audio_pb2, environment_pb2
from rhythmiq_cli import options
from rhythmiq_cli.commands.recommend_table import print_answer
from rhythmiq_cli.connect import client_for
from rhythmiq_cli.output import CommandError, ExitCode, print_json, tells_errors

_EPILOG = (
    "Example: rhythmiq recommend --noise 78 --activity running --time 18:00 --count 10\n\n"
    "Example: rhythmiq recommend --kind soundscape --max energy=0.2 --json"
)
_EXPLICIT = recommender_pb2.RecommendFilter.Explicit
_HERE = "Where you are"
_WHAT = "What you want"


def _one_of(enum: EnumDescriptor) -> str:
    return ", ".join(value.name.lower() for value in enum.values[1:])


_ENVIRONMENT = environment_pb2.Environment.DESCRIPTOR.enum_types_by_name


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
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed gives the same answer.", rich_help_panel=_WHAT)
    ] = None,
    noise: Annotated[float | None, typer.Option(help="dB(A), 0 to 140.", rich_help_panel=_HERE)] = None,
    activity: Annotated[str | None, typer.Option(help=_one_of(_ENVIRONMENT["Activity"]), rich_help_panel=_HERE)] = None,
    time: Annotated[str | None, typer.Option(metavar="HH:MM", help="Local time.", rich_help_panel=_HERE)] = None,
    heart_rate: Annotated[float | None, typer.Option(help="Beats per minute.", rich_help_panel=_HERE)] = None,
    weather: Annotated[str | None, typer.Option(help=_one_of(_ENVIRONMENT["Weather"]), rich_help_panel=_HERE)] = None,
    temperature: Annotated[float | None, typer.Option(help="Degrees Celsius.", rich_help_panel=_HERE)] = None,
    humidity: Annotated[float | None, typer.Option(help="Percent.", rich_help_panel=_HERE)] = None,
    light: Annotated[float | None, typer.Option(help="Lux.", rich_help_panel=_HERE)] = None,
    speed: Annotated[float | None, typer.Option(help="Metres per second.", rich_help_panel=_HERE)] = None,
    place: Annotated[str | None, typer.Option(help=_one_of(_ENVIRONMENT["PlaceType"]), rich_help_panel=_HERE)] = None,
    output: Annotated[
        str | None, typer.Option(help=_one_of(_ENVIRONMENT["AudioOutput"]), rich_help_panel=_HERE)
    ] = None,
    company: Annotated[str | None, typer.Option(help=_one_of(_ENVIRONMENT["Company"]), rich_help_panel=_HERE)] = None,
    json: options.Json = False,
    address: options.Address = None,
    token: options.Token = None,
    subject: options.Subject = None,
) -> None:
    """Recommend what fits you, here and now.

    Surroundings given here take the place of your readings; the others are still used.
    """
    numbers = {
        "ambient_noise_dba": noise,
        "heart_rate_bpm": heart_rate,
        "temperature_celsius": temperature,
        "humidity_percent": humidity,
        "illuminance_lux": light,
        "speed_mps": speed,
    }
    names = {
        "activity": activity,
        "weather": weather,
        "place_type": place,
        "audio_output": output,
        "company": company,
    }
    request = recommender_pb2.RecommendRequest(
        kind=item_pb2.Item.Kind.Value(_enum_name("kind", kind, item_pb2.Item.Kind.DESCRIPTOR)),
        count=count,
        environment=environment_of(numbers, names, time),
        seeds=audio_pb2.Seeds(items=seed_item, artists=seed_artist, genres=seed_genre),
        tuning=tuning_of(target or (), minimum or (), maximum or ()),
        filter=recommender_pb2.RecommendFilter(
            genres=genre,
            exclude_genres=exclude_genre,
            explicit=_EXPLICIT.EXCLUDE if exclude_explicit else _EXPLICIT.EXPLICIT_UNSPECIFIED,
        ),
        seed=seed,
    )
    with client_for(address, token, subject=subject) as client:
        request.parent = client.profile_name
        answer = client.call(client.recommender.Recommend, request)
    if json:
        print_json(answer)
    else:
        print_answer(answer)


def environment_of(
    numbers: dict[str, float | None], names: dict[str, str | None], time: str | None
) -> environment_pb2.Environment:
    """The environment that the options tell. Raises CommandError for a name or time that there is not."""
    environment = environment_pb2.Environment()
    for field, number in numbers.items():
        if number is not None:
            setattr(environment, field, number)
    for field, name in names.items():
        if name is not None:
            enum = _ENVIRONMENT["".join(word.title() for word in field.split("_"))]
            setattr(environment, field, enum.values_by_name[_enum_name(field, name, enum)].number)
    if time is not None:
        environment.local_time.CopyFrom(_time_of_day(time))
    return environment


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


def _enum_name(what: str, name: str, enum: EnumDescriptor) -> str:
    wanted = name.strip().upper().replace("-", "_").replace(" ", "_")
    if wanted not in {value.name for value in enum.values[1:]}:
        option = {"place_type": "place", "audio_output": "output"}.get(what, what)
        raise CommandError(f"--{option} {name!r} must be one of {_one_of(enum)}.", ExitCode.USAGE)
    return wanted


def _time_of_day(text: str) -> TimeOfDay:
    hours, _, minutes = text.partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(hours) < 24 and int(minutes) < 60):
        raise CommandError(f"--time {text!r} must be like 18:00.", ExitCode.USAGE)
    return TimeOfDay(hours=int(hours), minutes=int(minutes))
