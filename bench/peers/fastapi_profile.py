"""The peer of GetProfile: the least that FastAPI, uvicorn and PyMongo's async client need for the same read.

`GET /profiles/{id}` verifies the same JWT (ES256, issuer, audience), checks that the caller owns the profile, reads the
same document from the same MongoDB and answers the same JSON. Settings: PEER_JWKS (path), PEER_MONGO_URI.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import jwt
from fastapi import FastAPI, Header, HTTPException, Request
from pymongo import AsyncMongoClient

from rhythmiq_mesh.principal import Principal

KEYS = {key["kid"]: jwt.PyJWK(key).key for key in json.loads(Path(os.environ["PEER_JWKS"]).read_text())["keys"]}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    client = AsyncMongoClient[dict[str, Any]](os.environ["PEER_MONGO_URI"], tz_aware=True, readConcernLevel="majority")
    app.state.profiles = client["rhythmiq_profile"]["profiles"]
    yield
    await client.close()


app = FastAPI(lifespan=lifespan)


@app.get("/profiles/{profile_id}")
async def get_profile(profile_id: str, request: Request, authorization: Annotated[str, Header()]) -> dict[str, Any]:
    token = authorization.removeprefix("Bearer ")
    try:
        key = KEYS[jwt.get_unverified_header(token)["kid"]]
        algorithms = ["ES256", "RS256"]
        claims = jwt.decode(token, key, algorithms=algorithms, audience="rhythmiq", issuer="https://rhythmiq.local")
    except (jwt.PyJWTError, KeyError):
        raise HTTPException(401) from None
    if Principal(claims["iss"], claims["sub"], frozenset()).profile_id != profile_id:
        raise HTTPException(403)
    document = await request.app.state.profiles.find_one({"_id": profile_id})
    if document is None:
        raise HTTPException(404)
    return {
        "name": f"profiles/{profile_id}",
        "uid": profile_id,
        "email": document["email"],
        "timeZone": document["time_zone"],
        "state": document["state"],
        "createTime": document["create_time"],
        "updateTime": document["update_time"],
        "etag": document["etag"],
    }
