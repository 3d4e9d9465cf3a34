"""Makes `.venv` from the locks: what `scripts/setup` runs once it has found a Python.

Standard library only. Does nothing, quickly, when `.venv` is current: stamps in it hold digests of what it was made
from, and are written last, so that an interrupted run is simply done again.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# Foundation first: pip installs in this order.
DISTRIBUTIONS = [
    "protos",
    "libs/mesh",
    "services/profile",
    "services/preference",
    "services/variable",
    "services/tunevector",
    "services/recommender",
    "cli",
]


class SetupFailed(Exception):
    """A sentence for a person: what happened and the way out."""


def say(message: str) -> None:
    print(f"setup: {message}", file=sys.stderr, flush=True)


def _environment() -> dict[str, str]:
    """The caller's environment without what would point pip or Python past `.venv`."""
    unwanted = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_CONSTRAINT", "PIP_PREFIX", "PIP_PYTHON", "PIP_TARGET"}
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    return environment | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _succeeds(*command: str | Path) -> bool:
    try:
        done = subprocess.run(command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _digest(*files: Path) -> str:
    """Covers what the files say, comments apart, and where the project lies, because scripts in .venv name it."""
    digest = hashlib.sha256(str(ROOT).encode())
    for file in files:
        lines = (line.strip() for line in file.read_text().splitlines())
        text = "\n".join(line for line in lines if line and not line.startswith("#"))
        digest.update(f"\0{file.relative_to(ROOT)}\0{text}".encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _alone() -> Iterator[int]:
    """Lets one run at a time work on `.venv`: `make -j` starts several. Gives the lock's file descriptor.

    pip inherits it: were this program killed, the next run would wait for the pip that it left behind.
    """
    path = ROOT / ".venv.lock"
    try:
        lock = path.open("w")
    except OSError as error:
        raise SetupFailed(
            f"cannot write to {ROOT} ({error.strerror}): make the folder writable, or clone the project elsewhere."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another setup to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


# --- the empty environment


def _make_with_venv() -> bool:
    return _succeeds(sys.executable, "-m", "venv", VENV) and _has_pip()


def _make_with_virtualenv(*interpreter: str | Path) -> bool:
    return _succeeds(*interpreter, "-m", "virtualenv", "--quiet", VENV) and _has_pip()


def _make_with_private_virtualenv() -> bool:
    """Gets virtualenv with the system's pip into a folder of its own; nothing of the system changes."""
    private = ROOT / ".venv.bootstrap"
    environment = _environment() | {"PYTHONPATH": str(private)}
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(private), "virtualenv"]
    make = [sys.executable, "-m", "virtualenv", "--quiet", str(VENV)]
    try:
        for command in (install, make):
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode != 0:
                return False
        return _has_pip()
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _venv_packages() -> list[str]:
    return [f"python{sys.version_info[0]}.{sys.version_info[1]}-venv", "python3-venv"]


def _make_after_apt() -> bool:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for package in _venv_packages():
        say(f"installing Debian's package {package}, which Python needs to make a virtual environment")
        for arguments in (["install"], ["update"], ["install"]):
            tail = ["-y", "--no-install-recommends", package] if arguments == ["install"] else []
            command = ["apt-get", "-qq", *arguments, *tail]
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if arguments == ["install"] and done.returncode == 0 and _make_with_venv():
                return True
    return False


def _has_pip() -> bool:
    return _succeeds(PYTHON, "-I", "-c", "import sys, pip; sys.exit(sys.version_info < (3, 11))")


def _clear() -> None:
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)


def _make_environment() -> None:
    """Makes an empty `.venv`, by whichever way this machine offers."""
    ways = (
        _make_with_venv,
        lambda: _make_with_virtualenv(sys.executable),
        _make_with_private_virtualenv,
        _make_after_apt,
    )
    say(f"making .venv with Python {sys.version.split()[0]}")
    for way in ways:
        _clear()
        if way():
            return
    _clear()
    raise SetupFailed(
        f"{sys.executable} cannot make a virtual environment (ensurepip is missing). "
        f"Run `sudo apt-get install {_venv_packages()[0]}` (or python3-venv), then the same command again."
    )


# --- what goes into it


def _explain(output: str) -> str:
    """The way out for the failures of pip that a newcomer meets."""
    if "DO NOT MATCH THE HASHES" in output:
        return (
            "A package differs from the one in locks/: the index serves another file, or the download broke. "
            "Try again with PIP_NO_CACHE_DIR=1; if it stays, do not install it, and tell us (SECURITY.md)."
        )
    if "No space left on device" in output:
        return f"The disk is full: {ROOT} and pip's cache need about 2 GB."
    if any(
        sign in output
        for sign in ("Could not find a version", "No matching distribution", "ConnectionError", "timed out")
    ):
        return (
            "pip reached no package index that has it: check the network, and which index pip asks "
            "(`.venv/bin/python -m pip config list`), then run the same command again."
        )
    return "See pip's message above, and run the same command again."


class Pip:
    """Runs pip in `.venv` and counts the packages as they come, on one line where there is a terminal."""

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._terminal = sys.stderr.isatty()

    def install(self, what: str, total: int, *arguments: str) -> None:
        command = [str(PYTHON), "-I", "-m", "pip", "install", "--progress-bar=off", *arguments]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[self._lock],
            text=True,
            errors="replace",
        )
        try:
            lines = self._follow(process, what, total)
        finally:
            if process.poll() is None:
                process.terminate()
            code = process.wait()
        if code != 0:
            print("".join(lines[-15:]), file=sys.stderr)
            raise SetupFailed(f"{what} could not be installed. {_explain(''.join(lines))}")

    def _follow(self, process: subprocess.Popen[str], what: str, total: int) -> list[str]:
        assert process.stdout is not None
        lines: list[str] = []
        count = 0
        for line in process.stdout:
            lines.append(line)
            word, _, rest = line.strip().partition(" ")
            if word in ("Collecting", "Obtaining"):
                count += 1
                name = re.split("[ =]", rest.removeprefix(f"file://{ROOT}/"))[0]
                self._progress(f"{what}: {count} of {total}: {name}", milestone=count % 20 == 0)
            elif word == "Installing" and "collected" in line:
                self._progress(f"{what}: unpacking", milestone=True)
            elif "Retrying (" in line:
                self._progress(f"{what}: no answer from the package index; pip tries again", milestone=True)
        process.wait()
        self._progress("", milestone=False)
        return lines

    def _progress(self, message: str, *, milestone: bool) -> None:
        if self._terminal:
            print(f"\r\033[K{message and 'setup: ' + message}", end="", file=sys.stderr, flush=True)
        elif milestone:
            say(message)


