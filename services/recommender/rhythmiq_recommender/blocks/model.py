"""A block and its rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rhythmiq_mesh.errors import AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from rhythmiq_mesh.names import child_name, profile_name
from rhythmiq_recommender.postings import fold

RESOURCE_TYPE: Final = "rhythmiq.dev/Block"
COLLECTION: Final = "blocks"
LIMIT: Final = 1_000
"""Most blocks of one profile."""

_ITEM: Final = "item:"
_ARTIST: Final = "artist:"


@dataclass(frozen=True, slots=True)
class Block:
    """A listener's no to an item or to an artist: one of `item_id` and `artist` is set, the other is empty."""

    id: str
    profile_id: str
    item_id: str
    artist: str
    create_time: datetime
    update_time: datetime
    etag: str

    @property
    def name(self) -> str:
        """The resource name."""
        return child_name(self.profile_id, COLLECTION, self.id)

    @property
    def key(self) -> str:
        """What is unique in a profile: an artist counts by the name's folded form, as the catalogue's names do."""
        return _ITEM + self.item_id if self.item_id else _ARTIST + fold(self.artist)


@dataclass(frozen=True, slots=True)
class Blocked:
    """All that a listener has blocked: item ids, and artists' names in folded form."""

    item_ids: Sequence[str] = ()
    artists: Sequence[str] = ()

    @classmethod
    def of_keys(cls, keys: Sequence[str]) -> Blocked:
        """From the keys of all blocks."""
        return cls(
            tuple(key.removeprefix(_ITEM) for key in keys if key.startswith(_ITEM)),
            tuple(key.removeprefix(_ARTIST) for key in keys if key.startswith(_ARTIST)),
        )


NOTHING_BLOCKED: Final = Blocked()


def check_artist(block: Block) -> None:
    """Raises InvalidArgument for a name of Unicode white space alone, which the schema's pattern cannot see."""
    if block.artist and not fold(block.artist):
        raise InvalidArgument.of("block.artist", "must not be blank")


class BlockNotFound(NotFound):
    """No such block."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} does not exist: list the blocks of the profile",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="BLOCK_NOT_FOUND",
        )


class BlockExists(AlreadyExists):
    """The profile has a block of this item or artist."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"this is blocked already, by {name}",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="BLOCK_EXISTS",
        )


class BlockLimitReached(ResourceExhausted):
    """The profile has LIMIT blocks."""

    def __init__(self, profile_id: str) -> None:
        super().__init__(
            f"{profile_name(profile_id)} has {LIMIT:,} blocks, the most there can be: delete one first",
            reason="BLOCK_LIMIT_REACHED",
        )
