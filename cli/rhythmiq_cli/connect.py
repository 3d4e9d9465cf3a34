"""From a command's options to a client: where the mesh is, and who calls."""

from __future__ import annotations

import json
from pathlib import Path

from rhythmiq_cli.client import DEFAULT_ADDRESS, Client
from rhythmiq_cli.identity.keys import SigningKey
from rhythmiq_cli.identity.tokens import DEMO_SUBJECT, mint
from rhythmiq_cli.output import CommandError, ExitCode
from rhythmiq_cli.state import StateFolder, default_root


def client_for(address: str | None, token: str | None, *, subject: str | None = None, admin: bool = False) -> Client:
    """A client of the mesh at `address`, or of the one that runs from the state folder.

    The caller is the bearer of `token`, or else `subject` of the local issuer. Raises CommandError without either.
    """
    if token is not None and subject is not None:
        raise CommandError("A token says who you are already: leave out --subject or --token.", ExitCode.USAGE)
    return Client(address or local_address(), bearer(token, subject, admin=admin))


def bearer(token: str | None, subject: str | None = None, *, admin: bool = False) -> str:
    """The token given, or one that the local issuer signs for `subject` (12 hours, longer than any command runs)."""
    if token is not None:
        return token.strip()
    key = SigningKey.load(StateFolder(default_root()).signing_key)
    return mint(key, subject or DEMO_SUBJECT, admin=admin)


def local_address() -> str:
    """Where the mesh of the state folder listens, or last did; else the default."""
    try:
        found = json.loads((default_root() / "lock").read_text(encoding="utf-8"))["address"]
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_ADDRESS
    return str(found)


def import_folder() -> Path:
    """Where imports keep how far they have come."""
    return default_root() / "imports"
