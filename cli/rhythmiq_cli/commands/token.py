"""`rhythmiq token`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from rhythmiq_cli.identity.keys import SigningKey
from rhythmiq_cli.identity.tokens import DEMO_SUBJECT, ISSUER, MAX_LIFETIME, mint
from rhythmiq_cli.output import CommandError, ExitCode, print_json, tells_errors
from rhythmiq_cli.state import StateFolder, default_root
from rhythmiq_mesh.principal import Principal

_HELP = """Print a token of the local issuer, and nothing else, on standard output.

Example: curl -H "authorization: Bearer $(rhythmiq token)" http://127.0.0.1:8080/items

Exit codes: 0 printed; 2 wrong options; 3 the key file cannot be used; 4 there is no key yet, or it cannot be read.
"""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SUBJECT_MAX_LENGTH = 255


def register(app: typer.Typer) -> None:
    app.command("token", help=_HELP)(token)


@tells_errors
def token(
    subject: Annotated[
        str, typer.Option("--subject", metavar="NAME", help="Who the token is for; anybody you like.")
    ] = DEMO_SUBJECT,
    admin: Annotated[bool, typer.Option("--admin", help="Also allow writing the catalogue.")] = False,
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="How long it is valid, such as 90s, 15m, 12h or 30d.")
    ] = "12h",
    as_json: Annotated[bool, typer.Option("--json", help="Print token, subject, profile and expiry as JSON.")] = False,
) -> None:
    lifetime = lifetime_of(expires)
    check_subject(subject)
    key = SigningKey.load(StateFolder(default_root()).signing_key)
    now = datetime.now(UTC)
    minted = mint(key, subject, admin=admin, lifetime=lifetime, now=now)
    if not as_json:
        typer.echo(minted)
        return
    print_json(
        {
            "token": minted,
            "subject": subject,
            "profile": f"profiles/{Principal(ISSUER, subject, frozenset()).profile_id}",
            "admin": admin,
            "expireTime": (now + lifetime).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
        }
    )


def lifetime_of(text: str) -> timedelta:
    """`90s`, `15m`, `12h` or `30d` as a time span of 1 second to 366 days. Raises CommandError."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    lifetime = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta(seconds=1) <= lifetime <= MAX_LIFETIME:
        raise CommandError(
            f"{text!r} is not a time from 1 second to {MAX_LIFETIME.days} days: write it like 90s, 15m, 12h or 30d.",
            ExitCode.USAGE,
        )
    return lifetime


def check_subject(subject: str) -> None:
    """Raises CommandError for a subject that no issuer would give out."""
    if not subject.strip() or len(subject) > _SUBJECT_MAX_LENGTH or not subject.isprintable():
        raise CommandError(
            f"A subject has 1 to {_SUBJECT_MAX_LENGTH} printable characters: name a listener, such as --subject ana.",
            ExitCode.USAGE,
        )
