"""Binds the verified caller to the running task.

The edge verifies the token and forwards its payload as base64url JSON under PAYLOAD_KEY, replacing whatever a client
sent under that name; services of the mesh hand it on. Nothing else can reach a service: locally its socket lies in a
private folder, in a cluster a NetworkPolicy closes it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

from rhythmiq_mesh.errors import Unauthenticated
from rhythmiq_mesh.interceptors.base import Context, Interceptor, Stream, Unary
from rhythmiq_mesh.principal import Principal, set_principal

PAYLOAD_KEY = "x-rhythmiq-jwt-payload"


class PrincipalInterceptor(Interceptor):
    """Without a payload there is no principal; methods that need one say so themselves."""

    def unary(self, method: str, behavior: Unary, *, streaming_request: bool) -> Unary:
        async def bound(request: Any, context: Context) -> Any:
            set_principal(_principal(context))
            return await behavior(request, context)

        return bound

    def stream(self, method: str, behavior: Stream, *, streaming_request: bool) -> Stream:
        async def bound(request: Any, context: Context) -> AsyncIterator[Any]:
            set_principal(_principal(context))
            async for response in behavior(request, context):
                yield response

        return bound


def _principal(context: Context) -> Principal | None:
    for key, value in context.invocation_metadata() or ():
        if key == PAYLOAD_KEY:
            return parse_payload(value if isinstance(value, str) else value.decode("latin-1"))
    return None


@lru_cache(maxsize=4096)
def parse_payload(payload: str) -> Principal:
    """The principal in a forwarded payload. Raises Unauthenticated without issuer or subject."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        issuer, subject, scope = claims["iss"], claims["sub"], claims.get("scope", "")
        # RFC 8693 has a string; some issuers send a list.
        scope = " ".join(scope) if isinstance(scope, list) else scope
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        issuer = subject = scope = ""
    if not (isinstance(issuer, str) and isinstance(subject, str) and isinstance(scope, str) and issuer and subject):
        raise Unauthenticated("the token must name its issuer (iss) and subject (sub): get a new one")
    return Principal(issuer=issuer, subject=subject, scopes=frozenset(scope.split()), payload=payload)
