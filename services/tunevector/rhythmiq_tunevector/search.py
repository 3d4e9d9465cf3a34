"""Looking for the candidates of one tuning: call by call, and for each energy that its curve wants. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rhythmiq_tunevector.arrangement import Level
from rhythmiq_tunevector.length import ByCount, ByDuration
from rhythmiq_tunevector.model import Candidate, Degradation
from rhythmiq_tunevector.ports import Recommendations

PER_CALL = 200
"""Items that the recommender returns at most in one call."""
MAX_EXCLUDED = 1_000
"""Items that the recommender accepts as excluded."""
NOT_ENOUGH_ITEMS = "NOT_ENOUGH_ITEMS"


@dataclass
class Strand:
    """What was found for one level of energy, best first; `dry` when there is no more."""

    level: Level
    found: list[Candidate] = field(default_factory=list)
    dry: bool = False


@dataclass
class Search:
    """What the calls of one tuning have brought so far. No item is found twice."""

    demand: ByCount | ByDuration
    strands: Sequence[Strand]
    excluded: list[str]
    answers: list[Recommendations] = field(default_factory=list)

    @property
    def first(self) -> Recommendations:
        """The first answer: its environment and preferences stand for the tuning. Empty when no call was needed."""
        return self.answers[0] if self.answers else Recommendations((), (), (), "", ())

    def found(self) -> list[Candidate]:
        """All candidates, the strands interleaved by their shares of the list: any first part of it has them all.

        Scores do not decide between strands, for they are comparable within one answer only.
        """
        keyed = [
            ((rank + 0.5) / strand.level.places, number, candidate)
            for number, strand in enumerate(self.strands)
            for rank, candidate in enumerate(strand.found)
        ]
        return [candidate for _, _, candidate in sorted(keyed, key=lambda one: one[:2])]

    def chosen(self) -> list[Candidate]:
        """The candidates that make the list."""
        return self.demand.choose(self.found())

    def wanted(self) -> list[tuple[Strand, int]]:
        """How many to ask for in the next calls; nothing when there are enough, or no more may be excluded."""
        more = self.demand.wanted(self.found())
        live = [strand for strand in self.strands if not strand.dry]
        if not more or not live or len(self.excluded) >= MAX_EXCLUDED:
            return []
        total = more + sum(len(strand.found) for strand in live)
        places = sum(strand.level.places for strand in live)
        most = min(PER_CALL, MAX_EXCLUDED - len(self.excluded))
        lacking = ((strand, -(-strand.level.places * total // places) - len(strand.found)) for strand in live)
        return [(strand, min(count, most)) for strand, count in lacking if count > 0]

    def add(self, asked: Sequence[tuple[Strand, int]], answers: Sequence[Recommendations]) -> None:
        """Takes what is new in the answers; what several bring goes where it ranks highest."""
        self.answers += answers
        before = len(self.excluded)
        known = set(self.excluded)
        for row in zip_longest(*(answer.candidates for answer in answers)):
            for (strand, _), candidate in zip(asked, row, strict=True):
                if candidate is not None and candidate.item.name not in known:
                    known.add(candidate.item.name)
                    self.excluded.append(candidate.item.name)
                    strand.found.append(candidate)
        for (strand, count), answer in zip(asked, answers, strict=True):
            strand.dry = len(answer.candidates) < count or len(self.excluded) == before

    def degradations(self) -> list[Degradation]:
        """Each once. Whether items were lacking is decided here: one call may run dry although the list is full."""
        told: Iterable[Degradation] = (one for answer in self.answers for one in answer.degradations)
        unique = {(one.subject, one.reason): one for one in told if one.reason != NOT_ENOUGH_ITEMS}
        if self.demand.short(self.found()):
            text = "the catalogue has no more items that fit the length, tuning and filter"
            unique["catalog", NOT_ENOUGH_ITEMS] = Degradation("catalog", NOT_ENOUGH_ITEMS, text)
        return list(unique.values())
