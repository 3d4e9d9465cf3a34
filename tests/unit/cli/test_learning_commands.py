"""`rhythmiq train` and `rhythmiq models` find the local mesh, or say plainly what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_mesh import rhythmiq

from rhythmiq_cli.state import StateFolder


def test_without_a_running_mesh_train_says_how_to_start_one(tmp_path: Path) -> None:
    done = rhythmiq("train", state=tmp_path)
    assert done.returncode == 6
    assert f"RhythmIQ does not run from {tmp_path}: start it with `rhythmiq up`" in done.stderr
    assert "RHYTHMIQ_MONGO_URI" in done.stderr


def test_options_reach_the_trainer_and_its_refusal_and_code_come_back(tmp_path: Path) -> None:
    done = rhythmiq("train", "--kind", "film", state=tmp_path, RHYTHMIQ_MONGO_URI="mongodb://127.0.0.1:1")
    assert done.returncode == 2
    assert "--kind film must be one of track, podcast_episode, soundscape" in done.stderr
    done = rhythmiq(
        "train", "--margin", "3", "--no-promote", state=tmp_path, RHYTHMIQ_MONGO_URI="mongodb://127.0.0.1:1"
    )
    assert "--margin 3 must be 0 to 1" in done.stderr


def test_a_connection_string_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    done = rhythmiq("train", state=tmp_path, RHYTHMIQ_MONGO_URI="mongodb://")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_models_need_no_running_mesh_and_look_into_the_state_folder(tmp_path: Path) -> None:
    done = rhythmiq("models", "list", state=tmp_path)
    assert (done.returncode, done.stdout.count("No models of track/all yet")) == (0, 1)
    done = rhythmiq("models", "promote", "v1", "--cohort", "newcomers", state=tmp_path)
    assert done.returncode == 5
    assert "There is no model track/newcomers/v1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "v1"), "There is no model track/all/v1"),
        (("rollback",), "nothing to go back from"),
        (("shadow", "v1"), "There is no model"),
        (("split", "autumn", "v1", "--share", "0.2"), "There is no model"),
        (("split", "autumn"), "an experiment needs a name and a version"),
    ],
)
def test_every_command_of_models_reaches_the_registry(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = rhythmiq("models", *arguments, state=tmp_path)
    assert done.returncode in {2, 3, 5}
    assert said.lower() in done.stderr.lower()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shadow",), "Name the version"),
        (("shadow", "v1", "--off"), "Name the version"),
        (("split",), "needs a name and a version"),
        (("split", "autumn", "--off"), "leave out the rest"),
    ],
)
def test_half_a_command_of_models_is_told_in_terms_of_the_command(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = rhythmiq("models", *arguments, state=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "python -m" not in done.stderr


def test_models_without_a_command_lists_them(tmp_path: Path) -> None:
    done = rhythmiq("models", state=tmp_path)
    assert (done.returncode, done.stdout.count("No models of track/all yet")) == (0, 1)


@pytest.mark.parametrize("arguments", [("shadow", "--off"), ("split", "--off")])
def test_ending_what_is_not_there_is_no_fault(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert rhythmiq("models", *arguments, state=tmp_path).returncode == 0


def test_another_store_in_the_environment_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = (tmp_path / "file" / "models").as_uri()
    done = rhythmiq("models", "list", state=tmp_path, RHYTHMIQ_RECOMMENDER_MODEL_STORE=store)
    assert done.returncode == 6


def test_the_sockets_of_a_running_mesh_are_found_where_paths_are_too_long(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ("long" * 40))
    state.prepare()
    with state.socket_folder() as folder:
        assert state.running_sockets() == folder
        assert folder.parent != state.root
    short = StateFolder(tmp_path / "s")
    assert short.running_sockets() == short.root / "run"
