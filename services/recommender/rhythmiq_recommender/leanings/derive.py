"""From what one listener did to what the listener leans towards or away from.

How, in one paragraph: of everything heard, what was heard to the end, liked or saved is held against what somebody
without any leaning would have heard (the plays of all *other* listeners, and the catalogue's popularity where there are
few). A value, such as the genre jazz, whose share is clearly larger than that is a leaning, and its weight is Yule's Q
of the two shares: (OR - 1) / (OR + 1) with OR the ratio of their odds; so what is popular with everybody is nobody's
leaning. Values are taken one after the other, the one that explains most first, and what is expected is weighted anew
after each: an artist is only a leaning beyond the genre that the artist plays. What was skipped or disliked is held in
the same way against everything that the same listener heard, for leanings away.

Shares are posterior means under a Beta prior around the expected share that is worth `prior` occurrences: the empirical
Bayes shrinkage of disproportionality analysis (DuMouchel 1999, "Bayesian data mining in large frequency tables"). A
leaning counts only if it is large (`told`) and the near end of its 90% credible interval still `least` away from 0.
Confidence is that near end's weight divided by the weight: how much of the weight is certain. What happened one
HALF_LIFE ago counts half, so a leaning that nothing new bears out loses its evidence, then its certainty, and goes.

Knows neither surroundings nor impressions: a preference has no place for the former, and what a recommender chose to
show says more about it than about the listener.

For evaluation: `shelf_of` makes the shelf of ItemFacts, `Shelf.heard` tells it the plays of all listeners (plays of the
one in question are taken out of them here), and `derive` is asked for each listener with the `learning.history.History`
of their events. tests/unit/leanings/test_recovery.py does so on a demo world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rhythmiq_recommender.leanings.expected import TYPES, Explanation, Rules, candidates, explain
from rhythmiq_recommender.leanings.model import HALF_LIFE, MOST, Learned
from rhythmiq_recommender.leanings.shelf import Masses, Rows, Shelf
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.situation import LeaningType

RULES: Final = Rules()
_SPURNED: Final = tuple(type_ for type_ in TYPES if type_ is not LeaningType.TEMPO)
"""What there are leanings away from: nobody skips for a range of tempo."""
ONE_HEARING: Final = 30 * 60.0
"""Seconds: events with one item that are not further apart are one hearing, of which the most decided counts."""
_HEARD_TO_THE_END: Final = 0.8
"""Verdict of what counts as one; liked and saved counts a little more, only started counts half."""
_MOST_OF_ONE_ITEM: Final = 3.0
"""Somebody who hears one song a hundred times likes that song, not a hundred times its genre."""


def derive(history: History, shelf: Shelf, now: float, rules: Rules = RULES) -> list[Learned]:
    """What the listener leans to, strongest first; at most MOST.

    `now` is in Unix seconds. `shelf.plays` may contain the listener's own plays. Deterministic.
    """
    heard = _heard(history, shelf, now)
    if not len(heard.row):
        return []
    liked = _learned(heard, _towards(heard, shelf, rules), sign=1)
    spurned = _learned(heard, _away(heard, shelf, rules), sign=-1)
    both = {each.value for each in liked} & {each.value for each in spurned}
    # Sought and rejected alike: nothing that could be said in one number.
    found = [each for each in liked + spurned if each.value not in both]
    return sorted(found, key=lambda each: (-each.strength, each.value))[:MOST]


@dataclass(frozen=True, slots=True)
class _Heard:
    """Events whose item is in the catalogue, and by item what they come to."""

    row: Rows
    """(events,) rows of the shelf."""
    time: Masses
    liked: Masses
    items: Rows
    """(items,) rows of the shelf, ascending, each once."""
    yes: Masses
    """(items,) hearings that speak for the item, decayed."""
    no: Masses
    """(items,) … and against it."""


def _heard(history: History, shelf: Shelf, now: float) -> _Heard:
    rows = shelf.rows_of(history.item)
    known = rows >= 0
    row, time, liked = rows[known], history.time[known], history.liked[known].astype(np.float64)
    first, verdict, at = _hearings(row, time, liked)
    decayed = verdict / _HEARD_TO_THE_END * 0.5 ** (np.maximum(now - at, 0) / HALF_LIFE)
    items, place = np.unique(first, return_inverse=True)
    yes = np.bincount(place, np.maximum(decayed, 0), len(items))
    no = np.bincount(place, np.maximum(-decayed, 0), len(items))
    return _Heard(row, time, liked, items, np.minimum(yes, _MOST_OF_ONE_ITEM), np.minimum(no, _MOST_OF_ONE_ITEM))


def _hearings(row: Rows, time: Masses, liked: Masses) -> tuple[Rows, Masses, Masses]:
    """Item, verdict and time of each hearing: its most decided event, the later of equal ones.

    So what was started and then left is a no, and what was started and heard to the end is one yes.
    """
    order = np.lexsort((time, row))
    begins = np.r_[True, (np.diff(row[order]) != 0) | (np.diff(time[order]) > ONE_HEARING)][: len(order)]
    hearing = np.cumsum(begins)
    decided = np.lexsort((time[order], np.abs(liked[order]), hearing))
    last = order[decided[np.append(hearing[decided][1:] != hearing[decided][:-1], True)[: len(order)]]]
    return row[last], liked[last], time[last]


def _towards(heard: _Heard, shelf: Shelf, rules: Rules) -> list[Explanation]:
    """What was heard with pleasure, against what somebody without leanings would have heard."""
    own = np.bincount(heard.row[heard.liked > 0], minlength=len(shelf)) * shelf.sampled
    weight = np.maximum(shelf.plays - own, 0) + shelf.fame
    mass = np.zeros(len(shelf))
    mass[heard.items] = heard.yes
    _match_kinds(weight, mass, shelf)
    return explain(candidates(shelf, heard.items[heard.yes > 0]), mass, weight, rules)


def _away(heard: _Heard, shelf: Shelf, rules: Rules) -> list[Explanation]:
    """What was skipped or disliked, against everything that was heard."""
    mass, weight = np.zeros(len(shelf)), np.zeros(len(shelf))
    mass[heard.items] = heard.no
    weight[heard.items] = heard.yes + heard.no
    return explain(candidates(shelf, heard.items[heard.no > 0], _SPURNED), mass, weight, rules)


def _match_kinds(weight: Masses, mass: Masses, shelf: Shelf) -> None:
    """Weighs kinds of items as the listener does, in place: who hears podcasts only does not like "society"."""
    count = int(shelf.kind.max()) + 1
    wanted = np.bincount(shelf.kind, mass, count)
    present = np.bincount(shelf.kind, weight, count)
    weight *= (wanted / np.maximum(present, np.finfo(np.float64).tiny))[shelf.kind]


def _learned(heard: _Heard, found: list[Explanation], *, sign: int) -> list[Learned]:
    learned: list[Learned] = []
    speaks = np.sign(heard.liked) == sign
    for each in found:
        bearing = speaks & np.isin(heard.row, each.members)
        learned.append(
            Learned(
                each.value,
                sign * round(each.weight, 3),
                round(each.near / each.weight, 3),
                int(bearing.sum()),
                float(heard.time[bearing].max()),
            )
        )
    return learned
