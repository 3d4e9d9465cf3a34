"""Which values explain what somebody heard, beyond what would have been expected without them.

A log-linear model of shares, fitted value by value (iterative proportional fitting: Deming & Stephan 1940), each value
admitted only where its credible interval keeps it clear of "as expected".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from rhythmiq_recommender.leanings.model import Value
from rhythmiq_recommender.leanings.shelf import Masses, Rows, Shelf
from rhythmiq_recommender.situation import LeaningType

_STEP: Final = 10
"""BPM between the ends of tempo ranges."""
_LOWEST, _HIGHEST = 40, 220
_WIDTHS: Final = (20, 30, 40, 50)
_SWEEPS: Final = 3
"""Rounds after which weights of admitted values no longer move by a hundredth."""
_MOST: Final = 40
"""Values of one type that are admitted at most."""
_TINY: Final = 1e-9
TYPES: Final = (LeaningType.GENRE, LeaningType.ARTIST, LeaningType.TEMPO, LeaningType.INSTRUMENT)
"""In this order: what explains comes before what goes along with it. Genres that somebody likes share instruments."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When something is a leaning."""

    least: float = 0.25
    """The near end of the credible interval of the weight is at least so far from 0."""
    told: float = 0.55
    """The weight is at least so large (odds times 3.4). Weaker ones explain others and are not told: what a song sounds
    like, surroundings, and what others avoid make small leanings of everything."""
    interval: float = 0.9
    """Mass of the credible interval."""
    prior: float = 1.0
    """Occurrences that the Beta prior around the expected share is worth, counted in the rarer of yes and no."""
    hearings: float = 3.0
    """Decayed hearings that a leaning rests on at least …"""
    items: int = 2
    """… of so many different items."""


@dataclass(slots=True)
class Explanation:
    """A value and its items: `odds` is the logarithm of their odds ratio, `low` the low end of its interval."""

    value: Value
    members: Rows
    mass: float
    odds: float = 0.0
    low: float = 0.0

    @property
    def weight(self) -> float:
        """Yule's Q, in (0, 1)."""
        return float(_q(self.odds))

    @property
    def near(self) -> float:
        """The weight's credible interval's end near 0."""
        return float(_q(self.low))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Values of one type that may explain, and their items: number c has the rows `members[begin[c]:end[c]]`.

    Ranges of tempo overlap, and share their members.
    """

    values: tuple[Value, ...]
    begin: Rows
    end: Rows
    members: Rows

    @classmethod
    def of(cls, found: Sequence[tuple[Value, Rows]]) -> Candidates:
        """These values and the rows of their items."""
        end = np.cumsum([len(rows) for _, rows in found]).astype(np.int64)
        begin = np.concatenate([np.zeros(1, np.int64), end])[:-1]
        return cls(
            tuple(value for value, _ in found),
            begin,
            end,
            np.concatenate([np.zeros(0, np.int64), *(rows for _, rows in found)]),
        )

    def items(self, number: int) -> Rows:
        """Rows of one candidate."""
        return self.members[self.begin[number] : self.end[number]]

    def sums(self, mass: Masses) -> Masses:
        """(candidates,) the mass of each one's items."""
        running: Masses = np.concatenate([[0.0], np.cumsum(mass[self.members])])
        return running[self.end] - running[self.begin]

    def where(self, wanted: NDArray[np.bool_]) -> Candidates:
        """Some of them."""
        values = tuple(value for value, kept in zip(self.values, wanted.tolist(), strict=True) if kept)
        return Candidates(values, self.begin[wanted], self.end[wanted], self.members)


def candidates(shelf: Shelf, rows: Rows, types: Sequence[LeaningType] = TYPES) -> Iterator[Candidates]:
    """What may explain that these items were heard, type by type."""
    numbers = shelf.values_of(rows).tolist()
    for type_ in types:
        if type_ is LeaningType.TEMPO:
            yield _ranges(shelf)
        else:
            own = [number for number in numbers if shelf.values[number].type is type_]
            yield Candidates.of([(shelf.values[number], shelf.items_of(number)) for number in own])


def explain(types: Iterable[Candidates], mass: Masses, weight: Masses, rules: Rules) -> list[Explanation]:
    """The values that are clearly more among `mass` (rows,) than `weight` (rows,) makes expect. Changes `weight`."""
    if not mass.any():
        return []
    fit = _Fit(mass, weight, rules)
    for one_type in types:
        fit.admit(one_type)
    fit.settle()
    return [each for each in fit.admitted if each.weight >= rules.told]


