"""What a newcomer reads once the mesh is ready: an address, a token, and two calls that work as pasted."""

from __future__ import annotations

import shlex
import sys

from rhythmiq_cli.identity.tokens import DEMO_SUBJECT, ISSUER
from rhythmiq_mesh.principal import Principal

_GRPC_CALL = (
    "import grpc; from rhythmiq.profile.v1 import profile_pb2 as p, profile_pb2_grpc as s;"
    " print(s.ProfileServiceStub(grpc.insecure_channel('{target}')).GetProfile("
    "p.GetProfileRequest(name='{profile}'), metadata=[('authorization', 'Bearer {token}')]))"
)


def welcome(address: str, token: str) -> str:
    """The text; `address` is a URL, `token` one of the demo listener."""
    profile = f"profiles/{Principal(ISSUER, DEMO_SUBJECT, frozenset()).profile_id}"
    call = _GRPC_CALL.format(target=address.removeprefix("http://"), profile=profile, token=token)
    return f"""
Address   {address}
Listener  {profile} (the demo listener)
Token     {token}

REST, three recommendations:
curl -s {address}/{profile}:recommend -H 'authorization: Bearer {token}' -d '{{"count": 3}}'

gRPC, the listener's profile:
{shlex.quote(sys.executable)} -c "{call}"

Another token: rhythmiq token --help. Stop with Ctrl-C."""
