"""Resource names (AIP-122): `profiles/{uuid}/preferences/{uuid}`.

The schema checks their shape before any use case runs, so parsing here cannot fail on a validated request.
"""

from __future__ import annotations


def profile_name(profile_id: str) -> str:
    """`profiles/{profile_id}`."""
    return f"profiles/{profile_id}"


def profile_id_of(name: str) -> str:
    """The profile's id in a resource name at or below a profile."""
    return name.split("/", 2)[1]


def child_name(profile_id: str, collection: str, child_id: str) -> str:
    """`profiles/{profile_id}/{collection}/{child_id}`."""
    return f"profiles/{profile_id}/{collection}/{child_id}"


def child_id_of(name: str) -> str:
    """The last id of a resource name."""
    return name.rsplit("/", 1)[1]
