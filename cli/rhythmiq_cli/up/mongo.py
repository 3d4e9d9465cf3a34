"""Bringing the database to the state that the services need: a replica set with a primary."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError

from rhythmiq_cli.output import CommandError, ExitCode

REPLICA_SET = "rhythmiq"
_NOT_YET_INITIALIZED = 94
_POLL_SECONDS = 0.05
_EXTERNAL_TIMEOUT_MS = 5000


def uri_of(socket: Path) -> str:
    """Connection string of the embedded mongod.

    A client that meets mongod before it is a replica set's member believes so until its next heartbeat: not in 10 s.
    """
    return f"mongodb://{quote_plus(str(socket))}/?directConnection=true&heartbeatFrequencyMS=500"


async def make_primary(socket: Path) -> None:
    """Initiates the replica set where needed, and returns when its one node accepts writes.

    The node is known by its socket's path; when the state folder has moved, the set is told so.
    Waits for as long as it takes: the caller bounds it.
    """
    async with AsyncMongoClient[dict[str, Any]](uri_of(socket), serverSelectionTimeoutMS=500) as client:
        while True:
            try:
                if (await client.admin.command("hello")).get("isWritablePrimary"):
                    return
                await _configure(client, str(socket))
            except PyMongoError:
                # Not up yet, or in the middle of a change: looked at again below.
                pass
            await asyncio.sleep(_POLL_SECONDS)


async def _configure(client: AsyncMongoClient[dict[str, Any]], host: str) -> None:
    """Sets the replica set's configuration unless it is the wanted one."""
    member = {"_id": 0, "host": host}
    try:
        await client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == _NOT_YET_INITIALIZED:
            await client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
            return
    stored = await client.local["system.replset"].find_one()
    if stored is None or [at["host"] for at in stored["members"]] == [host]:
        return
    stored |= {"version": stored["version"] + 1, "members": [stored["members"][0] | member]}
    await client.admin.command("replSetReconfig", stored, force=True)


async def check_external(uri: str) -> None:
    """Raises CommandError unless the user's database answers and can do transactions."""
    try:
        async with AsyncMongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=_EXTERNAL_TIMEOUT_MS) as client:
            hello = await client.admin.command("hello")
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise CommandError(f"RHYTHMIQ_MONGO_URI is no connection string of MongoDB: {error}", ExitCode.USAGE) from None
    except PyMongoError:
        raise CommandError(
            "The database in RHYTHMIQ_MONGO_URI does not answer: check that it runs and that the address and the"
            " password are right, or unset the variable to use the embedded one.",
            ExitCode.UNAVAILABLE,
        ) from None
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise CommandError(
            "The database in RHYTHMIQ_MONGO_URI is not a replica set, which transactions need: start it with --replSet"
            " and initiate it, or unset the variable to use the embedded one.",
            ExitCode.REFUSED,
        )
