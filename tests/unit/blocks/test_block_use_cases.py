from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from blocks_in_memory import InMemoryBlocks

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.errors import EtagMismatch, FailedPrecondition, InvalidArgument, NotFound, RequestIdConflict
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_recommender.blocks.model import Block, BlockNotFound
from rhythmiq_recommender.blocks.use_cases import CreateBlock, DeleteBlock, GetBlock
from rhythmiq_recommender.model import ItemNotFound

PROFILE = "11111111-1111-1111-1111-111111111111"
ITEM = "22222222-2222-5222-8222-222222222222"
KEY = RequestKey("scope", "id", b"fingerprint")
EPOCH = datetime.fromtimestamp(0, UTC)


class World:
    """One profile in a state, and a catalogue."""

    def __init__(self, state: ProfileState = ProfileState.ACTIVE, items: Collection[str] = (ITEM,)) -> None:
        self.profile, self.items = state, set(items)
        self.blocks = InMemoryBlocks()
        self.create = CreateBlock(self.blocks, Guard(self.blocks, self), self, SystemClock())

    async def state(self, profile_id: str) -> ProfileState:
        return self.profile

    async def unknown(self, item_ids: Sequence[str]) -> set[str]:
        return set(item_ids) - self.items


def draft(item_id: str = "", artist: str = "") -> Block:
    return Block("", PROFILE, item_id, artist, EPOCH, EPOCH, "")


async def test_a_block_needs_an_item_of_the_catalogue() -> None:
    world = World()
    made = await world.create(draft(ITEM), None)
    assert (made.item_id, made.artist) == (ITEM, "")
    with pytest.raises(ItemNotFound):
        await world.create(draft(str(uuid4())), None)
    assert list(world.blocks.stored) == [made.id]


async def test_an_artist_may_be_blocked_before_the_catalogue_has_one() -> None:
    world = World(items=())
    made = await world.create(draft(artist="Nobody Yet"), None)
    assert (await world.blocks.blocked(PROFILE)).artists == ("nobody yet",)
    assert made.artist == "Nobody Yet"


async def test_an_artist_of_white_space_alone_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"block\.artist"):
        await World().create(draft(artist="\u2003"), None)


async def test_a_replay_answers_although_its_item_has_been_deleted() -> None:
    world = World()
    first = await world.create(draft(ITEM), KEY)
    world.items.clear()
    assert await world.create(draft(ITEM), KEY) == first
    with pytest.raises(RequestIdConflict):
        await world.create(draft(ITEM), RequestKey("scope", "id", b"another"))
    with pytest.raises(ItemNotFound):
        await world.create(draft(ITEM), RequestKey("scope", "another id", b"fingerprint"))


@pytest.mark.parametrize(
    ("state", "error"), [(ProfileState.ABSENT, NotFound), (ProfileState.DELETING, FailedPrecondition)]
)
async def test_nothing_is_blocked_below_a_profile_that_is_not_active(
    state: ProfileState, error: type[Exception]
) -> None:
    world = World(state)
    with pytest.raises(error):
        await world.create(draft(ITEM), KEY)
    assert not world.blocks.stored
    assert not world.blocks.records


async def test_only_the_version_that_was_read_is_deleted() -> None:
    world = World()
    made = await world.create(draft(ITEM), None)
    delete, get = DeleteBlock(world.blocks), GetBlock(world.blocks)
    with pytest.raises(EtagMismatch):
        await delete(PROFILE, made.id, "stale")
    assert await get(PROFILE, made.id) == made
    await delete(PROFILE, made.id, made.etag)
    with pytest.raises(BlockNotFound):
        await get(PROFILE, made.id)
    with pytest.raises(BlockNotFound):
        await delete(PROFILE, made.id, "")
