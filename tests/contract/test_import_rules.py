"""The rooms of a service and the walls between services hold: see [tool.importlinter] in pyproject.toml."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return settings


def test_every_import_respects_the_rooms_and_the_walls_between_services() -> None:
    done = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_of_the_project_is_under_the_import_rules() -> None:
    packages = {path.parent.name for path in ROOT.glob("libs/*/rhythmiq_*/__init__.py")}
    packages |= {path.parent.name for path in ROOT.glob("services/*/rhythmiq_*/__init__.py")}
    packages |= {path.parent.name for path in ROOT.glob("cli/rhythmiq_*/__init__.py")}
    assert packages == set(_settings()["root_packages"])


def test_every_package_of_the_project_is_measured_by_coverage() -> None:
    measured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["run"]["source_pkgs"]
    assert set(measured) == set(_settings()["root_packages"])
    for package in measured:
        # Of a package that no process imports, coverage reports nothing, rather than 0%.
        assert importlib.import_module(package).__name__ == package


def test_every_service_is_a_stranger_to_every_other() -> None:
    services = {path.name for path in ROOT.glob("services/*/rhythmiq_*") if path.is_dir()}
    contracts = {contract["id"]: contract for contract in _settings()["contracts"]}
    assert services == set(contracts["services-are-strangers"]["modules"])
    assert services == set(contracts["rooms"]["containers"])
    assert services <= set(contracts["mesh-serves-all"]["forbidden_modules"])
