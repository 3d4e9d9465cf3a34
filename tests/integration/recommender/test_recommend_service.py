"""Recommend over real services, sockets and a database: who may ask, what it gathers, what it does without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import small_catalogue
from eventually import eventually
from harness import PAGE_TOKEN_KEY, metadata, profile_id, reason, serving, socket_address
from pydantic import SecretStr

from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc, preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq.recommender.v1 import (
    compat_pb2,
    compat_pb2_grpc,
    item_pb2,
    item_pb2_grpc,
    recommender_pb2,
    recommender_pb2_grpc,
)
from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_preference.bootstrap import bootstrap as bootstrap_preference
from rhythmiq_preference.config import PreferenceSettings
from rhythmiq_profile.bootstrap import bootstrap as bootstrap_profile
from rhythmiq_profile.config import ProfileSettings
from rhythmiq_recommender.bootstrap import bootstrap as bootstrap_recommender
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_variable.bootstrap import bootstrap as bootstrap_variable
from rhythmiq_variable.config import VariableSettings

Environment = environment_pb2.Environment
Preference = preference_pb2.Preference
Request = recommender_pb2.RecommendRequest
Response = recommender_pb2.RecommendResponse
Use = recommender_pb2.EnvironmentUse
Variable = variable_pb2.Variable
WHO = "ada"
PARENT = f"profiles/{profile_id(WHO)}"
AS_WHO = metadata(WHO)
CODE = grpc.StatusCode


@dataclass
class Mesh:
    """Channels to four running services; `stop` ends one of them."""

    channels: dict[str, grpc.aio.Channel]
    stacks: dict[str, AsyncExitStack]

    async def stop(self, service: str) -> None:
        await self.stacks.pop(service).aclose()

    async def recommend(self, **fields: Any) -> recommender_pb2.RecommendResponse:
        stub = recommender_pb2_grpc.RecommenderServiceStub(self.channels["recommender"])
        answer: Response = await stub.Recommend(Request(**{"parent": PARENT, **fields}), metadata=AS_WHO, timeout=20)
        return answer

    async def like(self, type_: Preference.Type.ValueType, value: str, weight: float) -> None:
        stub = preference_pb2_grpc.PreferenceServiceStub(self.channels["preference"])
        preference = Preference(type=type_, value=value, weight=weight)
        await stub.CreatePreference(
            preference_pb2.CreatePreferenceRequest(parent=PARENT, preference=preference), metadata=AS_WHO
        )

    async def observe(self, kind: Variable.Kind.ValueType, *, age: timedelta, **value: Any) -> None:
        """Opts in where needed, and records a reading of that age."""
        stub = variable_pb2_grpc.VariableServiceStub(self.channels["variable"])
        variable = Variable(kind=kind, consent_version="1")
        await stub.CreateVariable(variable_pb2.CreateVariableRequest(parent=PARENT, variable=variable), metadata=AS_WHO)
        reading = variable_pb2.Reading(kind=kind, source="test", **value)
        reading.observe_time.FromDatetime(datetime.now(UTC) - age)
        await stub.RecordReading(variable_pb2.RecordReadingRequest(parent=PARENT, reading=reading), metadata=AS_WHO)


@pytest.fixture
async def mesh(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Mesh]:
    names = ("profile", "preference", "variable", "recommender")
    address = {name: socket_address() for name in names}

    def settings(name: str) -> dict[str, Any]:
        return {
            "listen": address[name],
            "mongo_uri": SecretStr(mongo_uri),
            "mongo_database": f"{mongo_database_name}_{name}",
            "page_token_key": SecretStr(PAGE_TOKEN_KEY),
        }

    to_profile: dict[str, Any] = {"profile_address": address["profile"]}
    servers = {
        "profile": bootstrap_profile(ProfileSettings(**settings("profile"), children_addresses=[])),
        "preference": bootstrap_preference(PreferenceSettings(**settings("preference"), **to_profile)),
        "variable": bootstrap_variable(VariableSettings(**settings("variable"), **to_profile)),
        "recommender": bootstrap_recommender(
            RecommenderSettings(
                **settings("recommender"),
                **to_profile,
                preference_address=address["preference"],
                variable_address=address["variable"],
            )
        ),
    }
    running = Mesh({}, {})
    try:
        for name, server in servers.items():
            running.stacks[name] = AsyncExitStack()
            running.channels[name] = await running.stacks[name].enter_async_context(serving(server))
        yield running
    finally:
        for name in list(running.stacks):
            await running.stop(name)


@pytest.fixture
async def ready(mesh: Mesh) -> Mesh:
    """The mesh with a catalogue, and a listener in Vienna."""
    profile = profile_pb2.Profile(email="ada@example.org", time_zone="Europe/Vienna", learned_weight=0.25)
    await profile_pb2_grpc.ProfileServiceStub(mesh.channels["profile"]).CreateProfile(
        profile_pb2.CreateProfileRequest(profile=profile), metadata=AS_WHO
    )
    stub = item_pb2_grpc.CatalogServiceStub(mesh.channels["recommender"])
    imported = await stub.ImportItems(
        iter([item_pb2.ImportItemsRequest(items=small_catalogue.items())]),
        metadata=metadata("admin", scope="rhythmiq.admin"),
    )
    assert imported.created_count == len(small_catalogue.items())

    async def all_seen() -> bool:
        answer = await mesh.recommend(kind=item_pb2.Item.SOUNDSCAPE, count=40)
        return len(answer.recommendations) == 40

    await eventually(all_seen)
    return mesh


def degraded(answer: recommender_pb2.RecommendResponse) -> dict[str, str]:
    return {lack.subject: lack.reason for lack in answer.degradations}


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


async def test_a_service_that_hangs_costs_its_time_limit_and_no_more(
    ready: Mesh, mongo_uri: str, mongo_database_name: str
) -> None:
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
    settings = RecommenderSettings(
        listen=socket_address(),
        mongo_uri=SecretStr(mongo_uri),
        mongo_database=f"{mongo_database_name}_recommender",
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        profile_address="unix:/nowhere/profile",
        preference_address=address,
        variable_address="unix:/nowhere/variable",
    )
    async with serving(bootstrap_recommender(settings)) as channel:
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
