"""Records the listens of a history: in streams of a few thousand entries, each acknowledged before the next.

While the server stores one stream, the next is read and matched; never more than these two are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import grpc

from rhythmiq.recommender.v1 import interaction_pb2
from rhythmiq_cli.client import CallError
from rhythmiq_cli.history.listens import Entry
from rhythmiq_cli.history.plan import Chunk, Planned, Planner
from rhythmiq_cli.history.report import Summary, line_of
from rhythmiq_cli.imports.checkpoint import Checkpoint, Position
from rhythmiq_cli.imports.journal import Journal
from rhythmiq_cli.output import CommandError

MAX_MESSAGE_INTERACTIONS = 500
ENTRIES_PER_STREAM = 5_000
# Refusals of single interactions after which the server is believed to refuse them all.
_MOST_REFUSALS = 100


class Pending(Protocol):
    """A StreamInteractions stream under way."""

    def result(self) -> interaction_pb2.StreamInteractionsResponse:
        """Waits for the answer. Raises CallError when the stream failed."""
        ...

    def cancel(self) -> object: ...


# Starts a StreamInteractions stream of these messages.
Send = Callable[[Sequence[interaction_pb2.StreamInteractionsRequest]], Pending]


class Recorder:
    """Sends interactions of one profile, and adds up what became of them.

    How long interactions are kept is the server's to say: a refusal for age teaches the border, and nothing older is
    sent. So a history of many years costs a few refusals, and a stream in which all is well is acknowledged as a whole.
    """

    def __init__(self, send: Send, parent: str, now_ms: int, summary: Summary) -> None:
        self._send = send
        self._parent = parent
        self._summary = summary
        # Known to have expired up to here, and to be accepted from there.
        self._expired_to_ms = -1
        self._accepted_from_ms = now_ms
        self._refusals = 0
        self.journal: list[str] = []

    def start(self, planned: Sequence[Planned]) -> tuple[Sequence[Planned], Pending | None]:
        """Starts to send what has not expired: those sent, and their stream. Raises CallError."""
        rest = self._unexpired(planned)
        while rest and (unknown := [one for one in rest if one.start_ms < self._accepted_from_ms]):
            rest = self._explore(rest, min(unknown, key=_start), max(unknown, key=_start))
        return rest, self._send(self._messages(rest)) if rest else None

    def finish(self, sent: Sequence[Planned], pending: Pending) -> None:
        """Waits for a stream's answer. Raises CallError, but not for what is wrong with single interactions."""
        try:
            answer = pending.result()
        except CallError as refusal:
            if not _of_one(refusal):
                raise
            self._narrow(sent, refusal)
        except BaseException:
            pending.cancel()
            raise
        else:
            self._count(answer, len(sent))

    def _unexpired(self, planned: Sequence[Planned]) -> list[Planned]:
        rest = [one for one in planned if one.start_ms > self._expired_to_ms]
        self._summary.expired += len(planned) - len(rest)
        return rest

    def _explore(self, rest: list[Planned], oldest: Planned, newest: Planned) -> list[Planned]:
        """Moves the border of what has expired by asking for the oldest, the newest, and between them."""
        rest = self._settle(rest, oldest)
        if oldest.start_ms <= self._expired_to_ms and newest.start_ms > self._expired_to_ms and newest is not oldest:
            rest = self._settle(rest, newest)
            between = sorted((one for one in rest if self._is_unknown(one)), key=_start)
            while between:
                middle = between[len(between) // 2]
                rest = self._settle(rest, middle)
                between = [one for one in between if one is not middle and self._is_unknown(one)]
        return rest

    def _is_unknown(self, one: Planned) -> bool:
        return self._expired_to_ms < one.start_ms < self._accepted_from_ms

    def _settle(self, rest: list[Planned], one: Planned) -> list[Planned]:
        """Sends one by itself: what is left, without it and without what has expired as it has."""
        self._send_one(one)
        return self._unexpired([other for other in rest if other is not one])

    def _send_one(self, one: Planned) -> None:
        try:
            self._count(self._send(self._messages([one])).result(), 1)
            self._accepted_from_ms = min(self._accepted_from_ms, one.start_ms)
        except CallError as refusal:
            self._refused(one, refusal)

    def _narrow(self, planned: Sequence[Planned], refusal: CallError) -> None:
        """Sends again by halves, down to the interactions that are refused."""
        planned = self._unexpired(planned)
        if len(planned) <= 1:
            for one in planned:
                self._refused(one, refusal)
            return
        for half in (planned[: len(planned) // 2], planned[len(planned) // 2 :]):
            half = self._unexpired(half)
            if not half:
                continue
            try:
                self._count(self._send(self._messages(half)).result(), len(half))
            except CallError as again:
                if not _of_one(again):
                    raise
                self._narrow(half, again)

    def _refused(self, one: Planned, refusal: CallError) -> None:
        if not _of_one(refusal):
            raise refusal
        if refusal.reason == "EVENT_EXPIRED":
            self._expired_to_ms = max(self._expired_to_ms, one.start_ms)
            self._summary.expired += 1
            return
        self._refusals += 1
        if self._refusals > _MOST_REFUSALS:
            raise refusal
        self._summary.reject(one.where, one.line, refusal.message)
        self.journal.append(line_of("rejected", one.where, one.line, one.listen, refusal.message))

    def _messages(self, planned: Sequence[Planned]) -> list[interaction_pb2.StreamInteractionsRequest]:
        return [
            interaction_pb2.StreamInteractionsRequest(
                parent=self._parent,
                interactions=[one.interaction for one in planned[start : start + MAX_MESSAGE_INTERACTIONS]],
            )
            for start in range(0, len(planned), MAX_MESSAGE_INTERACTIONS)
        ]

    def _count(self, answer: interaction_pb2.StreamInteractionsResponse, sent: int) -> None:
        if answer.recorded_count + answer.duplicate_count != sent:
            told = answer.recorded_count + answer.duplicate_count
            raise CommandError(f"The server answered for {told:,} of {sent:,} interactions.")
        self._summary.recorded += answer.recorded_count
        self._summary.repeated += answer.duplicate_count


def _start(one: Planned) -> int:
    return one.start_ms


def _of_one(refusal: CallError) -> bool:
    """Whether a refusal is of an interaction, rather than of the caller, the profile or the mesh."""
    if refusal.status is grpc.StatusCode.NOT_FOUND:
        return refusal.reason == "ITEM_NOT_FOUND"
    return refusal.status is grpc.StatusCode.INVALID_ARGUMENT


class Import:
    """One import under way: reads, sends, and keeps the checkpoint."""

    def __init__(
        self,
        send: Send,
        parent: str,
        checkpoint: Checkpoint,
        now_ms: int,
        *,
        restart: bool = False,
        observe: Callable[[Summary], None] = lambda _: None,
    ) -> None:
        position = Position() if restart else checkpoint.load()
        self.summary = Summary.resumed(position.counts or {}, position.rows)
        self.journal = Journal(checkpoint.journal_path, keep_bytes=position.journal_bytes)
        self._recorder = Recorder(send, parent, now_ms, self.summary)
        self._checkpoint = checkpoint
        self._observe = observe
        self._entries = position.rows

    @property
    def done(self) -> int:
        """Entries that are accounted for on the disk."""
        return self._entries

    def run(self, entries: Iterator[Entry], planner: Planner) -> Summary:
        """Imports the entries that the checkpoint does not cover. The position is kept when this raises."""
        for _ in islice(entries, self._entries):
            pass
        under_way: tuple[Chunk, Summary, Sequence[Planned], Pending | None] | None = None
        while True:
            planned_counts = Summary()
            chunk = planner.chunk(islice(entries, ENTRIES_PER_STREAM), planned_counts)
            if under_way is not None:
                self._finish(*under_way)
            if not chunk.entries:
                return self.summary
            under_way = (chunk, planned_counts, *self._recorder.start(chunk.planned))

    def _finish(self, chunk: Chunk, counts: Summary, sent: Sequence[Planned], pending: Pending | None) -> None:
        if pending is not None:
            self._recorder.finish(sent, pending)
        self.summary.add(counts)
        self._entries += chunk.entries
        if self.summary.read != self._entries:
            raise CommandError(f"Only {self.summary.read:,} of {self._entries:,} entries are accounted for.")
        journal_bytes = self.journal.append([*chunk.journal, *self._recorder.journal])
        self._recorder.journal.clear()
        self._checkpoint.save(Position(self._entries, self.summary.counts(), journal_bytes))
        self._observe(self.summary)
