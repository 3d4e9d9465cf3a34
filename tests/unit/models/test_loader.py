"""Models come and go under a service that answers all the while; nothing that goes wrong touches what works."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import small_catalogue
from model_packages import NOW, history_of_listener, made

from rhythmiq_recommender.learning.history import EMPTY, History
from rhythmiq_recommender.learning.package import MANIFEST, MODEL
from rhythmiq_recommender.models.channels import Experiment, Key
from rhythmiq_recommender.models.lineup import LearnedRankers
from rhythmiq_recommender.models.loader import RESIDENCE, ModelLoader
from rhythmiq_recommender.models.registry import Registry
from rhythmiq_recommender.recommend import PRIOR
from rhythmiq_recommender.recommend_ports import Choice
from rhythmiq_recommender.situation import Seeds, Situation
from rhythmiq_recommender.snapshot import CatalogSnapshot

TRACK = ("track", "all")
NOBODY = "0d9f7c1e-5b1a-5b5e-9f57-4f2f6a3f8f10"
REGULAR = history_of_listener(1)
PODCAST = 2


class Scene:
    """A registry in a folder, a catalogue that the test sets, and a loader that looks when the test says so."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.now = folder, 100.0
        self.snapshot = small_catalogue.snapshot()
        self.registry = Registry(f"file://{folder}/models")
        self.loader = ModelLoader(self.registry, self, most=most, interval=2.0, clock=lambda: self.now)
        self.rankers = LearnedRankers(self.loader, PRIOR)

    def publish(self, version: str, cohort: str = "all") -> None:
        package = made(self.folder / f"made-{cohort}-{version}", version, cohort=cohort)
        self.registry.publish(package, "track", cohort, version)

    def promote(self, version: str, cohort: str = "all") -> None:
        self.publish(version, cohort)
        self.registry.promote("track", cohort, version)

    async def look(self) -> None:
        self.now += 2.0
        await self.loader.round()

    def choose(self, profile_id: str = NOBODY, past: History = REGULAR, kind: int = 1) -> Choice:
        return self.rankers.choose(profile_id, Situation(kind, {}, [], {}, Seeds(), past, NOW))

    @property
    def answering(self) -> str:
        return self.choose().ranker.name

    def at(self, version: str, *parts: str) -> Path:
        return self.folder.joinpath("models", "packages", *TRACK, version, *parts)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made_one = Scene(tmp_path, most=4)
    yield made_one
    await made_one.loader.close()


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == message]


async def test_where_nothing_is_promoted_the_prior_answers(scene: Scene) -> None:
    await scene.loader.start()
    assert scene.choose() == Choice(PRIOR)
    scene.publish("v1")
    await scene.look()
    assert scene.choose() == Choice(PRIOR)
    assert scene.choose(kind=9).ranker is PRIOR


async def test_a_promotion_is_served_from_the_next_look_on_and_a_rollback_too(scene: Scene) -> None:
    scene.promote("v1")
    await scene.loader.start()
    assert scene.answering == "learned/track/all/v1"
    begun = scene.choose().ranker
    scene.promote("v2")
    assert scene.answering == "learned/track/all/v1"
    await scene.look()
    assert scene.answering == "learned/track/all/v2"
    assert begun.name == "learned/track/all/v1"  # what a request began with stays its own
    scene.registry.rollback(*TRACK)
    shutil.rmtree(scene.folder / "models" / "packages")  # it needs no store: the model is still here
    await scene.look()
    assert scene.answering == "learned/track/all/v1"
    scene.registry.rollback(*TRACK)
    await scene.look()
    assert scene.answering == "prior/1"


