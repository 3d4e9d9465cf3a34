"""What listeners do in a session: they are shown a list or choose themselves, hear, skip, like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from rhythmiq.recommender.v1 import interaction_pb2
from rhythmiq_cli.demo.world.arrays import (
    AnyInts,
    Bools,
    Chance,
    Codes,
    Doubles,
    Floats,
    Ints,
    gumbel,
    happens,
    sigmoid,
)
from rhythmiq_cli.demo.world.sessions import LONGEST

TYPES: Final = tuple(interaction_pb2.Interaction.Type.keys()[1:])
"""Interaction types in the order of the API's enum: IMPRESSION, PLAY, COMPLETE, SKIP, LIKE, DISLIKE, SAVE."""
IMPRESSION, PLAY, COMPLETE, SKIP, LIKE, DISLIKE, SAVE = range(len(TYPES))

FINISHED_AT: Final = 2.0
"""Log-odds of an item at which one half of its plays are heard to the end; what is chosen has more, mostly."""
_PAUSE: Final = 4.0
_FIRST_PLACES: Final = 0.06


@dataclass(frozen=True, slots=True)
class Events:
    """One row an interaction. `type` indexes TYPES; `time` is in Unix seconds; `session` a row of the world's sessions.

    `position` is 1 for the first place of a list, -1 where nothing was shown; `propensity` is NaN there. `played` is in
    seconds, NaN where nothing ended.
    """

    listener: Ints
    item: Ints
    type: Codes
    time: Doubles
    session: Ints
    position: Ints
    propensity: Floats
    played: Floats

    def __len__(self) -> int:
        return len(self.listener)

    def take(self, rows: AnyInts | Bools) -> Events:
        """Some rows."""
        return Events(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Heard:
    """(sessions x places): what was met in each session, in order; -1 beyond its end."""

    item: Ints
    liking: Floats
    position: Ints
    propensity: Floats


def meet(chance: Chance, choices: Ints, liking: Floats, policy: Floats, listed: Bools, count: Ints, most: int) -> Heard:
    """Draws without replacement from (sessions x choices): by the policy where a list is shown, else by liking.

    The propensity of a place is its chance given the places above it (Plackett-Luce).
    """
    utility = np.where(listed[:, None], policy, liking)
    keys = utility + gumbel(chance, utility.shape)
    near = np.argpartition(-keys, most - 1, axis=1)[:, :most]
    order = np.argsort(-np.take_along_axis(keys, near, axis=1), axis=1)
    place = np.take_along_axis(near, order, axis=1)
    there = np.arange(most) < count[:, None]
    odds = np.exp(policy - policy.max(axis=1, keepdims=True))
    taken = np.take_along_axis(odds, place, axis=1)
    left = odds.sum(axis=1, keepdims=True) - np.cumsum(taken, axis=1) + taken
    shown = there & listed[:, None]
    return Heard(
        np.where(there, np.take_along_axis(choices, place, axis=1), -1).astype(np.int32),
        np.take_along_axis(liking, place, axis=1),
        np.where(shown, np.arange(1, most + 1), -1).astype(np.int32),
        np.where(shown, np.clip(taken / left, 1e-9, 1), np.nan).astype(np.float32),
    )


def events_of(chance: Chance, heard: Heard, listener: Ints, session: Ints, start: Doubles, seconds: Floats) -> Events:
    """What follows from what was met: `seconds` is the length of every item of the catalogue."""
    there, shown = heard.item >= 0, heard.position > 0
    # Lower places are looked at less; what one chooses oneself is always played.
    looked = 1 / (1 + np.float32(_FIRST_PLACES) * np.maximum(heard.position - 1, 0))
    wanted = there & (~shown | happens(chance, sigmoid(0.7 * heard.liking) * looked))
    length = seconds[np.maximum(heard.item, 0)]
    ends = happens(chance, sigmoid(0.9 * (heard.liking - FINISHED_AT)))
    lasted = np.where(wanted, length * np.where(ends, 1, chance.uniform(0.03, 0.5, length.shape)), 0)
    spent = lasted + np.where(wanted, _PAUSE, 0)
    after = 1.0 + np.cumsum(spent, axis=1) - spent
    # There is an end to every session, also to one of long pieces.
    played = wanted & (after < LONGEST)
    begin, lasted = start[:, None] + after, lasted.astype(np.float32)
    finished = played & ends
    liked = finished & happens(chance, 0.3 * sigmoid(heard.liking - 3.5))
    saved = finished & happens(chance, 0.15 * sigmoid(heard.liking - 4))
    disliked = played & ~finished & happens(chance, 0.3 * sigmoid(-1 - heard.liking))
    never = np.full(length.shape, np.nan, np.float32)
    parts = [
        (there & shown, IMPRESSION, np.broadcast_to(start[:, None], begin.shape), never),
        (played, PLAY, begin, never),
        (finished, COMPLETE, begin + lasted, lasted),
        (played & ~finished, SKIP, begin + lasted, lasted),
        (liked, LIKE, begin + 0.6 * lasted, never),
        (disliked, DISLIKE, begin + 0.9 * lasted, never),
        (saved, SAVE, begin + 0.8 * lasted, never),
    ]
    return joined([_rows(heard, listener, session, *part) for part in parts])


def joined(parts: Sequence[Events]) -> Events:
    """All rows of all parts."""
    return Events(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Events)))


def _rows(
    heard: Heard, listener: Ints, session: Ints, where: Bools, type_: int, time: Doubles, played: Floats
) -> Events:
    row, place = np.nonzero(where)
    return Events(
        listener[row],
        heard.item[row, place],
        np.full(len(row), type_, np.int8),
        # Kept to the millisecond, as the service does.
        np.round(time[row, place], 3),
        session[row],
        heard.position[row, place],
        heard.propensity[row, place],
        played[row, place],
    )
