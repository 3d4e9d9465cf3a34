"""Who takes part in which variant of an experiment: it follows from the names alone, so nobody needs to remember it."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

CONTROL: Final = "control"
TREATMENT: Final = "treatment"


def place_of(experiment: str, profile_id: str) -> float:
    """In [0, 1): the same in every replica and for good; independent between experiments of different names."""
    digest = blake2b(f"{experiment} {profile_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53


def variant_of(experiment: str, share: float, profile_id: str) -> str:
    """TREATMENT for `share` of all profiles, else CONTROL. Who is treated at a share still is at a larger one."""
    return TREATMENT if place_of(experiment, profile_id) < share else CONTROL
