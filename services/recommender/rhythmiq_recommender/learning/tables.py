"""What learning learns from: columns of events, and what is known about items, users and surroundings.

Everything is dense: users and items are 0..n-1, and a column has one value an event. A data set without sessions,
ratings or links simply lacks those columns, and the signals that need them are left out (see `signals`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
RawArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Sparse = Any
"""A `scipy.sparse.csr_matrix` of float32 (SciPy carries no types)."""


class UnfitTables(ValueError):
    """Nothing can be learned from these tables, or they contradict themselves; the message says what and where."""


class Need(StrEnum):
    """What a signal needs to find in the tables."""

    INTERACTIONS = "interactions"
    SESSIONS = "sessions"
    TIMES = "times"
    RATINGS = "ratings"
    GROUPS = "groups"
    GENRES = "genres"
    AUDIO = "audio"
    ATTRIBUTES = "attributes"
    LINKS = "links"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Events:
    """Interactions, one a row. With sessions, rows are sorted by user, start of session, session and time."""

    user: IntArray
    item: IntArray
    weight: FloatArray
    """Strength, for example the number of plays; above 0."""
    session: IntArray | None = None
    time: RawArray | None = None
    """Unix seconds, UTC."""
    start: RawArray | None = None
    """Unix seconds, UTC: when the event's session began."""
    rating: FloatArray | None = None
    """How much the listener liked it, in the data's own unit; `Tables.positive_from` says from where on it is a yes."""

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: IntArray | BoolArray) -> Events:
        """Those rows, in that order."""
        some: dict[str, Any] = {}
        for name in self.__slots__:
            column = getattr(self, name)
            some[name] = None if column is None else column[rows]
        return Events(**some)


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings at each event. A kind is a category (code, -1 unknown) or a row of measures (NaN unknown)."""

    categories: Mapping[str, IntArray] = field(default_factory=dict)
    measures: Mapping[str, FloatArray] = field(default_factory=dict)
    """Kind to (events x columns) of standard scores."""

    @property
    def kinds(self) -> tuple[str, ...]:
        return (*self.categories, *self.measures)

    def take(self, rows: IntArray | BoolArray) -> Context:
        """Those events."""
        return Context(
            {kind: column[rows] for kind, column in self.categories.items()},
            {kind: column[rows] for kind, column in self.measures.items()},
        )

    def only(self, kinds: frozenset[str]) -> Context:
        """Only the named kinds."""
        return Context(
            {kind: column for kind, column in self.categories.items() if kind in kinds},
            {kind: column for kind, column in self.measures.items() if kind in kinds},
        )


@dataclass(frozen=True, slots=True)
class Items:
    """The catalogue: what is known of an item without listeners."""

    count: int
    group: IntArray | None = None
    """Artist (or show) of each item, 0..n-1."""
    genre: IntArray | None = None
    """Genre code of each item, -1 unknown."""
    audio: FloatArray | None = None
    """(items x features) standard scores, in the order of `audio_names`."""
    audio_names: tuple[str, ...] = ()
    attributes: Sparse | None = None
    """(attributes x items) counts: playlists, genres, decades."""

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return 0 if self.group is None else int(self.group.max()) + 1


@dataclass(frozen=True, slots=True)
class Statements:
    """Who said what about which item: tag assignments. -1 for a user outside the tables."""

    user: IntArray
    item: IntArray
    attribute: IntArray

    def without_pairs(self, user: IntArray, item: IntArray, items: int) -> Statements:
        """Without all statements about those (user, item) pairs: they would give away that the pair exists."""
        keep = ~((self.user >= 0) & np.isin(self.user * items + self.item, user * items + item))
        return Statements(self.user[keep], self.item[keep], self.attribute[keep])


@dataclass(frozen=True, slots=True)
class Tables:
    """All that a model may learn from."""

    events: Events
    items: Items
    users: int
    links: Sparse | None = None
    """(users x users), 1 where connected."""
    context: Context = field(default_factory=Context)
    statements: Statements | None = None
    positive_from: float = 0.5
    """Ratings from here on are positives."""

    def __post_init__(self) -> None:
        events = self.events
        if len(events) == 0:
            raise UnfitTables("there are no interactions: nothing can be learned")
        for name, column, most in (("user", events.user, self.users), ("item", events.item, self.items.count)):
            if int(column.min()) < 0 or int(column.max()) >= most:
                raise UnfitTables(f"column {name} holds {column.min()}..{column.max()}, but must be 0..{most - 1}")
        for name in Events.__slots__:
            column = getattr(events, name)
            if column is not None and len(column) != len(events):
                raise UnfitTables(f"column {name} has {len(column)} rows, and users have {len(events)}")
        if not np.isfinite(events.weight).all() or float(events.weight.min()) <= 0:
            raise UnfitTables("column weight must be finite and above 0")
        if events.session is not None:
            self._check_order()

    def _check_order(self) -> None:
        events = self.events
        if events.time is None or events.start is None or events.session is None:
            raise UnfitTables("sessions need columns time and start")
        order = np.lexsort((events.time, events.session, events.start, events.user))
        if not np.array_equal(order, np.arange(len(events))):
            raise UnfitTables("with sessions, events must be sorted by user, start, session and time")

    @property
    def has(self) -> frozenset[Need]:
        """Which needs of signals these tables meet."""
        events, items = self.events, self.items
        found = {
            Need.INTERACTIONS: True,
            Need.SESSIONS: events.session is not None,
            Need.TIMES: events.time is not None,
            Need.RATINGS: events.rating is not None,
            Need.GROUPS: items.group is not None,
            Need.GENRES: items.genre is not None,
            Need.AUDIO: items.audio is not None,
            Need.ATTRIBUTES: items.attributes is not None or self.statements is not None,
            Need.LINKS: self.links is not None,
            Need.CONTEXT: bool(self.context.kinds),
        }
        return frozenset(need for need, there in found.items() if there)

    def take(self, rows: IntArray | BoolArray) -> Tables:
        """The same world with only those events."""
        return replace(self, events=self.events.take(rows), context=self.context.take(rows))

    @property
    def positive(self) -> BoolArray:
        """(events,) whether the rating is a yes. Raises UnfitTables without ratings."""
        if self.events.rating is None:
            raise UnfitTables("these events carry no ratings")
        return np.asarray(self.events.rating >= self.positive_from)

    def matrix(self) -> Sparse:
        """(users x items), 1 where there was an interaction."""
        return binary(self.events.user, self.events.item, (self.users, self.items.count))

    def attribute_rows(self) -> Sparse | None:
        """(attributes x items) counts from side rows and statements together; None without any."""
        rows = [] if self.items.attributes is None else [self.items.attributes]
        if self.statements is not None and len(self.statements.item):
            said = self.statements
            shape = (int(said.attribute.max()) + 1, self.items.count)
            rows.append(sp.csr_matrix((np.ones(len(said.item), np.float32), (said.attribute, said.item)), shape=shape))
        return sp.vstack(rows).tocsr() if rows else None


def binary(row: IntArray, column: IntArray, shape: tuple[int, int]) -> Sparse:
    """A sparse matrix of ones at those places, however often each is named."""
    matrix = sp.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
