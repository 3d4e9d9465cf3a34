"""What an import left out, on the disk: so that it can be told however long it is, and after an interruption too."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rhythmiq_cli.output import CommandError, ExitCode


class Journal:
    """Lines of JSON, in the order of the file that is imported."""

    def __init__(self, path: Path, *, keep_bytes: int = 0) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab")
        # What an interrupted run wrote after its last checkpoint is written again.
        self._file.truncate(keep_bytes)
        self._file.seek(0, 2)

    def append(self, lines: Iterable[str]) -> int:
        """Writes them, and returns how long the journal is now, in bytes."""
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        return self._file.tell()

    def __iter__(self) -> Iterator[str]:
        with self.path.open(encoding="utf-8") as lines:
            yield from lines

    def close(self) -> None:
        self._file.close()


@contextmanager
def reported(journal: Journal, report: Path | None, head: Callable[[], Iterable[str]] = lambda: ()) -> Iterator[None]:
    """Writes `head`, and then the journal, to `report` however the import ends.

    The report is opened before, so that a bad path costs no import. Raises CommandError for such a path.
    """
    if report is None:
        yield
        return
    try:
        target = report.open("wb")
    except OSError as error:
        raise CommandError(f"Cannot write the report {report}: {error.strerror}.", ExitCode.USAGE) from None
    with target:
        try:
            yield
        finally:
            target.write("".join(f"{line}\n" for line in head()).encode())
            with journal.path.open("rb") as written:
                shutil.copyfileobj(written, target)
