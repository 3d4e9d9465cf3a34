"""Reads the whole catalogue from the mesh into an index, page by page."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.client import CallError, Client
from rhythmiq_cli.history.matching import CatalogueIndex
from rhythmiq_cli.output import CommandError, ExitCode

_PAGE = 200
_RETRIES = 5
_FIRST_PAUSE_S = 0.25


def read_catalogue(client: Client, observe: Callable[[int], None] = lambda _: None) -> CatalogueIndex:
    """An index of all items; `observe` is told how many there are so far. Raises CommandError, also for no items."""
    index = CatalogueIndex()
    token = ""
    while True:
        page = _page(client, item_pb2.ListItemsRequest(page_size=_PAGE, page_token=token))
        index.add_all(page.items)
        observe(len(index))
        token = page.next_page_token
        if not token:
            break
    if not len(index):
        raise CommandError(
            "The catalogue is empty, so that nothing could be found in it: run `rhythmiq import catalog FILE` first.",
            ExitCode.NOT_FOUND,
        )
    return index


def _page(client: Client, request: item_pb2.ListItemsRequest) -> item_pb2.ListItemsResponse:
    pause_s = _FIRST_PAUSE_S
    for _ in range(_RETRIES):
        try:
            return client.call(client.catalog.ListItems, request)
        except CallError as refusal:
            if refusal.status is not grpc.StatusCode.UNAVAILABLE:
                raise
        time.sleep(pause_s)
        pause_s *= 2
    return client.call(client.catalog.ListItems, request)
