"""The errors that a caller can see, free of gRPC so that rules and use cases may raise them.

    MeshError
    ├── InvalidArgument            400  a field breaks a rule
    ├── Unauthenticated            401  no verified token
    ├── PermissionDenied           403  not the caller's, or not the caller's role
    ├── NotFound                   404
    ├── AlreadyExists              409
    ├── Aborted                    409  lost a race; read again and retry
    │   └── EtagMismatch
    ├── FailedPrecondition         400  the system is not in the state that the call needs
    ├── ResourceExhausted          429  a limit is reached
    ├── DeadlineExceeded           504
    └── Unavailable                503  try again, after `retry_after` seconds

`interceptors/errors.py` maps the tree to google.rpc.Status (AIP-193) in one place. A message says what happened, to
what, and what to do next; it never carries a stack, a query or a host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

DOMAIN = "rhythmiq.dev"


class Code(IntEnum):
    """Canonical status codes (google.rpc.Code)."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field (path as in the request, such as `preference.weight`) and the rule that it breaks."""

    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class PreconditionViolation:
    """What stands in the way: a stable type, the subject's resource name, and a sentence."""

    type: str
    subject: str
    description: str


class MeshError(Exception):
    """Base of all errors that a caller can see.

    `reason` is stable UPPER_SNAKE, `message` is for a person.
    """

    code = Code.INTERNAL
    reason = "INTERNAL"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason


class InvalidArgument(MeshError):
    """One or more fields break a rule. Nothing was changed."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, violations: Sequence[FieldViolation], *, reason: str | None = None) -> None:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.field}: {first.rule}{more}" if first.field else f"{first.rule}{more}", reason=reason)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, rule: str, *, reason: str | None = None) -> InvalidArgument:
        """One violation: `field` breaks `rule`."""
        return cls([FieldViolation(field, rule)], reason=reason)


class Unauthenticated(MeshError):
    """The call carries no verified token."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(MeshError):
    """The caller may not do this; said before telling whether the resource exists."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class ResourceError(MeshError):
    """Base of errors about one resource, named by type (`rhythmiq.dev/Profile`) and resource name."""

    def __init__(self, message: str, *, resource_type: str, resource_name: str, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.resource_type = resource_type
        self.resource_name = resource_name


class NotFound(ResourceError):
    """The resource does not exist."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(ResourceError):
    """Such a resource exists."""

    code = Code.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class RequestIdConflict(MeshError):
    """A request_id was used before with another request (AIP-155)."""

    code = Code.ALREADY_EXISTS
    reason = "REQUEST_ID_CONFLICT"

    def __init__(self) -> None:
        super().__init__("request_id was used before with another request: make a new one for each new request")


class Aborted(MeshError):
    """The call lost a race; nothing was changed. Read again and retry."""

    code = Code.ABORTED
    reason = "ABORTED"


class EtagMismatch(Aborted):
    """The resource changed since the caller read it (AIP-154)."""

    reason = "ETAG_MISMATCH"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has changed since you read it: read it again and retry with its new etag")


class FailedPrecondition(MeshError):
    """The system is not in the state that the call needs."""

    code = Code.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"

    def __init__(
        self, message: str, *, reason: str | None = None, violations: Sequence[PreconditionViolation] = ()
    ) -> None:
        super().__init__(message, reason=reason)
        self.violations = tuple(violations)


class ResourceExhausted(MeshError):
    """A limit is reached."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(MeshError):
    """The time the caller gave was too short. Whether a write happened is not known; repeat it with its request_id."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"

    def __init__(self, message: str = "the deadline passed before the answer was ready: try again") -> None:
        super().__init__(message)


class Unavailable(MeshError):
    """A dependency is away. Try again after `retry_after` seconds."""

    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"

    def __init__(self, message: str, *, retry_after: float = 1.0, reason: str | None = None) -> None:
        super().__init__(message, reason=reason)
        self.retry_after = retry_after
