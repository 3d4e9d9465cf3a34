"""Whether there is enough to learn from, said before anything is computed, with all that is missing at once."""

from __future__ import annotations

from typing import Final

import numpy as np

from rhythmiq_recommender.learning.listening import IMPRESSION, TYPES, VERDICT, Catalogue, Listens
from rhythmiq_recommender.learning.tables import UnfitTables

LEAST_LISTENERS: Final = 30
LEAST_ITEMS: Final = 20
LEAST_LIKED: Final = 300
LEAST_DAYS: Final = 2.0
"""Between the first and the last interaction: the last stretch of time is the hold-out."""


def check(listens: Listens, catalogue: Catalogue, kind: str, number: int) -> None:
    """`number` is that of the kind in Item.Kind. Raises UnfitTables naming everything that is missing."""
    what = kind.replace("_", " ") + "s"
    ours = (catalogue.kind[listens.item] == number) & (listens.type != TYPES.index(IMPRESSION))
    if not ours.any():
        raise UnfitTables(f"there are no interactions with {what}: record some, or import histories")
    some = listens.take(ours)
    verdict = VERDICT[some.type]
    liked = int((verdict > 0).sum())
    if liked in (0, len(some)):
        which = "likes, saves and plays" if liked else "skips and dislikes"
        raise UnfitTables(
            f"all {len(some):,} interactions with {what} are {which}: from one class nothing can be told apart"
        )
    days = float(np.ptp(some.time)) / 86_400
    missing = [
        f"{there:,.4g} {name} (at least {least:g})"
        for there, least, name in (
            (len(np.unique(some.listener)), LEAST_LISTENERS, "listeners"),
            (len(np.unique(some.item)), LEAST_ITEMS, f"{what} that anyone met"),
            (liked, LEAST_LIKED, "likes, saves and plays"),
            (days, LEAST_DAYS, "days from the first to the last"),
        )
        if there < least
    ]
    if missing:
        raise UnfitTables(f"too little is known of {what}: {', '.join(missing)}")
