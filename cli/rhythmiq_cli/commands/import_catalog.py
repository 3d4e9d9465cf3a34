"""`rhythmiq import catalog FILE`."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from rhythmiq_cli import options
from rhythmiq_cli.catalog.convert import Converter
from rhythmiq_cli.catalog.mapping import resolve
from rhythmiq_cli.catalog.report import Summary
from rhythmiq_cli.catalog.rows import FORMATS, RowSource, open_rows
from rhythmiq_cli.catalog.upload import Import
from rhythmiq_cli.connect import client_for, import_folder
from rhythmiq_cli.imports.checkpoint import Checkpoint
from rhythmiq_cli.imports.journal import Journal, reported
from rhythmiq_cli.imports.progress import progress_on_stderr
from rhythmiq_cli.output import CommandError, ExitCode, note, print_json, print_line, tells_errors

app = typer.Typer(name="import", help="Bring data of your own in.", no_args_is_help=True)

_EPILOG = (
    "Example: rhythmiq import catalog tracks.csv.gz --report rejected.jsonl\n\n"
    "Example: rhythmiq import catalog label.tsv --source mylabel --map external_id=No --map title=Title"
)


@app.callback()
def _import() -> None:
    """Bring data of your own in."""


@app.command("catalog", epilog=_EPILOG)
@tells_errors
def import_catalog(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON Lines or Parquet, plain or .gz.")],
    mapping: Annotated[
        str | None, typer.Option(help="A mapping file (YAML or JSON), or spotify or rhythmiq. Default: detected.")
    ] = None,
    maps: Annotated[
        list[str] | None, typer.Option("--map", metavar="TARGET=COLUMN", help="Map one column. May be repeated.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Put before each id, SOURCE:id. Default: spotify for Spotify's columns.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="track, podcast_episode or soundscape. Default: track.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}. Default: by the file's name.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write every rejected row here: JSON Lines with line, field and rule.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start from the first row, whatever was done.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 when a row is rejected.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the rows; send nothing.")] = False,
    json: options.Json = False,
    address: options.Address = None,
    token: options.Token = None,
) -> None:
    """Import tracks, podcast episodes or soundscapes from a file.

    An item with the same id is updated, so importing a file again leaves no duplicates. After an interruption the same
    command goes on from the last row that was acknowledged. Takes the administrator's role.
    """
    if file_format is not None and file_format not in FORMATS:
        raise CommandError(f"The format {file_format!r} must be one of {', '.join(FORMATS)}.", ExitCode.USAGE)
    rows = open_rows(file, file_format)
    try:
        resolved = resolve(rows.columns, base=mapping, overrides=maps or [], source=source, kind=kind)
        converter = Converter(resolved)
        rows.use(converter.columns)
        if dry_run:
            summary = _dry_run(file, rows, converter, report)
        else:
            with client_for(address, token, admin=True) as client:
                checkpoint = Checkpoint(import_folder(), [file], [resolved.digest(), client.address])
                with checkpoint.locked(), progress_on_stderr(file.name, lambda: rows.progress) as observe:
                    running = Import(client.import_items, checkpoint, restart=restart, observe=observe)
                    summary = _run(running, rows, converter, checkpoint, report)
    finally:
        rows.close()
    _tell(summary, report, json=json, dry_run=dry_run)
    if strict and summary.rejected:
        raise typer.Exit(int(ExitCode.REFUSED))


def _run(
    running: Import, rows: RowSource, converter: Converter, checkpoint: Checkpoint, report: Path | None
) -> Summary:
    done = running.summary.resumed_at
    if done:
        note(f"Going on after row {done:,}, where the import was interrupted (--restart starts over).")
    try:
        with closing(running.journal), reported(running.journal, report):
            summary = running.run(iter(rows), converter)
    except KeyboardInterrupt:
        raise CommandError(
            f"Interrupted after {running.summary.read:,} rows: the same command goes on from there.",
            ExitCode.INTERRUPTED,
        ) from None
    except CommandError as error:
        done_now = running.summary.read
        told = f" {done_now:,} rows are done: the same command goes on from there." if done_now else ""
        raise CommandError(error.message + told, error.code) from None
    checkpoint.clear()
    return summary


def _dry_run(file: Path, rows: RowSource, converter: Converter, report: Path | None) -> Summary:
    # Only here: the schema's rules take a tenth of a second to load.
    from rhythmiq_cli.catalog.dry_run import check_locally

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "rejected.jsonl")
        progress = progress_on_stderr(file.name, lambda: rows.progress)
        with closing(journal), reported(journal, report), progress as observe:
            return check_locally(iter(rows), converter, journal, observe)


def _tell(summary: Summary, report: Path | None, *, json: bool, dry_run: bool) -> None:
    if json:
        print_json(_document(summary, dry_run=dry_run))
        return
    for rejection in summary.first_rejections:
        note(rejection.in_words())
    more = summary.rejected - len(summary.first_rejections)
    if more > 0:
        where = f"all are in {report}" if report else "--report FILE writes all of them"
        note(f"… and {more:,} more rejected rows: {where}.")
    for rule, count in summary.rules.most_common(5) if more > 0 else ():
        note(f"  {count:,} x {rule}")
    if dry_run:
        print_line(f"{summary.read:,} rows read: {summary.valid:,} fit to import, {summary.rejected:,} rejected.")
    else:
        print_line(
            f"{summary.read:,} rows read: {summary.created:,} created, {summary.updated:,} updated, "
            f"{summary.unchanged:,} unchanged, {summary.rejected:,} rejected."
        )


def _document(summary: Summary, *, dry_run: bool) -> dict[str, object]:
    counts: dict[str, object] = {"read": summary.read, **summary.counts()}
    for absent in ("created", "updated", "unchanged") if dry_run else ("valid",):
        del counts[absent]
    if summary.resumed_at:
        counts["resumedAt"] = summary.resumed_at
    return {
        **counts,
        "dryRun": dry_run,
        "firstRejections": [rejection.to_record() for rejection in summary.first_rejections],
        "rules": dict(summary.rules.most_common()),
    }
