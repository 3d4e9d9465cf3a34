"""`rhythmiq profile show|create|update|delete`: the caller's own profile."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from rhythmiq.profile.v1 import profile_pb2
from rhythmiq_cli import options
from rhythmiq_cli.connect import client_for
from rhythmiq_cli.output import CommandError, ExitCode, print_json, print_line, print_pairs, tells_errors

app = typer.Typer(name="profile", help="Your profile: who listens.", no_args_is_help=True)

Name = Annotated[str | None, typer.Option("--name", help="What to call you.")]
Locale = Annotated[str | None, typer.Option(help="Language tag, such as de-AT.")]
TimeZone = Annotated[str | None, typer.Option(help="IANA time zone, such as Europe/Vienna.")]
LearnedWeight = Annotated[
    float | None, typer.Option(help="How much learned preferences count against those you set, 0 to 1.")
]
Etag = Annotated[str, typer.Option(help="Refuse unless the profile is still at this etag, as `show` prints.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app)


@app.command("show", epilog="Example: rhythmiq profile show --json")
@tells_errors
def show(
    json: options.Json = False,
    address: options.Address = None,
    token: options.Token = None,
    subject: options.Subject = None,
) -> None:
    """Show your profile."""
    with client_for(address, token, subject=subject) as client:
        request = profile_pb2.GetProfileRequest(name=client.profile_name)
        _tell(client.call(client.profiles.GetProfile, request), json=json)


@app.command("create", epilog="Example: rhythmiq profile create --email ada@example.org --time-zone Europe/Vienna")
@tells_errors
def create(
    email: Annotated[str, typer.Option(help="Your email address. It cannot be changed later.")],
    name: Name = None,
    locale: Locale = None,
    time_zone: TimeZone = None,
    learned_weight: LearnedWeight = None,
    json: options.Json = False,
    address: options.Address = None,
    token: options.Token = None,
    subject: options.Subject = None,
) -> None:
    """Create your profile. There is one for each user."""
    profile = _profile(name, locale, time_zone, learned_weight)
    profile.email = email
    with client_for(address, token, subject=subject) as client:
        request = profile_pb2.CreateProfileRequest(profile=profile)
        _tell(client.call(client.profiles.CreateProfile, request), json=json)


@app.command("update", epilog="Example: rhythmiq profile update --time-zone Asia/Tokyo")
@tells_errors
def update(
    name: Name = None,
    locale: Locale = None,
    time_zone: TimeZone = None,
    learned_weight: LearnedWeight = None,
    etag: Etag = "",
    json: options.Json = False,
    address: options.Address = None,
    token: options.Token = None,
    subject: options.Subject = None,
) -> None:
    """Change what you give; an empty value clears a text."""
    given = {"display_name": name, "locale": locale, "time_zone": time_zone, "learned_weight": learned_weight}
    paths = [path for path, value in given.items() if value is not None]
    if not paths:
        raise CommandError("Nothing to change: give --name, --locale, --time-zone or --learned-weight.", ExitCode.USAGE)
    profile = _profile(name, locale, time_zone, learned_weight)
    profile.etag = etag
    with client_for(address, token, subject=subject) as client:
        profile.name = client.profile_name
        request = profile_pb2.UpdateProfileRequest(profile=profile, update_mask=FieldMask(paths=paths))
        _tell(client.call(client.profiles.UpdateProfile, request), json=json)


@app.command("delete", epilog="Example: rhythmiq profile delete --yes")
@tells_errors
def delete(
    etag: Etag = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    address: options.Address = None,
    token: options.Token = None,
    subject: options.Subject = None,
) -> None:
    """Delete your profile. Refused while it has preferences, variables or tune vectors."""
    with client_for(address, token, subject=subject) as client:
        if not yes:
            typer.confirm(f"Delete {client.profile_name}?", abort=True)
        client.call(
            client.profiles.DeleteProfile, profile_pb2.DeleteProfileRequest(name=client.profile_name, etag=etag)
        )
        print_line(f"Deleted {client.profile_name}.")


def _profile(
    name: str | None, locale: str | None, time_zone: str | None, learned_weight: float | None
) -> profile_pb2.Profile:
    return profile_pb2.Profile(
        display_name=name or "", locale=locale or "", time_zone=time_zone or "", learned_weight=learned_weight
    )


def _tell(profile: profile_pb2.Profile, *, json: bool) -> None:
    if json:
        print_json(profile)
        return
    print_pairs(
        {
            "name": profile.name,
            "email": profile.email,
            "called": profile.display_name,
            "locale": profile.locale,
            "time zone": profile.time_zone,
            "learned weight": f"{profile.learned_weight:g}" if profile.HasField("learned_weight") else "",
            "state": profile_pb2.Profile.State.Name(profile.state),
            "since": profile.create_time.ToJsonString(),
            "etag": profile.etag,
        }
    )
