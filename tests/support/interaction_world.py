"""Interactions over the real servers of profile, variable and recommender, as their callers see them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from harness import PAGE_TOKEN_KEY, metadata, profile_id, serving, socket_address
from pydantic import SecretStr
from variable_calls import ago, stamp

from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq.recommender.v1 import interaction_pb2, interaction_pb2_grpc, item_pb2, item_pb2_grpc
from rhythmiq.type.v1 import erasure_pb2
from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh.server import Server
from rhythmiq_profile.bootstrap import bootstrap as bootstrap_profile
from rhythmiq_profile.config import ProfileSettings
from rhythmiq_recommender.bootstrap import bootstrap as bootstrap_recommender
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_recommender.model import item_id
from rhythmiq_variable.bootstrap import bootstrap as bootstrap_variable
from rhythmiq_variable.config import VariableSettings

Interaction = interaction_pb2.Interaction
Variable = variable_pb2.Variable
ITEMS = 20


def item(number: int) -> str:
    """Name of one of the catalogue's items: 0 to ITEMS - 1 exist."""
    return f"items/{item_id(f'test:{number}')}"


def event(number: int = 0, at: datetime | None = None, **fields: Any) -> interaction_pb2.Interaction:
    """A play of an item, a moment ago."""
    event_time = fields.pop("event_time", None) or stamp(at or ago(seconds=1))
    return Interaction(
        **{"item": item(number), "type": Interaction.PLAY, "event_time": event_time, "source": "phone", **fields}
    )


def events(count: int, start: datetime | None = None, **fields: Any) -> list[interaction_pb2.Interaction]:
    """Plays of the catalogue's items, a second apart, newest first; different from each other."""
    newest = start or ago(minutes=1)
    return [event(number % ITEMS, newest - timedelta(seconds=number), **fields) for number in range(count)]


@dataclass
class World:
    """Three services and their addresses; any of them can be stopped and started."""

    mongo_uri: str
    database: str
    addresses: Mapping[str, str] = field(
        default_factory=lambda: {
            name: socket_address() for name in ("profile", "preference", "variable", "recommender")
        }
    )
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)
    stacks: dict[str, AsyncExitStack] = field(default_factory=dict)
    children: Sequence[str] = ("variable", "recommender")

    async def start(self, name: str) -> None:
        self.stacks[name] = AsyncExitStack()
        self.channels[name] = await self.stacks[name].enter_async_context(serving(self.server(name)))

    async def stop(self, name: str) -> None:
        await self.stacks.pop(name).aclose()

    def server(self, name: str, *, listen: str = "") -> Server:
        to_profile = self.addresses["profile"]
        settings: dict[str, Any] = {
            "listen": listen or self.addresses[name],
            "mongo_uri": SecretStr(self.mongo_uri),
            "mongo_database": f"{self.database}_{name}",
            "page_token_key": SecretStr(PAGE_TOKEN_KEY),
        }
        match name:
            case "profile":
                children = [self.addresses[child] for child in self.children]
                return bootstrap_profile(ProfileSettings(**settings, children_addresses=children))
            case "variable":
                keepers = [self.addresses["recommender"]]
                return bootstrap_variable(
                    VariableSettings(
                        **settings, profile_address=to_profile, erasure_addresses=keepers, upkeep_seconds=0.1
                    )
                )
            case _:
                return bootstrap_recommender(
                    RecommenderSettings(
                        **settings,
                        profile_address=to_profile,
                        preference_address=self.addresses["preference"],
                        variable_address=self.addresses["variable"],
                    )
                )

    async def fill_catalogue(self) -> None:
        tracks = [
            item_pb2.Item(external_id=f"test:{number}", kind=item_pb2.Item.TRACK, title=f"Track {number}")
            for number in range(ITEMS)
        ]
        await item_pb2_grpc.CatalogServiceStub(self.channels["recommender"]).ImportItems(
            iter([item_pb2.ImportItemsRequest(items=tracks)]), metadata=metadata("admin", scope="rhythmiq.admin")
        )

    def listener(self, channel: grpc.aio.Channel | None = None) -> Listener:
        return Listener(self, channel or self.channels["recommender"])


@asynccontextmanager
async def interaction_world(mongo_uri: str, database: str) -> AsyncIterator[World]:
    """All three running, with a catalogue of ITEMS items."""
    world = World(mongo_uri, database)
    try:
        for name in ("profile", "variable", "recommender"):
            await world.start(name)
        await world.fill_catalogue()
        yield world
    finally:
        for name in reversed(list(world.stacks)):
            await world.stop(name)


