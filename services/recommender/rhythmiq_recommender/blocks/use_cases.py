"""What can be done with blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from uuid import uuid4

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import child_name
from rhythmiq_mesh.paging import PageTokens, Place
from rhythmiq_recommender.blocks.model import COLLECTION, Block, BlockNotFound, check_artist
from rhythmiq_recommender.blocks.ports import BlockRepository, Items
from rhythmiq_recommender.model import ItemNotFound, item_name

_ATTEMPTS = 5


@dataclass(frozen=True)
class CreateBlock:
    """Blocks an item or an artist.

    Raises InvalidArgument, BlockExists, BlockLimitReached, ItemNotFound, NotFound (PROFILE_NOT_FOUND),
    FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable; nothing is stored then.
    """

    blocks: BlockRepository
    guard: Guard
    items: Items
    clock: Clock

    async def __call__(self, draft: Block, key: RequestKey | None) -> Block:
        check_artist(draft)
        now = self.clock.now()
        new = replace(draft, id=str(uuid4()), create_time=now, update_time=now, etag=new_etag())
        insert = partial(self.blocks.create, new, key)
        if new.item_id and await self.items.unknown([new.item_id]):
            insert = partial(self._again, new, key)
        return await self.guard.create(new, insert)

    async def _again(self, new: Block, key: RequestKey | None) -> tuple[Block, bool]:
        """By now the item may have been deleted: a replay has its first answer all the same."""
        first = None if key is None else await self.blocks.first_answer(key)
        if first is None:
            raise ItemNotFound(item_name(new.item_id))
        return first, True


@dataclass(frozen=True)
class GetBlock:
    """Gets a block. Raises BlockNotFound."""

    blocks: BlockRepository

    async def __call__(self, profile_id: str, block_id: str) -> Block:
        block = await self.blocks.get(profile_id, block_id)
        if block is None:
            raise BlockNotFound(child_name(profile_id, COLLECTION, block_id))
        return block


@dataclass(frozen=True)
class ListBlocks:
    """Lists a profile's blocks, oldest first: one page and the token of the next, empty on the last.

    Raises InvalidArgument (PAGE_TOKEN_INVALID).
    """

    blocks: BlockRepository
    tokens: PageTokens

    async def __call__(self, profile_id: str, requested_size: int, token: str) -> tuple[list[Block], str]:
        query, fetch = ("ListBlocks", profile_id), partial(self.blocks.page, profile_id)
        return await self.tokens.page(query, requested_size, token, fetch, _place)


@dataclass(frozen=True)
class DeleteBlock:
    """Deletes a block. Raises BlockNotFound, EtagMismatch."""

    blocks: BlockRepository

    async def __call__(self, profile_id: str, block_id: str, etag: str) -> None:
        for _ in range(_ATTEMPTS):
            stored = await GetBlock(self.blocks)(profile_id, block_id)
            check_etag(etag, stored.etag, stored.name)
            if await self.blocks.delete(stored):
                return
        raise Aborted(f"{child_name(profile_id, COLLECTION, block_id)} is being changed by other calls: try again")


def _place(block: Block) -> Place:
    return block.create_time, block.id
