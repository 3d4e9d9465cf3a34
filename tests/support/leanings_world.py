"""Learning preferences over the real servers: profile, preference, variable, recommender, and the worker."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness import PAGE_TOKEN_KEY, metadata, serving, socket_address
from interaction_world import Interaction, Listener, World
from planted_leanings import GENRES, PER_GENRE, facts, of_genre
from pydantic import SecretStr
from variable_calls import ago, stamp

from rhythmiq.preference.v1 import preference_pb2, preference_pb2_grpc
from rhythmiq.recommender.v1 import interaction_pb2, item_pb2, item_pb2_grpc
from rhythmiq.type.v1 import audio_pb2
from rhythmiq_mesh.mongo import Database, connect, database
from rhythmiq_mesh.server import Server
from rhythmiq_preference.bootstrap import bootstrap as bootstrap_preference
from rhythmiq_preference.config import PreferenceSettings
from rhythmiq_recommender.leanings.bootstrap import bootstrap as bootstrap_leanings
from rhythmiq_recommender.leanings.config import LeaningsSettings
from rhythmiq_recommender.model import item_id

Preference = preference_pb2.Preference
ALL = ("profile", "variable", "preference", "recommender")
LEASE_SECONDS = 1.0
ADMIN = metadata("admin", scope="rhythmiq.admin")


@dataclass
class LeaningsWorld(World):
    """A World with a preference service, a catalogue that has genres, and a worker to start and stop."""

    children: Sequence[str] = ("variable", "preference", "recommender")

    def server(self, name: str, *, listen: str = "") -> Server:
        if name != "preference":
            return super().server(name, listen=listen)
        return bootstrap_preference(
            PreferenceSettings(
                listen=self.addresses[name],
                mongo_uri=SecretStr(self.mongo_uri),
                mongo_database=f"{self.database}_{name}",
                page_token_key=SecretStr(PAGE_TOKEN_KEY),
                profile_address=self.addresses["profile"],
                upkeep_seconds=0.2,
            )
        )

    def worker(self) -> Server:
        return bootstrap_leanings(
            LeaningsSettings(
                listen=socket_address(),
                mongo_uri=SecretStr(self.mongo_uri),
                mongo_database=f"{self.database}_recommender",
                preference_address=self.addresses["preference"],
                debounce_seconds=0.1,
                lease_seconds=LEASE_SECONDS,
            )
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Server]:
        """A worker for as long as the block lasts."""
        server = self.worker()
        async with serving(server):
            yield server

    async def worker_process(self, log: Path) -> asyncio.subprocess.Process:
        """A worker as a process of its own."""
        environment = {
            "RHYTHMIQ_LEANINGS_LISTEN": socket_address(),
            "RHYTHMIQ_LEANINGS_MONGO_URI": self.mongo_uri,
            "RHYTHMIQ_LEANINGS_MONGO_DATABASE": f"{self.database}_recommender",
            "RHYTHMIQ_LEANINGS_PREFERENCE_ADDRESS": self.addresses["preference"],
            "RHYTHMIQ_LEANINGS_DEBOUNCE_SECONDS": "0.1",
            "RHYTHMIQ_LEANINGS_LEASE_SECONDS": "0.5",
        }
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rhythmiq_recommender.leanings"),
                env=os.environ | environment,
                stdout=output,
                stderr=output,
            )

    async def fill_catalogue(self) -> None:
        tracks = [_track(number) for number in range(len(GENRES) * PER_GENRE)]
        stub = item_pb2_grpc.CatalogServiceStub(self.channels["recommender"])
        await stub.ImportItems(iter([item_pb2.ImportItemsRequest(items=tracks)]), metadata=ADMIN)

    async def fan(self, genre: str) -> Fan:
        """A listener with a profile who has heard much of a genre, and nothing else."""
        fan = Fan(self, self.channels["recommender"])
        await fan.sign_up()
        await fan.hear(genre)
        return fan


@asynccontextmanager
async def leanings_world(mongo_uri: str, name: str) -> AsyncIterator[LeaningsWorld]:
    """Every service running, without a worker."""
    world = LeaningsWorld(mongo_uri, name)
    async with AsyncExitStack() as stack:
        for each in ALL:
            await world.start(each)
            stack.push_async_callback(_stop, world, each)
        await world.fill_catalogue()
        yield world


async def _stop(world: LeaningsWorld, name: str) -> None:
    if name in world.stacks:
        await world.stop(name)


@asynccontextmanager
async def recommender_database(world: LeaningsWorld) -> AsyncIterator[Database]:
    client = connect(world.mongo_uri, app="test")
    yield database(client, f"{world.database}_recommender")
    await client.close()


class Fan(Listener):
    """A listener who likes a genre."""

    async def hear(self, genre: str, count: int = 20, *, days: float = 1.0, type_: Any = Interaction.COMPLETE) -> None:
        """Hears so many of a genre's tracks to the end, an hour apart, the newest so many days ago."""
        await self.batch(
            [
                interaction_pb2.Interaction(
                    item=f"items/{item_id(f'leanings:{number}')}",
                    type=type_,
                    event_time=stamp(ago(days=days) - timedelta(hours=place)),
                    source="phone",
                )
                for place, number in enumerate(of_genre(genre)[:count])
            ]
        )

    @property
    def preferences(self) -> Any:
        return preference_pb2_grpc.PreferenceServiceStub(self.world.channels["preference"])

    async def listed(self) -> list[Preference]:
        request = preference_pb2.ListPreferencesRequest(parent=self.name, page_size=200)
        return list((await self.preferences.ListPreferences(request, **self.call)).preferences)

    async def learned(self) -> dict[str, Preference]:
        """Learned preferences by value."""
        return {each.value: each for each in await self.listed() if each.origin == Preference.LEARNED}

    async def has_learned(self, value: str) -> bool:
        return value in await self.learned()

    async def delete(self, preference: Preference) -> None:
        await self.preferences.DeletePreference(
            preference_pb2.DeletePreferenceRequest(name=preference.name), **self.call
        )

    async def set_weight(self, preference: Preference, weight: float) -> Preference:
        patch = Preference(name=preference.name, weight=weight)
        request = preference_pb2.UpdatePreferenceRequest(preference=patch)
        updated: Preference = await self.preferences.UpdatePreference(request, **self.call)
        return updated


def _track(number: int) -> item_pb2.Item:
    of = facts(number)
    return item_pb2.Item(
        external_id=f"leanings:{number}",
        kind=item_pb2.Item.TRACK,
        title=f"Track {number}",
        genres=of.genres,
        artists=of.artists,
        instruments=of.instruments,
        features=audio_pb2.AudioFeatures(tempo=of.tempo),
        popularity=of.popularity,
    )
