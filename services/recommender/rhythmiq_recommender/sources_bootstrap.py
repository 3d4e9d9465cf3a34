"""Constructs what is asked for an answer, behind copies that the change feeds of those who are asked vouch for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import grpc

from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.change_feed_servicer import changes_at
from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.copies import Follower
from rhythmiq_mesh.server import Check
from rhythmiq_recommender.blocks.mongo import NAMED_IN as BLOCKS
from rhythmiq_recommender.copied_ports import (
    CopiedBlocks,
    CopiedHistories,
    CopiedLeanings,
    CopiedListeners,
    CopiedReadings,
)
from rhythmiq_recommender.gateways import PreferenceLeanings, ProfileListeners, VariableReadings
from rhythmiq_recommender.gather import Sources
from rhythmiq_recommender.interactions.mongo import EPOCHS
from rhythmiq_recommender.recommend_ports import Blocks, Histories

NAMED_IN: Final = {EPOCHS: "_id"} | BLOCKS
"""For ChangeFeed: what changes a profile's interactions writes its epoch."""


@dataclass(frozen=True)
class CopiedSources:
    """The sources, and what has to run beside the serving for them."""

    sources: Sources
    background: Sequence[Check]


def copied_sources(
    *,
    profile: grpc.aio.Channel,
    preference: grpc.aio.Channel,
    variable: grpc.aio.Channel,
    histories: Histories,
    blocks: Blocks,
    changes: ChangeFeed,
    retention: timedelta,
    clock: Clock,
    most: int,
) -> CopiedSources:
    """`changes` tells of histories, which last for `retention`, and of blocks. `most` is the number of profiles."""
    listeners = CopiedListeners(ProfileListeners(profile), most=most)
    leanings = CopiedLeanings(PreferenceLeanings(preference), most=most)
    readings = CopiedReadings(VariableReadings(variable), most=most)
    past = CopiedHistories(histories, most=most, retention=retention, clock=clock)
    blocked = CopiedBlocks(blocks, most=most)
    followers = [
        Follower(changes_at(profile), [listeners.copies], of="profiles"),
        Follower(changes_at(preference), [leanings.copies], of="preferences"),
        Follower(changes_at(variable), [readings.copies], of="variables"),
        Follower(changes.watch, [past.copies, blocked.copies], of="interactions and blocks"),
    ]
    sources = Sources(
        listeners=listeners, leanings=leanings, readings=readings, histories=past, blocks=blocked, clock=clock
    )
    # Copies that nobody vouches for are none.
    return CopiedSources(sources, [changes.follow, *followers] if most else [])
