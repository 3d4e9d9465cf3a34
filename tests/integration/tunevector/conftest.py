"""A tune vector service, a profile service and a small recommender, over their real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from harness import PAGE_TOKEN_KEY, serving, socket_address
from pydantic import SecretStr
from small_recommender import SmallRecommender
from tunevector_world import World

import rhythmiq_profile.bootstrap
import rhythmiq_tunevector.bootstrap
from rhythmiq.profile.v1 import internal_pb2_grpc, profile_pb2_grpc
from rhythmiq.recommender.v1 import item_pb2_grpc, recommender_pb2_grpc
from rhythmiq.tunevector.v1 import tunevector_pb2_grpc
from rhythmiq_profile.config import ProfileSettings
from rhythmiq_tunevector.config import TuneVectorSettings


@pytest.fixture
async def world(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[World]:
    common: dict[str, Any] = {"mongo_uri": SecretStr(mongo_uri), "page_token_key": SecretStr(PAGE_TOKEN_KEY)}
    addresses = {name: socket_address() for name in ("profile", "tunevector", "recommender")}
    profile = ProfileSettings(
        listen=addresses["profile"],
        mongo_database=f"{mongo_database_name}_profile",
        children_addresses=[addresses["tunevector"]],
        **common,
    )
    tunevector = TuneVectorSettings(
        listen=addresses["tunevector"],
        mongo_database=mongo_database_name,
        profile_address=addresses["profile"],
        recommender_address=addresses["recommender"],
        upkeep_seconds=0.05,
        **common,
    )
    recommender = SmallRecommender()
    server = grpc.aio.server()
    recommender_pb2_grpc.add_RecommenderServiceServicer_to_server(recommender, server)
    item_pb2_grpc.add_CatalogServiceServicer_to_server(recommender, server)
    server.add_insecure_port(addresses["recommender"])
    await server.start()
    async with (
        serving(rhythmiq_profile.bootstrap.bootstrap(profile)) as profiles,
        serving(rhythmiq_tunevector.bootstrap.bootstrap(tunevector)) as vectors,
    ):
        yield World(
            profiles=profile_pb2_grpc.ProfileServiceStub(profiles),
            vectors=tunevector_pb2_grpc.TuneVectorServiceStub(vectors),
            children=internal_pb2_grpc.ProfileChildrenServiceStub(vectors),
            recommender=recommender,
            recommender_server=server,
        )
    await server.stop(None)
