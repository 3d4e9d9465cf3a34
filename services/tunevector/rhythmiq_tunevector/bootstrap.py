"""Constructs the tune vector service."""

from __future__ import annotations

from functools import partial

from rhythmiq.tunevector.v1 import tunevector_pb2, tunevector_pb2_grpc
from rhythmiq_mesh.channels import open_channel
from rhythmiq_mesh.children import Guard, Upkeep
from rhythmiq_mesh.children_servicer import children_service
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.profiles import RETRIED as PROFILE_RETRIED
from rhythmiq_mesh.profiles import GrpcProfiles
from rhythmiq_mesh.server import Server, Service
from rhythmiq_tunevector.config import TuneVectorSettings
from rhythmiq_tunevector.model import COLLECTION
from rhythmiq_tunevector.mongo import MongoTuneVectors
from rhythmiq_tunevector.recommender import RETRIED, GrpcRecommender
from rhythmiq_tunevector.servicer import TuneVectorServicer
from rhythmiq_tunevector.tuning import TuneTuneVector
from rhythmiq_tunevector.use_cases import (
    CreateTuneVector,
    DeleteTuneVector,
    GetTuneVector,
    ListTuneVectors,
    UpdateTuneVector,
)


def bootstrap(settings: TuneVectorSettings) -> Server:
    """Builds the server with all that it needs. Call inside the event loop that will run it."""
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-tunevector")
    vectors = MongoTuneVectors(database(client, settings.mongo_database))
    profile = open_channel(settings.profile_address, retried=PROFILE_RETRIED)
    recommender = open_channel(settings.recommender_address, retried=RETRIED)
    profiles, clock = GrpcProfiles(profile), SystemClock()
    public = TuneVectorServicer(
        create=CreateTuneVector(vectors, Guard(vectors, profiles), clock),
        get=GetTuneVector(vectors),
        page=ListTuneVectors(vectors, PageTokens(settings.page_token_key.get_secret_value().encode())),
        update=UpdateTuneVector(vectors, clock),
        delete=DeleteTuneVector(vectors),
        tune=TuneTuneVector(vectors, GrpcRecommender(recommender), clock),
    )
    return Server(
        settings,
        services=[
            Service(
                tunevector_pb2.DESCRIPTOR.services_by_name["TuneVectorService"],
                partial(tunevector_pb2_grpc.add_TuneVectorServiceServicer_to_server, public),
            ),
            children_service({COLLECTION: vectors.count}),
        ],
        start=[vectors.ensure_indexes],
        background=[Upkeep(vectors, profiles, clock, settings.upkeep_seconds)],
        checks=[partial(ping, client)],
        close=[profile.close, recommender.close, client.close],
    )
