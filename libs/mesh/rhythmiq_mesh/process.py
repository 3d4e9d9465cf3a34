"""The entry point that all services share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from rhythmiq_mesh.config import ServiceSettings, load
from rhythmiq_mesh.logs import configure
from rhythmiq_mesh.server import Server

S = TypeVar("S", bound=ServiceSettings)


def main(service: str, settings: type[S], bootstrap: Callable[[S], Server]) -> None:
    """Reads settings, builds the service inside its event loop and serves until SIGTERM."""
    loaded = load(settings)
    configure(service, loaded.log_level)

    async def serve() -> None:
        await bootstrap(loaded).run()

    asyncio.run(serve())
