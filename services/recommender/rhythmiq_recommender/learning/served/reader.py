"""All served signals together: fitted on the past, put on the shelf of a catalogue, and asked one query at a time.

Training asks a `Reader` about past queries, serving about present ones: these are the only lines that make features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rhythmiq_recommender.learning.listening import Catalogue
from rhythmiq_recommender.learning.served.alike import BoundAlike
from rhythmiq_recommender.learning.served.registry import SERVED, SERVED_NAMES
from rhythmiq_recommender.learning.served.shelf import Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import Bound, Kept, Past
from rhythmiq_recommender.learning.served.state import AnyArray, BadState, Moves, Numbering, Places, State, moved
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, Tables

SHARES: Final[Mapping[str, float]] = {
    "alike": 0.40,
    "follow": 0.15,
    "taste": 0.20,
    "own": 0.15,
    "sound": 0.20,
    "popular": 0.25,
}
"""How much of the candidates each signal may put forward; together more than 1, because they often name the same."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What all signals learned, in one numbering."""

    numbering: Numbering
    kind: int
    states: Mapping[str, State]

    def only_heard(self) -> Fit:
        """Without the items that nobody met: what is known of them stands in the catalogue anyway."""
        heard = np.flatnonzero(self.states["here"]["met"])
        return self._in(self.numbering.only(heard))

    def onto(self, catalogue: Catalogue) -> Reader:
        """The same fit over a catalogue: gone items are dropped, new ones start without history."""
        return Fitted.of(self).onto(catalogue)

    def _in(self, numbering: Numbering) -> Fit:
        moves = Moves.between(self.numbering, numbering)
        states = {signal.name: moved(signal.arrays, self.states[signal.name], moves) for signal in SERVED}
        return Fit(numbering, self.kind, states)

    def arrays(self) -> dict[str, AnyArray]:
        """Everything by name, for a file."""
        found: dict[str, AnyArray] = {
            "items": self.numbering.items,
            "artists": self.numbering.artists,
            "genres": self.numbering.genres,
        }
        for signal in SERVED:
            found |= {f"{signal.name}.{spec.name}": self.states[signal.name][spec.name] for spec in signal.arrays}
        return found

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, AnyArray], kind: int) -> Fit:
        """The reverse of `arrays`. Raises BadState for anything that is missing, foreign, or not what it should be."""
        wanted = {"items", "artists", "genres"} | {f"{one.name}.{spec.name}" for one in SERVED for spec in one.arrays}
        if wanted != set(arrays):
            raise BadState(f"arrays that are missing or foreign: {', '.join(sorted(wanted ^ set(arrays))[:5])}")
        numbering = Numbering(arrays["items"], arrays["artists"], arrays["genres"])
        for name, column, dtype in (
            ("items", numbering.items, "S16"),
            ("artists", numbering.artists, "u8"),
            ("genres", numbering.genres, "u8"),
        ):
            if column.ndim != 1 or column.dtype != np.dtype(dtype):
                raise BadState(f"{name} is {column.ndim}-dimensional {column.dtype}, not a column of {dtype}")
        if len(numbering.items) > 1 and not (numbering.items[1:] > numbering.items[:-1]).all():
            raise BadState("items are not in ascending order")
        states: dict[str, State] = {}
        for signal in SERVED:
            state = {spec.name: arrays[f"{signal.name}.{spec.name}"] for spec in signal.arrays}
            for spec in signal.arrays:
                try:
                    spec.check(state[spec.name], numbering.sizes)
                except BadState as error:
                    raise BadState(f"{signal.name}.{error}") from None
            states[signal.name] = state
        return cls(numbering, kind, states)


def fit_served(tables: Tables, catalogue: Catalogue, kind: int) -> Fit:
    """Fits every signal on those events, in the numbering of the catalogue. Raises UnfitTables if they do not teach."""
    numbering = Numbering.of(catalogue)
    past = Past.of(tables, len(numbering.artists), len(numbering.genres))
    return Fit(numbering, kind, {signal.name: signal.fit(past) for signal in SERVED})


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fit as it is kept in memory to be asked: its arrays are shared by all readers."""

    numbering: Numbering
    kind: int
    kept: Mapping[str, Kept]

    @classmethod
    def of(cls, fit: Fit) -> Fitted:
        """With lists packed."""
        return cls(
            fit.numbering, fit.kind, {signal.name: Kept.of(signal, fit.states[signal.name]) for signal in SERVED}
        )

    def onto(self, catalogue: Catalogue) -> Reader:
        """As `Fit.onto`."""
        return Reader(self, catalogue)


class Reader:
    """Fitted signals over one catalogue. Immutable; each query works on its own memory."""

    def __init__(self, fitted: Fitted, catalogue: Catalogue) -> None:
        self.shelf = Shelf(catalogue, fitted.kind, Places.of(fitted.numbering, Numbering.of(catalogue)))
        self.bound: dict[str, Bound] = {
            signal.name: signal.bind(fitted.kept[signal.name], self.shelf) for signal in SERVED
        }
        popular: Any = self.bound["popular"]
        self.likes: FloatArray = popular.likes
        """(items,) events in which anyone liked each."""
        ends = np.cumsum([len(signal.features) for signal in SERVED]).tolist()
        self._columns: Sequence[tuple[Bound, slice]] = [
            (bound, slice(start, end)) for bound, start, end in zip(self.bound.values(), [0, *ends], ends, strict=False)
        ]

    def features(self, seen: Seen, rows: IntArray) -> FloatArray:
        """(rows x SERVED_NAMES)."""
        # Signals write column by column, which is several times faster where a column is one piece of memory.
        x = np.empty((len(SERVED_NAMES), len(rows)), np.float32).T
        looked = Looked.at(self.shelf, rows, seen)
        for bound, place in self._columns:
            bound.columns(seen, looked, x[:, place])
        return np.ascontiguousarray(x)

    def candidates(self, seen: Seen, allowed: BoolArray, most: int) -> IntArray:
        """Allowed rows of the kind, ascending, at most `most`: the best of each signal, in turn and by SHARES."""
        named, turns = [], []
        for name, share in SHARES.items():
            rows = self.bound[name].candidates(seen, most)
            rows = rows[allowed[rows] & self.shelf.of_kind[rows]]
            named.append(rows)
            turns.append(np.arange(len(rows)) / share)
        row, turn = np.concatenate(named), np.concatenate(turns)
        row = row[np.argsort(turn, kind="stable")]
        _, first = np.unique(row, return_index=True)
        return np.sort(row[np.sort(first)[:most]])

    def likeness(self, seen: Seen, rows: IntArray) -> IntArray:
        """For each row the liked row it is most like, -1 none."""
        alike: Any = self.bound["alike"]
        assert isinstance(alike, BoundAlike)
        return alike.likeness(seen, rows)
