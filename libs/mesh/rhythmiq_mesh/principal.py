"""Who calls: the verified token's issuer, subject and scopes.

Envoy verifies the token and forwards its payload; nothing here trusts a header that a client could have sent, because
the edge removes those. A profile's id follows from issuer and subject alone, so every service can tell without a
look-up whether the caller owns a resource.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID, uuid5

from rhythmiq_mesh.errors import PermissionDenied, Unauthenticated
from rhythmiq_mesh.names import profile_id_of

PROFILE_NAMESPACE = UUID("5f0f7b06-0d3c-5d6e-9a3b-52c1d6b0a1e4")
ADMIN_SCOPE = "rhythmiq.admin"


@dataclass(frozen=True)
class Principal:
    """A verified caller. `payload` is the token's payload as the edge forwarded it, to be handed on unchanged."""

    issuer: str
    subject: str
    scopes: frozenset[str]
    payload: str = ""

    @cached_property
    def profile_id(self) -> str:
        """The id of the caller's profile, whether or not it exists.

        A space joins the two: no issuer (a URL) contains one, so different pairs never collide.
        """
        return str(uuid5(PROFILE_NAMESPACE, f"{self.issuer} {self.subject}"))

    def require_owner(self, name: str) -> str:
        """Returns the profile id in `name`, a resource at or below a profile.

        Raises PermissionDenied when it is not the caller's, existing or not.
        """
        profile_id = profile_id_of(name)
        if profile_id != self.profile_id:
            raise PermissionDenied(
                "the resource belongs to another listener: use the names below your own profile",
                reason="NOT_OWNER",
            )
        return profile_id

    def require_admin(self) -> None:
        """Raises PermissionDenied without the admin scope."""
        if ADMIN_SCOPE not in self.scopes:
            raise PermissionDenied(
                f"only an administrator may do this: use a token with the scope {ADMIN_SCOPE}",
                reason="ADMIN_REQUIRED",
            )


_current: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current_principal() -> Principal:
    """The caller of the request being handled. Raises Unauthenticated when there is none."""
    principal = _current.get()
    if principal is None:
        raise Unauthenticated("the call needs a verified token: send it as `authorization: Bearer …`")
    return principal


def current_principal_or_none() -> Principal | None:
    """The caller, or None in a call of the mesh's own."""
    return _current.get()


def set_principal(principal: Principal | None) -> None:
    """Binds the caller to the running task; for the principal interceptor, and for tests."""
    _current.set(principal)
