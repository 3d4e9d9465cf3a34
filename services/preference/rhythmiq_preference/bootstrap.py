"""Constructs the preference service."""

from __future__ import annotations

from functools import partial

from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc, preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import internal_pb2 as children_pb2
from rhythmiq.profile.v1 import internal_pb2_grpc as children_pb2_grpc
from rhythmiq_mesh.channels import open_channel
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.profiles import GrpcProfiles
from rhythmiq_mesh.server import Server, Service
from rhythmiq_preference.config import PreferenceSettings
from rhythmiq_preference.guard import Guard, Upkeep
from rhythmiq_preference.mongo import MongoPreferences
from rhythmiq_preference.servicer import ChildrenServicer, PreferenceInternalServicer, PreferenceServicer
from rhythmiq_preference.use_cases import (
    CountPreferences,
    CreatePreference,
    DeletePreference,
    GetPreference,
    ListPreferences,
    UpdatePreference,
    WriteLearnedPreferences,
)

_STATE = "rhythmiq.profile.v1.ProfileInternalService/GetProfileState"


def bootstrap(settings: PreferenceSettings) -> Server:
    """Builds the server with all that it needs. Call inside the event loop that will run it."""
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-preference")
    preferences = MongoPreferences(database(client, settings.mongo_database))
    profile = open_channel(settings.profile_address, retried=[_STATE])
    profiles, clock = GrpcProfiles(profile), SystemClock()
    guard = Guard(preferences, profiles)
    public = PreferenceServicer(
        create=CreatePreference(preferences, guard, clock),
        get=GetPreference(preferences),
        list=ListPreferences(preferences, PageTokens(settings.page_token_key.get_secret_value().encode())),
        update=UpdatePreference(preferences, clock),
        delete=DeletePreference(preferences),
    )
    internal = PreferenceInternalServicer(WriteLearnedPreferences(preferences, guard, clock))
    children = ChildrenServicer(CountPreferences(preferences))
    return Server(
        settings,
        services=[
            Service(
                preference_pb2.DESCRIPTOR.services_by_name["PreferenceService"],
                partial(preference_pb2_grpc.add_PreferenceServiceServicer_to_server, public),
            ),
            Service(
                internal_pb2.DESCRIPTOR.services_by_name["PreferenceInternalService"],
                partial(internal_pb2_grpc.add_PreferenceInternalServiceServicer_to_server, internal),
            ),
            Service(
                children_pb2.DESCRIPTOR.services_by_name["ProfileChildrenService"],
                partial(children_pb2_grpc.add_ProfileChildrenServiceServicer_to_server, children),
            ),
        ],
        start=[preferences.ensure_indexes],
        background=[Upkeep(preferences, profiles, clock, settings.upkeep_seconds)],
        checks=[partial(ping, client)],
        close=[profile.close, client.close],
    )
