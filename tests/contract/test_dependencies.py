"""Every distribution declares what it imports, and the locks hold what is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "locks"
# Each distribution's folder and the lock of the image that it is installed in.
IMAGES = {
    "services/profile": "profile",
    "services/preference": "preference",
    "services/variable": "variable",
    "services/tunevector": "tunevector",
    "services/recommender": "recommender",
    "cli": "cli",
}
FOLDERS = ["protos", "libs/mesh", *IMAGES]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ;\\]+)")


def _requirements(folder: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"]]


def _own() -> dict[str, str]:
    """Folder by name, of the project's own distributions."""
    return {tomllib.loads((ROOT / f / "pyproject.toml").read_text())["project"]["name"]: f for f in FOLDERS}


def _reachable(folder: str) -> list[Requirement]:
    """The requirements of a distribution, and of the project's own distributions below it, which it may rely on."""
    own = _own()
    found: list[Requirement] = []
    for requirement in _requirements(folder):
        found.append(requirement)
        if requirement.name in own:
            found += _reachable(own[requirement.name])
    return found


def _imported_modules(folder: str) -> set[str]:
    """Absolute names of everything imported below a distribution's folder, generated files included."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        if path == ROOT / "protos" / "generate.py":
            continue  # a tool of development
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names.add(node.module)
    return names


def _own_packages() -> dict[str, str]:
    """The distribution that each of the project's own packages comes from: editable installs list no files."""
    packages: dict[str, str] = {}
    for name, folder in _own().items():
        root = ROOT / "protos" / "gen" if folder == "protos" else ROOT / folder
        packages |= {path.name: name for path in root.iterdir() if path.is_dir()}
    return packages


def _providers(module: str, files: dict[str, set[str]]) -> set[str]:
    """Distributions that carry the module; for a namespace such as `google`, those that carry the rest of its name."""
    top = module.split(".")[0]
    if own := _own_packages().get(top):
        return {own}
    candidates: set[str] = {canonicalize_name(name) for name in metadata.packages_distributions().get(top, [])}
    path = module.replace(".", "/")
    exact = {name for name in candidates if {f"{path}.py", f"{path}/__init__.py", f"{path}.pyi"} & files[name]}
    return exact or candidates


@pytest.fixture(scope="module")
def installed_files() -> dict[str, set[str]]:
    return {
        canonicalize_name(distribution.name): {str(file) for file in distribution.files or []}
        for distribution in metadata.distributions()
    }


def _pins(lock: str) -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for line in (LOCKS / f"{lock}.txt").read_text().splitlines():
        if match := PIN.match(line):
            pins.setdefault(match[1], set()).add(match[2])
    return pins


def _optional(folder: str) -> list[Requirement]:
    """What its extras ask for."""
    extras = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"].get("optional-dependencies", {})
    return [Requirement(text) for texts in extras.values() for text in texts]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_distribution_declares_what_it_imports(folder: str, installed_files: dict[str, set[str]]) -> None:
    declared = {canonicalize_name(requirement.name) for requirement in [*_reachable(folder), *_optional(folder)]}
    declared.add(canonicalize_name(next(name for name, own in _own().items() if own == folder)))
    undeclared = {
        module
        for module in _imported_modules(folder)
        if module.split(".")[0] not in sys.stdlib_module_names and not (_providers(module, installed_files) & declared)
    }
    assert not undeclared, f"{folder}/pyproject.toml does not declare what provides {sorted(undeclared)}"


@pytest.mark.parametrize("folder", IMAGES)
def test_an_images_lock_holds_every_declared_dependency_in_an_allowed_version(folder: str) -> None:
    for lock in (IMAGES[folder], "dev"):
        pins = _pins(lock)
        for requirement in _reachable(folder):
            if requirement.name in _own():
                continue
            versions = pins.get(canonicalize_name(requirement.name), set())
            assert versions, f"locks/{lock}.txt lacks {requirement.name}: run `make lock`"
            assert all(version in requirement.specifier for version in versions), f"{requirement} in {lock}: {versions}"


@pytest.mark.parametrize("image", [*IMAGES.values(), "bench"])
def test_what_runs_in_an_image_is_the_version_that_was_tested(image: str) -> None:
    development = _pins("dev")
    for name, versions in _pins(image).items():
        if image != "bench" or name in development:
            assert versions <= development[name], f"{name} differs between {image}.txt and dev.txt: run `make lock`"


@pytest.mark.parametrize("lock", sorted(path.stem for path in LOCKS.glob("*.txt")))
def test_a_lock_pins_every_package_with_hashes_and_names_no_index_or_path(lock: str) -> None:
    text = (LOCKS / f"{lock}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert entries
    for entry in entries:
        assert PIN.match(entry), entry
        assert "--hash=sha256:" in entry, entry
    code = re.sub(r"#.*", "", text)
    assert not re.search(r"://|--index|--find-links|--extra-index|@ |\.whl|^/", code, re.MULTILINE)


def test_every_lock_serves_the_python_versions_that_the_project_supports() -> None:
    for folder in FOLDERS:
        project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
        assert SpecifierSet(project["requires-python"]).contains(Version("3.11")), folder
        assert not SpecifierSet(project["requires-python"]).contains(Version("3.10")), folder
