"""Constructs the profile service."""

from __future__ import annotations

from functools import partial

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2, profile_pb2_grpc
from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.change_feed_servicer import change_feed_service
from rhythmiq_mesh.channels import open_channel
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.server import Server, Service
from rhythmiq_profile.children import GrpcChildren
from rhythmiq_profile.config import ProfileSettings
from rhythmiq_profile.mongo import NAMED_IN, MongoProfiles
from rhythmiq_profile.servicer import ProfileInternalServicer, ProfileServicer
from rhythmiq_profile.use_cases import CreateProfile, DeleteProfile, GetProfile, GetProfileState, UpdateProfile

_COUNT = "rhythmiq.profile.v1.ProfileChildrenService/CountProfileChildren"


def bootstrap(settings: ProfileSettings) -> Server:
    """Builds the server with all that it needs. Call inside the event loop that will run it."""
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-profile")
    store = database(client, settings.mongo_database)
    changes = ChangeFeed(store, NAMED_IN)
    profiles = MongoProfiles(store, changing=changes.changing)
    channels = [open_channel(address, retried=[_COUNT]) for address in settings.children_addresses]
    clock = SystemClock()
    public = ProfileServicer(
        create=CreateProfile(profiles, clock),
        get=GetProfile(profiles),
        update=UpdateProfile(profiles, clock),
        delete=DeleteProfile(profiles, GrpcChildren(channels)),
    )
    internal = ProfileInternalServicer(GetProfileState(profiles))
    return Server(
        settings,
        services=[
            Service(
                profile_pb2.DESCRIPTOR.services_by_name["ProfileService"],
                partial(profile_pb2_grpc.add_ProfileServiceServicer_to_server, public),
            ),
            Service(
                internal_pb2.DESCRIPTOR.services_by_name["ProfileInternalService"],
                partial(internal_pb2_grpc.add_ProfileInternalServiceServicer_to_server, internal),
            ),
            change_feed_service(changes),
        ],
        start=[profiles.ensure_indexes],
        background=[changes.follow],
        checks=[partial(ping, client)],
        close=[*(channel.close for channel in channels), client.close],
    )
