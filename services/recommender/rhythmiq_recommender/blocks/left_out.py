"""What is blocked, left out of a catalogue."""

from __future__ import annotations

import numpy as np

from rhythmiq_recommender.blocks.model import Blocked
from rhythmiq_recommender.columns import ids_of
from rhythmiq_recommender.snapshot import BoolArray, CatalogSnapshot


def leave_out(snapshot: CatalogSnapshot, blocked: Blocked, mask: BoolArray) -> None:
    """Clears `mask` at the rows of all blocked items, and of all items that a blocked artist has any part in."""
    if blocked.item_ids and len(snapshot):
        ids = ids_of(blocked.item_ids)
        rows = np.searchsorted(snapshot.columns.ids, ids).clip(max=len(snapshot) - 1)
        mask[rows[snapshot.columns.ids[rows] == ids]] = False
    known = snapshot.names.artists.ids
    mask[snapshot.by_artist.rows_with([known[name] for name in blocked.artists if name in known])] = False
