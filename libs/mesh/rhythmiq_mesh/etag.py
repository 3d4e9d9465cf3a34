"""Etags (AIP-154).

A new random one for every stored version, so that a deleted and recreated resource never matches an old one.
"""

from __future__ import annotations

import secrets

from rhythmiq_mesh.errors import EtagMismatch


def new_etag() -> str:
    """A fresh opaque etag, 16 characters."""
    return secrets.token_hex(8)


def check_etag(given: str, current: str, name: str) -> None:
    """Raises EtagMismatch unless `given` is empty or the current one."""
    if given and given != current:
        raise EtagMismatch(name)
