"""Writes locks/*.txt, one file per image and one each for development and benchmarks: `make lock [UPGRADE=1]`.

The files are valid for every Python and platform that the project supports (markers say which line is for which), carry
the hashes of all files of a release, and name neither an index nor a path of the machine that made them. Pins that are
there stay, unless UPGRADE=1. Which index is asked is uv's own configuration: the Python Package Index by default.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "locks"
OLDEST_PYTHON = "3.11"
FOUNDATION = ["protos", "libs/mesh"]
IMAGES = {
    "profile": "services/profile",
    "preference": "services/preference",
    "variable": "services/variable",
    "tunevector": "services/tunevector",
    "recommender": "services/recommender",
    "cli": "cli",
}
HEADER = """\
# Made by `make lock`: do not edit. {purpose}
# The project's own distributions are installed from their folders, with --no-deps.
"""


def _own_name(folder: str) -> str:
    name = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["name"]
    return str(name)


def _compile(target: str, purpose: str, folders: list[str], *, groups: list[str], upgrade: bool) -> None:
    """Resolves the distributions in `folders` and the dependency groups into locks/<target>.txt."""
    output = LOCKS / f"{target}.txt"
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
        "--no-header",
    ]
    command += ["--no-emit-index-url", "--no-emit-find-links", f"--python-version={OLDEST_PYTHON}"]
    command += [f"--output-file={output.relative_to(ROOT)}"]
    command += [f"--group=pyproject.toml:{group}" for group in groups]
    if target != "dev":
        command += ["--constraints=locks/dev.txt"]  # what runs in an image is what was tested
    if upgrade:
        command += ["--upgrade"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as own:
        own.write("".join(f"{ROOT / folder}\n" for folder in folders))
        own.flush()
        if folders:
            command += [own.name, *(f"--no-emit-package={_own_name(folder)}" for folder in folders)]
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
            sys.exit(f"locks/{target}.txt could not be made: see uv's message above")
    # Which of our inputs asked for a package is said by its name, not by a temporary file's.
    text = re.sub(r"-r \S+", "this project", output.read_text())
    output.write_text(HEADER.format(purpose=purpose) + text)
    print(f"locks/{target}.txt: {sum('==' in line for line in text.splitlines())} packages", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the limits allow")
    upgrade: bool = parser.parse_args().upgrade
    LOCKS.mkdir(exist_ok=True)
    everything = [*FOUNDATION, *IMAGES.values()]
    _compile("dev", "For development: every image's, and the tools.", everything, groups=["dev"], upgrade=upgrade)
    _compile("bench", "For `make bench`, on top of dev.txt.", [], groups=["bench"], upgrade=upgrade)
    for image, folder in IMAGES.items():
        _compile(image, f"For the image of {folder}.", [*FOUNDATION, folder], groups=[], upgrade=upgrade)


if __name__ == "__main__":
    main()
