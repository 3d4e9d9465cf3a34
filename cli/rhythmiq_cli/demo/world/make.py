"""Makes a world from a seed: tastes, sessions, surroundings, choices, events; all in columns and bounded chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from rhythmiq_cli.demo.world import moments
from rhythmiq_cli.demo.world.arrays import AnyInts, Bools, Chance, Codes, Doubles, Floats, Ints
from rhythmiq_cli.demo.world.effects import leans
from rhythmiq_cli.demo.world.events import Events, events_of, joined, meet
from rhythmiq_cli.demo.world.items import WorldItems, demo_columns
from rhythmiq_cli.demo.world.sessions import MOST_PLACES, Sessions, plan
from rhythmiq_cli.demo.world.surroundings import KINDS, Surroundings
from rhythmiq_cli.demo.world.tastes import Planted, Tastes, draw_tastes

END: Final = 1_767_225_600.0
"""1 January 2026, 00:00 UTC: when a world ends that says nothing else."""
DAYS: Final = 60
FAME: Final = 0.5
"""Log-odds of a standard deviation of popularity: what is well known is chosen more, whatever the taste."""
SHARED: Final[Mapping[str, float]] = {
    "activity": 0.95, "local_time": 0.95, "ambient_noise": 0.85, "company": 0.85, "weather": 0.8, "temperature": 0.6,
    "place_type": 0.6, "audio_output": 0.6, "heart_rate": 0.4, "speed": 0.4, "illuminance": 0.4, "humidity": 0.3,
}  # fmt: skip
"""Chance that a listener shares a kind at all."""
MEASURED: Final = 0.95
"""Chance that a shared kind has a value in a session."""

_CHOICES: Final = 700
"""Most items that a session chooses from; larger catalogues are met in part, each session another."""
_CHUNK: Final = 1_000
# A list is made by somebody who knows a taste in part, and nothing of surroundings.
_POLICY_TASTE: Final = 0.6
_POLICY_FAME: Final = 0.9


@dataclass(frozen=True, slots=True)
class World:
    """Events in the order of listener and time, and what was planted.

    `surroundings` is the truth of each session, `shared` (sessions x KINDS) what of it was kept; `opted` (listeners x
    KINDS) what a listener shares at all.
    """

    items: WorldItems
    tastes: Tastes
    sessions: Sessions
    surroundings: Surroundings
    opted: Bools
    shared: Bools
    events: Events
    context_strength: float

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self.tastes)

    @property
    def kept(self) -> Surroundings:
        """What a recommender may know of each session."""
        return self.surroundings.only(self.shared)

    def affinity(self, listener: AnyInts, items: AnyInts, there: Surroundings) -> Floats:
        """(rows x choices) log-odds of being chosen: taste, surroundings and fame; one row of each a question."""
        effect = np.float32(self.context_strength) * leans(there)
        return _affinity(self.tastes.of(listener, items, self.items), self.items, items, effect)

    def planted(self, listener: int) -> Planted:
        """A listener's taste in words."""
        return self.tastes.planted(listener, self.items)


def make_world(
    listeners: int,
    interactions: int,
    seed: int,
    *,
    catalogue: WorldItems | None = None,
    context_strength: float = 1.0,
    days: int = DAYS,
    end: float = END,
    planted: Mapping[int, Planted] | None = None,
) -> World:
    """Exactly `interactions` events of the `days` before `end` (Unix seconds), the same for the same arguments.

    `context_strength` scales every effect of surroundings: 0 plants none. `planted` gives listeners a taste by hand.
    Raises ValueError for sizes that no such number of listeners could fill in so many days.
    """
    items = catalogue if catalogue is not None else demo_columns()
    chance = [np.random.default_rng([seed, part]) for part in range(2, 6)]
    sessions = plan(chance[0], listeners, interactions, days, end, np.unique(items.kind).tolist())
    tastes = draw_tastes(chance[1], listeners, items, seed)
    for listener, wanted in (planted or {}).items():
        tastes.plant(listener, wanted, items)
    there = moments.surroundings(chance[2], sessions.moment, sessions.start, sessions.zone, sessions.ahead)
    opted = chance[3].random((listeners, len(KINDS))) < [SHARED[kind] for kind in KINDS]
    shared = opted[sessions.listener] & (chance[3].random((len(sessions), len(KINDS))) < MEASURED)
    effect = np.float32(context_strength) * leans(there)
    parts = [
        _events(np.random.default_rng([seed, 6, begin]), items, tastes, sessions, effect, begin)
        for begin in range(0, len(sessions), _CHUNK)
    ]
    events = _newest(joined(parts), interactions, end)
    return World(items, tastes, sessions, there, opted, shared, events, context_strength)


