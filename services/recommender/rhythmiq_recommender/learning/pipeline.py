"""From tables to rows to train and test on: who learns from what, and what is asked of it.

A slice says which events the signals are fitted on and which are asked about. Signals never see what is asked. There
are three styles, and the rest of the code does not care which: sets of items (random folds inside each user), sessions
(what comes next; slices roll forward in time), and ratings (each event left out of its own features).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rhythmiq_recommender.learning import queries as ask
from rhythmiq_recommender.learning.features import Frame, candidates, rows, score, stack
from rhythmiq_recommender.learning.queries import LeakFound, Queries
from rhythmiq_recommender.learning.signals.signal import Fitted, Pairs, Signal
from rhythmiq_recommender.learning.tables import (
    BoolArray,
    FloatArray,
    IntArray,
    RawArray,
    Statements,
    Tables,
    UnfitTables,
)

CHUNK = 512
"""Queries scored at once: bounds memory."""
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of events: `past` is learned from, `asked` is to be foretold."""

    past: IntArray
    asked: IntArray

    def __post_init__(self) -> None:
        if np.intersect1d(self.past, self.asked).size:
            raise LeakFound("an event is both learned from and asked about")


def fit_signals(
    tables: Tables, past: IntArray, signals: Sequence[Signal], seed: int = 0
) -> list[tuple[Signal, Fitted]]:
    """Fits all on those events."""
    known = tables.take(past)
    return [(signal, signal.fit(known, seed)) for signal in signals]


# ---- sets of items


def parts_of_users(user: IntArray, seed: int, parts: int = 5) -> IntArray:
    """A random part 0..parts-1 for each event, of equal size (rounded) in every user."""
    chance = np.random.default_rng(seed)
    order = np.lexsort((chance.random(len(user)), user))
    ordered = user[order]
    starts = np.searchsorted(ordered, ordered)
    size = np.bincount(user)[ordered]
    part = np.empty(len(user), np.int64)
    part[order] = np.floor((np.arange(len(user)) - starts + 0.5) / size * parts).astype(np.int64)
    return part


def without_statements_on(tables: Tables, asked: IntArray) -> Tables:
    """The tables without statements about the (user, item) pairs that are asked: they would give the answer away."""
    said: Statements | None = tables.statements
    if said is None:
        return tables
    events = tables.events
    return replace(tables, statements=said.without_pairs(events.user[asked], events.item[asked], tables.items.count))


def set_frame(tables: Tables, part: Slice, signals: Sequence[Signal], *, seed: int = 0) -> Frame:
    """One query a user with asked items; what the user has is never a candidate."""
    tables = without_statements_on(tables, part.asked)
    fitted = fit_signals(tables, part.past, signals, seed)
    events = tables.events
    users = np.unique(events.user[part.asked])
    queries = ask.of_users(tables, part.past, users)
    row = np.searchsorted(users, events.user[part.asked])
    answers = np.zeros((len(users), tables.items.count), np.bool_)
    answers[row, events.item[part.asked]] = True
    allowed = np.ones(tables.items.count, np.bool_)
    found = []
    for start in range(0, len(queries), CHUNK):
        some = np.arange(start, min(start + CHUNK, len(queries)))
        chunk = queries.take(some)
        known = chunk.encode(chunk.trail).toarray() > 0
        found.append(_frame(fitted, chunk, allowed, known, tables, answers[some]))
    return stack(found)


# ---- sessions


def next_events(tables: Tables, rows_: BoolArray) -> IntArray:
    """Rows of those events that have one before them in their session."""
    session = tables.events.session
    if session is None:
        raise UnfitTables("there are no sessions")
    return np.flatnonzero(rows_ & np.r_[False, session[1:] == session[:-1]])


def rolling(tables: Tables, until: float, *, width: float, count: int) -> list[Slice]:
    """The last `count` slices of `width` seconds before `until`: each asks what began in it and learns from before."""
    start = _starts(tables)
    found = []
    for number in range(count):
        high = until - number * width
        inside = (start >= high - width) & (start < high)
        past = np.flatnonzero(start < high - width)
        asked = next_events(tables, inside)
        if len(past) and len(asked):
            found.append(Slice(past, asked))
    return found


