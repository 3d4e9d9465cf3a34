"""What listeners would have liked, had this model chosen: from lists that were shown with known propensities.

The target is the model itself, asked in the same situation for a list of the same length L, with its L items put in
random order: each of them stands at each place with probability 1 / L. Its own order would be judged by the few lists
that happen to agree on places; in random order every list that shows one of its items says something.
"""

from __future__ import annotations

from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning import ranker
from rhythmiq_recommender.learning.history import LONGEST_HISTORY
from rhythmiq_recommender.learning.judging import HoldOut
from rhythmiq_recommender.learning.listening import Listens
from rhythmiq_recommender.learning.off_policy import off_policy
from rhythmiq_recommender.learning.served.registry import SERVED_NAMES
from rhythmiq_recommender.learning.served.shelf import Seen, Trail
from rhythmiq_recommender.learning.tables import IntArray, RawArray
from rhythmiq_recommender.training.shown import Shown, shown

LEAST_ROWS: Final = 100
MOST_LISTS: Final = 1_000
"""Drawn at random where there are more."""


def estimates(listens: Listens, test: HoldOut, booster: lgb.Booster, since: float, seed: int) -> dict[str, Any]:
    """IPS and SNIPS of likes per shown item, from what was shown since then (Unix seconds); or what is missing."""
    found = _logged(listens, test, since, seed)
    rows = found.row
    if len(rows) < LEAST_ROWS:
        return {"missing": f"{len(rows)} items were shown with a known propensity in the hold-out: too few to tell."}
    target = _target(listens, rows, test, booster)
    propensity = listens.propensity[rows].astype(np.float64)
    value = off_policy(found.liked.astype(np.float64), propensity, target, listens.listener[rows], seed=seed)
    plain = value.as_json()
    return {
        "rows": plain["rows"],
        "effective": plain["effective"],
        "mean_weight": plain["mean_weight"],
        "clipped": plain["clipped"],
        "estimates": {
            "as it was shown": plain["logged"],
            "this model (IPS)": plain["ips"],
            "this model (SNIPS)": plain["snips"],
        },
    }


def _logged(listens: Listens, test: HoldOut, since: float, seed: int) -> Shown:
    """What was shown with a propensity, of at most MOST_LISTS lists: one listener, one instant."""
    all_ = shown(listens)
    row = all_.row
    known = (listens.propensity[row] > 0) & (listens.time[row] >= since) & test.reader.shelf.of_kind[listens.item[row]]
    row, liked = row[known], all_.liked[known]
    number = _lists(listens, row)
    count = int(number.max(initial=-1)) + 1
    if count > MOST_LISTS:
        kept = np.isin(number, np.random.default_rng(seed).choice(count, MOST_LISTS, replace=False))
        row, liked = row[kept], liked[kept]
    return Shown(row, liked)


def _lists(listens: Listens, row: IntArray) -> IntArray:
    """Number of the list that each row was in."""
    pairs = np.stack([listens.listener[row].astype(np.float64), listens.time[row]], axis=1)
    found: IntArray = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return found


def _target(listens: Listens, rows: IntArray, test: HoldOut, booster: lgb.Booster) -> RawArray:
    """(rows,) 1 / L where the item is among the model's first L, L the length of the list that the row was in."""
    columns = [SERVED_NAMES.index(name) for name in booster.feature_name()]
    target = np.zeros(len(rows))
    for number in np.unique(lists := _lists(listens, rows)).tolist():
        mine = np.flatnonzero(lists == number)
        seen = _seen(listens, int(rows[mine[0]]), test)
        items = listens.item[rows[mine]]
        offered = np.union1d(test.reader.candidates(seen, test.reader.shelf.of_kind, test.candidates), items)
        score = ranker.predict(booster, test.reader.features(seen, offered)[:, columns])
        best = offered[np.argsort(-score, kind="stable")[: len(mine)]]
        target[mine] = np.isin(items, best) / len(mine)
    return target


def _seen(listens: Listens, row: int, test: HoldOut) -> Seen:
    """What was known when that row was shown."""
    ask, who, time = test.ask, listens.listener[row], float(listens.time[row])
    first, end = np.searchsorted(ask.user, [who, who + 1])
    end = first + int(np.searchsorted(ask.time[first:end], time))
    before = slice(max(int(first), int(end) - LONGEST_HISTORY), int(end))
    trail = Trail(ask.item[before], ask.time[before], ask.verdict[before], ask.codes[before])
    return Seen(test.reader.shelf, trail, time, listens.codes[row])
