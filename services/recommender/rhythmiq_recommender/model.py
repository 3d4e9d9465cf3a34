"""An item of the catalogue and its rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from hashlib import sha1
from typing import NamedTuple
from uuid import UUID

from rhythmiq_mesh.errors import FieldViolation, NotFound

RESOURCE_TYPE = "rhythmiq.dev/Item"
NAMESPACE = UUID("b4bd1ae6-6d1c-5b57-8a3e-0f6a4c1c9d27")
"""Item ids are UUIDs of version 5 (RFC 9562) in this namespace."""
MAX_REJECTIONS = 100
"""Rejected items that an import names; the others are only counted."""

_NAMESPACE_BYTES = NAMESPACE.bytes


class Kind(Enum):
    """What an item is."""

    TRACK = "TRACK"
    PODCAST_EPISODE = "PODCAST_EPISODE"
    SOUNDSCAPE = "SOUNDSCAPE"


class ReleaseDate(NamedTuple):
    """Month and day are 0 where not known."""

    year: int
    month: int
    day: int


class Content(NamedTuple):
    """What an importer says of an item. A named tuple, because an import makes tens of thousands a second.

    `duration` in seconds; `features` by the API's names and in its units, without those not known; None: not known.
    """

    external_id: str
    kind: Kind
    title: str
    artists: Sequence[str]
    genres: Sequence[str]
    instruments: Sequence[str]
    language: str
    explicit: bool | None
    release_date: ReleaseDate | None
    popularity: float | None
    duration: float | None
    features: Mapping[str, float]
    other_ids: Mapping[str, str]
    links: Mapping[str, str]


class Draft(NamedTuple):
    """An item to be stored. `digest` is equal for equal contents only."""

    id: str
    content: Content
    digest: bytes
    serialized: bytes
    """The content as the API's message: what a replica reads back by the ten thousand."""


@dataclass(frozen=True, slots=True)
class Item:
    """A stored item."""

    id: str
    content: Content
    create_time: datetime
    update_time: datetime
    etag: str

    @property
    def name(self) -> str:
        """The resource name."""
        return item_name(self.id)


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """Which items to list; empty means all. Genre and artist are compared without regard to case."""

    kind: Kind | None = None
    genre: str = ""
    artist: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item left out: its position in the caller's source, and the first rule that it breaks."""

    position: int
    external_id: str
    field: str
    rule: str


@dataclass(slots=True)
class ImportSummary:
    """What became of the items received so far: each is counted exactly once."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def reject(self, rejection: Rejection) -> None:
        """Counts a rejected item, and keeps the first MAX_REJECTIONS."""
        self.rejected += 1
        if len(self.rejections) < MAX_REJECTIONS:
            self.rejections.append(rejection)

    def count(self, before: bytes | None, versions: Sequence[bytes]) -> None:
        """Counts versions of one item, in the order received, by their digests.

        `before` is the digest found in storage, None if there was no such item. Each version counts against the one
        before it, as if all were stored one after another.
        """
        for digest in versions:
            if before is None:
                self.created += 1
            elif before == digest:
                self.unchanged += 1
            else:
                self.updated += 1
            before = digest


def broken_rule(content: Content) -> FieldViolation | None:
    """The rule beyond those in the schema: names in maps become names in documents, which cannot hold NUL."""
    for field_name, pairs in (("other_ids", content.other_ids), ("links", content.links)):
        if any("\0" in key for key in pairs):
            return FieldViolation(field_name, "keys must not contain the character NUL")
    return None


def item_id(external_id: str) -> str:
    """The id of the item with this external id: always the same, so that importing twice cannot make two.

    Equals `str(uuid5(NAMESPACE, external_id))`, at a third of the time.
    """
    digest = sha1(_NAMESPACE_BYTES + external_id.encode(), usedforsecurity=False).digest()
    versioned = (int.from_bytes(digest[:16]) & ~(0xF000 << 64) & ~(0xC000 << 48)) | (5 << 76) | (0x8000 << 48)
    text = f"{versioned:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def item_name(item_id: str) -> str:
    """`items/{item}`."""
    return f"items/{item_id}"


class ItemNotFound(NotFound):
    """No such item."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} does not exist: list items to see what there is",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="ITEM_NOT_FOUND",
        )
