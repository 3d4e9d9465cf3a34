"""What repositories of children in memory share, held to the same contract as the one on MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from rhythmiq_mesh.children import Child
from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.paging import Place


class Resource(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def profile_id(self) -> str: ...

    @property
    def create_time(self) -> datetime: ...


R = TypeVar("R", bound=Resource)


class InMemoryChildren(Generic[R]):
    """ChildRepository; nothing in it awaits, so each method is one step."""

    def __init__(self) -> None:
        self.stored: dict[str, R] = {}
        self.marks: dict[str, RequestKey | None] = {}
        self.records: dict[str, tuple[bytes, Any]] = {}

    async def create(self, child: R, key: RequestKey | None) -> tuple[R, bool]:
        if key is not None and key.id in self.records:
            return self.replay(key), True
        self.refuse(child)
        self.insert(child, key)
        self.record(key, child)
        return child, False

    def refuse(self, child: R) -> None:
        """Raises where a new child breaks a rule."""

    def removed(self, child: R) -> None:
        """What goes with a child that is taken back."""

    def insert(self, child: R, key: RequestKey | None) -> None:
        self.stored[child.id] = child
        self.marks[child.id] = key

    def record(self, key: RequestKey | None, answer: Any) -> None:
        if key is not None:
            self.records[key.id] = (key.fingerprint, answer)

    def replay(self, key: RequestKey) -> Any:
        fingerprint, answer = self.records[key.id]
        if fingerprint != key.fingerprint:
            raise RequestIdConflict
        return answer

    async def present(self, ids: Sequence[str]) -> bool:
        return self.stored.keys() >= set(ids)

    async def confirm(self, ids: Sequence[str]) -> bool:
        for child_id in ids:
            self.marks.pop(child_id, None)
        return await self.present(ids)

    async def take_back(self, profile_id: str, ids: Sequence[str]) -> bool:
        found = [child_id for child_id in ids if child_id in self.stored]
        if not self.marks.keys() >= set(found):
            return False
        for child_id in found:
            self.removed(self.stored.pop(child_id))
            key = self.marks.pop(child_id)
            if key is not None:
                self.records.pop(key.id, None)
        return True

    async def unconfirmed(self, created_before: datetime, limit: int) -> list[Child]:
        found = [self.stored[each] for each in self.marks if each in self.stored]
        old = sorted((each for each in found if each.create_time < created_before), key=place)
        return [Child(each.profile_id, each.id) for each in old[:limit]]

    async def get(self, profile_id: str, child_id: str) -> R | None:
        found = self.stored.get(child_id)
        return found if found is not None and found.profile_id == profile_id else None

    async def page(self, profile_id: str, after: Place | None, limit: int) -> list[R]:
        return [child for child in self.below(profile_id) if after is None or place(child) > after][:limit]

    async def count(self, profile_id: str) -> int:
        return len(self.below(profile_id))

    def below(self, profile_id: str) -> list[R]:
        """A profile's, oldest first."""
        return sorted((child for child in self.stored.values() if child.profile_id == profile_id), key=place)


def place(child: Resource) -> Place:
    return child.create_time, child.id
