"""What `rhythmiq up` says while it works: a moving line on a terminal, plain lines elsewhere; all on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Report:
    """Progress in words. Results (address, token, calls to paste) are not its business."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stderr)
        self._status: Status | None = None
        self._waiting = ""
        self._began = time.monotonic()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While this lasts, `waiting` shows what is waited for."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("starting") as self._status:
            yield
        self._status = None

    def waiting(self, what: str) -> None:
        """What is waited for now; said once."""
        if what == self._waiting:
            return
        self._waiting = what
        if self._status is not None:
            self._status.update(escape(what))
        else:
            self.say(what)

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began
