"""Checks requests against the rules in the schema (protovalidate), and clears what callers may not set (AIP-203)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from functools import cache
from typing import Any

import protovalidate
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from rhythmiq_mesh.errors import FieldViolation, InvalidArgument
from rhythmiq_mesh.interceptors.base import Context, Interceptor, Stream, Unary

_MAX_VIOLATIONS = 20
_PATTERN = "does not match regex pattern "
_SPOKEN = (
    ("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "{lower-case UUID4}"),
    ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{lower-case UUID}"),
)
_INTERNAL = "/internal.proto"
_validator = protovalidate.Validator()


class ValidationInterceptor(Interceptor):
    """Every request message, in streams too."""

    def unary(self, method: str, behavior: Unary, *, streaming_request: bool) -> Unary:
        if streaming_request:

            async def checked_all(requests: AsyncIterator[Any], context: Context) -> Any:
                return await behavior(_each(requests), context)

            return checked_all

        async def checked(request: Any, context: Context) -> Any:
            admit(request)
            return await behavior(request, context)

        return checked

    def stream(self, method: str, behavior: Stream, *, streaming_request: bool) -> Stream:
        async def checked(request: Any, context: Context) -> AsyncIterator[Any]:
            if streaming_request:
                request = _each(request)
            else:
                admit(request)
            async for response in behavior(request, context):
                yield response

        return checked


async def _each(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        admit(request)
        yield request


def admit(request: Message) -> None:
    """Clears OUTPUT_ONLY fields, then validates. Raises InvalidArgument.

    Requests of an `internal.proto` keep them: what is output for a listener is what services tell each other.
    """
    clear = _clearer(request.DESCRIPTOR)
    if clear is not None:
        clear(request)
    validate(request)


def validate(message: Message, *, prefix: str = "") -> None:
    """Raises InvalidArgument naming each field (below `prefix`) and the rule that it breaks."""
    violations = _validator.collect_violations(message)
    if violations:
        raise InvalidArgument([_violation(found.proto, prefix) for found in violations[:_MAX_VIOLATIONS]])


def warm(messages: Iterable[type[Message]]) -> None:
    """Compiles the rules of message types, so that the first caller does not wait for it."""
    for message in messages:
        _validator.collect_violations(message())
        _clearer(message.DESCRIPTOR)


def _violation(violation: Any, prefix: str) -> FieldViolation:
    path = prefix
    for element in violation.field.elements if violation.field else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            value = element.subscript.value
            path += f"[{value}]" if isinstance(value, int) else f"[{str(value)[:64]!r}]"
    return FieldViolation(path or violation.rule_id, _words(violation.message))


def _words(rule: str) -> str:
    """A rule for a person: the patterns of resource names and ids by what they stand for."""
    if not rule.startswith(_PATTERN):
        return rule
    pattern = rule.removeprefix(_PATTERN).strip("`")
    for regex, name in _SPOKEN:
        pattern = pattern.replace(regex, name)
    bare = pattern.removeprefix("^").removesuffix("$")
    return f"must have the form {bare}" if "{" in bare and not set(bare) & set("[]\\()+*") else rule


Clear = Callable[[Message], None]


@cache
def _clearer(descriptor: Descriptor) -> Clear | None:
    """A function that clears the OUTPUT_ONLY fields of a message and its children; None when there are none."""
    if descriptor.file.name.endswith(_INTERNAL):
        return None
    own = [field.name for field in descriptor.fields if _output_only(field)]
    below: list[tuple[str, bool, Clear]] = []
    for field in descriptor.fields:
        if _output_only(field) or field.message_type is None or not _ours(field.message_type):
            continue
        inner = _clearer(field.message_type)
        if inner is not None:
            below.append((field.name, field.is_repeated, inner))
    if not own and not below:
        return None

    def clear(message: Message) -> None:
        for name in own:
            message.ClearField(name)
        for name, repeated, inner in below:
            if repeated:
                for child in getattr(message, name):
                    inner(child)
            elif message.HasField(name):
                inner(getattr(message, name))

    return clear


def _output_only(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def _ours(descriptor: Descriptor) -> bool:
    # Schema messages do not nest themselves; map entries and well-known types carry no field behaviour.
    return descriptor.full_name.startswith("rhythmiq.") and not descriptor.GetOptions().map_entry
