"""A few hundred candidates out of the whole catalogue, exactly: every item is looked at, none is approximated.

The nearness that a plan asks for is one inner product per item over augmented vectors (see snapshot); names and tempo
ranges are added along their postings. One dense pass of numpy over 66,307 items takes about half a millisecond, as
faiss.IndexFlatIP does for the vectors alone, but here the names count in the same score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from rhythmiq_recommender import features
from rhythmiq_recommender.features import FloatArray
from rhythmiq_recommender.plan import Plan, band_nearness
from rhythmiq_recommender.postings import IntArray, Vocabulary, fold
from rhythmiq_recommender.situation import Explicit, Filter, Target
from rhythmiq_recommender.snapshot import NO_YEAR, TEMPO_BUCKETS, BoolArray, CatalogSnapshot

CANDIDATES: Final = 300
SEED_CANDIDATES: Final = 60

CHORD: Final = 0.25
"""Slope of the straight line that stands for the ranker's nearness 1 / (1 + d²) as a function of d², from 0 to 3."""

SOUND: Final = np.array(
    [name not in ("duration_ms", "popularity", "key", "mode", "time_signature") for name in features.FEATURE_NAMES]
)
"""Features that make up what an item sounds like."""


def allowed(
    snapshot: CatalogSnapshot,
    kind: int,
    tuning: Mapping[str, Target],
    filter_: Filter,
    exclude_items: Sequence[str] = (),
) -> BoolArray:
    """Which rows pass every hard filter. A value that is not known passes no minimum and no maximum."""
    columns = snapshot.columns
    mask: BoolArray = columns.kind == kind
    for name, target in tuning.items():
        values = columns.raw[:, features.INDEX[name]]
        if target.min is not None:
            mask &= values >= target.min
        if target.max is not None:
            mask &= values <= target.max
    _filter_values(snapshot, filter_, mask)
    _filter_names(snapshot, filter_, mask)
    for name in exclude_items:
        if (row := snapshot.row_of_name(name)) is not None:
            mask[row] = False
    return mask


def _filter_values(snapshot: CatalogSnapshot, filter_: Filter, mask: BoolArray) -> None:
    columns = snapshot.columns
    match filter_.explicit:
        case Explicit.EXCLUDE:
            mask &= columns.explicit != 1
        case Explicit.ONLY_CLEAN:
            mask &= columns.explicit == 0
        case Explicit.ONLY_EXPLICIT:
            mask &= columns.explicit == 1
        case Explicit.ANY:
            pass
    if filter_.min_year is not None:
        mask &= columns.year >= filter_.min_year
    if filter_.max_year is not None:
        mask &= (columns.year <= filter_.max_year) & (columns.year != NO_YEAR)
    if filter_.languages:
        wanted = [fold(tag) for tag in filter_.languages]
        admitted = [_speaks(tag, wanted) for tag in snapshot.names.languages.ids]
        # One more entry at the end, where an unknown language, -1, looks.
        mask &= np.array([*admitted, False])[columns.language]


def _speaks(tag: str, wanted: Sequence[str]) -> bool:
    return any(tag == one or tag.startswith(f"{one}-") for one in wanted)


def _filter_names(snapshot: CatalogSnapshot, filter_: Filter, mask: BoolArray) -> None:
    names = snapshot.names
    if filter_.genres:
        having = np.zeros(len(snapshot), np.bool_)
        having[snapshot.by_genre.rows_with(_known(names.genres, filter_.genres))] = True
        mask &= having
    mask[snapshot.by_genre.rows_with(_known(names.genres, filter_.exclude_genres))] = False
    mask[snapshot.by_artist.rows_with(_known(names.artists, filter_.exclude_artists))] = False


def _known(vocabulary: Vocabulary, names: Sequence[str]) -> list[int]:
    return [found for name in names if (found := vocabulary.find(name)) is not None]


def candidates_for(count: int) -> int:
    """How many candidates a list of so many items is chosen from."""
    return max(CANDIDATES, 2 * count)


