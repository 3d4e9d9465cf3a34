"""What the use cases need."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from rhythmiq_mesh.children import ChildRepository
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.paging import Place
from rhythmiq_variable.model import Draft, Erased, Erasure, Kind, Reading, Recorded, Span, Variable


class VariableRepository(ChildRepository[Variable], Protocol):
    """Variables in storage. `create` raises VariableExists; what is taken back is erased, too."""

    async def all(self, profile_id: str) -> list[Variable]:
        """All of the profile, one of a kind at most, in one query."""
        ...

    async def replace(self, variable: Variable, *, expected_etag: str) -> bool:
        """Stores retention, update_time and etag unless the stored etag is another one.

        What had expired at `update_time` by the old retention stays expired. Where the retention changed, `rewrite`
        has to follow.
        """
        ...

    async def rewrite(self, variable: Variable) -> None:
        """Makes the readings expire by the variable's retention, unless a later change has reached them."""
        ...

    async def remove(self, variable: Variable, *, expected_etag: str) -> bool:
        """Removes the variable unless the stored etag is another one, and notes that its readings have to be erased.

        From then on nothing can be recorded into it.
        """
        ...

    async def erasing(self, profile_id: str, variable_id: str) -> Erasure | None:
        """The erasure of a removed variable, unless it is finished."""
        ...

    async def erase(self, variable_id: str) -> int:
        """Erases the readings of a removed variable; done when it returns. How many."""
        ...

    async def finish(self, variable_id: str) -> None:
        """Notes that nothing is left of a removed variable, here or elsewhere."""
        ...

    async def unfinished_erasures(self, limit: int) -> list[str]:
        """Ids of removed variables that may still have readings."""
        ...

    async def unfinished_copies(self, limit: int) -> list[Erasure]:
        """Erasures of which only copies elsewhere may be left."""
        ...

    async def unfinished_rewrites(self, limit: int) -> list[Variable]:
        """Variables whose readings may still expire by an older retention."""
        ...

    async def forget_expired(self, now: datetime) -> None:
        """Erases `latest` where it has expired."""
        ...


class Copies(Protocol):
    """What other services keep of readings."""

    async def erase(self, profile_id: str, kind: Kind) -> tuple[list[Erased], bool]:
        """Erases a kind everywhere: what was erased where that could be reached, and whether that was everywhere."""
        ...


class ReadingRepository(Protocol):
    """Readings in storage."""

    async def record(self, profile_id: str, drafts: Sequence[Draft], now: datetime, key: RequestKey | None) -> Recorded:
        """Stores all of them or none, as if one after the other; one that is there stays as it was first stored.

        Raises VariableNotOptedIn, ExpiredReading, RequestIdConflict.
        """
        ...

    async def page(
        self, variable: Variable, span: Span, now: datetime, after: Place | None, limit: int
    ) -> list[Reading]:
        """Those that have not expired, newest first, after a position of observe_time and id."""
        ...
