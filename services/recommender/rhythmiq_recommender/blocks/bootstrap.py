"""Constructs the service for blocks."""

from __future__ import annotations

from functools import partial

from rhythmiq.recommender.v1 import block_pb2, block_pb2_grpc
from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_mesh.parents import Profiles
from rhythmiq_mesh.server import Service
from rhythmiq_recommender.blocks.mongo import MongoBlocks
from rhythmiq_recommender.blocks.ports import Items
from rhythmiq_recommender.blocks.servicer import BlockServicer
from rhythmiq_recommender.blocks.use_cases import CreateBlock, DeleteBlock, GetBlock, ListBlocks


def block_service(
    blocks: MongoBlocks, *, items: Items, profiles: Profiles, clock: Clock, tokens: PageTokens
) -> Service:
    """BlockService."""
    servicer = BlockServicer(
        create=CreateBlock(blocks, Guard(blocks, profiles), items, clock),
        get=GetBlock(blocks),
        list=ListBlocks(blocks, tokens),
        delete=DeleteBlock(blocks),
    )
    return Service(
        block_pb2.DESCRIPTOR.services_by_name["BlockService"],
        partial(block_pb2_grpc.add_BlockServiceServicer_to_server, servicer),
    )
