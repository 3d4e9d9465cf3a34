"""CatalogService.ListItems and InteractionService.StreamInteractions in memory, behind a real gRPC server."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from rhythmiq.recommender.v1 import interaction_pb2, item_pb2
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.interceptors.validation import validate

Interaction = interaction_pb2.Interaction


def item(
    external_id: str, title: str = "", artists: Sequence[str] = (), *, duration_s: float | None = None, **others: str
) -> item_pb2.Item:
    """An item whose name comes of its external id; `others` are its other ids."""
    made = item_pb2.Item(
        name=f"items/{uuid.uuid5(uuid.NAMESPACE_URL, external_id)}",
        external_id=external_id,
        kind=item_pb2.Item.TRACK,
        title=title or external_id,
        artists=artists,
        other_ids=others,
    )
    if duration_s is not None:
        made.duration.FromMilliseconds(round(duration_s * 1000))
    return made


def _refuse(context: Any, code: grpc.StatusCode, message: str, reason: str) -> NoReturn:
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="rhythmiq.dev"))
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)
    raise AssertionError("abort raises")


class InteractionServer:
    """Listens on a loopback port.

    `oldest_ms` is the border of what has expired; `deleted` items are refused although they were listed;
    `refuse_from_stream` makes it UNAVAILABLE from that stream on, `away_for` so many calls of ListItems.
    """

    def __init__(self) -> None:
        self.items: list[item_pb2.Item] = []
        self.deleted: set[str] = set()
        self.stored: dict[tuple[str, str, int, int, str], Interaction] = {}
        self.oldest_ms = 0
        self.streams = 0
        self.pages = 0
        self.away_for = 0
        self.refuse_from_stream: int | None = None
        self.message_counts: list[int] = []
        self.tokens: set[str] = set()
        self.on_stream: Callable[[], object] = lambda: None
        self.lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        self._server.add_generic_rpc_handlers(self._handlers())
        self.address = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> InteractionServer:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=0).wait()

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Only the two methods that an import calls: any other is UNIMPLEMENTED."""
        list_items = grpc.unary_unary_rpc_method_handler(
            self._list_items,
            request_deserializer=item_pb2.ListItemsRequest.FromString,
            response_serializer=item_pb2.ListItemsResponse.SerializeToString,
        )
        stream = grpc.stream_unary_rpc_method_handler(
            self._stream,
            request_deserializer=interaction_pb2.StreamInteractionsRequest.FromString,
            response_serializer=interaction_pb2.StreamInteractionsResponse.SerializeToString,
        )
        package = "rhythmiq.recommender.v1"
        return (
            grpc.method_handlers_generic_handler(f"{package}.CatalogService", {"ListItems": list_items}),
            grpc.method_handlers_generic_handler(f"{package}.InteractionService", {"StreamInteractions": stream}),
        )

    def _list_items(self, request: item_pb2.ListItemsRequest, context: Any) -> item_pb2.ListItemsResponse:
        self.pages += 1
        if self.away_for:
            self.away_for -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away for a moment")
        start, size = int(request.page_token or 0), min(request.page_size or 50, 200)
        more = start + size < len(self.items)
        return item_pb2.ListItemsResponse(
            items=self.items[start : start + size], next_page_token=str(start + size) if more else ""
        )

    def _stream(
        self, requests: Iterator[interaction_pb2.StreamInteractionsRequest], context: Any
    ) -> interaction_pb2.StreamInteractionsResponse:
        answer = interaction_pb2.StreamInteractionsResponse()
        with self.lock:
            self.streams += 1
            self.tokens.add(dict(context.invocation_metadata()).get("authorization", ""))
            self.on_stream()
            known = {one.name for one in self.items} - self.deleted
            for request in requests:
                if self.refuse_from_stream is not None and self.streams >= self.refuse_from_stream:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away")
                self.message_counts.append(len(request.interactions))
                self._store(request, known, context, answer)
        return answer

    def _store(
        self,
        request: interaction_pb2.StreamInteractionsRequest,
        known: set[str],
        context: Any,
        answer: interaction_pb2.StreamInteractionsResponse,
    ) -> None:
        """Those before a bad one stay stored, as in the service."""
        try:
            validate(request)
        except InvalidArgument as refused:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(refused), "INVALID_FIELD")
        for one in request.interactions:
            if one.event_time.ToMilliseconds() <= self.oldest_ms:
                _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "event_time is too long ago", "EVENT_EXPIRED")
            if one.item not in known:
                _refuse(context, grpc.StatusCode.NOT_FOUND, f"{one.item} does not exist", "ITEM_NOT_FOUND")
            key = (request.parent, one.item, one.type, one.event_time.ToMilliseconds(), one.source)
            answer.duplicate_count += key in self.stored
            answer.recorded_count += key not in self.stored
            self.stored.setdefault(key, one)

    def recorded(self) -> list[tuple[str, str, str]]:
        """What is stored: external id, type and time, in the order of time."""
        by_name = {one.name: one.external_id for one in self.items}
        found = sorted(self.stored.values(), key=lambda one: one.event_time.ToMilliseconds())
        return [(by_name[one.item], Interaction.Type.Name(one.type), one.event_time.ToJsonString()) for one in found]
