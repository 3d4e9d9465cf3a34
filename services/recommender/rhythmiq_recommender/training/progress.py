"""How far a training run is: bars on a terminal, a line now and then where standard error is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

_SECONDS_BETWEEN_LINES: Final = 5.0

Tell = Callable[[float | None, str], None]
"""Told a share from 0 to 1 (None: nobody knows) and a few words."""


class Progress(Protocol):
    """Who is told."""

    def say(self, line: str) -> None: ...

    def step(self, name: str, number: int, count: int) -> AbstractContextManager[Tell]: ...


class Lines:
    """One line when a step begins and ends, and every few seconds in between."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    @contextmanager
    def step(self, name: str, number: int, count: int) -> Iterator[Tell]:
        began = last = time.monotonic()
        self.say(f"{number}/{count} {name}: begun")

        def tell(share: float | None, words: str) -> None:
            nonlocal last
            if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                self.say(f"{number}/{count} {name}: " + (f"{share:.0%}, {words}" if share is not None else words))

        yield tell
        self.say(f"{number}/{count} {name}: done in {time.monotonic() - began:.1f} s")


class Terminal:
    """A bar for each step."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)

    @contextmanager
    def step(self, name: str, number: int, count: int) -> Iterator[Tell]:
        columns = (
            TextColumn("{task.fields[place]} {task.description:<9}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}", markup=False),
        )
        with Bars(*columns, console=self._console) as bars:
            task = bars.add_task(name, total=None, place=f"{number}/{count}", words="")

            def tell(share: float | None, words: str) -> None:
                bars.update(task, total=None if share is None else 1.0, completed=share or 0.0, words=words)

            yield tell
            bars.update(task, total=1.0, completed=1.0)


def on_stderr() -> Progress:
    """What fits standard error."""
    return Terminal(Console(stderr=True)) if sys.stderr.isatty() else Lines(sys.stderr)
