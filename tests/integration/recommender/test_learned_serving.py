"""The running service takes models up and gives them back while it answers, and says what they are and why."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import small_catalogue
from eventually import eventually
from harness import metadata
from model_packages import made
from recommend_mesh import AS_WHO, PARENT, Mesh, degraded, make_ready, running_mesh

from rhythmiq.recommender.v1 import interaction_pb2, interaction_pb2_grpc, item_pb2, item_pb2_grpc, recommender_pb2
from rhythmiq.type.v1 import environment_pb2
from rhythmiq_recommender.learning.package import MODEL
from rhythmiq_recommender.models.channels import Experiment
from rhythmiq_recommender.models.registry import Registry
from rhythmiq_recommender.models.variants import variant_of

TRACK = ("track", "all")
Group = recommender_pb2.Reason
RUNNING = environment_pb2.Environment(activity=environment_pb2.Environment.RUNNING)
PICKED_UP = 10.0
"""Seconds within which a promotion answers."""


class Models:
    """The store of models that the service reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"file://{folder}/models"
        self.registry = Registry(self.address)

    def publish(self, version: str, rounds: int = 20) -> None:
        self.registry.publish(made(self.folder / f"made-{version}", version, rounds=rounds), *TRACK, version)

    def promote(self, version: str) -> None:
        self.publish(version)
        self.registry.promote(*TRACK, version)

    def at(self, version: str, name: str) -> Path:
        return self.folder.joinpath("models", "packages", *TRACK, version, name)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


@pytest.fixture
async def mesh(mongo_uri: str, mongo_database_name: str, models: Models) -> AsyncIterator[Mesh]:
    settings = {"model_store": models.address, "model_poll_seconds": 0.3, "shadow_sample": 1.0}
    async with running_mesh(mongo_uri, mongo_database_name, **settings) as running:
        await make_ready(running)
        yield running


@asynccontextmanager
async def asking(mesh: Mesh) -> AsyncIterator[list[recommender_pb2.RecommendResponse]]:
    """Asks again and again, all the while; every answer must come."""
    answers: list[recommender_pb2.RecommendResponse] = []
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            answers.append(await mesh.recommend(count=10))

    tasks = [asyncio.create_task(ask()) for _ in range(3)]
    try:
        yield answers
    finally:
        over.set()
        await asyncio.gather(*tasks)


async def until_answered_by(mesh: Mesh, ranker: str) -> None:
    async def answered() -> bool:
        return (await mesh.recommend(count=1)).ranker == ranker

    await eventually(answered, seconds=PICKED_UP)


def whole(answers: list[recommender_pb2.RecommendResponse]) -> bool:
    return all(len(answer.recommendations) == 10 and not answer.degradations for answer in answers)


async def test_promotions_and_rollbacks_are_served_within_seconds_and_no_request_fails(
    mesh: Mesh, models: Models
) -> None:
    async with asking(mesh) as answers:
        for version in ("v1", "v2"):
            models.promote(version)
            await until_answered_by(mesh, f"learned/track/all/{version}")
        models.registry.rollback(*TRACK)
        await until_answered_by(mesh, "learned/track/all/v1")
        models.registry.rollback(*TRACK)
        await until_answered_by(mesh, "prior/1")
    assert whole(answers)
    rankers = list(dict.fromkeys(answer.ranker for answer in answers))
    assert rankers == ["prior/1", "learned/track/all/v1", "learned/track/all/v2"]


async def test_a_tampered_package_is_passed_over_while_answers_go_on(
    mesh: Mesh, models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    models.promote("v1")
    await until_answered_by(mesh, "learned/track/all/v1")
    models.publish("v2")
    models.registry.promote(*TRACK, "v2")
    models.at("v2", MODEL).write_bytes(models.at("v2", MODEL).read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1))
    await until(lambda: any("ignored until its channel changes" in record.message for record in caplog.records))
    assert (await mesh.recommend()).ranker == "learned/track/all/v1"
    models.promote("v3")
    await until_answered_by(mesh, "learned/track/all/v3")


async def until(condition: Callable[[], bool]) -> None:
    await eventually(condition, seconds=PICKED_UP)


