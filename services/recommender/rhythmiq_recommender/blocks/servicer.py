"""rhythmiq.recommender.v1.BlockService: protobuf in, use case, protobuf out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from google.protobuf.empty_pb2 import Empty

from rhythmiq.recommender.v1 import block_pb2, block_pb2_grpc
from rhythmiq_mesh.names import child_id_of
from rhythmiq_mesh.principal import current_principal
from rhythmiq_mesh.requests import request_key
from rhythmiq_mesh.times import set_timestamp
from rhythmiq_recommender.blocks.model import Block
from rhythmiq_recommender.blocks.use_cases import CreateBlock, DeleteBlock, GetBlock, ListBlocks
from rhythmiq_recommender.model import item_name

Context = grpc.aio.ServicerContext[Any, Any]
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class BlockServicer(block_pb2_grpc.BlockServiceServicer):
    """Only the owner of a profile sees or changes its blocks."""

    create: CreateBlock
    get: GetBlock
    list: ListBlocks
    delete: DeleteBlock

    async def CreateBlock(self, request: block_pb2.CreateBlockRequest, context: Context) -> block_pb2.Block:
        profile_id = current_principal().require_owner(request.parent)
        key = request_key(request, method="CreateBlock", parent=request.parent)
        return message_of(await self.create(draft_of(profile_id, request.block), key))

    async def GetBlock(self, request: block_pb2.GetBlockRequest, context: Context) -> block_pb2.Block:
        profile_id = current_principal().require_owner(request.name)
        return message_of(await self.get(profile_id, child_id_of(request.name)))

    async def ListBlocks(self, request: block_pb2.ListBlocksRequest, context: Context) -> block_pb2.ListBlocksResponse:
        profile_id = current_principal().require_owner(request.parent)
        page, token = await self.list(profile_id, request.page_size, request.page_token)
        return block_pb2.ListBlocksResponse(blocks=[message_of(block) for block in page], next_page_token=token)

    async def DeleteBlock(self, request: block_pb2.DeleteBlockRequest, context: Context) -> Empty:
        profile_id = current_principal().require_owner(request.name)
        await self.delete(profile_id, child_id_of(request.name), request.etag)
        return Empty()


def draft_of(profile_id: str, message: block_pb2.Block) -> Block:
    """A draft: id, times and etag are the use case's."""
    item_id = child_id_of(message.item) if message.HasField("item") else ""
    return Block("", profile_id, item_id, message.artist, _EPOCH, _EPOCH, "")


def message_of(block: Block) -> block_pb2.Block:
    """The API's view of a block."""
    message = block_pb2.Block(name=block.name, uid=block.id, etag=block.etag)
    if block.item_id:
        message.item = item_name(block.item_id)
    else:
        message.artist = block.artist
    set_timestamp(message.create_time, block.create_time)
    set_timestamp(message.update_time, block.update_time)
    return message
