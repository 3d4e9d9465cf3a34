"""`rhythmiq train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rhythmiq_cli.output import tells_errors
from rhythmiq_cli.programs import run_recommender_program

_HELP = """Train a ranker on what listeners did, and promote it if it is better than what they have now.

Steps: extract, features, select, fit, evaluate, package, report, publish, promote. Interrupted at any of them, the same
command goes on from there. The report's place is printed at the end.

Exit codes: 0 trained (whether promoted or not); 1 the data do not suffice; 2 wrong options; 6 the database, the model
store or the scheduler is away; 7 what is there stands against it: the run goes on already or was begun with other
settings, or what is in the model store is damaged.
"""
_EPILOG = (
    "Example: rhythmiq train --trials 30\n\n"
    "Example: rhythmiq train --kind podcast_episode --minutes 10 --no-promote --report out"
)


def register(app: typer.Typer) -> None:
    app.command("train", help=_HELP, epilog=_EPILOG)(train)


@tells_errors
def train(
    kind: Annotated[str, typer.Option(help="track, podcast_episode or soundscape.")] = "track",
    cohort: Annotated[str, typer.Option(help="Whose model: all, newcomers or regulars.")] = "all",
    trials: Annotated[int | None, typer.Option(help="Trials of model selection. Default: 20.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Or as many trials as fit in these minutes.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same model.")] = 7,
    margin: Annotated[float, typer.Option(help="How much better NDCG@10 must be to promote.")] = 0.01,
    run: Annotated[str | None, typer.Option(metavar="NAME", help="The run to begin, or to go on with.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Fit on the Dask cluster of tcp://HOST:PORT.")
    ] = None,
    promote: Annotated[bool, typer.Option("--promote/--no-promote", help="Or publish only.")] = True,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also put report.html and report.json here.")
    ] = None,
) -> None:
    given = {
        "--kind": kind,
        "--cohort": cohort,
        "--trials": trials,
        "--minutes": minutes,
        "--seed": seed,
        "--margin": margin,
        "--run": run,
        "--scheduler": scheduler,
        "--report": report,
    }
    arguments = [f"{name}={value}" for name, value in given.items() if value is not None]
    run_recommender_program("training", [*arguments, *([] if promote else ["--no-promote"])], database=True)
