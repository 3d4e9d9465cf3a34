"""A folder of small files anywhere that fsspec reaches: `file:///var/lib/…`, `s3://bucket/…` (extra `s3`), `memory://`.

Only what is said here is asked of it: whole files are read and written, and a written file is seen whole or not at all.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

T = TypeVar("T")

ATTEMPTS: Final = 3
_FIRST_PAUSE: Final = 0.1
MOST_BYTES: Final = 256 * 2**20
"""A larger file is not read: nothing that is kept here is as large."""


class StoreUnavailable(Exception):
    """The store cannot be read or written now; the message says what happened to which address."""


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
        self.url = url
        self._pause = pause

    def read(self, path: str) -> bytes:
        """The file at `path`. Raises FileNotFoundError."""

        def read() -> bytes:
            if (size := self._files.size(self._at(path)) or 0) > MOST_BYTES:
                raise FileNotFoundError(f"{path} has {size:,} bytes, which is no file of this store")
            found: bytes = self._files.cat_file(self._at(path))
            return found

        return self._tried(read, f"read {path}")

    def write(self, path: str, content: bytes) -> None:
        """Puts the file in place, whole."""
        self._tried(lambda: self._put(self._at(path), content), f"write {path}")

    def names(self, folder: str) -> list[str]:
        """Names of what is directly below `folder`, sorted; none if there is no such folder."""

        def listed() -> list[str]:
            try:
                entries = self._files.ls(self._at(folder), detail=False, refresh=True)
            except FileNotFoundError:
                return []
            return sorted({PurePosixPath(entry).name for entry in entries})

        return [name for name in self._tried(listed, f"list {folder or '/'}") if not name.startswith(".")]

    def local_path(self, path: str) -> Path | None:
        """Where a file is on this machine, if the store is here: for locks."""
        return Path(self._at(path)) if isinstance(self._files, LocalFileSystem) else None

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else str(self._root)

    def _put(self, path: str, content: bytes) -> None:
        if isinstance(self._files, LocalFileSystem):
            put_whole(Path(path), content)
            return
        # Object stores show an object only when all of it is there.
        self._files.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        self._files.pipe_file(path, content)

    def _tried(self, work: Callable[[], T], what: str) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return work()
            except FileNotFoundError:
                raise
            except Exception as error:
                if attempt == ATTEMPTS:
                    reason = str(error) or type(error).__name__
                    raise StoreUnavailable(f"cannot {what} in {self.url}: {reason}") from error
                self._pause(_FIRST_PAUSE * 2 ** (attempt - 1))
        raise AssertionError("the last attempt returns or raises")


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