class Listener:
    """One listener's calls."""

    def __init__(self, world: World, channel: grpc.aio.Channel) -> None:
        self.world = world
        self.stub = interaction_pb2_grpc.InteractionServiceStub(channel)
        subject = f"user-{uuid.uuid4()}"
        self.profile_id = profile_id(subject)
        self.name = f"profiles/{self.profile_id}"
        self.metadata = metadata(subject)
        self.call: dict[str, Any] = {"metadata": self.metadata, "timeout": 30}

    def on(self, channel: grpc.aio.Channel) -> Listener:
        """The same listener, calling another process of the recommender."""
        twin = Listener(self.world, channel)
        twin.profile_id, twin.name, twin.metadata, twin.call = self.profile_id, self.name, self.metadata, self.call
        return twin

    async def sign_up(self) -> Listener:
        stub = profile_pb2_grpc.ProfileServiceStub(self.world.channels["profile"])
        profile = profile_pb2.Profile(email=f"{uuid.uuid4()}@example.org")
        await stub.CreateProfile(profile_pb2.CreateProfileRequest(profile=profile), **self.call)
        return self

    async def leave(self) -> None:
        stub = profile_pb2_grpc.ProfileServiceStub(self.world.channels["profile"])
        await stub.DeleteProfile(profile_pb2.DeleteProfileRequest(name=self.name), **self.call)

    async def opt_in(self, kind: variable_pb2.Variable.Kind.ValueType = Variable.AMBIENT_NOISE) -> str:
        stub = variable_pb2_grpc.VariableServiceStub(self.world.channels["variable"])
        variable = Variable(kind=kind, consent_version="1")
        request = variable_pb2.CreateVariableRequest(parent=self.name, variable=variable)
        return (await stub.CreateVariable(request, **self.call)).name

    async def opt_out(self, variable: str) -> erasure_pb2.ErasureReceipt:
        stub = variable_pb2_grpc.VariableServiceStub(self.world.channels["variable"])
        return await stub.DeleteVariable(variable_pb2.DeleteVariableRequest(name=variable), **self.call)

    async def observe(self, kind: variable_pb2.Variable.Kind.ValueType, at: datetime, **value: Any) -> None:
        stub = variable_pb2_grpc.VariableServiceStub(self.world.channels["variable"])
        reading = variable_pb2.Reading(kind=kind, observe_time=stamp(at), source="phone", **value)
        await stub.RecordReading(variable_pb2.RecordReadingRequest(parent=self.name, reading=reading), **self.call)

    async def record(
        self, message: interaction_pb2.Interaction, *, request_id: str = "", parent: str = ""
    ) -> interaction_pb2.Interaction:
        request = interaction_pb2.RecordInteractionRequest(
            parent=parent or self.name, interaction=message, request_id=request_id
        )
        return await self.stub.RecordInteraction(request, **self.call)

    async def batch(
        self, messages: Sequence[interaction_pb2.Interaction], *, request_id: str = "", parent: str = ""
    ) -> interaction_pb2.BatchRecordInteractionsResponse:
        request = interaction_pb2.BatchRecordInteractionsRequest(
            parent=parent or self.name, interactions=messages, request_id=request_id
        )
        return await self.stub.BatchRecordInteractions(request, **self.call)

    async def stream(
        self, messages: Iterable[Sequence[interaction_pb2.Interaction]], *, parent: str = ""
    ) -> interaction_pb2.StreamInteractionsResponse:
        requests = [
            interaction_pb2.StreamInteractionsRequest(parent=parent or self.name, interactions=message)
            for message in messages
        ]
        return await self.stub.StreamInteractions(iter(requests), **self.call)

    async def page(self, **fields: Any) -> interaction_pb2.ListInteractionsResponse:
        request = interaction_pb2.ListInteractionsRequest(**{"parent": self.name, **fields})
        return await self.stub.ListInteractions(request, **self.call)

    async def stored(self, **fields: Any) -> list[interaction_pb2.Interaction]:
        """All pages."""
        found: list[interaction_pb2.Interaction] = []
        token = ""
        while True:
            page = await self.page(page_token=token, **{"page_size": 200, **fields})
            found += page.interactions
            token = page.next_page_token
            if not token:
                return found

    async def erase(self, *, parent: str = "") -> erasure_pb2.ErasureReceipt:
        request = interaction_pb2.EraseInteractionsRequest(parent=parent or self.name)
        return await self.stub.EraseInteractions(request, **self.call)


def time_of(message: Timestamp) -> datetime:
    return message.ToDatetime(ago().tzinfo)
