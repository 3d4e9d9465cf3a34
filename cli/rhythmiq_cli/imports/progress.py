"""A progress bar on standard error; a line now and then where that is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 5.0


class Counts(Protocol):
    """How many rows were read, and how many of them could not be used."""

    @property
    def read(self) -> int: ...

    @property
    def rejected(self) -> int: ...


@contextmanager
def progress_on_stderr(name: str, share: Callable[[], float]) -> Iterator[Callable[[Counts], None]]:
    """Shows how far `share` (0 to 1) has come each time the returned function is called with the counts."""
    if not sys.stderr.isatty():
        yield _lines(name, share)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rejected]:,} rejected"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=1.0, rows=0, rejected=0)
        yield lambda summary: bar.update(task, completed=share(), rows=summary.read, rejected=summary.rejected)


@contextmanager
def listing_on_stderr(name: str, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows how many there are so far, of what nobody knows how many there will be; only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    console = Console(stderr=True)
    with console.status(f"{name} …") as status:
        yield lambda count: status.update(f"{name}: {count:,} {unit}")


def _lines(name: str, share: Callable[[], float]) -> Callable[[Counts], None]:
    last = time.monotonic()

    def show(summary: Counts) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            sys.stderr.write(f"{name}: {share():.0%}, {summary.read:,} rows, {summary.rejected:,} rejected\n")

    return show
