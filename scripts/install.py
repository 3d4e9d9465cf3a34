"""Makes `.venv` from the locks: what `scripts/setup` runs once it has found a Python.

Standard library only. Does nothing, quickly, when `.venv` is current: a stamp in it holds a digest of everything that it was
made from, and is written last, so that an interrupted run is simply done again.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
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
MARK = "created-by-rhythmiq"


class SetupFailed(Exception):
    """A sentence for a person: what happened and the way out."""


def say(message: str) -> None:
    print(f"setup: {message}", file=sys.stderr, flush=True)


def _environment() -> dict[str, str]:
    """The caller's environment without what would point pip or Python past `.venv`."""
    unwanted = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_HASHES", "PIP_PYTHON"}
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    return environment | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _succeeds(*command: str | Path) -> bool:
    try:
        done = subprocess.run(command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _digest(*files: Path) -> str:
    """Covers the files, where the project lies (scripts in .venv name it) and the Python."""
    digest = hashlib.sha256(f"{ROOT} {sys.version_info[:2]}".encode())
    for file in files:
        digest.update(f"\0{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Lets one run at a time work on `.venv`: `make -j` starts several."""
    path = ROOT / ".venv.lock"
    try:
        lock = path.open("w")
    except OSError as error:
        raise SetupFailed(f"cannot write to {ROOT} ({error.strerror}): make the folder writable, or clone it to one that is.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another setup to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
    ways = (_make_with_venv, lambda: _make_with_virtualenv(sys.executable), _make_with_private_virtualenv, _make_after_apt)
    say(f"making .venv with Python {sys.version.split()[0]}")
    for way in ways:
        _clear()
        if way():
            (VENV / MARK).write_text(f"{ROOT}\n")
            return
    _clear()
    raise SetupFailed(
        f"{sys.executable} cannot make a virtual environment (ensurepip is missing). "
        f"Install it with `sudo apt-get install {_venv_packages()[0]}` (or python3-venv) and run the same command again."
    )


def _is_ours() -> bool:
    mark = VENV / MARK
    return mark.is_file() and mark.read_text().strip() == str(ROOT)


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
    reach = ("Could not find a version", "No matching distribution", "NewConnectionError", "Max retries", "timed out", "Name resolution")
    if any(sign in output for sign in reach):
        return (
            "pip found no package index that has it: check the network, and which index pip asks "
            "(`python3 -m pip config list`), then run the same command again."
        )
    return "Run the same command again; if it stays, `rm -rf .venv` and try once more."


def _pip(what: str, total: int, *arguments: str) -> None:
    """Runs pip in `.venv` and counts the packages as they come, on one line where there is a terminal."""
    command = [str(PYTHON), "-I", "-m", "pip", "install", "--progress-bar=off", *arguments]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    terminal = sys.stderr.isatty()
    lines: list[str] = []
    count = 0
    for line in process.stdout:
        lines.append(line)
        word, _, rest = line.strip().partition(" ")
        if word in ("Collecting", "Obtaining"):
            count += 1
            name = rest.split("==")[0].split(" ")[0].removeprefix("file://").removeprefix(f"{ROOT}/")
            if terminal:
                print(f"\r\033[Ksetup: {what}: {count} of {total}: {name}", end="", file=sys.stderr, flush=True)
            elif count % 20 == 0:
                say(f"{what}: {count} of {total}")
        elif word == "Installing" and "collected" in line:
            _announce(f"{what}: unpacking", terminal=terminal)
    code = process.wait()
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if code != 0:
        output = "".join(lines)
        print("".join(lines[-15:]), file=sys.stderr)
        raise SetupFailed(f"{what} failed. {_explain(output)}")


def _announce(message: str, *, terminal: bool) -> None:
    if terminal:
        print(f"\r\033[Ksetup: {message}", end="", file=sys.stderr, flush=True)
    else:
        say(message)


def _install_lock(name: str) -> None:
    lock = ROOT / "locks" / f"{name}.txt"
    total = sum("==" in line for line in lock.read_text().splitlines())
    say(f"installing {total} packages from locks/{name}.txt; the first time downloads some 300 MB")
    _pip(f"locks/{name}.txt", total, "--require-hashes", "--only-binary=:all:", "-r", str(lock))


def _install_own() -> None:
    editable = [argument for folder in DISTRIBUTIONS for argument in ("-e", f"./{folder}")]
    _pip("the project's own distributions", len(DISTRIBUTIONS), "--no-index", "--no-deps", "--no-build-isolation", *editable)


def _once(stamp: Path, digest: str, *, step: str) -> bool:
    """Whether `step` must be done: forgets the stamp first, so that an interruption is noticed."""
    if stamp.is_file() and stamp.read_text() == digest:
        return False
    stamp.unlink(missing_ok=True)
    del step
    return True


def setup(extras: list[str]) -> None:
    """Brings `.venv` up to date: the environment, the locks, then the project's own distributions."""
    for lock in ["dev", *extras]:
        digest = _digest(ROOT / "locks" / f"{lock}.txt")
        stamp = VENV / f"stamp-{lock}"
        if _once(stamp, digest, step=lock):
            if lock == "dev" and not (_is_ours() and _has_pip()):
                _make_environment()
            _install_lock(lock)
            stamp.write_text(digest)
    digest = _digest(*(ROOT / folder / "pyproject.toml" for folder in DISTRIBUTIONS))
    stamp = VENV / "stamp-own"
    if _once(stamp, digest, step="own"):
        _install_own()
        stamp.write_text(digest)
        say("ready")


def _fail(message: str, code: int = 1) -> NoReturn:
    say(message)
    sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", action="append", default=[], metavar="LOCK", help="also install locks/LOCK.txt")
    options = parser.parse_args()
    try:
        with _alone():
            setup(options.extra)
    except SetupFailed as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to go on", 130)
    except OSError as error:
        _fail(f"{error.strerror}: {error.filename}: check who owns the project's folder and .venv, and the disk's space.")


if __name__ == "__main__":
    main()