async def test_the_store_may_go_while_answers_go_on(
    mesh: Mesh, models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    models.promote("v1")
    await until_answered_by(mesh, "learned/track/all/v1")
    store, elsewhere = models.folder / "models", models.folder / "elsewhere"
    async with asking(mesh) as answers:
        store.rename(elsewhere)
        store.write_text("in the way")
        await until(lambda: any("store is away" in record.message for record in caplog.records))
        store.unlink()
        elsewhere.rename(store)
        models.promote("v2")
        await until_answered_by(mesh, "learned/track/all/v2")
    assert whole(answers)
    assert {answer.ranker for answer in answers} == {"learned/track/all/v1", "learned/track/all/v2"}


async def test_a_restarted_service_answers_by_its_model_from_the_first_request_on(mesh: Mesh, models: Models) -> None:
    models.promote("v1")
    await until_answered_by(mesh, "learned/track/all/v1")
    await mesh.stop("recommender")
    await mesh.start("recommender", model_store=models.address)
    assert (await mesh.recommend()).ranker == "learned/track/all/v1"


async def record(mesh: Mesh, genre: str) -> None:
    """Likes of 30 tracks of a genre."""
    now = datetime.now(UTC)
    likes = []
    tracks = [one for one in small_catalogue.items() if genre in one.genres and one.kind == item_pb2.Item.TRACK]
    for number, item in enumerate(tracks[:30]):
        like = interaction_pb2.Interaction(item=item.name, type=interaction_pb2.Interaction.LIKE, source="test")
        like.event_time.FromDatetime(now - timedelta(hours=3, minutes=number))
        likes.append(like)
    stub = interaction_pb2_grpc.InteractionServiceStub(mesh.channels["recommender"])
    await stub.BatchRecordInteractions(
        interaction_pb2.BatchRecordInteractionsRequest(parent=PARENT, interactions=likes), metadata=AS_WHO
    )


async def test_what_a_listener_did_moves_the_list_and_the_reasons_sum_to_the_score(mesh: Mesh, models: Models) -> None:
    models.publish("v1", rounds=60)
    models.registry.promote(*TRACK, "v1")
    await until_answered_by(mesh, "learned/track/all/v1")
    before = await mesh.recommend(count=30, fatigue=0, environment=RUNNING)
    await record(mesh, "edm")

    async def seen() -> bool:
        answer = await mesh.recommend(count=30, fatigue=0, environment=RUNNING)
        return edm(answer) > edm(before)

    await eventually(seen, seconds=PICKED_UP)
    answer = await mesh.recommend(count=30, fatigue=0, environment=RUNNING)
    groups = set()
    for one in answer.recommendations:
        assert sum(why.contribution for why in one.reasons) == pytest.approx(one.score, abs=1e-9)
        assert 0 < one.propensity <= 1
        groups |= {why.group for why in one.reasons}
    assert {Group.TASTE, Group.SURROUNDINGS} <= groups
    assert not answer.degradations


def edm(answer: recommender_pb2.RecommendResponse) -> int:
    return sum("edm" in one.item.genres for one in answer.recommendations)


async def test_listeners_are_told_their_variant_and_get_its_model(mesh: Mesh, models: Models) -> None:
    models.promote("v1")
    models.publish("v2")
    who = PARENT.removeprefix("profiles/")
    names = {
        variant: next(name for name in map("try {}".format, range(100)) if variant_of(name, 0.5, who) == variant)
        for variant in ("control", "treatment")
    }
    for variant, version in (("control", "v1"), ("treatment", "v2")):
        models.registry.set_experiment(*TRACK, Experiment(names[variant], "v2", 0.5))
        await until_answered_by(mesh, f"learned/track/all/{version}")

        async def told(variant: str = variant) -> bool:
            answer = await mesh.recommend(count=1)
            return (answer.experiment, answer.variant) == (names[variant], variant)

        await eventually(told, seconds=PICKED_UP)
    models.registry.set_experiment(*TRACK, None)
    await until_answered_by(mesh, "learned/track/all/v1")
    answer = await mesh.recommend(count=1)
    assert (answer.experiment, answer.variant) == ("", "")


async def test_a_shadow_is_logged_and_never_shown(mesh: Mesh, models: Models, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rhythmiq.shadow")
    models.promote("v1")
    models.publish("v2", rounds=5)
    models.registry.set_shadow(*TRACK, "v2")
    await until_answered_by(mesh, "learned/track/all/v1")

    async def logged() -> bool:
        assert (await mesh.recommend(count=5)).ranker == "learned/track/all/v1"
        return any(record.name == "rhythmiq.shadow" for record in caplog.records)

    await eventually(logged, seconds=PICKED_UP)
    line = next(vars(record) for record in caplog.records if record.name == "rhythmiq.shadow")
    assert line["shadow"] == "learned/track/all/v2"
    assert json.dumps({name: line[name] for name in ("overlap_at_20", "rank_correlation", "score_shift")})


async def test_an_item_that_was_just_imported_can_be_recommended_by_a_model(mesh: Mesh, models: Models) -> None:
    models.promote("v1")
    await until_answered_by(mesh, "learned/track/all/v1")
    new = small_catalogue.named("test:brand-new", "Brand new")
    new.genres.append("brand-new")
    stub = item_pb2_grpc.CatalogServiceStub(mesh.channels["recommender"])
    await stub.ImportItems(
        iter([item_pb2.ImportItemsRequest(items=[new])]), metadata=metadata("admin", scope="rhythmiq.admin")
    )

    async def found() -> bool:
        answer = await mesh.recommend(filter={"genres": ["brand-new"]})
        assert answer.ranker == "learned/track/all/v1"
        assert set(degraded(answer)) <= {"catalog"}
        return [one.item.title for one in answer.recommendations] == ["Brand new"]

    await eventually(found, seconds=PICKED_UP)
