"""Binds the caller's deadline to the running task, so that what the handler calls can honour it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from rhythmiq_mesh.deadline import set_deadline
from rhythmiq_mesh.interceptors.base import Context, Interceptor, Stream, Unary


class DeadlineInterceptor(Interceptor):
    """See `rhythmiq_mesh.deadline`."""

    def unary(self, method: str, behavior: Unary, *, streaming_request: bool) -> Unary:
        async def bound(request: Any, context: Context) -> Any:
            set_deadline(context.time_remaining())
            return await behavior(request, context)

        return bound

    def stream(self, method: str, behavior: Stream, *, streaming_request: bool) -> Stream:
        async def bound(request: Any, context: Context) -> AsyncIterator[Any]:
            set_deadline(context.time_remaining())
            async for response in behavior(request, context):
                yield response

        return bound