def retrieve(snapshot: CatalogSnapshot, plan: Plan, mask: BoolArray, wanted: int) -> IntArray:
    """Rows, ascending, of the `wanted` best candidates among those allowed, and some near each seed.

    Sources: best by everything together, liked names and tempos among it; nearest to each seed's sound.
    """
    admitted = np.count_nonzero(mask)
    if admitted <= wanted:
        return np.flatnonzero(mask)
    scores = inner(query(plan), snapshot.vectors)
    # A ranker's pulls are bounded: however far an item is off, it loses no more than all of their weights.
    lowest = scores.max() - np.float32(sum(pull.weight for pull in plan.pulls))
    np.maximum(scores, lowest, out=scores)
    _add_named(snapshot, plan, scores)
    if admitted < len(mask):
        scores[~mask] = -np.inf
    found = [_best(scores, wanted), *(nearest(snapshot, sound, SEED_CANDIDATES, mask) for sound in plan.sounds)]
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def nearest(snapshot: CatalogSnapshot, sound: FloatArray, count: int, mask: BoolArray) -> IntArray:
    """The rows among those allowed that sound most like `sound` (standard scores, shape (features.COUNT,))."""
    weights = SOUND.astype(np.float32)
    asked = np.concatenate([2 * weights * np.where(SOUND, sound, 0), -weights]).astype(np.float32)
    scores = inner(asked, snapshot.vectors)
    scores[~mask] = -np.inf
    best = _best(scores, count)
    return best[mask[best]]


def query(plan: Plan) -> FloatArray:
    """The vector whose inner product with an item's is the plan's nearness, up to a constant."""
    vector = np.zeros(2 * features.COUNT, np.float32)
    for pull in plan.pulls:
        slope = CHORD * pull.weight / pull.width**2
        if pull.feature == features.KEY:
            angle = pull.target * 2 * np.pi / 12
            vector[features.KEY] += slope * np.cos(angle)
            vector[features.KEY + features.COUNT] += slope * np.sin(angle)
        else:
            vector[pull.feature] += 2 * slope * pull.target
            vector[pull.feature + features.COUNT] -= slope
    return vector


def inner(asked: FloatArray, vectors: FloatArray) -> FloatArray:
    """Inner product of `asked` with each column, shape (columns,).

    Row by row and without BLAS: most plans leave most rows out, the sum does not depend on the number of threads, and
    no thread pool competes with the event loop.
    """
    total = np.zeros(vectors.shape[1], np.float32)
    product = np.empty_like(total)
    for row in np.flatnonzero(asked).tolist():
        total += np.multiply(vectors[row], asked[row], out=product)
    return total


def _add_named(snapshot: CatalogSnapshot, plan: Plan, scores: FloatArray) -> None:
    """Adds what genres, artists, instruments and tempo ranges make of each row."""
    if plan.bands:
        scores += tempo_worth(plan).take(snapshot.tempo_bucket)
    if plan.genres:
        # Worked out once for each distinct set of genres, then looked up by row.
        worth = np.zeros(len(snapshot.names.genres.names), np.float32)
        for number, parts in plan.genres.items():
            worth[number] = sum(part.weight for part in parts)
        sets = snapshot.genre_sets
        by_set = np.bincount(snapshot.genre_set_owners, weights=worth[sets.values], minlength=len(sets)).astype(
            np.float32
        )
        scores += by_set.take(snapshot.genre_set)
    for rows_by_name, weights in ((snapshot.by_artist, plan.artists), (snapshot.by_instrument, plan.instruments)):
        if weights:
            lists = [rows_by_name[number] for number in weights]
            worths = np.array([sum(part.weight for part in parts) for parts in weights.values()], np.float32)
            # Not `+=`: a row can be in several lists.
            np.add.at(scores, np.concatenate(lists), worths.repeat([len(rows) for rows in lists]))


def tempo_worth(plan: Plan) -> FloatArray:
    """What the preferred tempo ranges make of each tempo bucket (see snapshot), shape (TEMPO_BUCKETS,)."""
    beats = np.arange(TEMPO_BUCKETS, dtype=np.float64)
    beats[-1] = np.nan
    weights = np.array([band.weight for band in plan.bands])
    worth: FloatArray = (band_nearness(plan.bands, beats) * weights).sum(axis=1).astype(np.float32)
    return worth


def _best(scores: FloatArray, count: int) -> IntArray:
    """Positions of the `count` highest; where the last ones are equal, the first of them, so that ties never vary."""
    if len(scores) <= count:
        return np.arange(len(scores))
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    reaching = np.flatnonzero(scores >= threshold)
    if len(reaching) == count:
        return reaching
    above = scores[reaching] > threshold
    equal = np.flatnonzero(~above)[: count - np.count_nonzero(above)]
    above[equal] = True
    best: IntArray = reaching[above]
    return best
