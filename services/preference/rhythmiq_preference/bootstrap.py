"""Constructs the preference service."""

from __future__ import annotations

from functools import partial

from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc, preference_pb2, preference_pb2_grpc
from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.change_feed_servicer import change_feed_service
from rhythmiq_mesh.channels import open_channel
from rhythmiq_mesh.children import Guard, Upkeep
from rhythmiq_mesh.children_servicer import children_service
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.profiles import RETRIED, GrpcProfiles
from rhythmiq_mesh.server import Server, Service
from rhythmiq_preference.config import PreferenceSettings
from rhythmiq_preference.model import COLLECTION
from rhythmiq_preference.mongo import NAMED_IN, MongoPreferences
from rhythmiq_preference.servicer import PreferenceInternalServicer, PreferenceServicer
from rhythmiq_preference.use_cases import (
    CountPreferences,
    CreatePreference,
    DeletePreference,
    DismissalUpkeep,
    GetPreference,
    ListPreferences,
    UpdatePreference,
    WriteLearnedPreferences,
)


def bootstrap(settings: PreferenceSettings) -> Server:
    """Builds the server with all that it needs. Call inside the event loop that will run it."""
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-preference")
    store = database(client, settings.mongo_database)
    changes = ChangeFeed(store, NAMED_IN)
    preferences = MongoPreferences(store, changing=changes.changing)
    profile = open_channel(settings.profile_address, retried=RETRIED)
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
            children_service({COLLECTION: CountPreferences(preferences)}),
            change_feed_service(changes),
        ],
        start=[preferences.ensure_indexes],
        background=[
            Upkeep(preferences, profiles, clock, settings.upkeep_seconds),
            DismissalUpkeep(preferences, profiles, settings.upkeep_seconds),
            changes.follow,
        ],
        checks=[partial(ping, client)],
        close=[profile.close, client.close],
    )
