"""The recommender beside the services that it asks: real servers on sockets, one database each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import small_catalogue
from eventually import eventually
from harness import PAGE_TOKEN_KEY, metadata, profile_id, serving, socket_address
from pydantic import SecretStr

from rhythmiq.preference.v1 import preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc, recommender_pb2, recommender_pb2_grpc
from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh.server import Server
from rhythmiq_preference.bootstrap import bootstrap as bootstrap_preference
from rhythmiq_preference.config import PreferenceSettings
from rhythmiq_profile.bootstrap import bootstrap as bootstrap_profile
from rhythmiq_profile.config import ProfileSettings
from rhythmiq_recommender.bootstrap import bootstrap as bootstrap_recommender
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_variable.bootstrap import bootstrap as bootstrap_variable
from rhythmiq_variable.config import VariableSettings

Preference = preference_pb2.Preference
Request = recommender_pb2.RecommendRequest
Response = recommender_pb2.RecommendResponse
Variable = variable_pb2.Variable
NAMES = ("profile", "preference", "variable", "recommender")
WHO = "ada"
PARENT = f"profiles/{profile_id(WHO)}"
AS_WHO = metadata(WHO)


@dataclass
class Mesh:
    """Channels to four running services; `stop` ends one of them, `start` runs it again at the same address."""

    mongo_uri: str
    database: str
    address: dict[str, str] = field(default_factory=lambda: {name: socket_address() for name in NAMES})
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    stacks: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def start(self, service: str, **changed: Any) -> None:
        server = self.server(service, **changed)
        self.stacks[service] = AsyncExitStack()
        self.channels[service] = await self.stacks[service].enter_async_context(serving(server))

    async def stop(self, service: str) -> None:
        await self.stacks.pop(service).aclose()

    def server(self, service: str, **changed: Any) -> Server:
        """A server of the service, on the service's own database."""
        settings: dict[str, Any] = {
            "listen": self.address[service],
            "mongo_uri": SecretStr(self.mongo_uri),
            "mongo_database": f"{self.database}_{service}",
            "page_token_key": SecretStr(PAGE_TOKEN_KEY),
        } | changed
        to_profile: dict[str, Any] = {"profile_address": self.address["profile"]}
        match service:
            case "profile":
                children = [self.address["preference"], self.address["variable"]]
                return bootstrap_profile(ProfileSettings(**settings, children_addresses=children))
            case "preference":
                return bootstrap_preference(PreferenceSettings(**to_profile | settings))
            case "variable":
                return bootstrap_variable(VariableSettings(**to_profile | settings))
        others = {f"{name}_address": self.address[name] for name in ("profile", "preference", "variable")}
        return bootstrap_recommender(RecommenderSettings(**others | settings))

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


@asynccontextmanager
async def running_mesh(mongo_uri: str, database: str, **changed: Any) -> AsyncIterator[Mesh]:
    """Runs all four; `changed` are settings of the recommender."""
    mesh = Mesh(mongo_uri, database)
    try:
        for name in NAMES:
            await mesh.start(name, **(changed if name == "recommender" else {}))
        yield mesh
    finally:
        for name in list(mesh.stacks):
            await mesh.stop(name)


async def make_ready(mesh: Mesh) -> None:
    """A catalogue, and a listener in Vienna."""
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


def degraded(answer: recommender_pb2.RecommendResponse) -> dict[str, str]:
    return {lack.subject: lack.reason for lack in answer.degradations}