def session_folds(tables: Tables, past: IntArray, seed: int, folds: int = 5) -> list[Slice]:
    """Random folds of whole sessions among `past`; other sessions of the same days are learned from."""
    session = tables.events.session
    if session is None:
        raise UnfitTables("there are no sessions")
    fold = np.random.default_rng(seed).integers(0, folds, int(session.max()) + 1)[session]
    inside = np.zeros(len(session), np.bool_)
    inside[past] = True
    return [
        Slice(np.flatnonzero(inside & (fold != k)), next_events(tables, inside & (fold == k))) for k in range(folds)
    ]


def _starts(tables: Tables) -> RawArray:
    if tables.events.start is None:
        raise UnfitTables("there are no sessions")
    return tables.events.start


def session_frame(
    tables: Tables,
    part: Slice,
    signals: Sequence[Signal],
    *,
    seed: int = 0,
    most: int | None = None,
    negatives: int | None = None,
) -> Frame:
    """One query an asked event whose item was heard in the past (others cannot be foretold).

    At most `most` of them, drawn at random. `negatives`: about that many candidates a query are kept, and only queries
    whose answer is among them (to train).
    """
    fitted = fit_signals(tables, part.past, signals, seed)
    events = tables.events
    allowed = np.bincount(events.item[part.past], minlength=tables.items.count) > 0
    asked = part.asked[allowed[events.item[part.asked]]]
    chance = np.random.default_rng(seed)
    if most is not None and len(asked) > most:
        asked = np.sort(chance.choice(asked, most, replace=False))
    if not len(asked):
        raise UnfitTables("none of the asked items was heard before")
    found = []
    for start in range(0, len(asked), CHUNK):
        some = asked[start : start + CHUNK]
        answers = events.item[some]
        found.append(_frame(fitted, ask.before(tables, some), allowed, None, tables, answers, negatives, chance))
    return stack(found)


def _frame(
    fitted: list[tuple[Signal, Fitted]],
    queries: Queries,
    allowed: BoolArray,
    known: BoolArray | None,
    tables: Tables,
    answers: IntArray | BoolArray,
    negatives: int | None = None,
    chance: np.random.Generator | None = None,
) -> Frame:
    """Rows of one chunk. `answers`: the item of each query, or (queries x items)."""
    scored = score(fitted, queries)
    pairs = candidates(scored, queries, allowed, known)
    if answers.ndim == 1:
        label, positives = pairs.item == answers[pairs.query], np.ones(len(queries), np.int64)
    else:
        label, positives = answers[pairs.query, pairs.item].astype(np.bool_), answers.sum(1).astype(np.int64)
    keep = np.ones(len(pairs), np.bool_)
    if negatives is not None and chance is not None:
        size = np.bincount(pairs.query, minlength=len(queries))
        has = np.bincount(pairs.query[label], minlength=len(queries)) > 0
        keep = has[pairs.query] & (label | (chance.random(len(pairs)) < negatives / np.maximum(size[pairs.query], 1)))
    names, x = rows(scored, queries, pairs, known, tables.items.group)
    frame = Frame(names, x, pairs.query, pairs.item, np.asarray(label, np.bool_), positives, queries.user)
    return frame if keep.all() else frame.take(keep)


# ---- ratings


def rating_frames(
    tables: Tables, past: IntArray, asked: IntArray, signals: Sequence[Signal], seed: int = 0
) -> tuple[Frame, Frame]:
    """(past, asked) rows of rated events; a past row's features come from all other past rows, asked rows' from all."""
    Slice(past, asked)
    known = tables.take(past)
    if known.positive.all() or not known.positive.any():
        raise UnfitTables("all ratings are of one class: nothing can be told apart")
    fitted = [(signal, signal.fit(known, seed)) for signal in signals]
    own: dict[str, object] = {}
    for signal, model in fitted:
        if not hasattr(model, "left_out"):
            raise UnfitTables(f"signal {signal.name} cannot leave an event out of its own features")
        own |= model.left_out()
    queries = ask.of_rows(tables, asked)
    pairs = Pairs(np.arange(len(asked)), tables.events.item[asked])
    names, x = rows(score(fitted, queries), queries, pairs, None, tables.items.group)
    left = np.stack([np.asarray(own[name], np.float32) for name in names], axis=1)
    return (
        _rated(tables, past, names, left),
        _rated(tables, asked, names, x),
    )


def _rated(tables: Tables, rows_: IntArray, names: tuple[str, ...], x: FloatArray) -> Frame:
    label, events = tables.positive[rows_], tables.events
    query = np.arange(len(rows_), dtype=np.int64)
    return Frame(names, x, query, events.item[rows_], label, label.astype(np.int64), events.user[rows_])
