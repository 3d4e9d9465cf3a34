"""From a protobuf request to its idempotency key."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message

from rhythmiq_mesh.idempotency import RequestKey


def request_key(request: Message, *, method: str, parent: str) -> RequestKey | None:
    """The key of a request with a `request_id`, or None without one.

    `parent` is the listener that the id belongs to, `method` the short method name.
    """
    request_id: str = getattr(request, "request_id", "")
    if not request_id:
        return None
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()
    return RequestKey(scope=f"{parent}#{method}", request_id=request_id, fingerprint=digest)
