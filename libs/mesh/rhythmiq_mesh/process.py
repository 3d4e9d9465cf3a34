"""The entry point that all services share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import uvloop

from rhythmiq_mesh.config import ProcessSettings, load
from rhythmiq_mesh.logs import configure
from rhythmiq_mesh.server import Server

S = TypeVar("S", bound=ProcessSettings)


def main(service: str, settings: type[S], bootstrap: Callable[[S], Server]) -> None:
    """Reads settings, builds the service inside its event loop and serves until SIGTERM."""
    loaded = load(settings)
    configure(service, loaded.log_level)

    async def serve() -> None:
        await bootstrap(loaded).run()

    # A tenth less CPU per call than asyncio's own loop (docs/decisions/0008).
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
