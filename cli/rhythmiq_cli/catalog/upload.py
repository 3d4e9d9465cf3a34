"""Sends the rows of a file to the catalogue: in streams of a few thousand rows, each acknowledged before the next.

While the server works on one stream, the next is read and converted; never more than these two are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.catalog.convert import Converter, RowRejected, Violation
from rhythmiq_cli.catalog.records import BadRow
from rhythmiq_cli.catalog.report import Rejection, Summary
from rhythmiq_cli.catalog.rows import Row
from rhythmiq_cli.imports.checkpoint import Checkpoint, Position
from rhythmiq_cli.imports.journal import Journal
from rhythmiq_cli.output import CommandError

MAX_BATCH_ITEMS = 500
MAX_BATCH_BYTES = 512 * 1024
ROWS_PER_STREAM = 5_000
# An answer names this many rejected items at most; a batch of as many is always answered in full.
_REJECTIONS_NAMED = 100


class Pending(Protocol):
    """An ImportItems stream under way."""

    def result(self) -> item_pb2.ImportItemsResponse:
        """Waits for the answer. Raises CommandError when the stream failed."""
        ...

    def cancel(self) -> object: ...


# Starts an ImportItems stream of these messages.
Send = Callable[[Sequence[item_pb2.ImportItemsRequest]], Pending]


@dataclass
class Chunk:
    """Rows that are sent as one stream. The item at stream position p came from line `lines[p - 1]`."""

    rows: int = 0
    requests: list[item_pb2.ImportItemsRequest] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    # Why the file cannot be read on after these rows.
    failure: CommandError | None = None

    def add_items(self, items: list[item_pb2.Item], lines: list[int]) -> None:
        """Packs items into messages of at most 500 items and 512 KiB."""
        request = item_pb2.ImportItemsRequest(items=items, first_position=len(self.lines) + 1)
        if request.ByteSize() <= MAX_BATCH_BYTES:
            self.requests.append(request)
            self.lines += lines
        elif len(items) > 1:
            half = len(items) // 2
            self.add_items(items[:half], lines[:half])
            self.add_items(items[half:], lines[half:])
        else:
            violation = Violation("", f"must not exceed {MAX_BATCH_BYTES // 1024} KiB as an item")
            self.rejections.append(Rejection(lines[0], items[0].external_id[:100], (violation,)))


def chunks(rows: Iterator[Row], converter: Converter) -> Iterator[Chunk]:
    """Converts rows into chunks; what cannot be converted is in their rejections.

    Raises CommandError where the file cannot be read on, after the chunk of the rows before.
    """
    while True:
        chunk = _chunk(islice(rows, ROWS_PER_STREAM), converter)
        if chunk.rows:
            yield chunk
        if chunk.failure is not None:
            raise chunk.failure
        if not chunk.rows:
            return


def _chunk(rows: Iterable[Row], converter: Converter) -> Chunk:
    chunk = Chunk()
    items: list[item_pb2.Item] = []
    lines: list[int] = []
    for line, values in _until_failure(rows, chunk):
        chunk.rows += 1
        try:
            if isinstance(values, BadRow):
                raise RowRejected("", [Violation(values.field, values.rule)])
            items.append(converter.item(values))
        except RowRejected as rejected:
            chunk.rejections.append(Rejection(line, rejected.external_id, rejected.violations))
            continue
        lines.append(line)
        if len(items) == MAX_BATCH_ITEMS:
            chunk.add_items(items, lines)
            items, lines = [], []
    if items:
        chunk.add_items(items, lines)
    return chunk


def _until_failure(rows: Iterable[Row], chunk: Chunk) -> Iterator[Row]:
    try:
        yield from rows
    except CommandError as failure:
        chunk.failure = failure


class Import:
    """One import under way: sends chunks, adds up what became of their rows, and keeps the checkpoint."""

    def __init__(
        self,
        send: Send,
        checkpoint: Checkpoint,
        *,
        restart: bool = False,
        observe: Callable[[Summary], None] = lambda _: None,
    ) -> None:
        position = Position() if restart else checkpoint.load()
        self.summary = Summary.resumed(position.counts or {}, position.rows)
        self.journal = Journal(checkpoint.journal_path, keep_bytes=position.journal_bytes)
        self.summary.remember([Rejection.from_json(line) for line in islice(self.journal, 1_000)])
        self._send = send
        self._checkpoint = checkpoint
        self._observe = observe
        self._rows = position.rows

    def run(self, rows: Iterator[Row], converter: Converter) -> Summary:
        """Imports the rows that the checkpoint does not cover. The position is kept when this raises."""
        for _ in islice(rows, self._rows):
            pass
        under_way: tuple[Chunk, Pending | None] | None = None
        try:
            for chunk in chunks(rows, converter):
                if under_way is not None:
                    before, under_way = under_way, None
                    self._finish(*before)
                under_way = chunk, self._send(chunk.requests) if chunk.requests else None
        finally:
            # Also when the file breaks off: what was read before is imported, and acknowledged.
            try:
                if under_way is not None:
                    self._finish(*under_way)
            finally:
                self.journal.close()
        return self.summary

    def _finish(self, chunk: Chunk, pending: Pending | None) -> None:
        if pending is not None:
            try:
                response = pending.result()
            except BaseException:
                pending.cancel()
                raise
            chunk.rejections += self._rejected_by_server(chunk, response)
            self.summary.created += response.created_count
            self.summary.updated += response.updated_count
            self.summary.unchanged += response.unchanged_count
        chunk.rejections.sort(key=lambda rejection: rejection.line)
        self.summary.reject(chunk.rejections)
        self._rows += chunk.rows
        if self.summary.read != self._rows:
            raise CommandError(f"The server answered for {self.summary.read:,} of {self._rows:,} rows.")
        journal_bytes = self.journal.append(rejection.to_json() for rejection in chunk.rejections)
        self._checkpoint.save(Position(self._rows, self.summary.counts(), journal_bytes))
        self._observe(self.summary)

    def _rejected_by_server(self, chunk: Chunk, response: item_pb2.ImportItemsResponse) -> list[Rejection]:
        """All that the server rejected. An answer names the first 100; those after them are asked for once more."""
        named = {rejection.position: rejection for rejection in response.rejections}
        if response.rejected_count > len(named):
            for again in _smaller(chunk, after=max(named, default=0)):
                named.update({one.position: one for one in self._send([again]).result().rejections})
        if len(named) != response.rejected_count:
            raise CommandError(f"The server rejected {response.rejected_count:,} rows, and named only {len(named):,}.")
        return [
            Rejection(chunk.lines[position - 1], one.external_id, (Violation(one.field, one.rule),))
            for position, one in named.items()
        ]


def _smaller(chunk: Chunk, after: int) -> Iterator[item_pb2.ImportItemsRequest]:
    """The items of a chunk past a position, in messages whose rejections one answer can name."""
    for request in chunk.requests:
        for start in range(0, len(request.items), _REJECTIONS_NAMED):
            first = request.first_position + start
            items = request.items[start : start + _REJECTIONS_NAMED]
            if first + len(items) - 1 > after:
                skipped = max(0, after + 1 - first)
                yield item_pb2.ImportItemsRequest(items=items[skipped:], first_position=first + skipped)
