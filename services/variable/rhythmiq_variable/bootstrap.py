"""Constructs the variable service."""

from __future__ import annotations

from functools import partial

from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh import children
from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.change_feed_servicer import change_feed_service
from rhythmiq_mesh.channels import open_channel
from rhythmiq_mesh.children_servicer import children_service
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.profiles import RETRIED, GrpcProfiles
from rhythmiq_mesh.server import Server, Service
from rhythmiq_variable.config import VariableSettings
from rhythmiq_variable.copies import PATIENCE, GrpcCopies
from rhythmiq_variable.documents import NAMED_IN
from rhythmiq_variable.model import COLLECTION
from rhythmiq_variable.mongo import MongoVariables
from rhythmiq_variable.mongo_readings import MongoReadings
from rhythmiq_variable.recording import RecordReadings, RecordStream
from rhythmiq_variable.servicer import VariableServicer
from rhythmiq_variable.use_cases import (
    CopiesUpkeep,
    CreateVariable,
    DeleteVariable,
    GetEnvironment,
    GetVariable,
    ListReadings,
    ListVariables,
    UpdateVariable,
    Upkeep,
)


def bootstrap(settings: VariableSettings) -> Server:
    """Builds the server with all that it needs. Call inside the event loop that will run it."""
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-variable")
    store = database(client, settings.mongo_database)
    changes = ChangeFeed(store, NAMED_IN)
    variables = MongoVariables(store, changing=changes.changing)
    readings = MongoReadings(store, changing=changes.changing)
    channel = open_channel(settings.profile_address, retried=RETRIED)
    profiles, clock = GrpcProfiles(channel), SystemClock()
    keepers = [open_channel(address) for address in settings.erasure_addresses]
    public = VariableServicer(
        create=CreateVariable(variables, children.Guard(variables, profiles), clock),
        get=GetVariable(variables),
        list_=ListVariables(variables),
        update=UpdateVariable(variables, clock),
        delete=DeleteVariable(variables, GrpcCopies(keepers), clock),
        record=RecordReadings(readings, clock),
        record_stream=RecordStream(readings, clock),
        list_readings=ListReadings(variables, readings, clock),
        environment=GetEnvironment(variables, clock),
        tokens=PageTokens(settings.page_token_key.get_secret_value().encode()),
    )
    return Server(
        settings,
        services=[
            Service(
                variable_pb2.DESCRIPTOR.services_by_name["VariableService"],
                partial(variable_pb2_grpc.add_VariableServiceServicer_to_server, public),
            ),
            children_service({COLLECTION: variables.count}),
            change_feed_service(changes),
        ],
        start=[variables.ensure_indexes],
        background=[
            Upkeep(variables, clock, settings.upkeep_seconds),
            children.Upkeep(variables, profiles, clock, settings.upkeep_seconds),
            changes.follow,
            CopiesUpkeep(variables, GrpcCopies(keepers, timeout=PATIENCE), settings.upkeep_seconds),
        ],
        checks=[partial(ping, client)],
        close=[channel.close, *(keeper.close for keeper in keepers), client.close],
    )
