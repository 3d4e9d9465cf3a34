"""A run's promises: the same command goes on, another is refused, and two never work in one folder."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from optuna.samplers import TPESampler as Sampler

from rhythmiq_recommender.training.run import BadRunName, RunRefused, RunSettings, opened

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)


def test_the_same_name_and_settings_go_on_with_the_data_of_the_first_start(tmp_path: Path) -> None:
    with opened(tmp_path, "nightly", RunSettings(), NOW) as first:
        made_with = first.made_with
    with opened(tmp_path, "nightly", RunSettings(), LATER) as second:
        assert second.made_with == made_with
        assert second.as_of == NOW


def test_the_same_name_with_other_settings_is_refused_naming_them(tmp_path: Path) -> None:
    with opened(tmp_path, "nightly", RunSettings(), NOW):
        pass
    with pytest.raises(RunRefused, match=r"seed 7, now 8.*another --run name"):
        opened(tmp_path, "nightly", RunSettings(seed=8), NOW).__enter__()


def test_without_a_name_the_unfinished_run_with_these_settings_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path, None, RunSettings(), NOW) as first:
        assert first.name == "track-all-20260301-120000"
    with opened(tmp_path, None, RunSettings(seed=8), LATER) as other:
        assert other.name != first.name
    with opened(tmp_path, None, RunSettings(), LATER) as again:
        assert again.name == first.name


def test_a_finished_run_is_not_begun_again_without_its_name(tmp_path: Path) -> None:
    with opened(tmp_path, None, RunSettings(), NOW) as first:
        first.finish({"outcome": "promoted"})
    with opened(tmp_path, None, RunSettings(), LATER) as second:
        assert second.name != first.name
    with opened(tmp_path, first.name, RunSettings(), LATER) as named:
        assert named.result == {"outcome": "promoted"}


def test_an_unfinished_run_of_another_day_is_left_alone_unless_named(tmp_path: Path) -> None:
    with opened(tmp_path, None, RunSettings(), NOW) as first:
        pass
    with opened(tmp_path, None, RunSettings(), NOW + timedelta(days=2)) as second:
        assert second.name != first.name


def test_a_run_file_that_cannot_be_read_is_named_and_hinders_no_other_run(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    with pytest.raises(RunRefused, match=r"run\.json cannot be read"):
        opened(tmp_path, "broken", RunSettings(), NOW).__enter__()
    with opened(tmp_path, None, RunSettings(), NOW) as run:
        assert run.name != "broken"


@pytest.mark.parametrize("name", ["", "../up", "A run", ".hidden", "x" * 64])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRunName, match=r"--run .* cannot be a run's name"):
        opened(tmp_path, name, RunSettings(), NOW).__enter__()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "film"),
        ("cohort", "elders"),
        ("trials", 0),
        ("trials", None),
        ("trials", 10_001),
        ("minutes", 0.0),
        ("minutes", -1.0),
        ("minutes", 10_081.0),
        ("minutes", float("inf")),
        ("minutes", float("nan")),
        ("seed", -1),
        ("seed", 99_999_999_999_999),
        ("margin", 2.0),
        ("margin", -0.1),
        ("margin", float("nan")),
    ],
)
def test_settings_outside_their_range_are_refused_by_option(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"--{name}"):
        RunSettings(**{name: value})


def test_the_largest_seed_is_one_that_everything_can_begin_with() -> None:
    seed = RunSettings(seed=2_000_000_000).seed
    Sampler(seed=seed + 10_000)
    np.random.default_rng(seed + 10_000)
    rows = lgb.Dataset(np.arange(40.0).reshape(-1, 1), np.arange(40) % 2)
    assert lgb.train({"seed": seed + 10_000, "verbosity": -1}, rows, 1).num_trees() == 1


def test_a_run_of_a_program_that_knew_more_settings_is_refused_naming_them(tmp_path: Path) -> None:
    with opened(tmp_path, "nightly", RunSettings(), NOW) as run:
        written = json.loads((run.folder / "run.json").read_text())
    written["settings"]["distributed"] = False
    (tmp_path / "nightly" / "run.json").write_text(json.dumps(written))
    with pytest.raises(RunRefused, match="distributed False, now None"):
        opened(tmp_path, "nightly", RunSettings(), NOW).__enter__()


def test_two_processes_cannot_be_at_one_run_and_a_killed_one_leaves_it_free(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from datetime import datetime, UTC\n"
        "from pathlib import Path\n"
        "from rhythmiq_recommender.training.run import RunSettings, opened\n"
        "with opened(Path(sys.argv[1]), 'nightly', RunSettings(), datetime.now(UTC)):\n"
        "    print('in', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        with pytest.raises(RunRefused, match=f"going on already .process {holder.pid}"):
            opened(tmp_path, "nightly", RunSettings(), NOW).__enter__()
        holder.kill()
        holder.wait()
    with opened(tmp_path, "nightly", RunSettings(), NOW) as run:
        assert run.name == "nightly"
