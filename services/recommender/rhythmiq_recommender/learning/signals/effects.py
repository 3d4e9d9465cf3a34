"""Ratings as a sum of random effects: listener, item, artist, genre, sound, surroundings, and products of them.

Each effect is a kernel (who and what counts as alike) with a variance of its own, found by maximising the marginal
likelihood (Rasmussen and Williams 2006, chapter 5); the answer is kernel ridge regression with those variances, and
leaving one event out of it is closed form. Cubic in events: meant for the first thousands of ratings, where counting
and trees have too little to go by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.linalg as la
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.kinds import KINDS, SETTING
from rhythmiq_recommender.learning.signals.signal import Blank, Feature, Pairs, as_float
from rhythmiq_recommender.learning.tables import Context, FloatArray, IntArray, Need, RawArray, Tables

LARGEST = 2_000
"""Events up to which the closed form is used: 2,000 with all kinds of surroundings take some 2 GB while fitting."""
_PULL = 2.0
"""Weak exponential prior that pulls variances to zero: effects must be earned."""
_STEPS = 30


@dataclass(frozen=True, slots=True)
class Sides:
    """One side of the kernels: events of the past, or pairs that are asked about."""

    user: IntArray
    item: IntArray
    context: Context

    def code(self, kind: str) -> IntArray:
        """Codes of a category, -1 where it is not there."""
        return self.context.categories.get(kind, np.full(len(self.user), -1, np.int64))


@dataclass(frozen=True, slots=True)
class Effects:
    """Needs ratings; uses groups, genres, audio and surroundings where they are."""

    steps: int = _STEPS

    name = "effects"
    needs = frozenset({Need.RATINGS})
    features = (
        Feature("effects_score", "graded rating", "effects", "the sum of all effects"),
        Feature(
            "effects_taste", "graded rating", "effects", "what listener, item, artist, genre and sound add to the mean"
        ),
        *(
            Feature(
                f"effects_{kind}",
                "graded rating",
                f"context: {kind}",
                f"what {kind} adds, alone and with listener and sound",
            )
            for kind in KINDS
        ),
    )

    def refuses(self, tables: Tables) -> str | None:
        """Too many events."""
        return f"{len(tables.events)} events are more than {LARGEST}" if len(tables.events) > LARGEST else None

    def fit(self, past: Tables, seed: int) -> FittedEffects:
        """Finds the variances and solves."""
        with threadpool_limits(1, "blas"):
            return FittedEffects(past, self.steps)


def _same(left: IntArray, right: IntArray) -> FloatArray:
    return as_float((left[:, None] == right[None, :]) & (left >= 0)[:, None])


def _near(left: FloatArray, right: FloatArray, scale: float) -> FloatArray:
    """exp(-squared distance / scale); 0 where either is unknown."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    there = np.outer(~np.isnan(a).all(1), ~np.isnan(b).all(1))
    a, b = np.nan_to_num(a), np.nan_to_num(b)
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * a @ b.T
    return as_float(np.exp(-np.maximum(squared, 0) / scale) * there)


def _kernels(past: Tables, left: Sides, right: Sides) -> dict[str, dict[str, FloatArray]]:
    """Part ("taste", or a kind of surroundings) to effect to (left x right)."""
    items = past.items
    user, item = _same(left.user, right.user), _same(left.item, right.item)
    taste = {"mean": np.ones_like(user), "user": user, "item": item, "pair": user * item}
    products = {"user": user, "item": item}
    if items.group is not None:
        group = _same(items.group[left.item], items.group[right.item])
        taste |= {"group": group, "user.group": user * group}
    if items.genre is not None:
        genre = _same(items.genre[left.item], items.genre[right.item])
        taste |= {"genre": genre, "user.genre": user * genre}
        products["genre"] = genre
    if items.audio is not None:
        audio = _near(items.audio[left.item], items.audio[right.item], items.audio.shape[1])
        taste |= {"audio": audio, "user.audio": user * audio}
        products["audio"] = audio
    if SETTING in past.context.categories:
        setting = _same(left.code(SETTING), right.code(SETTING))
        taste |= {"setting": setting, "setting.user": setting * user, "setting.item": setting * item}
    parts = {"taste": taste}
    single = _single_features(past, left, right)
    for kind in past.context.kinds:
        if kind == SETTING:
            continue
        with_what = dict(products)
        if kind in past.context.categories:
            alike = _same(left.code(kind), right.code(kind))
            with_what = {name: product for name, product in products.items() if name != "audio"} | single
        else:
            mine, theirs = left.context.measures[kind], right.context.measures[kind]
            alike = _near(mine, theirs, mine.shape[1])
        parts[kind] = {kind: alike} | {f"{kind}.{name}": alike * product for name, product in with_what.items()}
    return parts


