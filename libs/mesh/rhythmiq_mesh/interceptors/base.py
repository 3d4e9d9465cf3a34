"""What all interceptors share: wrapping a method's behaviour once, not on every call."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc

# grpc hands over either one request message or an iterator of them; behaviours do not care which.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Unary = Callable[[Any, Context], Awaitable[Any]]
Stream = Callable[[Any, Context], AsyncIterator[Any]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Interceptor(grpc.aio.ServerInterceptor):
    """Base: override `unary` (one response) and `stream` (many responses).

    `streaming_request` tells whether the behaviour's first argument is an iterator of requests. Wrapped handlers are
    kept, so a call costs one dictionary look-up per interceptor.
    """

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        kept = self._wrapped.get(method)
        if kept is None or kept[0] is not handler:
            kept = (handler, self._wrap(method, handler))
            self._wrapped[method] = kept
        return kept[1]

    def unary(self, method: str, behavior: Unary, *, streaming_request: bool) -> Unary:
        """Wraps a behaviour with one response."""
        return behavior

    def stream(self, method: str, behavior: Stream, *, streaming_request: bool) -> Stream:
        """Wraps a behaviour with many responses."""
        return behavior

    def _wrap(self, method: str, handler: Handler) -> Handler:
        inner: Any = handler
        codecs = {
            "request_deserializer": inner.request_deserializer,
            "response_serializer": inner.response_serializer,
        }
        if inner.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self.unary(method, inner.unary_unary, streaming_request=False),
                **codecs,
            )
        if inner.stream_unary:
            return grpc.stream_unary_rpc_method_handler(
                self.unary(method, inner.stream_unary, streaming_request=True),
                **codecs,
            )
        if inner.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self.stream(method, _generator(inner.unary_stream), streaming_request=False),
                **codecs,
            )
        return grpc.stream_stream_rpc_method_handler(
            self.stream(method, _generator(inner.stream_stream), streaming_request=True),
            **codecs,
        )


def _generator(behavior: Stream) -> Stream:
    """A behaviour with many responses as a generator: grpc also allows one that writes to its context and returns."""
    if inspect.isasyncgenfunction(behavior):
        return behavior

    async def written(request: Any, context: Context) -> AsyncIterator[Any]:
        await cast("Awaitable[None]", behavior(request, context))
        return
        yield  # type: ignore[unreachable]  # it makes this a generator

    return written
