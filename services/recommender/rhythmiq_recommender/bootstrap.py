"""Constructs the recommender service."""

from __future__ import annotations

from functools import partial

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.server import Server, Service
from rhythmiq_recommender.catalog_servicer import CatalogServicer
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_recommender.follow import CatalogFollower
from rhythmiq_recommender.mongo import MongoItems
from rhythmiq_recommender.mongo_feed import MongoItemFeed
from rhythmiq_recommender.use_cases import DeleteItem, GetItem, ListItems, StoreItems


def bootstrap(settings: RecommenderSettings) -> Server:
    """Builds the server with all that it needs. Call inside the event loop that will run it."""
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-recommender")
    store = database(client, settings.mongo_database)
    items = MongoItems(store)
    catalog = CatalogFollower(MongoItemFeed(store))
    catalog_servicer = CatalogServicer(
        store=StoreItems(items, SystemClock()),
        get=GetItem(items),
        list_items=ListItems(items, PageTokens(settings.page_token_key.get_secret_value().encode())),
        delete=DeleteItem(items),
    )
    return Server(
        settings,
        services=[
            Service(
                item_pb2.DESCRIPTOR.services_by_name["CatalogService"],
                partial(item_pb2_grpc.add_CatalogServiceServicer_to_server, catalog_servicer),
            ),
        ],
        start=[items.ensure_indexes, catalog.load],
        background=[catalog.follow],
        checks=[partial(ping, client)],
        close=[client.close],
    )