def _single_features(past: Tables, left: Sides, right: Sides) -> dict[str, FloatArray]:
    """Each audio feature on its own: which of them matters where, is found by its variance."""
    audio = past.items.audio
    if audio is None:
        return {}
    columns = {past.items.audio_names[k]: audio[:, k : k + 1] for k in range(audio.shape[1])}
    return {name: _near(column[left.item], column[right.item], 0.5) for name, column in columns.items()}


class FittedEffects(Blank):
    """Variances by effect, and the weights of past events."""

    def __init__(self, past: Tables, steps: int) -> None:
        events = past.events
        self._past = past
        self._sides = Sides(events.user, events.item, past.context)
        target = graded(past)
        target -= target.mean()
        setting = past.context.categories.get(SETTING, np.zeros(len(events), np.int64))
        _, noise = np.unique(setting, return_inverse=True)
        self._parts = _kernels(past, self._sides, self._sides)
        kernels = [kernel for part in self._parts.values() for kernel in part.values()]
        found = _variances(kernels, noise, target, steps)
        self._variance = dict(
            zip([(part, name) for part, names in self._parts.items() for name in names], found, strict=False)
        )
        total = sum(variance * kernel.astype(np.float64) for variance, kernel in zip(found, kernels, strict=False))
        total[np.diag_indices(len(target))] += found[len(kernels) :][noise]
        self._inverse = la.inv(total, check_finite=False)
        self._weights = self._inverse @ target

    @property
    def variances(self) -> dict[str, float]:
        """Effect name to variance (rating squared), largest first."""
        named = {name: float(value) for (_, name), value in self._variance.items()}
        return dict(sorted(named.items(), key=lambda entry: -entry[1]))

    def _part(self, part: str, kernels: Mapping[str, FloatArray]) -> RawArray:
        total = sum(self._variance[part, name] * kernel for name, kernel in kernels.items())
        return np.asarray(total, dtype=np.float64)

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        asked = Sides(queries.user[pairs.query], pairs.item, queries.context.take(pairs.query))
        parts = _kernels(self._past, asked, self._sides)
        return _named({part: self._part(part, kernels) @ self._weights for part, kernels in parts.items()})

    def left_out(self) -> Mapping[str, FloatArray]:
        """Closed form: leaving event i out moves the weights by -inverse[:, i] * weights[i] / inverse[i, i]."""
        step = self._weights / np.diag(self._inverse)
        found = {}
        for part, kernels in self._parts.items():
            kernel = self._part(part, kernels)
            own = np.einsum("ij,ji->i", kernel, self._inverse)
            found[part] = kernel @ self._weights - own * step
        return _named(found)


def _named(parts: Mapping[str, RawArray]) -> dict[str, FloatArray]:
    named = {f"effects_{part}": as_float(value) for part, value in parts.items()}
    return named | {"effects_score": as_float(sum(parts.values()))}


def graded(past: Tables) -> RawArray:
    """Ratings as yes or no (+-0.6) and a little (0.4 a step) of how much: finer than classes, sharper than a scale."""
    rating, yes = past.events.rating, past.positive
    assert rating is not None
    no_edge = rating[~yes].max() if (~yes).any() else past.positive_from
    yes_edge = rating[yes].min() if yes.any() else past.positive_from
    return np.asarray(np.where(yes, 0.6 + 0.4 * (rating - yes_edge), -0.6 + 0.4 * (rating - no_edge)), np.float64)


def _variances(kernels: list[FloatArray], noise: IntArray, target: RawArray, steps: int) -> RawArray:
    """Variances of all kernels, then of the noise of each setting, by L-BFGS on their logarithms."""
    count, settings, spread = len(kernels), int(noise.max()) + 1, max(float(target.var()), 1e-6)
    size = len(target)
    flat = np.stack([kernel.ravel() for kernel in kernels])  # one pass of BLAS instead of a loop over kernels

    def loss(logs: RawArray) -> tuple[float, RawArray]:
        value = np.exp(logs)
        total = (as_float(value[:count]) @ flat).reshape(size, size).astype(np.float64)
        total[np.diag_indices(size)] += value[count:][noise]
        factor = la.cholesky(total, lower=True, check_finite=False, overwrite_a=True)
        inverse, _ = la.lapack.dpotri(factor, lower=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        weights = inverse @ target
        pull = np.outer(weights, weights) - inverse
        own = np.diag(pull)
        slope = list(-0.5 * value[:count] * (flat @ as_float(pull.ravel())) + _PULL * value[:count] / spread)
        slope += [-0.5 * value[count + s] * own[noise == s].sum() for s in range(settings)]
        fit = 0.5 * target @ weights + np.log(np.diag(factor)).sum() + _PULL * value[:count].sum() / spread
        return float(fit), np.asarray(slope)

    start = np.log(np.r_[np.full(count, 0.05 * spread), np.full(settings, 0.5 * spread)])
    limits = [(np.log(1e-5 * spread), np.log(20 * spread))] * len(start)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": steps})
    best: RawArray = np.exp(found.x)
    return best
