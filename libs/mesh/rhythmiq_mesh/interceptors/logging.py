"""One structured log line per call: faults of ours as warnings, everything else for those who debug.

Never logs a message's content or a token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from rhythmiq_mesh.interceptors.base import Context, Interceptor, Stream, Unary

log = logging.getLogger("rhythmiq.call")
_OUR_FAULT = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}


class LoggingInterceptor(Interceptor):
    """Logs method, status code and duration in milliseconds."""

    def unary(self, method: str, behavior: Unary, *, streaming_request: bool) -> Unary:
        async def logged(request: Any, context: Context) -> Any:
            start = time.perf_counter()
            try:
                return await behavior(request, context)
            finally:
                _line(method, context, start)

        return logged

    def stream(self, method: str, behavior: Stream, *, streaming_request: bool) -> Stream:
        async def logged(request: Any, context: Context) -> AsyncIterator[Any]:
            start = time.perf_counter()
            try:
                async for response in behavior(request, context):
                    yield response
            finally:
                _line(method, context, start)

        return logged


def _line(method: str, context: Context, start: float) -> None:
    found: Any = context.code()
    if not found and not log.isEnabledFor(logging.DEBUG):
        return
    code = grpc_code(found)
    level = logging.WARNING if code in _OUR_FAULT else logging.DEBUG
    if log.isEnabledFor(level):
        elapsed = (time.perf_counter() - start) * 1000
        log.log(level, "call", extra={"method": method, "code": code.name, "milliseconds": round(elapsed, 2)})


def grpc_code(code: Any) -> grpc.StatusCode:
    """The status code of a finished call; grpc reports an int, a StatusCode or nothing."""
    if isinstance(code, grpc.StatusCode):
        return code
    return next((known for known in grpc.StatusCode if known.value[0] == code), grpc.StatusCode.OK)
