"""request_id (AIP-155): a replay returns the first answer and does nothing twice.

The key is scoped by caller, method and parent, so ids of different listeners never meet; a fingerprint of the request
tells a replay from a reuse. `mongo.IdempotencyRecords` writes the key in the same transaction as the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

RECORD_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Identifies one request. `fingerprint` is a digest of the request without its request_id."""

    scope: str
    request_id: str
    fingerprint: bytes

    @property
    def id(self) -> str:
        """The record's primary key."""
        return f"{self.scope}#{self.request_id}"
