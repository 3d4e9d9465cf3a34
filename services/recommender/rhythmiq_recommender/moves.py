"""What moves between two lists for the same wish in two situations, and why, in a listener's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rhythmiq_recommender.explain import REST, STEPS, TOLD, Because, rounded
from rhythmiq_recommender.plan import Group, Subject
from rhythmiq_recommender.ranking import NOTHING, Explained, Ranked
from rhythmiq_recommender.shortlist import Listing, Pick


@dataclass(frozen=True, slots=True)
class Move:
    """An item at `row` whose place differs. A rank is 1 for the best, None where the item is not in the list.

    Scores are those of the two situations, in the list or not. The contributions of `changes`, largest first, sum to
    their difference.
    """

    row: int
    rank: int | None
    supposed_rank: int | None
    score: float
    supposed_score: float
    changes: Sequence[Because]
    text: str


_Share = tuple[float, int]
"""What a subject adds to an item's score, and the column of Explained that has its words."""
_NOTHING: Final[_Share] = (0.0, -1)


class _Change(NamedTuple):
    """What a subject adds more than before, or less; what it did add and what it adds then."""

    share: float
    subject: Subject
    before: _Share
    after: _Share


class Side(NamedTuple):
    """What is known of every item that moves, in one situation."""

    listing: Listing
    others: Ranked
    """The items that move and are not in the list."""


class _Told(NamedTuple):
    """An item in one situation: its rank if it is listed, its score, and where its contributions are."""

    rank: int | None
    score: float
    explained: Explained
    at: int

    @property
    def shares(self) -> dict[Subject, _Share]:
        """What adds something to the score."""
        shares = self.explained.contributions[self.at]
        found: dict[Subject, _Share] = {}
        for column in shares.nonzero()[0].tolist():
            subject = self.explained.subject(self.at, column)
            # Of a subject with several columns the last one has the words.
            found[subject] = (shares.item(column) + found.get(subject, _NOTHING)[0], column)
        return found

    def words(self, column: int) -> str:
        return self.explained.words(self.at, column)


def moved_rows(actual: Sequence[Pick], supposed: Sequence[Pick]) -> list[int]:
    """Rows, ascending, that are in one list only or have another rank."""
    now, then = _ranks(actual), _ranks(supposed)
    return sorted(row for row in {*now, *then} if now.get(row) != then.get(row))


def moves(rows: Sequence[int], actual: Side, supposed: Side) -> list[Move]:
    """The moves of the `moved_rows`, largest first: by places, then by score.

    Where an item is in one list only, its place in the other is just beyond that one's end.
    """
    now, then = _by_row(actual), _by_row(supposed)
    found = [_move(row, now[row], then[row]) for row in rows]
    beyond = max(len(actual.listing.picks), len(supposed.listing.picks)) + 1
    found.sort(key=lambda move: (-abs(_places(move, beyond)), -abs(move.supposed_score - move.score), move.row))
    return found


def _ranks(picks: Sequence[Pick]) -> dict[int, int]:
    return {pick.row: rank for rank, pick in enumerate(picks, start=1)}


def _by_row(side: Side) -> dict[int, _Told]:
    listing, others = side
    explained = others.explain(range(len(others.rows))) if len(others.rows) else NOTHING
    scores = zip(others.rows.tolist(), others.scores.tolist(), strict=True)
    return {
        **{row: _Told(None, rounded(score), explained, index) for index, (row, score) in enumerate(scores)},
        **{pick.row: _Told(at + 1, pick.score, listing.explained, at) for at, pick in enumerate(listing.picks)},
    }


def _places(move: Move, beyond: int) -> int:
    """Places that it goes up; negative where it goes down."""
    return (move.rank or beyond) - (move.supposed_rank or beyond)


def _move(row: int, now: _Told, then: _Told) -> Move:
    differences = _differences(now.shares, then.shares)
    told = [(round(change.share * STEPS), *change.subject, _words(change, now, then)) for change in differences[:TOLD]]
    changes = _summing(told, round((then.score - now.score) * STEPS), more=len(differences) > TOLD)
    text = f"{_where(now.rank, then.rank)}: {_why(changes, now.rank, then.rank)}"
    return Move(row, now.rank, then.rank, now.score, then.score, changes, text)


def _summing(told: list[tuple[int, Group, str, str]], total: int, *, more: bool) -> list[Because]:
    """The changes told, in steps of the last decimal, with what is left to their `total`: one for all the rest."""
    left = total - sum(steps for steps, *_ in told)
    if more or not any(steps for steps, *_ in told):
        told.append((left, *REST))
    elif left:
        told[-1] = (told[-1][0] + left, *told[-1][1:])
    told.sort(key=lambda change: -abs(change[0]))
    return [Because(group, name, steps / STEPS, words) for steps, group, name, words in told if steps]


def _differences(now: Mapping[Subject, _Share], then: Mapping[Subject, _Share]) -> list[_Change]:
    """Largest first; what stays the same is left out."""
    changes = [
        _Change(after[0] - before[0], subject, before, after)
        for subject, after in then.items()
        if (before := now.get(subject, _NOTHING))[0] != after[0]
    ]
    changes += [_Change(-gone[0], subject, gone, _NOTHING) for subject, gone in now.items() if subject not in then]
    changes.sort(key=lambda change: -abs(change.share))
    return changes


def _words(change: _Change, now: _Told, then: _Told) -> str:
    """The difference in words: what speaks for (or against) the item then, or what no longer does."""
    (before, was), (after, becomes) = change.before, change.after
    if after == 0:
        return f"no longer{'' if before > 0 else ' against it'}: {now.words(was)}"
    words = then.words(becomes)
    if before * after > 0 and abs(after) < abs(before):
        return f"less {'so' if before > 0 else 'against it'}: {words}"
    return words


def _where(rank: int | None, supposed_rank: int | None) -> str:
    if rank is None:
        return "new in the list"
    if supposed_rank is None:
        return "out of the list"
    places = abs(rank - supposed_rank)
    return f"{'up' if supposed_rank < rank else 'down'} {places} place{'s' if places > 1 else ''}"


def _why(changes: Sequence[Because], rank: int | None, supposed_rank: int | None) -> str:
    """The largest change that goes the item's way; where none does, the others have moved past it."""
    up = rank is None or (supposed_rank is not None and supposed_rank < rank)
    going_its_way = [change for change in changes if (change.contribution > 0) == up]
    for change in going_its_way:
        if (change.group, change.subject) != REST[:2]:
            return change.text
    if going_its_way:
        return going_its_way[0].text
    return "others fit less then" if up else "others fit better then"
