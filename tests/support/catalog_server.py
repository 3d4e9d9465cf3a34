"""A CatalogService in memory behind a real gRPC server: keeps items by external id, under the rules of the schema."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.interceptors.validation import validate

_NAMED = 100


class CatalogServer(item_pb2_grpc.CatalogServiceServicer):
    """Listens on a loopback port.

    `refuse_after` makes it UNAVAILABLE once, after that many messages; `refuse_from_stream` for every stream from that
    number on. `on_stream` is called while a stream is open.
    """

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.streams = 0
        self.message_sizes: list[int] = []
        self.tokens: set[str] = set()
        self.refuse_after: int | None = None
        self.refuse_from_stream: int | None = None
        self.on_stream: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        item_pb2_grpc.add_CatalogServiceServicer_to_server(self, self._server)
        self.address = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> CatalogServer:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=0).wait()

    def item(self, external_id: str) -> item_pb2.Item:
        return item_pb2.Item.FromString(self.items[external_id])

    def GetItem(self, request: item_pb2.GetItemRequest, context: Any) -> item_pb2.Item:
        raise AssertionError("an import calls ImportItems only")

    def ListItems(self, request: item_pb2.ListItemsRequest, context: Any) -> item_pb2.ListItemsResponse:
        raise AssertionError("an import calls ImportItems only")

    def DeleteItem(self, request: item_pb2.DeleteItemRequest, context: Any) -> Empty:
        raise AssertionError("an import calls ImportItems only")

    def ImportItems(
        self, request_iterator: Iterator[item_pb2.ImportItemsRequest], context: Any
    ) -> item_pb2.ImportItemsResponse:
        answer = item_pb2.ImportItemsResponse()
        with self._lock:
            self.streams += 1
            self.tokens.add(dict(context.invocation_metadata()).get("authorization", ""))
            self.on_stream()
            received = 0
            for request in request_iterator:
                self._refuse(context)
                self.message_sizes.append(request.ByteSize())
                first = request.first_position or received
                received += len(request.items)
                for index, item in enumerate(request.items):
                    self._store(item, first + index, answer)
        return answer

    def _refuse(self, context: Any) -> None:
        if self.refuse_from_stream is not None and self.streams >= self.refuse_from_stream:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away")
        if self.refuse_after is not None:
            self.refuse_after -= 1
            if self.refuse_after < 0:
                self.refuse_after = None
                context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away for a moment")

    def _store(self, item: item_pb2.Item, position: int, answer: item_pb2.ImportItemsResponse) -> None:
        try:
            validate(item)
        except InvalidArgument as refused:
            answer.rejected_count += 1
            if len(answer.rejections) < _NAMED:
                first = refused.violations[0]
                answer.rejections.add(
                    position=position, external_id=item.external_id, field=first.field, rule=first.rule
                )
            return
        new = item.SerializeToString(deterministic=True)
        old = self.items.get(item.external_id)
        self.items[item.external_id] = new
        if old is None:
            answer.created_count += 1
        elif old == new:
            answer.unchanged_count += 1
        else:
            answer.updated_count += 1
