"""`rhythmiq import history FILE`."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from rhythmiq_cli import options
from rhythmiq_cli.client import Client
from rhythmiq_cli.connect import client_for, import_folder
from rhythmiq_cli.history.catalogue import read_catalogue
from rhythmiq_cli.history.plan import Planner
from rhythmiq_cli.history.reading import History, open_history
from rhythmiq_cli.history.report import Missing, Summary, document, head_of_report, missing
from rhythmiq_cli.history.upload import ENTRIES_PER_STREAM, Import
from rhythmiq_cli.imports.checkpoint import Checkpoint
from rhythmiq_cli.imports.journal import Journal, reported
from rhythmiq_cli.imports.progress import listing_on_stderr, progress_on_stderr
from rhythmiq_cli.output import CommandError, ExitCode, note, print_json, print_line, print_table, tells_errors

_SHOWN = 10
_EPILOG = (
    "Example: rhythmiq import history my_spotify_data.zip --report history.jsonl\n\n"
    "Example: rhythmiq import history scrobbles.csv --dry-run"
)


def register(parent: typer.Typer) -> None:
    parent.command("history", epilog=_EPILOG)(import_history)


@tells_errors
def import_history(
    file: Annotated[
        Path,
        typer.Argument(help="Spotify's zip or JSON, ListenBrainz' zip or JSON Lines, Last.fm CSV; a folder of these."),
    ],
    report: Annotated[
        Path | None, typer.Option(help="Write what was missing, and every entry left out, here: JSON Lines.")
    ] = None,
    include_private: Annotated[
        bool, typer.Option("--include-private", help="Also what was heard in Spotify's private sessions.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Start from the first entry, whatever was done.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 when an entry is rejected.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look what would match; send nothing.")] = False,
    json: options.Json = False,
    address: options.Address = None,
    token: options.Token = None,
    subject: options.Subject = None,
) -> None:
    """Import what you have listened to elsewhere, so that recommendations know you from the start.

    Tracks are found in the catalogue by id, then by artist and title; the surroundings of that time are not known and
    not sent. Importing again adds nothing, and after an interruption the same command goes on where it was.
    """
    history = open_history(file)
    now_ms = time.time_ns() // 1_000_000
    with client_for(address, token, subject=subject) as client:
        with listing_on_stderr("Reading the catalogue", "items") as listed:
            index = read_catalogue(client, listed)
        planner = Planner(index, now_ms, include_private=include_private)
        if dry_run:
            summary, found = _dry_run(history, planner, report)
        else:
            parameters = ["history", client.profile_name, client.address, str(include_private)]
            checkpoint = Checkpoint(import_folder(), history.files, parameters)
            with checkpoint.locked():
                summary, found = _run(client, history, planner, checkpoint, report, now_ms, restart=restart)
    _tell(summary, found, history, report, json=json, dry_run=dry_run)
    if history.failures or (strict and summary.rejected):
        raise typer.Exit(int(ExitCode.REFUSED))


def _run(
    client: Client,
    history: History,
    planner: Planner,
    checkpoint: Checkpoint,
    report: Path | None,
    now_ms: int,
    *,
    restart: bool,
) -> tuple[Summary, Missing]:
    with progress_on_stderr(history.path.name, lambda: history.progress) as observe:
        running = Import(
            client.stream_interactions, client.profile_name, checkpoint, now_ms, restart=restart, observe=observe
        )
        if running.summary.resumed_at:
            done = running.summary.resumed_at
            note(f"Going on after entry {done:,}, where the import was interrupted (--restart starts over).")
        with (
            closing(running.journal),
            reported(running.journal, report, lambda: head_of_report(running.summary, missing(running.journal))),
        ):
            _run_told(running, history, planner)
            found = missing(running.journal)
    checkpoint.clear()
    return running.summary, found


def _run_told(running: Import, history: History, planner: Planner) -> None:
    try:
        running.run(iter(history), planner)
    except KeyboardInterrupt:
        raise CommandError(
            f"Interrupted after {running.done:,} entries: the same command goes on from there.", ExitCode.INTERRUPTED
        ) from None
    except CommandError as error:
        told = f" {running.done:,} entries are done: the same command goes on from there." if running.done else ""
        raise CommandError(error.message + told, error.code) from None


def _dry_run(history: History, planner: Planner, report: Path | None) -> tuple[Summary, Missing]:
    summary = Summary()
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "entries.jsonl")
        progress = progress_on_stderr(history.path.name, lambda: history.progress)
        head = reported(journal, report, lambda: head_of_report(summary, missing(journal)))
        with closing(journal), head, progress as observe:
            entries = iter(history)
            while (chunk := planner.chunk(islice(entries, ENTRIES_PER_STREAM), summary)).entries:
                summary.sendable += len(chunk.planned)
                journal.append(chunk.journal)
                observe(summary)
            return summary, missing(journal)


def _tell(
    summary: Summary, found: Missing, history: History, report: Path | None, *, json: bool, dry_run: bool
) -> None:
    for failure in history.failures:
        note(failure)
    if json:
        print_json(
            {
                **document(summary),
                "dryRun": dry_run,
                "failures": history.failures,
                "firstRejections": summary.first_rejections,
                "missingArtists": [{"artist": artist, "listens": count} for artist, count in found.artists[:_SHOWN]],
                "missingTitles": [
                    {"artist": artist, "title": title, "listens": count}
                    for artist, title, count in found.titles[:_SHOWN]
                ],
            }
        )
        return
    for rejection in summary.first_rejections:
        note(rejection)
    more = summary.rejected - len(summary.first_rejections)
    if more > 0:
        where = f"all are in {report}" if report else "--report FILE writes all of them"
        note(f"… and {more:,} more rejected entries: {where}.")
    print_line(_sentence(summary, dry_run=dry_run))
    if found.titles:
        rows = [(artist, title, f"{count:,}") for artist, title, count in found.titles[:_SHOWN]]
        print_table(("artist", "title", "listens"), rows, title="Most heard, and not matched", right="listens")


def _sentence(summary: Summary, *, dry_run: bool) -> str:
    if dry_run:
        done = f"{summary.sendable:,} would be sent"
    else:
        done = (
            f"{summary.recorded:,} recorded, {summary.repeated:,} known before, {summary.expired:,} too old to be kept"
        )
    left_out = [
        (summary.ambiguous, "ambiguous"),
        (summary.unmatched, "not in the catalogue"),
        (summary.private, "private"),
        (summary.interrupted, "ended by a fault"),
        (summary.rejected, "rejected"),
    ]
    rest = "".join(f", {count:,} {words}" for count, words in left_out)
    return (
        f"{summary.read:,} entries read: {done}{rest}.\n"
        f"Matched {summary.matched_by_id:,} by id and {summary.matched_by_name:,} by artist and title: "
        f"{summary.completes:,} heard to the end, {summary.plays:,} played, {summary.skips:,} skipped."
    )
