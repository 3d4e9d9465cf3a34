"""`rhythmiq token`: only the token on standard output, for whom and for how long one says."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner, Result

from rhythmiq_cli.app import app
from rhythmiq_cli.commands.token import lifetime_of
from rhythmiq_cli.identity.keys import SigningKey, load_or_create_page_token_key
from rhythmiq_cli.identity.tokens import mint
from rhythmiq_cli.output import CommandError, ExitCode

PROFILE_OF_DEMO = "profiles/e7804fa9-e405-5f44-ba5c-e46db189b7f5"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RHYTHMIQ_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def key(state: Path) -> SigningKey:
    return SigningKey.load_or_create(state / "signing-key.pem")


def token(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["token", *arguments])


def claims_of(key: SigningKey, minted: str) -> dict[str, object]:
    jwk = jwt.PyJWK(key.jwks()["keys"][0])
    assert jwt.get_unverified_header(minted)["kid"] == key.key_id
    claims: dict[str, object] = jwt.decode(
        minted, jwk, algorithms=["ES256"], audience="rhythmiq", issuer="https://rhythmiq.local"
    )
    return claims


def test_only_the_token_of_the_demo_listener_is_printed(key: SigningKey) -> None:
    result = token()
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    claims = claims_of(key, result.stdout.strip())
    assert (claims["sub"], claims["scope"]) == ("demo", "")
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 12 * 3600


def test_subject_role_and_time_are_as_asked(key: SigningKey) -> None:
    claims = claims_of(key, token("--subject", "ana", "--admin", "--expires", "90s").stdout.strip())
    assert (claims["sub"], claims["scope"]) == ("ana", "rhythmiq.admin")
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 90


def test_json_tells_all_about_the_token(key: SigningKey) -> None:
    told = json.loads(token("--json").stdout)
    assert claims_of(key, told.pop("token"))["sub"] == "demo"
    assert told.pop("expireTime").endswith("Z")
    assert told == {"subject": "demo", "profile": PROFILE_OF_DEMO, "admin": False}


@pytest.mark.parametrize(
    ("text", "lifetime"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("30d", timedelta(days=30)),
        ("366d", timedelta(366)),
    ],
)
def test_times_are_read(text: str, lifetime: timedelta) -> None:
    assert lifetime_of(text) == lifetime


@pytest.mark.parametrize("text", ["", "0s", "-1h", "12", "h", "1w", "367d", "1.5h", "999999999d", "1h "])
def test_a_time_that_is_none_is_told_with_the_way_out(key: SigningKey, text: str) -> None:
    result = token(f"--expires={text}")
    assert result.exit_code == ExitCode.USAGE
    assert "write it like 90s, 15m, 12h or 30d" in result.stderr


@pytest.mark.parametrize("subject", ["", "  ", "a\nb", "a" * 256])
def test_a_subject_that_no_issuer_gives_out_is_refused(key: SigningKey, subject: str) -> None:
    result = token(f"--subject={subject}")
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""


def test_without_a_key_it_says_how_to_get_one(state: Path) -> None:
    result = token()
    assert result.exit_code == ExitCode.NOT_ALLOWED
    assert result.stdout == ""
    assert "start the mesh once with `rhythmiq up`" in result.stderr
    assert list(state.iterdir()) == []


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", pem(ec.generate_private_key(ec.SECP384R1())), pem(rsa.generate_private_key(65537, 2048))],
    ids=["empty", "junk", "another curve", "RSA"],
)
def test_a_key_that_cannot_be_used_is_told_with_the_way_out(state: Path, content: bytes) -> None:
    (state / "signing-key.pem").write_bytes(content)
    result = token()
    assert result.exit_code == ExitCode.REFUSED
    assert "delete it and run `rhythmiq up`" in result.stderr


def test_a_key_that_is_not_a_file_is_told(state: Path) -> None:
    (state / "signing-key.pem").mkdir()
    result = token()
    assert result.exit_code == ExitCode.NOT_ALLOWED
    assert "cannot be read" in result.stderr


def test_a_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "signing-key.pem"
    first = SigningKey.load_or_create(path)
    path.chmod(0o644)
    second = SigningKey.load_or_create(path)
    assert first.key_id == second.key_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["signing-key.pem"]


def test_the_key_set_has_only_the_public_half(key: SigningKey) -> None:
    [jwk] = key.jwks()["keys"]
    assert set(jwk) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    claims_of(key, mint(key))


def test_the_page_token_key_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "page-token.key"
    first = load_or_create_page_token_key(path)
    assert len(first) >= 32
    assert load_or_create_page_token_key(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"short", b"\xff" * 64])
def test_a_page_token_key_that_cannot_be_used_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page-token.key"
    path.write_bytes(content)
    with pytest.raises(CommandError, match="delete it and run `rhythmiq up`"):
        load_or_create_page_token_key(path)


@pytest.mark.parametrize("command", [[], ["up"], ["token"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    if command:
        assert "Example:" in result.stdout
        assert "Exit codes:" in result.stdout
