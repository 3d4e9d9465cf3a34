"""From entries of a history to interactions: what is sent, and why the rest is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rhythmiq.recommender.v1 import interaction_pb2
from rhythmiq_cli.history.listens import Entry, Listen, Type, type_of
from rhythmiq_cli.history.matching import CatalogueIndex, NoMatch
from rhythmiq_cli.history.report import Summary, line_of

SOURCE = "history-import"
# What the service allows for clocks that run ahead.
_AHEAD_MS = 300_000


@dataclass(frozen=True, slots=True)
class Planned:
    """An interaction to send, and the entry that it comes of."""

    where: str
    line: int
    listen: Listen
    interaction: interaction_pb2.Interaction

    @property
    def start_ms(self) -> int:
        return self.listen.start_ms


@dataclass
class Chunk:
    """Some entries in the order of the history: those to send, the counts of all others, and their journal."""

    entries: int = 0
    planned: list[Planned] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)


class Planner:
    """Decides what becomes of each entry. `now_ms` is the present, in milliseconds since 1970."""

    def __init__(self, index: CatalogueIndex, now_ms: int, *, include_private: bool = False) -> None:
        self._index = index
        self._latest_ms = now_ms + _AHEAD_MS
        self._include_private = include_private

    def chunk(self, entries: Iterable[Entry], summary: Summary) -> Chunk:
        """Plans the entries, and counts in `summary` those that are not to be sent."""
        chunk = Chunk()
        for where, line, found in entries:
            chunk.entries += 1
            rule = self._broken_rule(found) if isinstance(found, Listen) else found.rule
            if rule:
                summary.reject(where, line, rule)
                chunk.journal.append(line_of("rejected", where, line, None, rule))
            elif isinstance(found, Listen):
                self._plan(where, line, found, chunk, summary)
        return chunk

    def _broken_rule(self, listen: Listen) -> str:
        return "must not be in the future" if listen.start_ms > self._latest_ms else ""

    def _plan(self, where: str, line: int, listen: Listen, chunk: Chunk, summary: Summary) -> None:
        if listen.private and not self._include_private:
            summary.private += 1
            return
        match = self._index.find(listen)
        if isinstance(match, NoMatch):
            outcome = "ambiguous" if match.ambiguous else "unmatched"
            setattr(summary, outcome, getattr(summary, outcome) + 1)
            chunk.journal.append(line_of(outcome, where, line, listen))
            return
        kind = type_of(listen, match.duration_ms)
        if kind is None:
            summary.interrupted += 1
            return
        if match.by_id:
            summary.matched_by_id += 1
        else:
            summary.matched_by_name += 1
        _count_type(kind, summary)
        chunk.planned.append(Planned(where, line, listen, _interaction(match.item, kind, listen)))


def _count_type(kind: Type.Type.ValueType, summary: Summary) -> None:
    summary.plays += kind == Type.PLAY
    summary.completes += kind == Type.COMPLETE
    summary.skips += kind == Type.SKIP


def _interaction(item: str, kind: Type.Type.ValueType, listen: Listen) -> interaction_pb2.Interaction:
    interaction = interaction_pb2.Interaction(item=item, type=kind, source=SOURCE)
    interaction.event_time.FromMilliseconds(listen.start_ms)
    if listen.played_ms is not None:
        interaction.played.FromMilliseconds(listen.played_ms)
    return interaction
