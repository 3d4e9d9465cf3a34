"""All that is asked of others for one answer, at once; what does not come in time is done without."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import DeadlineExceeded, MeshError, NotFound, Unavailable
from rhythmiq_mesh.names import profile_name
from rhythmiq_recommender.blocks.model import Blocked
from rhythmiq_recommender.environment import settle
from rhythmiq_recommender.learning.history import EMPTY
from rhythmiq_recommender.recommend_ports import Blocks, Histories, Leanings, Listeners, Readings
from rhythmiq_recommender.situation import Degradation, Leaning, Listener, Reading, Situation, Surrounding, Wish

Value = TypeVar("Value")

_WHO_ANSWERS: Final[Mapping[str, str]] = {
    "profile": "the profile service",
    "preferences": "the preference service",
    "environment": "the variable service",
    "history": "the storage of interactions",
}


@dataclass(frozen=True, slots=True)
class Gathered:
    """The situation of a wish, and what is missing from it."""

    situation: Situation
    degradations: Sequence[Degradation]


@dataclass(frozen=True)
class Sources:
    """Everyone who knows something about a listener. Cheap to ask again: each port may keep what it was told."""

    listeners: Listeners
    leanings: Leanings
    readings: Readings
    histories: Histories
    blocks: Blocks
    clock: Clock

    async def gather(self, wish: Wish, *, needs_profile: bool = True) -> Gathered:
        """Asks everyone at once.

        Raises NotFound (PROFILE_NOT_FOUND) where the wish needs a profile, and Unavailable where the listener's blocks
        cannot be read: an answer that may have what a listener never wants to hear again is worse than none.
        """
        lacking: list[Degradation] = []
        nothing: Sequence[Reading] = ()
        asked_readings = (
            _or_without(self.readings.readings(wish.profile_id), nothing, "environment", lacking)
            if wish.uses_surroundings
            else _answered(nothing)
        )
        listener, leanings, readings, history, blocked = await asyncio.gather(
            _or_without(self.listeners.listener(wish.profile_id), Listener(), "profile", lacking),
            _or_without(self.leanings.leanings(wish.profile_id), (), "preferences", lacking),
            asked_readings,
            _or_without(self.histories.history(wish.profile_id), EMPTY, "history", lacking),
            self._blocked(wish.profile_id),
        )
        if listener is None:
            if needs_profile:
                raise _profile_not_found(wish.profile_id)
            listener = Listener()
        now = self.clock.now()
        surroundings: Mapping[str, Surrounding] = {}
        if wish.uses_surroundings:
            surroundings, stale = settle(readings, wish.environment, listener.time_zone, now)
            lacking.extend(stale)
        counting = effective(leanings, listener.learned_weight)
        situation = Situation(
            wish.kind, surroundings, counting, wish.tuning, wish.seeds, history, now.timestamp(), blocked
        )
        return Gathered(situation, lacking)

    async def _blocked(self, profile_id: str) -> Blocked:
        try:
            return await self.blocks.blocked(profile_id)
        except Unavailable as error:
            text = "what you have blocked cannot be read now, and an answer must not have it: try again"
            raise Unavailable(text, retry_after=error.retry_after, reason=error.reason) from error


def effective(leanings: Sequence[Leaning], learned_weight: float) -> list[Leaning]:
    """The leanings that count, with the weight that they count with: learned ones scaled by `learned_weight`."""
    scaled = (
        leaning._replace(weight=leaning.weight * learned_weight) if leaning.learned else leaning for leaning in leanings
    )
    return [leaning for leaning in scaled if leaning.weight != 0]


async def _answered(value: Value) -> Value:
    return value


async def _or_without(asked: Awaitable[Value], default: Value, subject: str, lacking: list[Degradation]) -> Value:
    """The answer, or `default` and a note in `lacking`. Only the caller's own deadline still counts as a failure."""
    try:
        return await asked
    except DeadlineExceeded:
        raise
    except MeshError:
        text = f"{_WHO_ANSWERS[subject]} did not answer in time: this answer does without your {subject}"
        lacking.append(Degradation(subject, "SERVICE_UNAVAILABLE", text))
        return default


def _profile_not_found(profile_id: str) -> NotFound:
    name = profile_name(profile_id)
    return NotFound(
        f"{name} does not exist: create the profile first",
        resource_type="rhythmiq.dev/Profile",
        resource_name=name,
        reason="PROFILE_NOT_FOUND",
    )