@pytest.mark.parametrize("harm", ["truncated", "foreign", "tampered", "incomplete", "mismatching", "of something else"])
async def test_a_model_that_cannot_be_used_never_replaces_one_that_works(
    scene: Scene, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene.promote("v1")
    scene.publish("v2")
    await scene.look()
    scene.registry.promote(*TRACK, "v2")
    text = scene.at("v2", MODEL).read_bytes()
    match harm:
        case "truncated":
            scene.at("v2", MODEL).write_bytes(text[: len(text) // 2])
        case "tampered":
            scene.at("v2", MODEL).write_bytes(text.replace(b"leaf_value=", b"leaf_value=9", 1))
        case "foreign":
            scene.at("v2", MANIFEST).write_bytes(b"\x80\x04 a pickle of old")
        case "incomplete":
            scene.at("v2", MODEL).unlink()
        case "mismatching":
            manifest = scene.at("v2", MANIFEST).read_text()
            scene.at("v2", MANIFEST).write_text(manifest.replace('"features_version": ', '"features_version": 9'))
        case _:
            shutil.rmtree(scene.at("v2"))
            shutil.copytree(scene.at("v1"), scene.at("v2"))
    for _ in range(3):
        await scene.look()
        assert scene.answering == "learned/track/all/v1"
    (ignored,) = logged(caplog, "model ignored until its channel changes")
    assert (ignored.model, bool(ignored.reason)) == ("track/all/v2", True)  # type: ignore[attr-defined]
    # After a restart, too, the version before it answers.
    again = Scene(scene.folder, most=4)
    await again.loader.start()
    assert again.answering == "learned/track/all/v1"
    await again.loader.close()
    # It is tried again once somebody has seen to it and promotes it again.
    shutil.rmtree(scene.at("v2"), ignore_errors=True)
    scene.publish("v2")
    scene.registry.promote(*TRACK, "v2")
    await scene.look()
    assert scene.answering == "learned/track/all/v2"


async def test_while_the_store_is_away_everything_goes_on_and_it_is_said_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    scene.promote("v1")
    await scene.look()
    away = scene.folder / "models"
    away.rename(scene.folder / "elsewhere")
    away.write_text("in the way")
    for _ in range(3):
        await scene.look()
        assert scene.answering == "learned/track/all/v1"
    assert len(logged(caplog, "the model store is away: what is loaded goes on")) == 1
    away.unlink()
    await scene.look()  # the store is there again, and empty: nobody has taken the model back
    assert scene.answering == "learned/track/all/v1"
    (scene.folder / "elsewhere").rename(away)
    scene.promote("v2")
    await scene.look()
    assert scene.answering == "learned/track/all/v2"
    assert len(logged(caplog, "the model store is back")) == 1


async def test_a_package_that_cannot_be_fetched_now_is_fetched_later(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.promote("v1")
    scene.publish("v2")
    await scene.look()
    scene.registry.promote(*TRACK, "v2")
    scene.at("v2", MODEL).rename(scene.folder / "kept")
    scene.at("v2", MODEL).mkdir()  # reading it fails, and it is not absent
    for _ in range(3):
        await scene.look()
        assert scene.answering == "learned/track/all/v1"
    assert len(logged(caplog, "the model store is away: what is loaded goes on")) == 1
    scene.at("v2", MODEL).rmdir()
    (scene.folder / "kept").rename(scene.at("v2", MODEL))
    await scene.look()
    assert scene.answering == "learned/track/all/v2"


async def test_a_start_without_a_store_is_a_start(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    scene = Scene(tmp_path, most=4)
    await scene.loader.start()
    assert scene.answering == "prior/1"
    await scene.loader.close()


async def test_a_restart_without_the_store_it_had_warns_that_the_prior_answers(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.promote("v1")
    store, elsewhere = scene.folder / "models", scene.folder / "elsewhere"
    store.rename(elsewhere)
    restarted = Scene(scene.folder, most=4)
    await restarted.loader.start()
    await restarted.look()
    assert restarted.answering == "prior/1"
    (said,) = logged(caplog, "the model store is away: the prior answers until it is back")
    assert (said.levelname, "is gone" in vars(said)["reason"]) == ("WARNING", True)
    elsewhere.rename(store)
    await restarted.look()
    assert restarted.answering == "learned/track/all/v1"
    await restarted.loader.close()


async def test_a_copy_that_finds_no_place_on_disk_stops_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene.promote("v1")
    await scene.look()
    (scene.folder / "full").write_text("no folder")
    monkeypatch.setattr(scene.loader, "_folder", scene.folder / "full")
    scene.promote("v2")
    await scene.look()
    assert scene.answering == "learned/track/all/v1"
    (warned,) = logged(caplog, "the model store is away: what is loaded goes on")
    assert "cannot copy track/all/v2" in vars(warned)["reason"]
    (scene.folder / "full").unlink()
    await scene.look()
    assert scene.answering == "learned/track/all/v2"


async def test_a_broken_channel_stays_as_it_was_and_others_are_seen(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.promote("v1")
    await scene.look()
    (scene.folder / "models" / "channels" / "track" / "all.json").write_text("{")
    scene.promote("v1", cohort="newcomers")
    await scene.look()
    await scene.look()
    assert scene.answering == "learned/track/all/v1"
    assert scene.choose(past=EMPTY).ranker.name == "learned/track/newcomers/v1"
    assert len(logged(caplog, "channel ignored")) == 1


async def test_each_cohort_has_its_model_and_else_that_for_all(scene: Scene) -> None:
    scene.promote("a1")
    scene.promote("n1", cohort="newcomers")
    await scene.look()
    assert scene.choose(past=EMPTY).ranker.name == "learned/track/newcomers/n1"
    assert scene.choose(past=REGULAR).ranker.name == "learned/track/all/a1"
    assert scene.choose(past=REGULAR.newest(9)).ranker.name == "learned/track/newcomers/n1"
    scene.promote("r1", cohort="regulars")
    await scene.look()
    assert scene.choose(past=REGULAR.newest(10)).ranker.name == "learned/track/regulars/r1"
    assert scene.choose(kind=PODCAST).ranker is PRIOR


async def test_the_fit_follows_the_catalogue(scene: Scene) -> None:
    scene.promote("v1")
    await scene.look()
    scene.snapshot = scene.snapshot.with_changes([small_catalogue.named("test:new", "New").SerializeToString()])
    scene.now += 1.0
    await scene.loader.round()
    ranker = scene.loader.lineups[Key(*TRACK)].promoted
    assert ranker is not None
    assert ranker.snapshot is scene.snapshot


async def test_an_experiment_gives_each_listener_one_variant_for_good(scene: Scene) -> None:
    scene.promote("v1")
    scene.publish("v2")
    scene.registry.set_experiment(*TRACK, Experiment("more trees", "v2", 0.3))
    await scene.look()
    listeners = [f"{number:08x}-5b1a-5b5e-9f57-4f2f6a3f8f10" for number in range(2000)]
    choices = {who: scene.choose(who) for who in listeners}
    treated = {who for who, choice in choices.items() if choice.variant == "treatment"}
    assert len(treated) == pytest.approx(600, abs=75)
    for who, choice in choices.items():
        assert choice.experiment == "more trees"
        assert choice.ranker.name == f"learned/track/all/{'v2' if who in treated else 'v1'}"
    assert {who for who in listeners if scene.choose(who).variant == "treatment"} == treated
    # With a larger share those who were treated still are; another experiment treats others.
    scene.registry.set_experiment(*TRACK, Experiment("more trees", "v2", 0.6))
    await scene.look()
    assert treated < {who for who in listeners if scene.choose(who).variant == "treatment"}
    scene.registry.set_experiment(*TRACK, Experiment("another", "v2", 0.3))
    await scene.look()
    others = {who for who in listeners if scene.choose(who).variant == "treatment"}
    assert len(others & treated) == pytest.approx(180, abs=60)
    scene.registry.set_experiment(*TRACK, None)
    await scene.look()
    assert scene.choose() == Choice(scene.choose().ranker)


async def test_the_first_model_can_be_tried_against_the_prior(scene: Scene) -> None:
    scene.publish("v1")
    scene.registry.set_experiment(*TRACK, Experiment("first", "v1", 0.5))
    await scene.look()
    names = {scene.choose(f"{n:08x}-5b1a-5b5e-9f57-4f2f6a3f8f10").ranker.name for n in range(40)}
    assert names == {"prior/1", "learned/track/all/v1"}


async def test_an_experiment_with_a_broken_model_is_none(scene: Scene) -> None:
    scene.promote("v1")
    scene.publish("v2")
    scene.registry.set_experiment(*TRACK, Experiment("x", "v2", 1.0))
    scene.at("v2", MODEL).write_bytes(b"")
    await scene.look()
    choice = scene.choose()
    assert (choice.ranker.name, choice.experiment, choice.variant) == ("learned/track/all/v1", "", "")


async def test_a_shadow_is_never_the_one_that_answers(scene: Scene) -> None:
    scene.publish("v1")
    scene.publish("v2")
    scene.registry.set_shadow(*TRACK, "v1")
    await scene.look()
    choice = scene.choose()
    assert (choice.ranker, choice.shadow and choice.shadow.name) == (PRIOR, "learned/track/all/v1")
    scene.registry.promote(*TRACK, "v1")
    scene.registry.set_shadow(*TRACK, "v2")
    await scene.look()
    choice = scene.choose()
    assert choice.shadow is not None
    assert (choice.ranker.name, choice.shadow.name) == ("learned/track/all/v1", "learned/track/all/v2")


async def test_a_shadow_is_not_compared_with_itself(scene: Scene) -> None:
    scene.promote("v1")
    scene.publish("v2")
    scene.registry.set_shadow(*TRACK, "v2")
    scene.registry.set_experiment(*TRACK, Experiment("more trees", "v2", 0.5))
    await scene.look()
    shadows = set()
    for number in range(40):
        choice = scene.choose(f"{number:08x}-5b1a-5b5e-9f57-4f2f6a3f8f10")
        shadows.add((choice.ranker.name, choice.shadow and choice.shadow.name))
    assert shadows == {("learned/track/all/v1", "learned/track/all/v2"), ("learned/track/all/v2", None)}
    scene.registry.set_experiment(*TRACK, None)
    scene.registry.set_shadow(*TRACK, "v1")
    await scene.look()
    assert scene.choose().shadow is None


async def test_no_more_models_are_loaded_than_there_is_room_for(tmp_path: Path) -> None:
    scene = Scene(tmp_path, most=2)
    scene.promote("v1")
    scene.promote("v1", cohort="newcomers")
    scene.promote("v1", cohort="regulars")
    await scene.look()
    assert sum(len(lineup.rankers) for lineup in scene.loader.lineups.values()) == 2
    # Nobody has asked for newcomers' yet, so the regulars' takes its place once it is asked for.
    assert scene.choose(past=REGULAR).ranker.name == "learned/track/all/v1"
    await scene.look()
    assert scene.choose(past=REGULAR).ranker.name == "learned/track/regulars/v1"
    assert scene.choose(past=EMPTY).ranker.name == "learned/track/all/v1"
    await scene.look()
    # The one for all was asked for, too: it stays, and newcomers go on with it.
    assert scene.choose(past=EMPTY).ranker.name == "learned/track/all/v1"
    assert scene.choose(past=REGULAR).ranker.name == "learned/track/regulars/v1"
    # When no regular has come for a while theirs makes room.
    scene.now += RESIDENCE
    scene.choose(past=EMPTY)
    await scene.look()
    assert scene.choose(past=EMPTY).ranker.name == "learned/track/newcomers/v1"
    await scene.loader.close()


async def test_answers_go_on_while_models_are_swapped(scene: Scene) -> None:
    scene.promote("v1")
    await scene.look()
    for version in ("v2", "v3"):
        scene.promote(version)
        look = asyncio.create_task(scene.look())
        names = set()
        while not look.done():
            names.add(scene.answering)
            await asyncio.sleep(0)
        await look
        assert scene.answering == f"learned/track/all/{version}"
        assert names <= {"learned/track/all/v1", "learned/track/all/v2", "learned/track/all/v3"}


async def test_an_empty_catalogue_takes_a_model_and_later_its_items(tmp_path: Path) -> None:
    scene = Scene(tmp_path, most=1)
    scene.snapshot = CatalogSnapshot.empty()
    scene.promote("v1")
    await scene.look()
    assert scene.answering == "learned/track/all/v1"
    await scene.loader.close()
