"""Constructs the recommender service."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from rhythmiq.recommender.v1 import (
    compat_pb2,
    compat_pb2_grpc,
    item_pb2,
    item_pb2_grpc,
    recommender_pb2,
    recommender_pb2_grpc,
)
from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.channels import open_channel
from rhythmiq_mesh.children import Upkeep
from rhythmiq_mesh.children_servicer import children_service
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.profiles import GrpcProfiles
from rhythmiq_mesh.server import Server, Service
from rhythmiq_recommender.blocks.bootstrap import block_service
from rhythmiq_recommender.blocks.model import COLLECTION as BLOCKS
from rhythmiq_recommender.blocks.mongo import MongoBlocks
from rhythmiq_recommender.catalog_servicer import CatalogServicer
from rhythmiq_recommender.compat import RecommendLikeSpotify
from rhythmiq_recommender.compat_servicer import CompatServicer
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_recommender.follow import CatalogFollower
from rhythmiq_recommender.interactions.bootstrap import interaction_services
from rhythmiq_recommender.interactions.catalog import CatalogItems
from rhythmiq_recommender.interactions.model import COLLECTION as INTERACTIONS
from rhythmiq_recommender.interactions.mongo import MongoInteractions, MongoItemIds
from rhythmiq_recommender.interactions.use_cases import CountInteractions
from rhythmiq_recommender.models.bootstrap import serving_models
from rhythmiq_recommender.mongo import MongoItems
from rhythmiq_recommender.mongo_feed import MongoItemFeed
from rhythmiq_recommender.mongo_histories import MongoHistories
from rhythmiq_recommender.recommend import Recommend
from rhythmiq_recommender.recommend_servicer import RecommenderServicer
from rhythmiq_recommender.sources_bootstrap import NAMED_IN, copied_sources
from rhythmiq_recommender.use_cases import DeleteItem, GetItem, ListItems, StoreItems
from rhythmiq_recommender.what_if import WhatIf

_GET_PROFILE = "rhythmiq.profile.v1.ProfileService/GetProfile"
_PROFILE_STATE = "rhythmiq.profile.v1.ProfileInternalService/GetProfileState"
_LIST_PREFERENCES = "rhythmiq.preference.v1.PreferenceService/ListPreferences"
_GET_ENVIRONMENT = "rhythmiq.variable.v1.VariableService/GetEnvironment"


def bootstrap(settings: RecommenderSettings) -> Server:
    """Builds the server with all that it needs. Call inside the event loop that will run it."""
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-recommender")
    store = database(client, settings.mongo_database)
    items = MongoItems(store)
    catalog = CatalogFollower(MongoItemFeed(store))
    changes = ChangeFeed(store, NAMED_IN)
    interactions = MongoInteractions(store, changing=changes.changing)
    blocks = MongoBlocks(store, changing=changes.changing)
    clock, tokens = SystemClock(), PageTokens(settings.page_token_key.get_secret_value().encode())
    histories = MongoHistories(store, clock)
    retention = timedelta(days=settings.interaction_retention_days)
    profile = open_channel(settings.profile_address, retried=[_GET_PROFILE, _PROFILE_STATE])
    preference = open_channel(settings.preference_address, retried=[_LIST_PREFERENCES])
    variable = open_channel(settings.variable_address, retried=[_GET_ENVIRONMENT])
    profiles = GrpcProfiles(profile)
    gathering = copied_sources(
        profile=profile,
        preference=preference,
        variable=variable,
        histories=histories,
        blocks=blocks,
        changes=changes,
        retention=retention,
        clock=clock,
        most=settings.copied_profiles,
    )
    models = serving_models(
        settings.model_store,
        catalog,
        most=settings.models_loaded,
        interval=settings.model_poll_seconds,
        sample=settings.shadow_sample,
    )
    recommend = Recommend(
        catalog=catalog,
        sources=gathering.sources,
        rankers=models.rankers,
        exploration=settings.exploration,
        shadows=models.shadows,
    )
    catalog_servicer = CatalogServicer(
        store=StoreItems(items, clock),
        get=GetItem(items),
        list_items=ListItems(items, tokens),
        delete=DeleteItem(items),
    )
    return Server(
        settings,
        services=[
            Service(
                item_pb2.DESCRIPTOR.services_by_name["CatalogService"],
                partial(item_pb2_grpc.add_CatalogServiceServicer_to_server, catalog_servicer),
            ),
            Service(
                recommender_pb2.DESCRIPTOR.services_by_name["RecommenderService"],
                partial(
                    recommender_pb2_grpc.add_RecommenderServiceServicer_to_server,
                    RecommenderServicer(recommend, WhatIf(recommend)),
                ),
            ),
            Service(
                compat_pb2.DESCRIPTOR.services_by_name["CompatService"],
                partial(
                    compat_pb2_grpc.add_CompatServiceServicer_to_server,
                    CompatServicer(RecommendLikeSpotify(recommend)),
                ),
            ),
            *interaction_services(
                interactions,
                store=store,
                catalog=catalog,
                profile=profile,
                variable=variable,
                clock=clock,
                tokens=tokens,
                retention=retention,
            ),
            block_service(
                blocks,
                items=CatalogItems(catalog, MongoItemIds(store)),
                profiles=profiles,
                clock=clock,
                tokens=tokens,
            ),
            children_service({INTERACTIONS: CountInteractions(interactions), BLOCKS: blocks.count}),
        ],
        start=[
            items.ensure_indexes,
            interactions.ensure_indexes,
            blocks.ensure_indexes,
            histories.ensure_indexes,
            catalog.load,
            *models.start,
        ],
        background=[
            catalog.follow,
            Upkeep(blocks, profiles, clock, settings.upkeep_seconds),
            *gathering.background,
            *models.background,
        ],
        checks=[partial(ping, client)],
        close=[*models.close, profile.close, preference.close, variable.close, client.close],
    )
