"""The registry by hand: each command does what it says, and says plainly what it cannot do."""

from __future__ import annotations

import json
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
