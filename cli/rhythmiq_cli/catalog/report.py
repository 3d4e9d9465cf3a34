"""What became of the rows of a file: counts that add up, and the rejected rows by line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rhythmiq_cli.catalog.convert import Violation

_SHOWN = 10
_RULES_COUNTED = 100


@dataclass(frozen=True)
class Rejection:
    """One row that was not imported, and why."""

    line: int
    external_id: str
    violations: tuple[Violation, ...]

    def to_record(self) -> dict[str, object]:
        """As the report and the JSON output print it."""
        violations = [
            {"field": one.field, "rule": one.rule, **({"value": one.value} if one.value else {})}
            for one in self.violations
        ]
        return {"line": self.line, "externalId": self.external_id, "violations": violations}

    def to_json(self) -> str:
        return json.dumps(self.to_record(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Rejection:
        record = json.loads(text)
        violations = tuple(Violation(v["field"], v["rule"], v.get("value", "")) for v in record["violations"])
        return cls(record["line"], record["externalId"], violations)

    def in_words(self) -> str:
        told = "; ".join(
            f"{one.field or 'row'} {one.rule}" + (f", not {one.value!r}" if one.value else "")
            for one in self.violations
        )
        return f"line {self.line}: {told}"


@dataclass
class Summary:
    """Counts of rows: `read` is always the sum of the others."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    # Rows that a dry run found fit to be imported.
    valid: int = 0
    # Rows of an interrupted run before, that this one did not send again (they are in the counts).
    resumed_at: int = 0
    first_rejections: list[Rejection] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)

    @classmethod
    def resumed(cls, counts: Mapping[str, int], rows: int) -> Summary:
        """The summary of an interrupted run, by its `counts`."""
        return cls(
            created=counts.get("created", 0),
            updated=counts.get("updated", 0),
            unchanged=counts.get("unchanged", 0),
            rejected=counts.get("rejected", 0),
            valid=counts.get("valid", 0),
            resumed_at=rows,
        )

    @property
    def read(self) -> int:
        return self.created + self.updated + self.unchanged + self.rejected + self.valid

    def reject(self, rejections: Sequence[Rejection]) -> None:
        self.rejected += len(rejections)
        self.remember(rejections)

    def remember(self, rejections: Sequence[Rejection]) -> None:
        """Keeps the first ones to show, and counts the rules; never more than a bounded number of either."""
        self.first_rejections += rejections[: _SHOWN - len(self.first_rejections)]
        for rejection in rejections:
            for violation in rejection.violations:
                rule = f"{violation.field or 'row'} {violation.rule}"
                if rule in self.rules or len(self.rules) < _RULES_COUNTED:
                    self.rules[rule] += 1

    def counts(self) -> dict[str, int]:
        return {
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "rejected": self.rejected,
            "valid": self.valid,
        }
