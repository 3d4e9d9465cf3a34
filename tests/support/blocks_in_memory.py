"""Blocks in memory, held to the same contract as the repository on MongoDB."""

from __future__ import annotations

from children_in_memory import InMemoryChildren

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_recommender.blocks.model import LIMIT, Block, Blocked, BlockExists, BlockLimitReached


class InMemoryBlocks(InMemoryChildren[Block]):
    """BlockRepository."""

    def refuse(self, child: Block) -> None:
        below = self.below(child.profile_id)
        for other in below:
            if other.key == child.key:
                raise BlockExists(other.name)
        if len(below) >= LIMIT:
            raise BlockLimitReached(child.profile_id)

    async def first_answer(self, key: RequestKey) -> Block | None:
        if key.id not in self.records:
            return None
        first: Block = self.replay(key)
        return first

    async def delete(self, block: Block) -> bool:
        if self.stored.get(block.id) != block:
            return False
        del self.stored[block.id]
        return True

    async def blocked(self, profile_id: str) -> Blocked:
        return Blocked.of_keys([block.key for block in self.below(profile_id)])
