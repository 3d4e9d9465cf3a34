"""`rhythmiq models`: what was trained, which of it listeners get, and how to take it back."""

from __future__ import annotations

from typing import Annotated

import typer

from rhythmiq_cli import options
from rhythmiq_cli.output import CommandError, ExitCode, tells_errors
from rhythmiq_cli.programs import run_recommender_program

app = typer.Typer(
    name="models",
    help="Trained models: which there are, and which of them listeners get. Without a command: list.",
    invoke_without_command=True,
)

Kind = Annotated[str, typer.Option(help="track, podcast_episode or soundscape.")]
Cohort = Annotated[str, typer.Option(help="all, newcomers or regulars.")]
Version = Annotated[str, typer.Argument(metavar="VERSION")]
OptionalVersion = Annotated[str | None, typer.Argument(metavar="VERSION")]
Off = Annotated[bool, typer.Option("--off", help="End it.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app)


@app.callback()
@tells_errors
def without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        _run("list", "track", "all")


@app.command("list", epilog="Example: rhythmiq models list --json")
@tells_errors
def list_models(kind: Kind = "track", cohort: Cohort = "all", json: options.Json = False) -> None:
    """List the published models, newest first, and what each is used for."""
    _run("list", kind, cohort, *(["--json"] if json else []))


@app.command("show", epilog="Example: rhythmiq models show track-all-20260301-120000")
@tells_errors
def show(version: Version, kind: Kind = "track", cohort: Cohort = "all", json: options.Json = False) -> None:
    """Show what a model says of itself: data, settings, metrics."""
    _run("show", kind, cohort, version, *(["--json"] if json else []))


@app.command("promote", epilog="Example: rhythmiq models promote track-all-20260301-120000")
@tells_errors
def promote(version: Version, kind: Kind = "track", cohort: Cohort = "all") -> None:
    """Give listeners this model. It is loaded and checked first; running services take it within 10 seconds."""
    _run("promote", kind, cohort, version)


@app.command("rollback", epilog="Example: rhythmiq models rollback --kind track")
@tells_errors
def rollback(kind: Kind = "track", cohort: Cohort = "all") -> None:
    """Give listeners the model that they had before, or the built-in ranker if there was none."""
    _run("rollback", kind, cohort)


@app.command("shadow", epilog="Example: rhythmiq models shadow track-all-20260301-120000")
@tells_errors
def shadow(version: OptionalVersion = None, off: Off = False, kind: Kind = "track", cohort: Cohort = "all") -> None:
    """Let a model score what is asked, and log it; listeners do not see it."""
    if (version is None) != off:
        raise CommandError("Name the version that is to be the shadow, or end it with --off.", ExitCode.USAGE)
    _run("shadow", kind, cohort, *([version] if version else []), *(["--off"] if off else []))


@app.command("split", epilog="Example: rhythmiq models split autumn track-all-20260301-120000 --share 0.1")
@tells_errors
def split(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The experiment's name.")] = None,
    version: OptionalVersion = None,
    share: Annotated[float, typer.Option(help="Share of listeners who get the model, 0 to 1.")] = 0.1,
    off: Off = False,
    kind: Kind = "track",
    cohort: Cohort = "all",
) -> None:
    """Give a share of listeners, always the same ones, another model; `rhythmiq train` reports how they like it."""
    if off and (name or version):
        raise CommandError("--off ends the experiment whatever its name is: leave out the rest.", ExitCode.USAGE)
    if not off and not (name and version):
        raise CommandError("An experiment needs a name and a version, or --off to end it.", ExitCode.USAGE)
    given = [value for value in (name, version) if value]
    _run("split", kind, cohort, *given, *(["--off"] if off else [f"--share={share}"]))


def _run(command: str, kind: str, cohort: str, *arguments: str) -> None:
    run_recommender_program("models", [command, f"--kind={kind}", f"--cohort={cohort}", *arguments], database=False)
