"""What moves between two lists for the same wish in two situations, and why, in a listener's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender.explain import REST, STEPS, TOLD, Because, rounded
from rhythmiq_recommender.plan import Group, Subject
from rhythmiq_recommender.ranking import Explained, Ranked
from rhythmiq_recommender.shortlist import Pick


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


class _Side(NamedTuple):
    """A list and, of the rows that move, all that is told of them in its situation, by their position."""

    ranks: Mapping[int, int]
    """By row, 1 for the best."""
    scores: Sequence[float]
    explained: Explained
    shares: Sequence[Mapping[Subject, _Share]]

    @classmethod
    def of(cls, picks: Sequence[Pick], moved: Ranked) -> _Side:
        # What an item is told to score in a list is its score, to the last decimal told.
        told = {pick.row: pick.score for pick in picks}
        scores = zip(moved.rows.tolist(), moved.scores.tolist(), strict=True)
        explained = moved.explain(range(len(moved.rows)))
        return cls(
            _ranks(picks), [told.get(row, rounded(score)) for row, score in scores], explained, _by_subject(explained)
        )


def moved_rows(actual: Sequence[Pick], supposed: Sequence[Pick]) -> list[int]:
    """Rows, ascending, that are in one list only or have another rank."""
    now, then = _ranks(actual), _ranks(supposed)
    return sorted(row for row in {*now, *then} if now.get(row) != then.get(row))


def moves(actual: Sequence[Pick], supposed: Sequence[Pick], ranked: Ranked, supposed_ranked: Ranked) -> list[Move]:
    """The moves, largest first: by places, then by score; a place in one list only counts from that list's end.

    `ranked` and `supposed_ranked` are the `moved_rows` in the two situations.
    """
    now, then = _Side.of(actual, ranked), _Side.of(supposed, supposed_ranked)
    found = [_move(row, at, now, then) for at, row in enumerate(ranked.rows.tolist())]
    beyond = max(len(actual), len(supposed)) + 1
    found.sort(key=lambda move: (-abs(_places(move, beyond)), -abs(move.supposed_score - move.score), move.row))
    return found


def _ranks(picks: Sequence[Pick]) -> dict[int, int]:
    return {pick.row: rank for rank, pick in enumerate(picks, start=1)}


def _places(move: Move, beyond: int) -> int:
    """Places that it goes up; negative where it goes down."""
    return (move.rank or beyond) - (move.supposed_rank or beyond)


def _move(row: int, at: int, now: _Side, then: _Side) -> Move:
    ranks, scores = (now.ranks.get(row), then.ranks.get(row)), (now.scores[at], then.scores[at])
    differences = _differences(now.shares[at], then.shares[at])
    told = [
        (round(change.share * STEPS), *change.subject, _words(change, now.explained, then.explained, at))
        for change in differences[:TOLD]
    ]
    changes = _summing(told, round((scores[1] - scores[0]) * STEPS), more=len(differences) > TOLD)
    return Move(row, *ranks, *scores, changes, f"{_where(*ranks)}: {_why(changes, *ranks)}")


def _summing(told: list[tuple[int, Group, str, str]], total: int, *, more: bool) -> list[Because]:
    """The changes told, in steps of the last decimal, with what is left to their `total`: one for all the rest."""
    left = total - sum(steps for steps, *_ in told)
    if more or not any(steps for steps, *_ in told):
        told.append((left, *REST))
    elif left:
        told[-1] = (told[-1][0] + left, *told[-1][1:])
    told.sort(key=lambda change: -abs(change[0]))
    return [Because(group, name, steps / STEPS, words) for steps, group, name, words in told if steps]


def _by_subject(explained: Explained) -> list[dict[Subject, _Share]]:
    """For each item, the subjects that add something to its score."""
    contributions = explained.contributions
    found: list[dict[Subject, _Share]] = [{} for _ in range(len(contributions))]
    indexes, columns = np.nonzero(contributions)
    shares = contributions[indexes, columns].tolist()
    for index, column, share in zip(indexes.tolist(), columns.tolist(), shares, strict=True):
        subject, of_item = explained.subject(index, column), found[index]
        # Of a subject with several columns the last one has the words.
        of_item[subject] = (share + of_item.get(subject, _NOTHING)[0], column)
    return found


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


def _words(change: _Change, now: Explained, then: Explained, at: int) -> str:
    """The difference in words: what speaks for (or against) the item then, or what no longer does."""
    (before, was), (after, becomes) = change.before, change.after
    if after == 0:
        return f"no longer{'' if before > 0 else ' against it'}: {now.words(at, was)}"
    words = then.words(at, becomes)
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
