"""The state folder: what the local mesh keeps between two starts, and where everything in it is."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rhythmiq_cli.identity.keys import PAGE_TOKEN_KEY_FILE, SIGNING_KEY_FILE
from rhythmiq_cli.output import CommandError, ExitCode

VARIABLE = "RHYTHMIQ_STATE_DIR"
# sockaddr_un holds 108 bytes with the closing NUL; the longest name in the folder is `recommender.sock`.
_SOCKET_FOLDER_MAX_BYTES = 107 - len("/recommender.sock")


def default_root() -> Path:
    """`RHYTHMIQ_STATE_DIR`, else `.state` of the project that the command was installed from, else of this folder."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser().resolve()
    project = Path(__file__).resolve().parents[2]
    return (project if (project / "deploy" / "envoy").is_dir() else Path.cwd()) / ".state"


@dataclass(frozen=True)
class StateFolder:
    """Paths inside the state folder. Nothing is made before `prepare`."""

    root: Path

    @property
    def signing_key(self) -> Path:
        return self.root / SIGNING_KEY_FILE

    @property
    def page_token_key(self) -> Path:
        return self.root / PAGE_TOKEN_KEY_FILE

    @property
    def mongo(self) -> Path:
        return self.root / "mongo"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def envoy(self) -> Path:
        return self.root / "envoy"

    @property
    def models(self) -> Path:
        """The store of trained models."""
        return self.root / "models"

    @property
    def training(self) -> Path:
        """What training runs keep of their steps."""
        return self.root / "training"

    def running_sockets(self) -> Path:
        """Where the sockets of a mesh that runs from here are."""
        note = self.root / "sockets.at"
        return Path(note.read_text()) if note.exists() else self.root / "run"

    @property
    def demo_marker(self) -> Path:
        """There once the demo listener and catalogue have been made."""
        return self.root / "demo.done"

    @property
    def histories_marker(self) -> Path:
        """There once everybody of the demo has a past."""
        return self.root / "demo-histories.done"

    def prepare(self) -> None:
        """Makes the folders, closed to other users. Raises CommandError when they cannot be written."""
        try:
            for folder in (self.root, self.mongo, self.logs, self.envoy):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise CommandError(
                f"The state folder {self.root} cannot be written ({error.strerror}):"
                f" make it writable, or name another one in {VARIABLE}."
            ) from None

    @contextlib.contextmanager
    def locked(self, address: str) -> Iterator[None]:
        """Holds the folder for one running mesh. The lock goes with the process, however that ends.

        Raises CommandError when another mesh runs from it.
        """
        with (self.root / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise CommandError(_runs_already(file.read(), self.root), ExitCode.CONFLICT) from None
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "address": address}))
            file.flush()
            yield

    @contextlib.contextmanager
    def socket_folder(self) -> Iterator[Path]:
        """A private (0700), empty folder for Unix sockets: inside, or a temporary one where paths would be too long."""
        note = self.root / "sockets.at"
        self._remove_left_over(note)
        inside = self.root / "run"
        if len(os.fsencode(inside)) <= _SOCKET_FOLDER_MAX_BYTES:
            folder = inside
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        else:
            folder = Path(tempfile.mkdtemp(prefix="rhythmiq-", dir="/tmp"))
            note.write_text(str(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            note.unlink(missing_ok=True)

    @staticmethod
    def _remove_left_over(note: Path) -> None:
        """Removes the temporary folder of a mesh that was killed; only one that is certainly ours."""
        if not note.exists():
            return
        folder = Path(note.read_text())
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and folder.name.startswith("rhythmiq-"):
                shutil.rmtree(folder)
        note.unlink()


def _runs_already(note: str, root: Path) -> str:
    try:
        holder = json.loads(note)
        who = f" (process {int(holder['pid'])}, {holder['address']})"
    except (ValueError, KeyError, TypeError):
        who = ""
    return f"RhythmIQ runs already from {root}{who}: use that one, stop it, or name another folder in {VARIABLE}."
