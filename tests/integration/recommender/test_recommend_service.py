"""Recommend over real services, sockets and a database: who may ask, what it gathers, what it does without."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from harness import metadata, profile_id, reason, serving, socket_address
from recommend_mesh import AS_WHO, PARENT, Mesh, Preference, Request, Variable, degraded

from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq.recommender.v1 import (
    compat_pb2,
    compat_pb2_grpc,
    recommender_pb2,
    recommender_pb2_grpc,
)
from rhythmiq.type.v1 import environment_pb2

Environment = environment_pb2.Environment
Use = recommender_pb2.EnvironmentUse
CODE = grpc.StatusCode


async def test_an_answer_names_the_environment_preferences_and_ranker_that_it_used(ready: Mesh) -> None:
    await ready.like(Preference.GENRE, "jazz", 0.8)
    await ready.like(Preference.TEMPO, "90-120", 0.4)
    learned = internal_pb2.BatchWriteLearnedPreferencesRequest(
        parent=PARENT, preferences=[Preference(type=Preference.ARTIST, value="folk artist 1", weight=0.8)]
    )
    await internal_pb2_grpc.PreferenceInternalServiceStub(ready.channels["preference"]).BatchWriteLearnedPreferences(
        learned, metadata=AS_WHO
    )
    await ready.observe(Variable.AMBIENT_NOISE, age=timedelta(minutes=2), number=78.0)
    await ready.observe(Variable.ACTIVITY, age=timedelta(minutes=3), activity=Environment.RUNNING)
    await ready.observe(Variable.HEART_RATE, age=timedelta(hours=1), number=150.0)
    answer = await ready.recommend(environment=Environment(company=Environment.WITH_ONE))
    used = {use.kind: use for use in answer.environment}
    assert list(used) == [Variable.AMBIENT_NOISE, Variable.ACTIVITY, Variable.LOCAL_TIME, Variable.COMPANY]
    assert used[Variable.AMBIENT_NOISE].value == Environment(ambient_noise_dba=78.0)
    assert 120 <= used[Variable.AMBIENT_NOISE].age.seconds < 180
    assert used[Variable.ACTIVITY].value == Environment(activity=Environment.RUNNING)
    assert used[Variable.COMPANY].value == Environment(company=Environment.WITH_ONE)
    assert [use.origin for use in used.values()] == [Use.READING, Use.READING, Use.PROFILE_TIME_ZONE, Use.REQUEST]
    assert not used[Variable.LOCAL_TIME].HasField("age")
    weights = {(use.type, use.value): use.weight for use in answer.preferences}
    assert weights == {
        (Preference.GENRE, "jazz"): 0.8,
        (Preference.TEMPO, "90-120"): 0.4,
        (Preference.ARTIST, "folk artist 1"): pytest.approx(0.2),
    }
    assert all(use.name.startswith(f"{PARENT}/preferences/") for use in answer.preferences)
    assert answer.ranker == "prior/1"
    assert degraded(answer) == {"environment.heart_rate": "STALE_READING"}
    assert [one.rank for one in answer.recommendations] == list(range(1, 21))
    for one in answer.recommendations:
        assert sum(why.contribution for why in one.reasons) == pytest.approx(one.score, abs=1e-9)


async def test_a_recorded_local_time_moves_on(ready: Mesh) -> None:
    at_eight = {"local_time": {"hours": 20}}
    await ready.observe(Variable.LOCAL_TIME, age=timedelta(hours=5), **at_eight)
    (used,) = (await ready.recommend()).environment
    assert (used.origin, used.value.local_time.hours) == (Use.READING, 1)


@pytest.mark.parametrize(
    ("service", "subject"), [("profile", "profile"), ("preference", "preferences"), ("variable", "environment")]
)
async def test_a_stopped_service_degrades_the_answer(ready: Mesh, service: str, subject: str) -> None:
    await ready.stop(service)
    answer = await ready.recommend()
    assert len(answer.recommendations) == 20
    assert degraded(answer) == {subject: "SERVICE_UNAVAILABLE"}


async def test_a_service_that_hangs_costs_its_time_limit_and_no_more(ready: Mesh) -> None:
    async def never(request: bytes, context: object) -> bytes:
        await asyncio.Event().wait()
        return b""

    address = socket_address()
    hanging = grpc.aio.server()
    hangs: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "ListPreferences": grpc.unary_unary_rpc_method_handler(never)
    }
    hanging.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("rhythmiq.preference.v1.PreferenceService", hangs)]
    )
    hanging.add_insecure_port(address)
    await hanging.start()
    alone = ready.server(
        "recommender",
        listen=socket_address(),
        profile_address="unix:/nowhere/profile",
        preference_address=address,
        variable_address="unix:/nowhere/variable",
    )
    async with serving(alone) as channel:
        stub = recommender_pb2_grpc.RecommenderServiceStub(channel)
        # Without a limit of its own the call to preferences would use up this deadline.
        answer = await stub.Recommend(Request(parent=PARENT), metadata=AS_WHO, timeout=10)
    await hanging.stop(None)
    assert len(answer.recommendations) == 20
    assert degraded(answer) == dict.fromkeys(("profile", "preferences", "environment"), "SERVICE_UNAVAILABLE")


async def test_user_guided_goes_without_the_surroundings(ready: Mesh) -> None:
    await ready.observe(Variable.AMBIENT_NOISE, age=timedelta(minutes=2), number=78.0)
    answer = await ready.recommend(mode=Request.USER_GUIDED)
    assert list(answer.environment) == []
    assert degraded(answer) == {}


async def test_the_same_seed_gives_the_same_answer_over_the_wire(ready: Mesh) -> None:
    noon = Environment(local_time={"hours": 12})
    answers = [await ready.recommend(seed=seed, environment=noon) for seed in (3, 3, 4)]
    lists = [[one.item.name for one in answer.recommendations] for answer in answers]
    assert lists[0] == lists[1]
    assert lists[0] != lists[2]


async def test_an_empty_catalogue_is_an_answer(mesh: Mesh) -> None:
    await profile_pb2_grpc.ProfileServiceStub(mesh.channels["profile"]).CreateProfile(
        profile_pb2.CreateProfileRequest(profile=profile_pb2.Profile(email="ada@example.org")), metadata=AS_WHO
    )
    assert degraded(await mesh.recommend()) == {"catalog": "CATALOG_EMPTY"}


@pytest.mark.parametrize(
    ("fields", "code", "reason_"),
    [
        ({"parent": f"profiles/{profile_id('eve')}"}, CODE.PERMISSION_DENIED, "NOT_OWNER"),
        ({}, CODE.NOT_FOUND, "PROFILE_NOT_FOUND"),
        ({"seeds": {"genres": ["nothing"]}}, CODE.NOT_FOUND, "SEED_NOT_FOUND"),
        ({"count": 0}, CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        ({"tuning": {"features": {"energy": {"min": 0.9, "max": 0.1}}}}, CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        ({"filter": {"min_year": 2000, "max_year": 1990}}, CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    ],
)
async def test_refusals_name_their_reason(
    mesh: Mesh, fields: dict[str, Any], code: grpc.StatusCode, reason_: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await mesh.recommend(**fields)
    assert (refused.value.code(), reason(refused.value)) == (code, reason_)


async def test_a_caller_without_a_token_is_refused(mesh: Mesh) -> None:
    recommender = mesh.channels["recommender"]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await recommender_pb2_grpc.RecommenderServiceStub(recommender).Recommend(Request(parent=PARENT))
    assert refused.value.code() is CODE.UNAUTHENTICATED
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await compat_pb2_grpc.CompatServiceStub(recommender).GetRecommendations(
            compat_pb2.GetRecommendationsRequest(seed_genres="jazz")
        )
    assert refused.value.code() is CODE.UNAUTHENTICATED


async def test_spotifys_shape_serves_a_caller_without_a_profile(ready: Mesh) -> None:
    stub = compat_pb2_grpc.CompatServiceStub(ready.channels["recommender"])
    answer = await stub.GetRecommendations(
        compat_pb2.GetRecommendationsRequest(seed_genres="jazz", limit=5), metadata=metadata("nobody")
    )
    assert len(answer.tracks) == 5
