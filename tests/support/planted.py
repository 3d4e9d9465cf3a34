"""Small generated worlds in which what is to be learned was planted."""

from __future__ import annotations

import numpy as np

from rhythmiq_recommender.learning.encoding import CATEGORIES, KINDS
from rhythmiq_recommender.learning.listening import AUDIO_NAMES, TYPES, Catalogue, Listens
from rhythmiq_recommender.learning.tables import Context, Events, Items, Tables

DAY = 86_400.0


def sets(listeners: int = 150, items: int = 60, clusters: int = 4, seed: int = 0) -> Tables:
    """Listeners who have 9 of 10 items from one cluster of items: item modulo clusters."""
    chance = np.random.default_rng(seed)
    user, item = [], []
    for listener in range(listeners):
        mine = np.flatnonzero(np.arange(items) % clusters == listener % clusters)
        some = {*chance.choice(mine, 9, replace=False).tolist(), int(chance.integers(0, items))}
        user += [listener] * len(some)
        item += sorted(some)
    count = np.ones(len(user), np.float32)
    return Tables(Events(np.array(user), np.array(item), count), Items(items), listeners)


def sessions(listeners: int = 60, items: int = 80, days: int = 6, seed: int = 0) -> Tables:
    """One session a listener and day, of 10 events: item k is followed by k + 1 with chance 0.7; artists are k // 8."""
    chance = np.random.default_rng(seed)
    rows = []
    session = 0
    for listener in range(listeners):
        for day in range(days):
            start = day * DAY + float(chance.integers(0, 80_000))
            item = int(chance.integers(0, items))
            for step in range(10):
                rows.append((listener, item, session, start + 200.0 * step, start))
                item = (item + 1) % items if chance.random() < 0.7 else int(chance.integers(0, items))
            session += 1
    user, item_, session_, time, begun = (np.array(column) for column in zip(*rows, strict=True))
    order = np.lexsort((time, session_, begun, user))
    events = Events(
        user[order],
        item_[order],
        np.ones(len(order), np.float32),
        session=session_[order],
        time=time[order],
        start=begun[order],
    )
    return Tables(events, Items(items, group=np.arange(items) // 8), listeners)


def ratings(count: int = 500, *, effect: float = 2.0, seed: int = 0) -> Tables:
    """Loud items are liked when walking (activity 1) and disliked otherwise, by `effect`; listeners differ a little."""
    chance = np.random.default_rng(seed)
    listeners, items = 20, 60
    loud = chance.normal(size=items).astype(np.float32)
    mood = chance.normal(scale=0.5, size=listeners)
    user, item = chance.integers(0, listeners, count), chance.integers(0, items, count)
    walking = chance.integers(0, 2, count)
    liking = effect * loud[item] * (2 * walking - 1) + mood[user] + chance.normal(size=count)
    rating = np.clip(np.round(3 + liking), 1, 5).astype(np.float32)
    events = Events(user, item, np.ones(count, np.float32), rating=rating)
    audio = np.stack([loud, chance.normal(size=items)], axis=1).astype(np.float32)
    world = Items(items, genre=np.arange(items) % 3, audio=audio, audio_names=("loudness", "tempo"))
    return Tables(events, world, listeners, context=Context({"activity": walking}), positive_from=3.0)


def catalogue(items: int = 120, seed: int = 0) -> Catalogue:
    """Tracks of six artists a genre and four genres; sounds are noise, so that only listeners tell items apart."""
    chance = np.random.default_rng([seed, 1])
    number = np.arange(items)
    ids = np.sort(np.array([chance.bytes(16) for _ in range(items)], "S16"))
    return Catalogue(
        ids,
        np.ones(items, np.int8),
        number % 24,
        tuple(f"artist {k}" for k in range(24)),
        number % 4,
        ("folk", "house", "jazz", "metal"),
        chance.normal(size=(items, len(AUDIO_NAMES))).astype(np.float32),
        (chance.random(items) * 100).astype(np.float32),
    )


def listens(
    world: Catalogue, listeners: int = 80, days: int = 14, *, effect: float = 1.5, taste: float = 2.0, seed: int = 0
) -> Listens:
    """One session of eight items a listener and day; each listener likes one genre, by `taste`.

    When running, energetic items are chosen more and calm ones less, by `effect`; when resting the reverse. The weather
    is known, too, and changes nothing. What was chosen against the odds is skipped more.
    """
    chance = np.random.default_rng([seed, 2])
    energy = world.audio[:, AUDIO_NAMES.index("energy")]
    activity, weather = KINDS.index("activity"), KINDS.index("weather")
    running, resting = (CATEGORIES[activity].code(name) for name in ("running", "resting"))
    rows = []
    for listener in range(listeners):
        for day in range(days):
            runs = bool(chance.integers(0, 2))
            liking = taste * (world.genre == listener % 4) + effect * energy * (1 if runs else -1)
            chosen = np.argsort(-(liking + chance.gumbel(size=len(world))))[:8]
            start = 1e9 + day * DAY + float(chance.integers(0, 80_000))
            sky = int(chance.integers(0, 3))
            for step, item in enumerate(chosen):
                happy = chance.random() < 1 / (1 + np.exp(-liking[item]))
                name = "COMPLETE" if happy else "SKIP"
                rows.append(
                    (listener, item, TYPES.index(name), start + 200.0 * step, running if runs else resting, sky)
                )
    listener_, item_, type_, time, doing, sky_ = (np.array(column) for column in zip(*rows, strict=True))
    codes = np.full((len(rows), len(KINDS)), -1, np.int8)
    codes[:, activity], codes[:, weather] = doing, sky_
    nothing = np.full(len(rows), np.nan, np.float32)
    return Listens(
        listener_,
        item_.astype(np.int64),
        type_.astype(np.int8),
        time.astype(np.float64),
        codes,
        np.full(len(rows), -1, np.int64),
        nothing,
    )
