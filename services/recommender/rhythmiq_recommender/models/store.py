"""A folder of small files anywhere that fsspec reaches: `file:///var/lib/…`, `s3://bucket/…` (extra `s3`), `memory://`.

Only what is said here is asked of it: whole files are read and written, and a written file is seen whole or not at all.

A store on this machine that has vanished, such as a volume that is not mounted, must not pass for one that was never
filled: the first write leaves MARKER in it, and a note beside it. A note without the marker means StoreUnavailable.
Where the folder above the store cannot be written there is no note; of an object store its provider knows.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Final, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from rhythmiq_recommender.learning import package

T = TypeVar("T")

ATTEMPTS: Final = 3
_FIRST_PAUSE: Final = 0.1
MOST_BYTES: Final = max(package.MOST_BYTES.values())
"""A larger file is not read: nothing that may be kept here is as large."""
MARKER: Final = ".store"


class StoreUnavailable(Exception):
    """The store cannot be read or written now; the message says what happened to which address."""


class TooLarge(ValueError):
    """The file has more than MOST_BYTES."""


class BadStore(ValueError):
    """The address is not one of a store; the message says why."""


class Store:
    """Files below one address, which may not exist yet. Every call may raise StoreUnavailable.

    Blocks: call it in a thread. A failed call is tried ATTEMPTS times with doubling pauses; what is not there
    is FileNotFoundError at once. Raises BadStore for an address that no installed file system understands.
    """

    def __init__(self, url: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        try:
            # Listings must show what another process wrote a moment ago.
            self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise BadStore(f"{url!r} is not an address of a model store: {error}") from error
        self.url = url.rstrip("/")
        self._pause = pause
        self._local = Path(self._root) if isinstance(self._files, LocalFileSystem) else None

    def read(self, path: str) -> bytes:
        """The file at `path`. Raises FileNotFoundError, TooLarge."""

        def read() -> bytes:
            if (size := self._files.size(self._at(path)) or 0) > MOST_BYTES:
                raise TooLarge(f"{path} has {size:,} bytes, and at most {MOST_BYTES:,} are read")
            found: bytes = self._files.cat_file(self._at(path))
            return found

        return self._tried(read, f"read {path}")

    def write(self, path: str, content: bytes) -> None:
        """Puts the file in place, whole."""
        try:
            self._tried(lambda: self._put(self._at(path), content), f"write {path}")
        except FileNotFoundError as error:  # such as a bucket that is gone
            raise StoreUnavailable(f"cannot write {path} in {self.url}: {error}") from error

    def names(self, folder: str) -> list[str]:
        """Names of what is directly below `folder`, sorted; none if there is no such folder."""

        def listed() -> list[str]:
            try:
                entries = self._files.ls(self._at(folder), detail=False, refresh=True)
            except FileNotFoundError:
                return []
            return sorted({PurePosixPath(entry).name for entry in entries})

        return [name for name in self._tried(listed, f"list {folder or '/'}") if not name.startswith(".")]

    @contextmanager
    def locked(self, path: str) -> Iterator[None]:
        """Keeps others on this machine out, if the store is here; elsewhere it does nothing."""
        if self._local is None:
            yield
            return
        at = self._local / path
        with self._tried(lambda: _flocked(at), f"lock {path}"):
            yield

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else str(self._root)

    def _put(self, path: str, content: bytes) -> None:
        if self._local is not None:
            self._mark(self._local)
            put_whole(Path(path), content)
            return
        # Object stores show an object only when all of it is there.
        self._files.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        self._files.pipe_file(path, content)

    def _mark(self, root: Path) -> None:
        if not (root / MARKER).exists():
            put_whole(root / MARKER, b"The store of RhythmIQ's models: packages and channels.\n")
        if not (note := _note_of(root)).exists():
            said = f"A store of models was made in {root}. Delete this file to begin with an empty one.\n"
            with suppress(OSError):  # a folder above that cannot be written is no fault of the store's
                put_whole(note, said.encode())

    def _check_there(self) -> None:
        """Raises OSError where a store was made and is no more."""
        if self._local is None or (self._local / MARKER).exists() or not (note := _note_of(self._local)).exists():
            return
        raise OSError(
            f"the store that was made here is gone. Bring it back, or delete {note} to begin with an empty one"
        )

    def _tried(self, work: Callable[[], T], what: str) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._check_there()
                return work()
            except (FileNotFoundError, TooLarge):
                raise
            except Exception as error:
                if attempt == ATTEMPTS:
                    reason = str(error) or type(error).__name__
                    raise StoreUnavailable(f"cannot {what} in {self.url}: {reason}") from error
                self._pause(_FIRST_PAUSE * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")


def _note_of(root: Path) -> Path:
    return root.with_name(f".{root.name}.made")


def _flocked(path: Path) -> IO[str]:
    """The lock ends with the file, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except BaseException:
        file.close()
        raise
    return file


def put_whole(path: Path, content: bytes) -> None:
    """Writes a file that is seen whole or not at all, and is still whole after a loss of power. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