def _install_lock(pip: Pip, name: str) -> None:
    lock = ROOT / "locks" / f"{name}.txt"
    total = sum("==" in line for line in lock.read_text().splitlines())
    size = "; the first time it downloads some 220 MB" if name == "dev" else ""
    say(f"installing up to {total} packages from locks/{name}.txt{size}")
    pip.install(f"locks/{name}.txt", total, "--require-hashes", "--only-binary=:all:", "-r", str(lock))


def _install_own(pip: Pip) -> None:
    editable = [argument for folder in DISTRIBUTIONS for argument in ("-e", f"./{folder}")]
    ways = ("--no-index", "--no-deps", "--no-build-isolation")
    pip.install("the project's own distributions", len(DISTRIBUTIONS), *ways, *editable)


# --- what is done already


def _stale(extras: list[str]) -> dict[str, str]:
    """The parts of `.venv` that are not current, in the order to make them, with the digests that they should have."""
    wanted = {name: _digest(ROOT / "locks" / f"{name}.txt") for name in ["dev", *extras]}
    wanted["own"] = _digest(*(ROOT / folder / "pyproject.toml" for folder in DISTRIBUTIONS))
    stale = {name: digest for name, digest in wanted.items() if not _is_current(name, digest)}
    # Another development lock means another environment: nothing that it no longer names may linger.
    return wanted if "dev" in stale else stale


def _is_current(name: str, digest: str) -> bool:
    stamp = VENV / f"stamp-{name}"
    return os.access(PYTHON, os.X_OK) and stamp.is_file() and stamp.read_text() == digest


def setup(extras: list[str]) -> None:
    """Brings `.venv` up to date: the environment, the locks, then the project's own distributions."""
    if not _stale(extras):
        return
    with _alone() as lock:
        pip = Pip(lock)
        for name, digest in _stale(extras).items():
            if name == "dev":
                _make_environment()
            if name == "own":
                _install_own(pip)
            else:
                _install_lock(pip, name)
            (VENV / f"stamp-{name}").write_text(digest)
    say("ready")


def _fail(message: str, code: int = 1) -> NoReturn:
    say(message)
    sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", action="append", default=[], metavar="LOCK", help="also install locks/LOCK.txt")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        setup(options.extra)
    except SetupFailed as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to go on", 130)
    except OSError as error:
        _fail(
            f"{error.strerror}: {error.filename}: check who owns the project's folder and .venv, and the disk's space."
        )


if __name__ == "__main__":
    main()