def _newest(events: Events, count: int, end: float) -> Events:
    """The newest `count` before `end`, in the order of listener and time."""
    events = events.take(events.time < end)
    if len(events) < count:
        raise ValueError(f"sessions with so few items to choose from have {len(events)} events, not {count}")
    kept = np.argsort(-events.time, kind="stable")[:count]
    kept = kept[np.lexsort((events.item[kept], events.type[kept], events.time[kept], events.listener[kept]))]
    return events.take(kept)


def _affinity(taste: Floats, items: WorldItems, choices: AnyInts, effect: Floats) -> Floats:
    liking = taste + np.float32(FAME) * items.fame[choices]
    # One feature after the other: (rows x choices) at a time, not times the number of features.
    for feature in range(effect.shape[1]):
        if effect[:, feature].any():
            liking += effect[:, feature, None] * items.standard[choices, feature]
    return liking


def _events(
    chance: Chance, items: WorldItems, tastes: Tastes, sessions: Sessions, effect: Floats, begin: int
) -> Events:
    """What happens in one chunk of sessions."""
    rows = np.arange(begin, min(begin + _CHUNK, len(sessions)))
    listener = sessions.listener[rows]
    choices, out = _choices(chance, items, tastes, listener, sessions.kind[rows])
    taste = tastes.of(listener, choices, items)
    liking = _affinity(taste, items, choices, effect[rows])
    policy = np.float32(_POLICY_TASTE) * taste + np.float32(_POLICY_FAME) * items.fame[choices]
    liking[out] = policy[out] = -np.inf
    most = min(MOST_PLACES, choices.shape[1])
    available = (~out).sum(1)
    count = np.minimum(sessions.places[rows], available).astype(np.int32)
    heard = meet(chance, choices, liking, policy, sessions.listed[rows], count, most)
    return events_of(chance, heard, listener, rows.astype(np.int32), sessions.start[rows], items.seconds)


def _choices(chance: Chance, items: WorldItems, tastes: Tastes, listener: Ints, kind: Codes) -> tuple[Ints, Bools]:
    """(sessions x choices) items, and which of them are out: of another kind than the session's, or there twice."""
    if len(items) <= _CHOICES:
        choices = np.broadcast_to(np.arange(len(items), dtype=np.int32), (len(listener), len(items)))
        return choices, items.kind[choices] != kind[:, None]
    choices = np.sort(_sampled(chance, items, tastes, listener), axis=1)
    out = items.kind[choices] != kind[:, None]
    out[:, 1:] |= choices[:, 1:] == choices[:, :-1]
    return choices, out


def _sampled(chance: Chance, items: WorldItems, tastes: Tastes, listener: Ints) -> Ints:
    """Half by fame, half of the genres that each listener likes."""
    half = _CHOICES // 2
    odds: Doubles = np.cumsum(np.exp(FAME * items.fame.astype(np.float64)))
    famous = np.searchsorted(odds, chance.random((len(listener), _CHOICES - half)) * odds[-1])
    order = np.argsort(items.genre, kind="stable")
    count = np.bincount(items.genre, minlength=len(items.genre_names))
    first = np.cumsum(count) - count
    liked = np.argsort(-tastes.genre[listener], axis=1)[:, :2]
    genre = np.where(chance.random((len(listener), half)) < 0.6, liked[:, :1], liked[:, 1:])
    own = order[first[genre] + (chance.random(genre.shape) * count[genre]).astype(np.int64)]
    return np.concatenate([famous, own], axis=1).clip(0, len(items) - 1).astype(np.int32)
