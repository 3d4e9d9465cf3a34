"""Programs of the recommender that a command starts: the command itself never imports a service."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import typer

from rhythmiq_cli.output import CommandError, ExitCode
from rhythmiq_cli.state import VARIABLE, StateFolder, default_root
from rhythmiq_cli.up.mongo import uri_of
from rhythmiq_cli.up.programs import MONGO_VARIABLE

_PREFIX: Final = "RHYTHMIQ_RECOMMENDER_"


def run_recommender_program(module: str, arguments: Sequence[str], *, database: bool) -> None:
    """Runs `python -m rhythmiq_recommender.<module>` on the terminal of this command, and ends with its exit code.

    It works on the mesh of the state folder, unless the environment names another database (if it needs one) or store.
    """
    if importlib.util.find_spec("rhythmiq_recommender") is None:
        raise CommandError("Not installed: recommender. Run `make setup` in the project's folder.")
    environment = dict(os.environ) | _settings(StateFolder(default_root()), os.environ, database=database)
    command = [sys.executable, "-m", f"rhythmiq_recommender.{module}", *arguments]
    with subprocess.Popen(command, env=environment) as program:
        while True:
            try:
                code = program.wait()
                break
            except KeyboardInterrupt:
                # The terminal has told the program as well: it ends by itself, and this command after it.
                continue
    if code:
        raise typer.Exit(code if code > 0 else int(ExitCode.INTERRUPTED))


def _settings(state: StateFolder, given: Mapping[str, str], *, database: bool) -> dict[str, str]:
    """What the program is told beside what the user has set."""
    found = {
        "MODEL_STORE": state.models.as_uri(),
        "TRAINING_FOLDER": str(state.training),
    }
    if database and _PREFIX + "MONGO_URI" not in given:
        found["MONGO_URI"] = given.get(MONGO_VARIABLE) or uri_of(_socket(state))
    return {_PREFIX + name: value for name, value in found.items() if _PREFIX + name not in given}


def _socket(state: StateFolder) -> Path:
    socket = state.running_sockets() / "mongod.sock"
    if not socket.exists():
        raise CommandError(
            f"RhythmIQ does not run from {state.root}: start it with `rhythmiq up`, or name its folder in {VARIABLE},"
            f" or a database in {MONGO_VARIABLE}.",
            ExitCode.UNAVAILABLE,
        )
    return socket
