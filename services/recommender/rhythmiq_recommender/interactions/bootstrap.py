"""Constructs the services for interactions."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import grpc

from rhythmiq.recommender.v1 import interaction_pb2, interaction_pb2_grpc
from rhythmiq.variable.v1 import internal_pb2 as erasure_pb2
from rhythmiq.variable.v1 import internal_pb2_grpc as erasure_pb2_grpc
from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.mongo import Database
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.profiles import GrpcProfiles
from rhythmiq_mesh.server import Service
from rhythmiq_recommender.interactions.catalog import Catalog, CatalogItems
from rhythmiq_recommender.interactions.gateways import VariableSurroundings
from rhythmiq_recommender.interactions.mongo import MongoInteractions, MongoItemIds
from rhythmiq_recommender.interactions.servicer import ErasureServicer, InteractionServicer
from rhythmiq_recommender.interactions.use_cases import (
    EraseInteractions,
    ListInteractions,
    Recorder,
    RecordInteractions,
    RecordStream,
    ScrubKind,
)


def interaction_services(
    interactions: MongoInteractions,
    *,
    store: Database,
    catalog: Catalog,
    profile: grpc.aio.Channel,
    variable: grpc.aio.Channel,
    clock: Clock,
    tokens: PageTokens,
    retention: timedelta,
) -> list[Service]:
    """InteractionService, and what the variable service asks of whoever keeps interactions."""
    items = CatalogItems(catalog, MongoItemIds(store))
    recorder = Recorder(interactions, GrpcProfiles(profile), VariableSurroundings(variable), clock, retention)
    public = InteractionServicer(
        record=RecordInteractions(recorder, items),
        record_stream=RecordStream(recorder, items),
        list_=ListInteractions(interactions, tokens, clock),
        erase=EraseInteractions(interactions, clock),
    )
    erasure = ErasureServicer(ScrubKind(interactions))
    return [
        Service(
            interaction_pb2.DESCRIPTOR.services_by_name["InteractionService"],
            partial(interaction_pb2_grpc.add_InteractionServiceServicer_to_server, public),
        ),
        Service(
            erasure_pb2.DESCRIPTOR.services_by_name["VariableErasureService"],
            partial(erasure_pb2_grpc.add_VariableErasureServiceServicer_to_server, erasure),
        ),
    ]
