"""Tokens of the local issuer, as the edge accepts them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt

from rhythmiq_cli.identity.keys import ALGORITHM, SigningKey
from rhythmiq_mesh.principal import ADMIN_SCOPE

ISSUER = "https://rhythmiq.local"
AUDIENCE = "rhythmiq"
DEMO_SUBJECT = "demo"
DEFAULT_LIFETIME = timedelta(hours=12)
MAX_LIFETIME = timedelta(days=366)


def mint(
    key: SigningKey,
    subject: str = DEMO_SUBJECT,
    *,
    admin: bool = False,
    lifetime: timedelta = DEFAULT_LIFETIME,
    now: datetime | None = None,
) -> str:
    """A signed JWT for `subject`, valid from `now` for `lifetime`; `admin` adds the scope to write the catalogue."""
    issued = now or datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "sub": subject,
        "aud": AUDIENCE,
        "iat": int(issued.timestamp()),
        "exp": int((issued + lifetime).timestamp()),
        "scope": ADMIN_SCOPE if admin else "",
    }
    return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.key_id})
