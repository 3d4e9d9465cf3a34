"""Keeps preferences from outliving their profile (see rhythmiq_mesh.parents).

A preference is stored unconfirmed. Its create looks at the profile and answers; confirming, which costs a write, is
left to upkeep, and to a replay that answers from it. What a killed process or a lost commit leaves is unconfirmed too,
so upkeep finds it and removes what has no profile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.deadline import set_deadline
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.parents import Profiles, ProfileState, refuse_unless_active
from rhythmiq_preference.ports import PreferenceRepository

log = logging.getLogger("rhythmiq.preference")

CREATE_TAKES = timedelta(seconds=30)
"""More than a create may take from its insert to its end; upkeep does not look at what is younger."""
_UPKEEP_BATCH = 500


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

    async def keep_or_take_back(self, profile_id: str, preference_ids: Sequence[str]) -> None:
        """Returns when the preferences stay; otherwise raises as `refuse_unless_active`, and they are gone.

        It goes on to its end when the caller cancels or runs out of time: an insert must not stay unchecked.
        """
        task = asyncio.create_task(self._check(profile_id, preference_ids))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def _check(self, profile_id: str, preference_ids: Sequence[str]) -> None:
        set_deadline(None)
        try:
            await self.refuse_unless_active(profile_id)
        except BaseException:
            if await self.preferences.take_back(profile_id, preference_ids):
                raise


@dataclass(frozen=True)
class Upkeep:
    """Confirms preferences below active profiles and removes those below none.

    Any number may run at once. A profile that is being deleted is looked at again: its deletion may be refused.
    """

    preferences: PreferenceRepository
    profiles: Profiles
    clock: Clock
    seconds: float

    async def __call__(self) -> None:
        """Rounds without end, `seconds` apart."""
        while True:
            try:
                await self.once()
            except Unavailable as error:
                log.warning("upkeep waits", extra={"detail": error.message})
            await asyncio.sleep(self.seconds)

    async def once(self) -> None:
        """One round."""
        found = defaultdict(list)
        for preference in await self.preferences.unconfirmed(self.clock.now() - CREATE_TAKES, _UPKEEP_BATCH):
            found[preference.profile_id].append(preference.id)
        for profile_id, preference_ids in found.items():
            state = await self.profiles.state(profile_id)
            if state is ProfileState.ACTIVE:
                await self.preferences.confirm(preference_ids)
            elif state is ProfileState.ABSENT:
                for preference_id in preference_ids:
                    await self.preferences.take_back(profile_id, [preference_id])
