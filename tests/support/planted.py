"""Small generated worlds in which what is to be learned was planted."""

from __future__ import annotations

import numpy as np

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