class _Fit:
    """`weight` is what is expected given the values admitted so far: times their odds ratios, item by item."""

    def __init__(self, mass: Masses, weight: Masses, rules: Rules) -> None:
        self.admitted: list[Explanation] = []
        self._mass = mass
        self._total = float(mass.sum())
        self._weight = weight
        self._rules = rules

    def admit(self, some: Candidates) -> None:
        """Admits values of one type, the one that explains most of what is not explained yet first; of tempi one."""
        enough = some.sums(self._mass) >= self._rules.hearings
        several = some.sums((self._mass > 0).astype(np.float64)) >= self._rules.items
        some = some.where(enough & several)
        mass, left = some.sums(self._mass), np.ones(len(some.values), np.bool_)
        while left.any() and len(self.admitted) < _MOST * len(TYPES):
            expected = _share(some.sums(self._weight) / self._weight.sum())
            odds, low = self._posterior(mass, expected)
            # One that is not clear yet may become so: what is admitted lowers what is expected of all others.
            clear = left & (_q(low) >= self._rules.least)
            if not clear.any():
                break
            best = int(np.argmax(np.where(clear, _information(mass / self._total, expected), -1.0)))
            admitted = Explanation(some.values[best], some.items(best), float(mass[best]))
            self._set(admitted, odds[best], low[best])
            self.admitted.append(admitted)
            left[best] = False
            if admitted.value.type is LeaningType.TEMPO:
                break

    def settle(self) -> None:
        """Weighs each admitted value given all others, and leaves out what they explain."""
        for _ in range(_SWEEPS):
            for each in self.admitted:
                self._set(each, 0.0, 0.0)
                expected = _share(self._weight[each.members].sum() / self._weight.sum())
                odds, low = self._posterior(np.array(each.mass), expected)
                if _q(low) >= self._rules.least:
                    self._set(each, float(odds), float(low))
            self.admitted = [each for each in self.admitted if each.odds]

    def _set(self, each: Explanation, odds: float, low: float) -> None:
        self._weight[each.members] *= np.exp(odds - each.odds)
        each.odds, each.low = float(odds), float(low)

    def _posterior(self, mass: Masses, expected: Masses) -> tuple[Masses, Masses]:
        """Logarithms of the odds ratio against `expected`: of the mean, and of the low end of the interval."""
        # Of whichever is rarer, having the value or not, the prior has seen `prior` occurrences.
        prior = self._rules.prior / np.minimum(expected, 1 - expected)
        yes = prior * expected + mass
        no = prior * (1 - expected) + np.maximum(self._total - mass, 0)
        low = betaincinv(yes, no, (1 - self._rules.interval) / 2)
        return _logit(yes / (yes + no)) - _logit(expected), _logit(low) - _logit(expected)


def _share(share: Masses) -> Masses:
    """Kept from 0 and 1, which have no odds."""
    found: Masses = np.clip(share, _TINY, 1 - _TINY)
    return found


def _logit(share: Masses) -> Masses:
    share = _share(share)
    found: Masses = np.log(share) - np.log1p(-share)
    return found


def _q(odds: Masses | float) -> Masses:
    """Yule's Q of the logarithm of an odds ratio."""
    found: Masses = np.tanh(np.asarray(odds) / 2)
    return found


def _information(share: Masses, expected: Masses) -> Masses:
    """Kullback-Leibler divergence of two coins: what an occurrence tells on average."""
    share = _share(share)
    found: Masses = share * np.log(share / expected) + (1 - share) * np.log((1 - share) / (1 - expected))
    return found


def _ranges(shelf: Shelf) -> Candidates:
    """Ranges of tempo in whole BPM, both ends within, that any item is in."""
    ends = [(low, low + width) for width in _WIDTHS for low in range(_LOWEST, _HIGHEST - width + 1, _STEP)]
    tempo = np.round(shelf.tempo[shelf.by_tempo])
    begin = np.searchsorted(tempo, [low for low, _ in ends])
    end = np.searchsorted(tempo, [high + 1 for _, high in ends])
    values = tuple(Value(LeaningType.TEMPO, f"{low}-{high}") for low, high in ends)
    return Candidates(values, begin, end, shelf.by_tempo).where(begin < end)
