"""The registry by hand: each command does what it says, and says plainly what it cannot do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from model_packages import made

from rhythmiq_recommender.models.__main__ import STORE, main
from rhythmiq_recommender.models.registry import Registry

TRACK = ("track", "all")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Two published models in the store that the program finds in its environment."""
    address = (tmp_path / "models").as_uri()
    monkeypatch.setenv("RHYTHMIQ_RECOMMENDER_MODEL_STORE", address)
    registry = Registry(address)
    for version in ("v1", "v2"):
        registry.publish(made(tmp_path / version, version), *TRACK, version)
    return registry


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    return {row["version"]: row["used_as"] for row in found["models"]}


def test_promotion_and_rollback_change_who_answers_and_the_list_says_so(
    store: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed(capsys) == {"v1": "", "v2": ""}
    assert main(["promote", "v1"]) == 0
    assert main(["promote", "v2"]) == 0
    assert "track/all/v2 is promoted" in capsys.readouterr().out
    assert listed(capsys) == {"v1": "promoted before", "v2": "promoted"}
    assert main(["rollback"]) == 0
    assert "track/all/v1 answers" in capsys.readouterr().out
    assert store.channel(*TRACK).promoted == "v1"
    assert main(["rollback"]) == 0
    assert "built-in ranker" in capsys.readouterr().out


def test_shadow_and_experiment_begin_and_end(store: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shadow", "v1"]) == 0
    assert main(["split", "autumn", "v2", "--share", "0.25"]) == 0
    assert listed(capsys) == {"v1": "shadow", "v2": "experiment autumn, 25%"}
    assert main(["shadow", "--off"]) == 0
    assert main(["split", "--off"]) == 0
    assert (store.channel(*TRACK).shadow, store.channel(*TRACK).experiment) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["promote", "v9"], 5, "There is no model track/all/v9"),
        (["show", "v9"], 5, "`rhythmiq models list` says which there are"),
        (["rollback"], 3, "nothing to go back from"),
        (["list", "--kind", "film"], 3, "There is no kind 'film'"),
        (["promote", "../v1"], 3, "is not a version"),
        (["split", "autumn", "v1", "--share", "1.5"], 3, "from 0 to 1, not 1.5"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_a_code(
    store: Registry, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    if said.startswith("nothing"):
        assert store.channel(*TRACK).promoted is None
    assert main(arguments) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize("arguments", [["split", "autumn"], ["shadow"], ["shadow", "v1", "--off"], []])
def test_half_a_command_is_a_usage_error(store: Registry, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_tampered_model_is_not_promoted_and_the_list_names_the_reason(
    store: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models" / "packages" / "track" / "all"
    model = folder / "v1" / "model.txt"
    model.write_bytes(model.read_bytes()[:-100])
    assert main(["promote", "v1"]) == 3
    assert "truncated or changed" in capsys.readouterr().err
    assert store.channel(*TRACK).promoted is None
    (folder / "v2" / "manifest.json").write_text("{}")
    assert "cannot be used" in listed(capsys)["v2"]


def test_a_store_that_cannot_be_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RHYTHMIQ_RECOMMENDER_MODEL_STORE", "nowhere://x")
    assert main(["list"]) == 2
    assert "is not an address of a model store" in capsys.readouterr().err


def test_without_a_store_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(STORE, raising=False)
    assert main(["list"]) == 2
    assert STORE in capsys.readouterr().err


def test_a_store_that_is_away_is_said_to_be_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RHYTHMIQ_RECOMMENDER_MODEL_STORE", (tmp_path / "file" / "models").as_uri())
    assert main(["list"]) == 6
    assert "Cannot" in capsys.readouterr().err


def test_list_and_show_are_readable_by_people(store: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    main(["promote", "v1"])
    assert main(["list"]) == 0
    table = capsys.readouterr().out
    assert "v1" in table
    assert "promoted" in table
    assert main(["show", "v1"]) == 0
    assert "track/all/v1: promoted" in capsys.readouterr().out
    assert main(["show", "v2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "v2"
    assert main(["list", "--kind", "soundscape"]) == 0
    assert "No models of soundscape/all yet" in capsys.readouterr().out


def test_quality_on_the_hold_out_is_listed_and_shown_line_by_line(
    store: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def estimate(mean: float) -> dict[str, float]:
        return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}

    metrics = {"model": {"ndcg@10": estimate(0.3125), "recall@10": estimate(0.2)}, "prior": {}, "queries": 1200}
    package = made(tmp_path / "v3", "v3", metrics=metrics, settings={"cutoffs": [5, 10], "groups": []})
    store.publish(package, *TRACK, "v3")
    assert main(["list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("v3")]
    assert "0.3125" in line
    assert main(["list", "--json"]) == 0
    rows = {row["version"]: row["ndcg"] for row in json.loads(capsys.readouterr().out)["models"]}
    assert rows == {"v1": None, "v2": None, "v3": 0.3125}
    assert main(["show", "v3"]) == 0
    shown = capsys.readouterr().out
    assert "    ndcg@10: 0.3125 (0.3025 to 0.3225)\n    recall@10: 0.2 (0.19 to 0.21)\n" in shown
    assert "  queries: 1200\n" in shown
    assert "  cutoffs: 5, 10\n" in shown
    assert "{" not in shown


def test_a_damaged_channel_hides_no_model_and_a_promotion_mends_it(
    store: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["promote", "v1"])
    path = tmp_path / "models" / "channels" / "track" / "all.json"
    path.write_text("garbage")
    capfd.readouterr()
    assert main(["list"]) == 3
    told = capfd.readouterr()
    assert "v1" in told.out
    assert "v2" in told.out
    assert f"{path} is damaged" in told.err
    assert "`rhythmiq models promote VERSION --kind track --cohort all`" in told.err
    assert main(["list", "--json"]) == 3
    assert json.loads(capfd.readouterr().out)["channel"] is None
    assert main(["show", "v1"]) == 0
    assert "its channel is damaged" in capfd.readouterr().out
    assert main(["list", "--cohort", "newcomers"]) == 0
    assert main(["promote", "v2"]) == 0
    assert store.channel(*TRACK).promoted == "v2"


@pytest.mark.parametrize("harm", ["a file is gone", "the model is gone"])
def test_a_rollback_to_what_cannot_be_used_is_made_and_says_so(
    store: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    main(["promote", "v1"])
    main(["promote", "v2"])
    folder = tmp_path / "models" / "packages" / "track" / "all" / "v1"
    if harm == "a file is gone":
        (folder / "model.txt").unlink()
    else:
        shutil.rmtree(folder)
    capsys.readouterr()
    assert main(["rollback"]) == 0
    told = capsys.readouterr()
    assert store.channel(*TRACK).promoted == "v1"
    assert "v1 answers" not in told.out
    assert "track/all/v1" in told.err
    assert "roll back further" in told.err


def test_the_list_says_which_models_cannot_be_used(
    store: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models" / "packages" / "track" / "all"
    (folder / "v1" / "model.txt").unlink()
    main(["promote", "v2"])
    model = folder / "v2" / "model.txt"
    model.write_bytes(model.read_bytes()[:-100])  # what is in use is read, too
    assert listed(capsys) == {
        "v1": "cannot be used: a file is missing: model.txt",
        "v2": "promoted, but cannot be used: model.txt is not what manifest.json was written for: truncated or changed",
    }
    assert main(["promote", "v2"]) == 3
    assert capsys.readouterr().err.startswith("The model track/all/v2 cannot be used: model.txt is not")


def test_the_promoted_model_is_no_treatment(store: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    main(["promote", "v1"])
    assert main(["split", "autumn", "v1"]) == 3
    assert "another version to compare with" in capsys.readouterr().err


def test_a_store_that_has_vanished_is_unreachable_for_every_command(
    store: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["promote", "v1"])
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    for arguments in (["list"], ["show", "v1"], ["promote", "v2"], ["rollback"], ["shadow", "v2"], ["split", "--off"]):
        capsys.readouterr()
        assert main(arguments) == 6
        assert "the store that was made here is gone" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_disk_without_room_for_a_copy_is_a_sentence(
    store: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert main(["promote", "v1"]) == 6
    assert "nowhere" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_fault(store: Registry) -> None:
    command = [sys.executable, "-m", "rhythmiq_recommender.models", "show", "v1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.close()
        assert program.stderr is not None
        told = program.stderr.read()
    assert (program.returncode, told) == (0, "")
