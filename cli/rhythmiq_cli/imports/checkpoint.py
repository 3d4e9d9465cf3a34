"""How far an import has come, on the disk: so that the same command goes on after an interruption.

A checkpoint is written only after the server has answered for every row before it. It belongs to files (path, size,
time of change) and to what is done with them, such as a mapping and a server: with any other of them an import starts
from the first row.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rhythmiq_cli.output import CommandError, ExitCode


@dataclass(frozen=True)
class Position:
    """What is done: rows of the file, counts of the summary, and the length of the journal of rejected rows."""

    rows: int = 0
    counts: dict[str, int] | None = None
    journal_bytes: int = 0


class Checkpoint:
    """The checkpoint of one import in `folder` (made when missing, private to the user).

    `parameters` are all that the result depends on beside the files.
    """

    def __init__(self, folder: Path, files: Sequence[Path], parameters: Sequence[str]) -> None:
        identity: list[str | int] = []
        for file in files:
            status = file.stat()
            identity += [str(file.resolve()), status.st_size, status.st_mtime_ns]
        identity += parameters
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
        self._path = folder / f"{key}.json"
        self.journal_path = folder / f"{key}.rejected.jsonl"
        self._lock_path = folder / f"{key}.lock"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(
                f"Cannot write to {folder}: {error.strerror}. Set RHYTHMIQ_STATE_DIR to a folder of yours.",
                ExitCode.USAGE,
            ) from None

    def load(self) -> Position:
        """The position of the last run, or the start when there is none (or it cannot be read)."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads(self._path.read_text(encoding="utf-8"))
            position = Position(int(record["rows"]), dict(record["counts"]), int(record["journal_bytes"]))
            if self.journal_path.stat().st_size >= position.journal_bytes:
                return position
        return Position()

    def save(self, position: Position) -> None:
        """Replaces the position at once: a crash leaves the old or the new one."""
        pending = self._path.with_suffix(".new")
        pending.write_text(json.dumps(asdict(position)), encoding="utf-8")
        pending.replace(self._path)

    def clear(self) -> None:
        """Forgets the position: the next run starts from the first row."""
        for path in (self._path, self.journal_path, self._lock_path):
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps a second import of the same file out. Raises CommandError while another one runs."""
        with self._lock_path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CommandError("The same import is running already: let it finish.", ExitCode.CONFLICT) from None
            yield
