"""Checks the rows of a file without a server, by the rules that stand in the API's schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.catalog.convert import Converter, Violation
from rhythmiq_cli.catalog.report import Rejection, Summary
from rhythmiq_cli.catalog.rows import Row
from rhythmiq_cli.catalog.upload import chunks
from rhythmiq_cli.imports.journal import Journal
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.interceptors.validation import validate


def check_locally(
    rows: Iterator[Row], converter: Converter, journal: Journal, observe: Callable[[Summary], None]
) -> Summary:
    """Converts and checks every row; the summary counts the `valid` ones, the journal has the others."""
    summary = Summary()
    for chunk in chunks(rows, converter):
        items = (item for request in chunk.requests for item in request.items)
        for line, item in zip(chunk.lines, items, strict=True):
            violations = _violations(item)
            if violations:
                chunk.rejections.append(Rejection(line, item.external_id, violations))
        chunk.rejections.sort(key=lambda rejection: rejection.line)
        summary.reject(chunk.rejections)
        summary.valid += chunk.rows - len(chunk.rejections)
        journal.append(rejection.to_json() for rejection in chunk.rejections)
        observe(summary)
    return summary


def _violations(item: item_pb2.Item) -> tuple[Violation, ...]:
    try:
        validate(item)
    except InvalidArgument as refused:
        return tuple(Violation(one.field, one.rule) for one in refused.violations)
    return ()
