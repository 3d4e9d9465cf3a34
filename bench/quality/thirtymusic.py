"""Adapter: one window of 30Music listening sessions; artists are groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.quality.columns import dense, read
from rhythmiq_recommender.learning.tables import Events, Items, Tables

WINDOWS = 5


def load(data: Path, window: int) -> Tables:
    """All events of the window, in order; ties in time keep the file's order."""
    columns = read(data / "thirtymusic-windows" / "events.csv.gz")
    inside = columns["window"] == window
    columns = {name: column[inside] for name, column in columns.items()}
    user, _ = dense(columns["user_id"])
    item, _ = dense(columns["item_id"])
    artist, _ = dense(columns["artist_id"])
    time = columns["timestamp"].astype(np.float64)
    _, session = np.unique(columns["session_id"], return_inverse=True)
    start = np.full(int(session.max()) + 1, np.inf)
    np.minimum.at(start, session, time)
    group = np.zeros(int(item.max()) + 1, np.int64)
    group[item] = artist
    order = np.lexsort((np.arange(len(time)), time, session, start[session], user))
    events = Events(
        user[order],
        item[order],
        np.ones(len(order), np.float32),
        session=session[order].astype(np.int64),
        time=time[order],
        start=start[session][order],
    )
    return Tables(events, Items(len(group), group=group), int(user.max()) + 1)
