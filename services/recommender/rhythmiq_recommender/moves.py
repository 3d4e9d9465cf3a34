"""What moves between two lists for the same wish in two situations, and why, in a listener's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender.explain import REST, STEPS, TOLD, Because
from rhythmiq_recommender.plan import Subject
from rhythmiq_recommender.ranking import Explained, Ranked
from rhythmiq_recommender.shortlist import Pick

_NOTHING: Final = (0.0, "")
"""What a subject adds, and its words, where it is not in a situation at all."""


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


class _Change(NamedTuple):
    """What a subject adds to the score more than before, or less."""

    share: float
    subject: Subject
    words: str


class _Places(NamedTuple):
    """Rank and score of each listed row."""

    rank: Mapping[int, int]
    score: Mapping[int, float]

    @classmethod
    def of(cls, picks: Sequence[Pick]) -> _Places:
        return cls(
            {pick.row: rank for rank, pick in enumerate(picks, start=1)}, {pick.row: pick.score for pick in picks}
        )


def moved_rows(actual: Sequence[Pick], supposed: Sequence[Pick]) -> list[int]:
    """Rows, ascending, that are in one list only or have another rank."""
    now, then = _Places.of(actual).rank, _Places.of(supposed).rank
    return sorted(row for row in {*now, *then} if now.get(row) != then.get(row))


def moves(actual: Sequence[Pick], supposed: Sequence[Pick], ranked: Ranked, supposed_ranked: Ranked) -> list[Move]:
    """The moves, largest first: by places, then by score; a place in one list only counts from that list's end.

    `ranked` and `supposed_ranked` are the `moved_rows` in the two situations.
    """
    now, then = _Places.of(actual), _Places.of(supposed)
    positions = range(len(ranked.rows))
    explained, supposed_explained = ranked.explain(positions), supposed_ranked.explain(positions)
    found = [
        _move(
            row,
            (now.rank.get(row), then.rank.get(row)),
            # What an item is told to score in a list is its score, to the last decimal told.
            (now.score.get(row, _told_score(ranked, at)), then.score.get(row, _told_score(supposed_ranked, at))),
            _changes(_by_subject(explained, at), _by_subject(supposed_explained, at)),
        )
        for at, row in enumerate(ranked.rows.tolist())
    ]
    beyond = max(len(actual), len(supposed)) + 1
    found.sort(key=lambda move: (-abs(_places(move, beyond)), -abs(move.supposed_score - move.score), move.row))
    return found


def _told_score(ranked: Ranked, position: int) -> float:
    return round(ranked.scores.item(position) * STEPS) / STEPS


def _places(move: Move, beyond: int) -> int:
    """Places that it goes up; negative where it goes down."""
    return (move.rank or beyond) - (move.supposed_rank or beyond)


def _move(
    row: int, ranks: tuple[int | None, int | None], scores: tuple[float, float], changes: Sequence[_Change]
) -> Move:
    told = _told(changes, round((scores[1] - scores[0]) * STEPS))
    return Move(row, *ranks, *scores, told, f"{_where(*ranks)}: {_why(told, *ranks)}")


def _by_subject(explained: Explained, index: int) -> dict[Subject, tuple[float, str]]:
    """What each subject adds to the item's score, with its words."""
    shares = explained.contributions[index]
    found: dict[Subject, tuple[float, str]] = {}
    for column in np.flatnonzero(shares).tolist():
        subject, words = explained.subject(index, column), explained.words(index, column)
        share, said = found.get(subject, _NOTHING)
        found[subject] = share + shares.item(column), said or words
    return found


def _changes(now: Mapping[Subject, tuple[float, str]], then: Mapping[Subject, tuple[float, str]]) -> list[_Change]:
    """What each subject adds more (or less) then, largest first, with words for it."""
    found = []
    for subject in dict.fromkeys((*now, *then)):
        (before, said), (after, would_say) = now.get(subject, _NOTHING), then.get(subject, _NOTHING)
        if after != before:
            found.append(_Change(after - before, subject, _words(before, after, said, would_say)))
    found.sort(key=lambda change: -abs(change.share))
    return found


def _words(before: float, after: float, said: str, would_say: str) -> str:
    """The difference in words: what speaks for (or against) the item then, or what no longer does."""
    against = "" if before > 0 else " against it"
    if after == 0:
        return f"no longer{against}: {said}"
    if before * after > 0 and abs(after) < abs(before):
        return f"less{against or ' so'}: {would_say}"
    return would_say


def _told(changes: Sequence[_Change], total: int) -> list[Because]:
    """At most TOLD changes and one for all the rest; in steps they sum to `total`."""
    told = [(round(share * STEPS), *subject, words) for share, subject, words in changes[:TOLD]]
    left = total - sum(steps for steps, *_ in told)
    if len(changes) > TOLD or not any(steps for steps, *_ in told):
        told.append((left, *REST))
    elif left:
        told[-1] = (told[-1][0] + left, *told[-1][1:])
    told.sort(key=lambda change: -abs(change[0]))
    return [Because(group, name, steps / STEPS, words) for steps, group, name, words in told if steps]


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
