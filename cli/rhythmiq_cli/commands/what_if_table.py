"""What would be different in other surroundings, as a person reads it: what moves, where to, and why."""

from __future__ import annotations

from collections.abc import Mapping

from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq_cli.commands.recommend_table import kind_of, print_degradations, value_of
from rhythmiq_cli.output import print_line, print_table

_NOT_LISTED = "-"


def print_what_if(answer: recommender_pb2.ExplainResponse) -> None:
    """Prints the moves, largest first, then both surroundings, ranker and what was missing."""
    if answer.moves:
        artists = _artists(answer)
        rows = [
            (
                str(move.rank) if move.HasField("rank") else _NOT_LISTED,
                str(move.supposed_rank) if move.HasField("supposed_rank") else _NOT_LISTED,
                move.title,
                artists.get(move.item, ""),
                move.text,
            )
            for move in answer.moves
        ]
        print_table(("#", "# then", "Title", "By", "What moves it"), rows, right="#,# then")
    print_line(_stays(answer))
    _print_surroundings(answer)
    print_line(f"\nRanked by {answer.actual.ranker}.")
    # What was away was away for both lists; only a stale reading can be missing in one of them.
    print_degradations(answer.actual)


def _artists(answer: recommender_pb2.ExplainResponse) -> Mapping[str, str]:
    both = (*answer.actual.recommendations, *answer.supposed.recommendations)
    return {one.item.name: ", ".join(one.item.artists) for one in both}


def _stays(answer: recommender_pb2.ExplainResponse) -> str:
    count = len(answer.actual.recommendations)
    moved = sum(move.HasField("rank") for move in answer.moves)
    if not answer.moves:
        return "Nothing would move."
    return f"\n{count - moved} of {count} would stay where they are."


def _print_surroundings(answer: recommender_pb2.ExplainResponse) -> None:
    now = {use.kind: use for use in answer.actual.environment}
    then = {use.kind: use for use in answer.supposed.environment}
    rows = [
        (
            kind_of(now[kind] if kind in now else then[kind]),
            value_of(now[kind]) if kind in now else "unknown",
            value_of(then[kind]) if kind in then else "unknown",
        )
        for kind in sorted({*now, *then})
    ]
    if rows:
        print_line()
        print_table(("Surroundings", "Now", "Supposed"), rows)
