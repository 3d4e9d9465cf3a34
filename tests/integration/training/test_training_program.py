"""The training program over a real database and store: interrupted, it ends with the same result, or says why not.

The program runs as a process of its own, as the command and a CronJob start it, and is killed with SIGKILL.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
from mongod import Mongod, free_port
from training_world import Trainer, plant

from rhythmiq_recommender.learning.package import MANIFEST, load
from rhythmiq_recommender.models.registry import Registry
from rhythmiq_recommender.training import assess
from rhythmiq_recommender.training.__main__ import main
from rhythmiq_recommender.training.promotion import Decision

STEPS = ("extract", "features", "select", "fit", "evaluate", "package", "report", "publish", "promote")
DATABASE = "training_test"
TRACK = ("track", "all")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database in which listeners have done things."""
    server = Mongod(tmp_path_factory.mktemp("mongo"))
    server.start()
    asyncio.run(plant(server.uri, DATABASE))
    yield server.uri
    server.stop()


@pytest.fixture(scope="module")
def undisturbed(uri: str, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that nothing happened to."""
    trainer = Trainer(uri, DATABASE, tmp_path_factory.mktemp("undisturbed"))
    code, said = trainer.run()
    assert code == 0, said
    return trainer


@pytest.fixture
def trainer(uri: str, tmp_path: Path) -> Trainer:
    return Trainer(uri, DATABASE, tmp_path)


@pytest.fixture
def judged(trainer: Trainer, undisturbed: Trainer) -> Trainer:
    """A run, with a store of its own, that was interrupted after its report: what nothing happened to, up to there."""
    shutil.copytree(undisturbed.folder / "runs" / "nightly", trainer.run_folder)
    trainer.forget("publish", "promote")
    return trainer


def promote_another(trainer: Trainer, version: str) -> None:
    """As somebody else does it, from another run."""
    shutil.copytree(trainer.run_folder / "package" / "package", trainer.folder / version)
    manifest = trainer.folder / version / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": version}))
    trainer.registry.publish(trainer.folder / version, *TRACK, version)
    trainer.registry.promote(*TRACK, version)


def run_here(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """In this process: to stand beside it, or to save the start of another."""
    for name, value in trainer.settings.items():
        monkeypatch.setenv(name, value)
    return main([*trainer.arguments, *more])


def test_a_first_run_learns_what_was_planted_and_promotes_it(undisturbed: Trainer) -> None:
    result = undisturbed.result()
    assert result["channel"] == "nightly"
    report = result["report"]
    assert report["decision"]["better"]
    quality = {name: value["ndcg@10"]["mean"] for name, value in report["quality"].items()}
    assert set(quality) == {"model", "popularity", "personalised most-popular", "item-kNN", "prior"}
    assert quality["model"] == max(quality.values())
    # Running calls for energy; the weather is known as well, and means nothing.
    assert report["context"]["difference"]["low"] > 0
    kinds = report["ablation"]["environment_kinds"]
    assert kinds["activity"]["low"] > 0 > kinds["weather"]["low"]
    page = (undisturbed.run_folder / "report" / "report.html").read_text()
    assert "better than prior and popularity" in page
    undisturbed.registry.fetch(*TRACK, "nightly", undisturbed.folder / "fetched")
    assert load(undisturbed.folder / "fetched").manifest.metrics["model"]["ndcg@10"]["mean"] == quality["model"]


def test_killed_at_every_step_and_restarted_it_ends_as_if_undisturbed(trainer: Trainer, undisturbed: Trainer) -> None:
    for number, step in enumerate(STEPS):
        said = trainer.run_until(f"{step}: begun")
        # What was done before stays done: only the step that the kill interrupted is begun again.
        assert said.count(": begun") <= 2, said
        assert said.count(": done before") >= number - 1, said
    code, said = trainer.run()
    assert code == 0, said
    assert trainer.result() == undisturbed.result()


def test_killed_in_the_middle_of_selection_it_ends_with_the_same_trials(trainer: Trainer, undisturbed: Trainer) -> None:
    trainer.arguments = ("--trials=2", "--run=nightly")
    trainer.run_until("select: begun")
    journal = trainer.run_folder / "select" / "journal.log"
    with trainer.start() as program:
        while program.poll() is None and not (journal.exists() and journal.stat().st_size > 600):
            pass
        program.kill()
    code, said = trainer.run()
    assert code == 0, said
    assert trainer.result() == undisturbed.result()


def test_changed_outputs_of_steps_are_noticed_and_made_anew(judged: Trainer, undisturbed: Trainer) -> None:
    for name in ("features/train-0.npz", "select/selected.json", "fit/model.txt"):
        path = judged.run_folder / name
        path.write_bytes(path.read_bytes()[:-7] + b"changed")
    code, said = judged.run()
    assert code == 0, said
    for name in ("train-0.npz", "selected.json", "model.txt"):
        assert f"{name} is not what was written" in said
    assert "extract: done before" in said
    assert judged.result() == undisturbed.result()


def test_a_finished_run_is_told_again_and_changes_nothing(undisturbed: Trainer, tmp_path: Path) -> None:
    before = undisturbed.registry.channel(*TRACK)
    code, said = undisturbed.run(f"--report={tmp_path}/out")
    assert code == 0
    assert "begun" not in said
    assert "track/all/nightly: promoted" in said
    assert undisturbed.registry.channel(*TRACK) == before
    assert json.loads((tmp_path / "out" / "report.json").read_text())["version"] == "nightly"
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")


def test_a_model_no_better_than_the_promoted_one_is_published_and_not_promoted(undisturbed: Trainer) -> None:
    undisturbed.arguments = ("--trials=2", "--run=second")
    try:
        code, said = undisturbed.run()
    finally:
        undisturbed.arguments = ("--trials=2", "--run=nightly")
    assert code == 0
    assert "second: not promoted: not better beyond doubt" in said
    assert "against promoted model: less than the margin of 0.01" in said
    assert undisturbed.registry.versions(*TRACK) == ["nightly", "second"]
    assert undisturbed.registry.channel(*TRACK).promoted == "nightly"
    report = json.loads((undisturbed.folder / "runs" / "second" / "report" / "report.json").read_text())
    assert "promoted model" in report["quality"]
    assert "know part of the hold-out" in report["notes"][0]


def test_no_promote_publishes_only(trainer: Trainer) -> None:
    code, said = trainer.run("--no-promote")
    assert code == 0
    assert "nightly: published: better than" in said
    assert trainer.registry.versions(*TRACK) == ["nightly"]
    assert trainer.registry.channel(*TRACK).promoted is None


def test_a_promotion_by_someone_else_meanwhile_is_not_undone(judged: Trainer) -> None:
    promote_another(judged, "other")
    code, said = judged.run()
    assert code == 0
    assert "other was promoted meanwhile, and the comparison was with the prior: train again" in said
    assert judged.registry.channel(*TRACK).promoted == "other"


def test_a_promotion_at_the_last_moment_is_not_undone_either(
    judged: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check = Registry.check

    def checked(registry: Registry, kind: str, cohort: str, version: str) -> None:
        """While the package is tried, somebody else promotes."""
        check(registry, kind, cohort, version)
        if version == "nightly":
            promote_another(judged, "other")

    monkeypatch.setattr(Registry, "check", checked)
    assert run_here(judged, monkeypatch) == 0
    assert "other was promoted meanwhile" in capsys.readouterr().out
    assert judged.registry.channel(*TRACK).promoted == "other"


def test_a_rollback_to_the_prior_meanwhile_is_told_as_one(
    judged: Trainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promote_another(judged, "other")
    judged.forget("evaluate")
    check = Registry.check

    def checked(registry: Registry, kind: str, cohort: str, version: str) -> None:
        check(registry, kind, cohort, version)
        judged.registry.rollback(*TRACK)

    monkeypatch.setattr(Registry, "check", checked)
    monkeypatch.setattr(assess, "decide", lambda *_, **__: Decision(True, "better", 0.01, ()))
    assert run_here(judged, monkeypatch) == 0
    said = capsys.readouterr().out
    assert "listeners went back to the prior meanwhile, and the comparison was with other" in said
    assert judged.registry.channel(*TRACK).promoted is None


def test_a_store_that_was_emptied_after_publishing_gets_the_package_again(
    judged: Trainer, undisturbed: Trainer
) -> None:
    shutil.copytree(undisturbed.run_folder / "publish", judged.run_folder / "publish")
    code, said = judged.run()
    assert code == 0, said
    assert "publish: done before" in said
    assert judged.registry.channel(*TRACK).promoted == "nightly"


def test_a_package_that_was_damaged_in_the_store_is_a_conflict_with_a_remedy(
    judged: Trainer, undisturbed: Trainer
) -> None:
    judged.registry.publish(undisturbed.run_folder / "package" / "package", *TRACK, "nightly")
    model = judged.folder / "models" / "packages" / "track" / "all" / "nightly" / "model.txt"
    model.write_bytes(model.read_bytes()[:-50])
    code, said = judged.run()
    assert code == 7
    assert "model track/all/nightly cannot be used" in said
    assert "another --run name" in said
    assert "Traceback" not in said
    assert judged.registry.channel(*TRACK).promoted is None


def test_a_damaged_channel_is_a_conflict_that_names_the_file(judged: Trainer) -> None:
    promote_another(judged, "other")
    channel = judged.folder / "models" / "channels" / "track" / "all.json"
    channel.write_text("garbage")
    code, said = judged.run()
    assert code == 7
    assert "channels/track/all.json is damaged" in said
    assert "Traceback" not in said


def test_a_disk_that_cannot_be_written_is_tried_again_and_the_same_command_goes_on(judged: Trainer) -> None:
    (judged.run_folder / "publish").write_text("in the way of the step's folder")
    judged.attempts = 2
    code, said = judged.run()
    assert code == 6
    assert "publish: " in said
    assert "tried again in 1 s" in said
    assert "Step publish failed after 2 attempts" in said
    assert "Traceback" not in said
    (judged.run_folder / "publish").unlink()
    code, said = judged.run()
    assert code == 0, said


def test_a_training_folder_that_cannot_be_written_is_told_plainly(trainer: Trainer) -> None:
    (trainer.folder / "runs").write_text("in the way of the runs")
    code, said = trainer.run()
    assert code == 6
    assert "Cannot write what the run makes" in said
    assert "Traceback" not in said


def test_other_settings_under_a_used_name_are_refused(undisturbed: Trainer) -> None:
    code, said = undisturbed.run("--seed=8")
    assert code == 7
    assert "seed 7, now 8" in said


@pytest.mark.parametrize(
    "wrong",
    [
        "--kind=film",
        "--trials=0",
        "--margin=7",
        "--minutes=-1",
        "--seed=-1",
        "--seed=99999999999999",
        "--run=../../x",
        "--scheduler=bogus",
    ],
)
def test_wrong_options_are_usage_errors_that_name_the_option(
    trainer: Trainer, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer.arguments = ("--trials=2",)
    assert run_here(trainer, monkeypatch, wrong) == 2
    said = capsys.readouterr().err
    assert said.startswith(wrong.partition("=")[0])
    assert said.count("\n") == 1
    # Nothing has been made that such a run would go on with.
    assert trainer.registry.versions(*TRACK) == []


def test_two_at_once_are_kept_apart(trainer: Trainer) -> None:
    with trainer.start() as first:
        assert first.stdout is not None
        while "begun" not in first.stdout.readline():
            pass
        code, said = trainer.run()
        first.kill()
    assert code == 7
    assert "is going on already" in said


def test_a_database_that_stays_away_fails_plainly_and_promotes_nothing(tmp_path: Path) -> None:
    away = f"mongodb://127.0.0.1:{free_port()}/?replicaSet=test"
    trainer = Trainer(away, DATABASE, tmp_path, attempts=2)
    code, said = trainer.run()
    assert code == 6
    assert "tried again in 1 s" in said
    assert "Step extract failed after 2 attempts: the database is away" in said
    assert "Nothing was promoted" in said
    assert trainer.registry.channel(*TRACK).revision == 0


def test_a_database_that_comes_back_is_waited_for(mongod: Mongod, tmp_path: Path) -> None:
    asyncio.run(plant(mongod.uri, DATABASE))
    trainer = Trainer(mongod.uri, DATABASE, tmp_path, attempts=20)
    mongod.kill()
    with trainer.start() as program:
        assert program.stdout is not None
        while "tried again" not in (line := program.stdout.readline()):
            assert line
        mongod.start()
        said, _ = program.communicate(timeout=200)
    assert program.returncode == 0, said
    assert "nightly: promoted" in said


def test_a_store_that_is_away_fails_plainly_and_the_same_command_goes_on(judged: Trainer, undisturbed: Trainer) -> None:
    models = judged.folder / "models"
    models.write_text("in the way of the store")
    judged.attempts = 2
    code, said = judged.run()
    assert code == 6
    assert "Step publish failed after 2 attempts" in said
    assert "Nothing was promoted" in said
    models.unlink()
    code, said = judged.run()
    assert code == 0, said
    assert judged.result() == undisturbed.result()


def test_a_broken_promoted_model_is_said_to_be_broken_and_replaced(trainer: Trainer, undisturbed: Trainer) -> None:
    trainer.registry.publish(undisturbed.run_folder / "package" / "package", *TRACK, "nightly")
    trainer.registry.promote(*TRACK, "nightly")
    model = trainer.folder / "models" / "packages" / "track" / "all" / "nightly" / "model.txt"
    model.write_bytes(model.read_bytes()[:-50])
    trainer.arguments = ("--trials=1", "--run=repaired")
    code, said = trainer.run()
    assert code == 0, said
    assert "repaired: promoted" in said
    report = json.loads((trainer.folder / "runs" / "repaired" / "report" / "report.json").read_text())
    assert "cannot be used, so it was not compared with" in report["notes"][0]


@pytest.mark.parametrize(("only", "said"), [("SKIP", "one class"), ("IMPRESSION", "no interactions")])
async def test_data_of_one_class_are_refused_and_the_old_model_stays(
    uri: str, tmp_path: Path, undisturbed: Trainer, only: str, said: str
) -> None:
    name = f"one_class_{only.lower()}"
    await plant(uri, name, only=only)
    trainer = Trainer(uri, name, tmp_path, store=undisturbed.model_store)
    before = trainer.registry.channel(*TRACK)
    code, told = await asyncio.to_thread(trainer.run)
    assert code == 1
    assert said in told
    assert "what listeners have stays" in told
    assert trainer.registry.channel(*TRACK) == before
    # It has ended: the same again says the same, and reads nothing.
    assert "begun" not in (await asyncio.to_thread(trainer.run))[1]


async def test_an_empty_database_and_too_little_are_refused_with_what_is_missing(uri: str, tmp_path: Path) -> None:
    trainer = Trainer(uri, "nothing_there", tmp_path)
    code, said = await asyncio.to_thread(trainer.run)
    assert (code, "there are no interactions with tracks" in said.lower()) == (1, True)
    await plant(uri, "too_little", listeners=4)
    trainer = Trainer(uri, "too_little", tmp_path, arguments=("--run=little",))
    code, said = await asyncio.to_thread(trainer.run)
    assert code == 1
    assert "4 listeners (at least 30)" in said


def test_no_profile_id_is_in_any_file_of_a_run(undisturbed: Trainer) -> None:
    with pymongo.MongoClient[dict[str, str]](undisturbed.uri) as client:
        profiles = client[DATABASE]["interactions"].distinct("profile_id")
    assert profiles
    written = b"".join(path.read_bytes() for path in undisturbed.run_folder.rglob("*") if path.is_file())
    for profile_id in map(str, profiles):
        assert profile_id.encode() not in written
        assert bytes.fromhex(profile_id.replace("-", "")) not in written
