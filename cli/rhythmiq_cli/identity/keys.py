"""The local issuer's signing key and what is made from it. The private half never leaves its file (0600)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rhythmiq_cli.output import CommandError, ExitCode

ALGORITHM = "ES256"
SIGNING_KEY_FILE = "signing-key.pem"
PAGE_TOKEN_KEY_FILE = "page-token.key"  # noqa: S105 - a file's name
_PAGE_TOKEN_KEY_MIN_LENGTH = 32


@dataclass(frozen=True)
class SigningKey:
    """An ES256 key. `key_id` is the public key's RFC 7638 thumbprint, so that it changes with the key."""

    private: ec.EllipticCurvePrivateKey
    key_id: str

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Reads the key. Raises CommandError when there is none, or one that cannot be used."""
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise CommandError(
                f"There is no signing key at {path}: start the mesh once with `rhythmiq up`, which makes it.",
                ExitCode.NOT_ALLOWED,
            ) from None
        except OSError as error:
            raise CommandError(
                f"The signing key {path} cannot be read ({error.strerror}): run as the user that ran `rhythmiq up`.",
                ExitCode.NOT_ALLOWED,
            ) from None
        try:
            key = serialization.load_pem_private_key(text, password=None)
        except (ValueError, TypeError):
            raise _corrupt(path) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise _corrupt(path)
        return cls(key, _thumbprint(_public_jwk(key)))

    @classmethod
    def load_or_create(cls, path: Path) -> SigningKey:
        """Reads the key, or makes one. A file that others may read is closed to them."""
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(path, key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ))  # fmt: skip
        loaded = cls.load(path)
        path.chmod(0o600)
        return loaded

    def jwks(self) -> dict[str, Any]:
        """The public half as a JSON Web Key Set (RFC 7517), as the edge reads it."""
        return {"keys": [_public_jwk(self.private) | {"kid": self.key_id, "alg": ALGORITHM, "use": "sig"}]}


def load_or_create_page_token_key(path: Path) -> str:
    """The secret that page tokens are signed with, kept so that they outlive a restart. Raises CommandError."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48).encode())
    try:
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise _corrupt(path) from None
    if len(key) < _PAGE_TOKEN_KEY_MIN_LENGTH:
        raise _corrupt(path)
    return key


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read: whole or not at all, and never open in between."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _corrupt(path: Path) -> CommandError:
    return CommandError(
        f"The key file {path} cannot be used: delete it and run `rhythmiq up`, which makes a new one"
        " (tokens made before are then refused).",
        ExitCode.REFUSED,
    )


def _public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    jwk: dict[str, str] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return {name: jwk[name] for name in ("crv", "kty", "x", "y")}


def _thumbprint(jwk: dict[str, str]) -> str:
    canonical = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
