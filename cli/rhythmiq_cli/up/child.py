"""One child process that comes back by itself when it ends without being asked to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rhythmiq_cli.up import leash

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# A child that lived this long was well: the next pause is the first one again.
_WELL_AFTER_S = 10.0


@dataclass(frozen=True)
class Program:
    """What to run. `stop_s` is how long it may take to end after SIGTERM."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    stop_s: float


def pause_after(failures: int) -> float:
    """Seconds to wait before start number `failures` + 1: doubling from 0.1 to 5."""
    return min(_FIRST_PAUSE_S * 2.0 ** (failures - 1), _LONGEST_PAUSE_S)


def in_words(returncode: int) -> str:
    """How a process ended: `exit code 2`, or `signal 9 (SIGKILL)`."""
    if returncode >= 0:
        return f"exit code {returncode}"
    with contextlib.suppress(ValueError):
        return f"signal {-returncode} ({signal.Signals(-returncode).name})"
    return f"signal {-returncode}"


class Child:
    """Runs a program until `stop`. `ended` is told each time that it ends by itself, with the return code.

    `quick_ends` counts ends in a row of a process that did not live 10 s: the program cannot run as things are.
    """

    def __init__(self, program: Program, ended: Callable[[Child, int], None]) -> None:
        self.program = program
        self.quick_ends = 0
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self) -> None:
        """Starts the program, and again whenever it ends, until `stop`."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            process = await self._start()
            if self._stopping.is_set():
                _signal(process, signal.SIGKILL)
            returncode = await process.wait()
            if self._stopping.is_set():
                return
            self.quick_ends = self.quick_ends + 1 if loop.time() - began < _WELL_AFTER_S else 1
            self._ended(self, returncode)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_after(self.quick_ends))

    async def _start(self) -> asyncio.subprocess.Process:
        with self.program.log.open("ab") as log:
            # In a session of its own, so that Ctrl-C reaches the supervisor alone, which then stops all in order.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self.program.command),
                env=dict(self.program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._process

    async def stop(self) -> None:
        """Asks the program to end, and makes it end when it takes too long. Returns when it is gone."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self.program.stop_s)
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()

    def kill(self) -> None:
        """Ends the program at once and for good."""
        self._stopping.set()
        if self._process is not None:
            _signal(self._process, signal.SIGKILL)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
