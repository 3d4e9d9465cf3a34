"""Work that is done again and again beside the serving."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rhythmiq_mesh.errors import MeshError

log = logging.getLogger("rhythmiq.upkeep")


async def rounds(once: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Runs `once` without end, `seconds` apart; where a dependency is away, the next round tries again."""
    while True:
        try:
            await once()
        except MeshError as error:
            log.warning("upkeep waits", extra={"detail": error.message})
        await asyncio.sleep(seconds)
