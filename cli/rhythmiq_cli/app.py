"""The `rhythmiq` command: puts the commands together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from rhythmiq_cli.commands import import_catalog, import_history, models, profile, recommend, token, train, up

app = typer.Typer(
    name="rhythmiq",
    help="Music, podcasts and soundscapes that fit the listener and the surroundings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("rhythmiq"))
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Music, podcasts and soundscapes that fit the listener and the surroundings."""


up.register(app)
token.register(app)
profile.register(app)
import_history.register(import_catalog.app)
app.add_typer(import_catalog.app)
recommend.register(app)
train.register(app)
models.register(app)


def main() -> None:
    """Entry point of the `rhythmiq` command."""
    app()
