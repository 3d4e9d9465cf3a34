"""The children's log files: appended to by the children, kept small by the supervisor."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024
_CHECK_SECONDS = 5.0
_TAIL_BYTES = 16 * 1024


def bound(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Moves the content of a log that has grown too long to `NAME.1`, over an older one.

    Copied and cut, not renamed: the child keeps its file open for appending. What it writes in between is lost.
    """
    if path.exists() and path.stat().st_size > max_bytes:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        with path.open("r+b") as file:
            file.truncate(0)


async def keep_bounded(paths: Iterable[Path]) -> None:
    """Bounds the logs for ever."""
    logs = list(paths)
    while True:
        for path in logs:
            bound(path)
        await asyncio.sleep(_CHECK_SECONDS)


def tail(path: Path, lines: int = 10) -> list[str]:
    """The last lines of a log; none when there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return []
