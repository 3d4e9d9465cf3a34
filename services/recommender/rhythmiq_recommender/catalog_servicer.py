"""rhythmiq.recommender.v1.CatalogService: protobuf in, use case, protobuf out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc
from rhythmiq_mesh.errors import FieldViolation, InvalidArgument
from rhythmiq_mesh.interceptors.validation import validate
from rhythmiq_mesh.names import child_id_of
from rhythmiq_mesh.principal import current_principal
from rhythmiq_recommender.item_messages import KINDS, draft_of, message_of
from rhythmiq_recommender.model import Draft, ImportSummary, ItemQuery, Rejection, broken_rule
from rhythmiq_recommender.use_cases import DeleteItem, GetItem, ListItems, StoreItems

Context = grpc.aio.ServicerContext[Any, Any]

_TURN = 100
"""Items read in one turn of the event loop, so that a large batch does not hold up other callers."""
_SLICE = 500
"""Items stored at once: while the database stores one slice of a stream, the next one is read."""
_SHOWN_ID_CHARACTERS = 200


class CatalogServicer(item_pb2_grpc.CatalogServiceServicer):
    """Anyone with a token may read; writing takes the admin scope."""

    def __init__(self, store: StoreItems, get: GetItem, list_items: ListItems, delete: DeleteItem) -> None:
        self._store, self._get, self._list, self._delete = store, get, list_items, delete

    async def ImportItems(
        self, request_iterator: AsyncIterator[item_pb2.ImportItemsRequest], context: Context
    ) -> item_pb2.ImportItemsResponse:
        """Recommendations see the imported items soon after the answer, in every replica alike.

        Within about a second for a thousand items; for how long many take see CatalogFollower.
        """
        current_principal().require_admin()
        summary = ImportSummary()
        storing: asyncio.Task[None] | None = None
        # In order, and whatever this raises, no write of its own is left running.
        try:
            async for messages, first in _slices(request_iterator):
                drafts = await _drafts(messages, first, summary)
                if storing is not None:
                    await storing
                storing = asyncio.create_task(self._store(drafts, summary)) if drafts else None
        finally:
            if storing is not None:
                await storing
        return _response(summary)

    async def GetItem(self, request: item_pb2.GetItemRequest, context: Context) -> item_pb2.Item:
        current_principal()
        return message_of(await self._get(child_id_of(request.name)))

    async def ListItems(self, request: item_pb2.ListItemsRequest, context: Context) -> item_pb2.ListItemsResponse:
        current_principal()
        query = ItemQuery(KINDS.get(request.kind), request.genre, request.artist)
        items, token = await self._list(query, request.page_size, request.page_token)
        return item_pb2.ListItemsResponse(items=map(message_of, items), next_page_token=token)

    async def DeleteItem(self, request: item_pb2.DeleteItemRequest, context: Context) -> Empty:
        """Recommendations stop showing the item within about a second, in every replica alike."""
        current_principal().require_admin()
        await self._delete(child_id_of(request.name), request.etag)
        return Empty()


async def _slices(
    requests: AsyncIterator[item_pb2.ImportItemsRequest],
) -> AsyncIterator[tuple[Sequence[item_pb2.Item], int]]:
    """All items in slices, each with the position of its first."""
    received = 0
    async for request in requests:
        first = request.first_position or received
        for start in range(0, len(request.items), _SLICE):
            yield request.items[start : start + _SLICE], first + start
        received += len(request.items)


async def _drafts(messages: Sequence[item_pb2.Item], first: int, summary: ImportSummary) -> list[Draft]:
    """The good items; the bad ones are reported in the summary."""
    drafts: list[Draft] = []
    for index, message in enumerate(messages):
        if index % _TURN == 0:
            await asyncio.sleep(0)
        draft = _checked(message)
        if isinstance(draft, Draft):
            drafts.append(draft)
        else:
            external_id = message.external_id[:_SHOWN_ID_CHARACTERS]
            summary.reject(Rejection(first + index, external_id, draft.field, draft.rule))
    return drafts


def _checked(message: item_pb2.Item) -> Draft | FieldViolation:
    try:
        validate(message)
    except InvalidArgument as error:
        return error.violations[0]
    draft = draft_of(message)
    return broken_rule(draft.content) or draft


def _response(summary: ImportSummary) -> item_pb2.ImportItemsResponse:
    return item_pb2.ImportItemsResponse(
        created_count=summary.created,
        updated_count=summary.updated,
        unchanged_count=summary.unchanged,
        rejected_count=summary.rejected,
        rejections=[
            item_pb2.ImportItemsResponse.Rejection(
                position=rejection.position,
                external_id=rejection.external_id,
                field=rejection.field,
                rule=rejection.rule,
            )
            for rejection in summary.rejections
        ],
    )
