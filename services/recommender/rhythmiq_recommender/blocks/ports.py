"""What the use cases need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rhythmiq_mesh.children import ChildRepository
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_recommender.blocks.model import Block, Blocked


class BlockRepository(ChildRepository[Block], Protocol):
    """Blocks in storage. Never more than LIMIT in a profile, never two of one item or artist.

    `create` raises BlockExists, BlockLimitReached.
    """

    async def first_answer(self, key: RequestKey) -> Block | None:
        """The first answer to a request, if it was made before. Raises RequestIdConflict."""
        ...

    async def delete(self, block: Block) -> bool:
        """Removes exactly this version; False when it has changed or is gone."""
        ...

    async def blocked(self, profile_id: str) -> Blocked:
        """All that is blocked, as of now. Raises Unavailable."""
        ...


class Items(Protocol):
    """The catalogue."""

    async def unknown(self, item_ids: Sequence[str]) -> set[str]:
        """Those that it does not have. Raises Unavailable."""
        ...
