"""Constructs the worker."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from rhythmiq_mesh.channels import open_channel
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.mongo import connect, database, ping
from rhythmiq_mesh.server import Server
from rhythmiq_recommender.leanings.config import LeaningsSettings
from rhythmiq_recommender.leanings.gateways import WRITE, PreferenceService
from rhythmiq_recommender.leanings.mongo import MongoBookmarks, MongoDueLeanings, MongoLease
from rhythmiq_recommender.leanings.mongo_listening import MongoListening, MongoRecordingFeed
from rhythmiq_recommender.leanings.use_cases import DeriveDue, FollowRecordings, Worker


def bootstrap(settings: LeaningsSettings) -> Server:
    """Builds the worker: a server with no service of its own but health. Call inside the event loop that will run it.

    Healthy is one that waits for the lease, too.
    """
    client = connect(settings.mongo_uri.get_secret_value(), app="rhythmiq-leanings")
    store = database(client, settings.mongo_database)
    clock, debounce = SystemClock(), timedelta(seconds=settings.debounce_seconds)
    due, listening = MongoDueLeanings(store), MongoListening(store, clock)
    lease = MongoLease(store, settings.lease_seconds)
    preference = open_channel(settings.preference_address, retried=[WRITE])
    follow = FollowRecordings(
        feed=MongoRecordingFeed(store),
        bookmarks=MongoBookmarks(store),
        due=due,
        listening=listening,
        clock=clock,
        debounce=debounce,
    )
    derive = DeriveDue(
        due=due,
        listening=listening,
        preferences=PreferenceService(preference),
        clock=clock,
        debounce=debounce,
        refresh=timedelta(hours=settings.refresh_hours),
    )
    return Server(
        settings,
        services=[],
        start=[due.ensure_indexes],
        background=[Worker(lease, (follow, derive))],
        checks=[partial(ping, client)],
        close=[lease.release, preference.close, client.close],
    )
