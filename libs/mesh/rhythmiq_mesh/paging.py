"""Pages (AIP-158): opaque tokens that are bound to the query they came from and cannot be altered."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from rhythmiq_mesh.errors import InvalidArgument

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
_MAC_BYTES = 16

Position = str | int | float
Place = tuple[datetime, str]
"""Where a page in the order of time ends: time and id of its last resource."""
T = TypeVar("T")


def page_size(requested: int) -> int:
    """The size to serve: 0 means the default, more than the maximum means the maximum; negative is refused."""
    if requested < 0:
        raise InvalidArgument.of("page_size", "must not be negative")
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


class PageTokens:
    """Makes and reads page tokens, authenticated with a key that all replicas share."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encode(self, query: Sequence[object], position: Sequence[Position]) -> str:
        """A token for the page after `position`, valid for this `query` (method, parent, filters) only."""
        body = json.dumps(list(position), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(query, body) + body).rstrip(b"=").decode()

    def decode(self, query: Sequence[object], token: str) -> list[Position] | None:
        """The position in a token, or None for an empty one.

        Raises InvalidArgument (PAGE_TOKEN_INVALID) for a token that was altered or comes from another query.
        """
        if not token:
            return None
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == token
        if not canonical or not hmac.compare_digest(mac, self._mac(query, body)):
            raise InvalidArgument.of(
                "page_token",
                "is not a token of this query: start again without one",
                reason="PAGE_TOKEN_INVALID",
            )
        position: list[Position] = json.loads(body)
        return position

    async def page(
        self,
        query: Sequence[object],
        requested_size: int,
        token: str,
        fetch: Callable[[Place | None, int], Awaitable[list[T]]],
        place: Callable[[T], Place],
    ) -> tuple[list[T], str]:
        """One page of what is ordered by time and id, and the token of the next, empty on the last.

        `fetch` gives at most so many after a place. Raises InvalidArgument (PAGE_TOKEN_INVALID).
        """
        size, position = page_size(requested_size), self.decode(query, token)
        after = None if position is None else (datetime.fromisoformat(str(position[0])), str(position[1]))
        found = await fetch(after, size + 1)
        if len(found) <= size:
            return found, ""
        time, last = place(found[size - 1])
        return found[:size], self.encode(query, (time.isoformat(), last))

    def _mac(self, query: Sequence[object], body: bytes) -> bytes:
        bound = json.dumps([str(part) for part in query]).encode()
        return hmac.new(self._key, bound + b"\0" + body, hashlib.sha256).digest()[:_MAC_BYTES]
