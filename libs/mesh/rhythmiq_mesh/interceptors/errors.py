"""Turns what a handler raises into google.rpc.Status (AIP-193): the one place that aborts a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from rhythmiq_mesh import errors
from rhythmiq_mesh.interceptors.base import Context, Interceptor, Stream, Unary

log = logging.getLogger("rhythmiq.errors")
DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class RemoteError(errors.MeshError):
    """What another service of the mesh refused, to be handed on as it came."""

    def __init__(self, status: Status) -> None:
        info = next(
            (_unpack(detail, ErrorInfo()) for detail in status.details if detail.Is(ErrorInfo.DESCRIPTOR)), None
        )
        super().__init__(status.message, reason=info.reason if info else "UNKNOWN")
        self.status = status


class ErrorInterceptor(Interceptor):
    """Maps MeshError to its status; anything else is logged and becomes INTERNAL without a detail."""

    def unary(self, method: str, behavior: Unary, *, streaming_request: bool) -> Unary:
        async def guarded(request: Any, context: Context) -> Any:
            try:
                return await behavior(request, context)
            except Exception as error:  # noqa: BLE001 - the one place that answers for everything
                await _abort(method, context, error)

        return guarded

    def stream(self, method: str, behavior: Stream, *, streaming_request: bool) -> Stream:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            try:
                async for response in behavior(request, context):
                    yield response
            except Exception as error:  # noqa: BLE001 - the one place that answers for everything
                await _abort(method, context, error)

        return guarded


def to_status(error: errors.MeshError) -> Status:
    """The google.rpc.Status of an error: exactly one ErrorInfo, and the details that fit."""
    if isinstance(error, RemoteError):
        return error.status
    status = Status(code=int(error.code), message=error.message)
    details: list[Message] = [ErrorInfo(reason=error.reason, domain=errors.DOMAIN)]
    match error:
        case errors.InvalidArgument():
            details.append(
                BadRequest(
                    field_violations=[
                        BadRequest.FieldViolation(field=violation.field, description=violation.rule)
                        for violation in error.violations
                    ]
                )
            )
        case errors.ResourceError():
            details.append(ResourceInfo(resource_type=error.resource_type, resource_name=error.resource_name))
        case errors.FailedPrecondition() if error.violations:
            details.append(
                PreconditionFailure(
                    violations=[
                        PreconditionFailure.Violation(type=v.type, subject=v.subject, description=v.description)
                        for v in error.violations
                    ]
                )
            )
        case errors.Unavailable():
            retry = RetryInfo()
            retry.retry_delay.FromMilliseconds(int(error.retry_after * 1000))
            details.append(retry)
    for detail in details:
        status.details.add().Pack(detail)
    return status


async def _abort(method: str, context: Context, error: Exception) -> NoReturn:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, asyncio.TimeoutError):
        error = errors.DeadlineExceeded()
    if not isinstance(error, errors.MeshError):
        log.error("unexpected error", exc_info=error, extra={"method": method})
        error = errors.MeshError("the service failed to answer; the failure is logged")
    status = to_status(error)
    await context.abort(
        _CODES[status.code],
        status.message,
        trailing_metadata=((DETAILS_KEY, status.SerializeToString()),),
    )


def _unpack(detail: AnyMessage, message: ErrorInfo) -> ErrorInfo:
    detail.Unpack(message)
    return message
