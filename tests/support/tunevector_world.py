"""What tests of the tune vector service talk to, and how."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from harness import metadata, profile_id, reason
from small_recommender import Item, SmallRecommender, item

from rhythmiq.profile.v1 import internal_pb2_grpc, profile_pb2, profile_pb2_grpc
from rhythmiq.tunevector.v1 import tunevector_pb2, tunevector_pb2_grpc

if TYPE_CHECKING:
    Vectors = tunevector_pb2_grpc.TuneVectorServiceAsyncStub
    Profiles = profile_pb2_grpc.ProfileServiceAsyncStub
    Children = internal_pb2_grpc.ProfileChildrenServiceAsyncStub

TuneVector = tunevector_pb2.TuneVector
Length = tunevector_pb2.Length


@dataclass
class World:
    """The servers of one test."""

    profiles: Profiles
    vectors: Vectors
    children: Children
    recommender: SmallRecommender
    recommender_server: grpc.aio.Server

    def stock(self, count: int = 30, *, energies: Iterable[float] | None = None, milliseconds: int = 180_000) -> None:
        """Fills the catalogue with `count` tracks, or one for each of `energies`."""
        levels = list(energies) if energies is not None else [0.5] * count
        self.recommender.stock(
            item(number, energy=level, milliseconds=milliseconds) for number, level in enumerate(levels, 1)
        )

    async def listener(self) -> Listener:
        """A new listener with a profile."""
        listener = Listener(self, f"user-{uuid.uuid4()}")
        profile = profile_pb2.Profile(email=f"{uuid.uuid4()}@example.org")
        await self.profiles.CreateProfile(profile_pb2.CreateProfileRequest(profile=profile), **listener.call)
        return listener


class Listener:
    """One user of the services."""

    def __init__(self, world: World, who: str) -> None:
        self.world = world
        self.profile = f"profiles/{profile_id(who)}"
        self.call: dict[str, Any] = {"metadata": metadata(who), "timeout": 30}

    async def create(self, *, request_id: str = "", **fields: Any) -> TuneVector:
        request = tunevector_pb2.CreateTuneVectorRequest(
            parent=self.profile, tune_vector=draft(**fields), request_id=request_id
        )
        return await self.world.vectors.CreateTuneVector(request, **self.call)

    async def get(self, name: str) -> TuneVector:
        return await self.world.vectors.GetTuneVector(tunevector_pb2.GetTuneVectorRequest(name=name), **self.call)

    async def page(self, **fields: Any) -> tunevector_pb2.ListTuneVectorsResponse:
        request = tunevector_pb2.ListTuneVectorsRequest(parent=self.profile, **fields)
        return await self.world.vectors.ListTuneVectors(request, **self.call)

    async def update(self, name: str, *paths: str, **fields: Any) -> TuneVector:
        request = tunevector_pb2.UpdateTuneVectorRequest(
            tune_vector=TuneVector(name=name, **fields), update_mask=FieldMask(paths=paths)
        )
        return await self.world.vectors.UpdateTuneVector(request, **self.call)

    async def delete(self, name: str, etag: str = "") -> None:
        request = tunevector_pb2.DeleteTuneVectorRequest(name=name, etag=etag)
        await self.world.vectors.DeleteTuneVector(request, **self.call)

    async def tune(self, name: str, *, timeout: float = 30, **fields: Any) -> TuneVector:
        request = tunevector_pb2.TuneTuneVectorRequest(name=name, **fields)
        return await self.world.vectors.TuneTuneVector(request, **(self.call | {"timeout": timeout}))

    async def delete_profile(self) -> None:
        await self.world.profiles.DeleteProfile(profile_pb2.DeleteProfileRequest(name=self.profile), **self.call)


def draft(**fields: Any) -> TuneVector:
    """A playlist of five unless the fields say otherwise."""
    given = {"kind": TuneVector.PLAYLIST, "mode": TuneVector.AI_DRIVEN, "length": Length(count=5), **fields}
    return TuneVector(**given)


def pin(number: int, position: int) -> tunevector_pb2.Pin:
    """Pins the item of that number."""
    return tunevector_pb2.Pin(item=item(number).name, position=position)


def numbers(vector: TuneVector) -> list[int]:
    """The items' numbers, in order."""
    return [int(each.item[-12:]) for each in vector.items]


def energies(world: World, items: Sequence[tunevector_pb2.TunedItem]) -> list[float]:
    """The items' energies, in order."""
    found: list[Item] = [world.recommender.items[each.item] for each in items]
    return [each.features.energy for each in found]


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """Code and reason of a call that must be refused."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), reason(error)
    raise AssertionError("the call was not refused")
