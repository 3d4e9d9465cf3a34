"""Partial updates (AIP-134): which fields of a patch replace which fields of what is stored.

Field behaviour annotations (AIP-203) decide: OUTPUT_ONLY, IDENTIFIER and etag are ignored, IMMUTABLE may only be
repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from google.api import field_behavior_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from rhythmiq_mesh.errors import FieldViolation, InvalidArgument
from rhythmiq_mesh.interceptors.validation import validate

M = TypeVar("M", bound=Message)
# Descriptors are Any below: the stubs know two implementations of each, and no common type.


def merge(stored: M, patch: M, mask: FieldMask, *, field: str) -> M:
    """A copy of `stored` with the masked fields of `patch`, validated as a whole.

    An absent mask means the populated fields, `*` every field. `field` is the patch's name in the request, for errors.
    Raises InvalidArgument for unknown paths, immutable fields with another value, nothing to change, or a merged
    resource that breaks a rule.
    """
    paths = _paths(patch, mask, field)
    merged = type(stored)()
    merged.CopyFrom(stored)
    changes = 0
    for path in paths:
        if _apply(merged, patch, path.split("."), field):
            changes += 1
    if changes == 0:
        raise InvalidArgument.of(
            "update_mask" if mask.paths else field,
            "nothing to change: give at least one field that can be updated",
            reason="NOTHING_TO_CHANGE",
        )
    validate(merged, prefix=field)
    return merged


def behaviors(descriptor: Any) -> frozenset[int]:
    """The field's google.api.field_behavior annotations."""
    return frozenset(descriptor.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def _paths(patch: Message, mask: FieldMask, field: str) -> Iterable[str]:
    if not mask.paths:
        return [descriptor.name for descriptor, _ in patch.ListFields()]
    if list(mask.paths) == ["*"]:
        return [
            descriptor.name
            for descriptor in patch.DESCRIPTOR.fields
            # A full replacement that does not repeat an immutable field leaves it as it is.
            if field_behavior_pb2.IMMUTABLE not in behaviors(descriptor) or _populated(patch, descriptor)
        ]
    unknown = [path for path in mask.paths if not _known(patch.DESCRIPTOR, path.split("."))]
    if unknown:
        known = ", ".join(d.name for d in patch.DESCRIPTOR.fields if _writable(d))
        raise InvalidArgument(
            [FieldViolation("update_mask", f"has a path that {field} does not have; fields: {known}") for _ in unknown],
            reason="UNKNOWN_MASK_PATH",
        )
    return mask.paths


def _known(descriptor: Any, path: list[str]) -> bool:
    found = descriptor.fields_by_name.get(path[0])
    if found is None:
        return False
    if len(path) == 1:
        return True
    return found.message_type is not None and not found.is_repeated and _known(found.message_type, path[1:])


def _writable(descriptor: Any) -> bool:
    ignored = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
    return descriptor.name != "etag" and not (behaviors(descriptor) & ignored)


def _populated(message: Message, descriptor: Any) -> bool:
    return any(found is descriptor or found.name == descriptor.name for found, _ in message.ListFields())


def _apply(target: Message, source: Message, path: list[str], field: str) -> bool:
    """Copies one path; False when the path is one that updates ignore."""
    descriptor = source.DESCRIPTOR.fields_by_name[path[0]]
    if not _writable(descriptor):
        return False
    where = f"{field}.{descriptor.name}"
    if len(path) > 1:
        return _apply(getattr(target, path[0]), getattr(source, path[0]), path[1:], where)
    if field_behavior_pb2.IMMUTABLE in behaviors(descriptor):
        if getattr(source, descriptor.name) != getattr(target, descriptor.name):
            raise InvalidArgument.of(where, "is immutable: create a new resource instead", reason="IMMUTABLE_FIELD")
        return False
    target.ClearField(descriptor.name)
    if descriptor.is_repeated:
        if descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry:
            getattr(target, descriptor.name).MergeFrom(getattr(source, descriptor.name))
        else:
            getattr(target, descriptor.name).extend(getattr(source, descriptor.name))
    elif descriptor.message_type is not None:
        if source.HasField(descriptor.name):
            getattr(target, descriptor.name).CopyFrom(getattr(source, descriptor.name))
    elif _populated(source, descriptor):
        setattr(target, descriptor.name, getattr(source, descriptor.name))
    return True
