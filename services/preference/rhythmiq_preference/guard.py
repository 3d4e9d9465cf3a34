"""Keeps preferences from outliving their profile (see rhythmiq_mesh.parents)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from rhythmiq_mesh.deadline import set_deadline
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import Profiles, refuse_unless_active
from rhythmiq_preference.ports import PreferenceRepository


@dataclass(frozen=True)
class Guard:
    """Asks for the profile's state after an insert, and takes the preferences back unless it is ACTIVE."""

    preferences: PreferenceRepository
    profiles: Profiles
    # The event loop holds tasks weakly.
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def refuse_unless_active(self, profile_id: str) -> None:
        """Raises NotFound (PROFILE_NOT_FOUND), FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable."""
        refuse_unless_active(await self.profiles.state(profile_id), profile_id)

    async def keep_or_take_back(self, profile_id: str, preference_ids: Sequence[str], key: RequestKey | None) -> None:
        """Returns when the preferences stay; otherwise raises as `refuse_unless_active`, and they are gone.

        It goes on to its end when the caller cancels or runs out of time: an insert must not stay unchecked.
        """
        task = asyncio.create_task(self._check(profile_id, preference_ids, key))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def _check(self, profile_id: str, preference_ids: Sequence[str], key: RequestKey | None) -> None:
        set_deadline(None)
        try:
            await self.refuse_unless_active(profile_id)
        except BaseException:
            if await self.preferences.take_back(profile_id, preference_ids, key):
                raise
