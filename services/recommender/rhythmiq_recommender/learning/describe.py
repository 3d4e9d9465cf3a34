"""The registry of features as a table to read: docs/learning.md carries it, and a test keeps the two alike."""

from __future__ import annotations

from rhythmiq_recommender.learning.encoding import CATEGORIES, KINDS
from rhythmiq_recommender.learning.features import all_signals
from rhythmiq_recommender.learning.served.registry import SERVED
from rhythmiq_recommender.learning.signals.signal import View

VIEWS = {
    View.REL: "divided by the query's best",
    View.REL20: "divided by the query's 20th best among new items",
    View.RANK: "log(1 + rank), ranks beyond 256 as 256",
}
"""What a suffix of a column name means."""


def served_table() -> str:
    """Markdown, one line a feature of a served ranker. Of features that there are one of each kind, only one line."""
    lines = ["| feature | unit | group | signal | what it is |", "|---|---|---|---|---|"]
    for signal in SERVED:
        for feature in signal.features:
            kind = feature.group.partition(":")[2]
            if kind and kind != KINDS[0]:
                continue
            name = feature.name.replace(kind, "KIND") if kind else feature.name
            group = feature.group.replace(kind, "KIND") if kind else feature.group
            source = feature.source.partition("; ")[0] if kind else feature.source
            lines.append(f"| `{name}` | {feature.unit} | {group} | {signal.name} | {source} |")
    return "\n".join(lines) + "\n"


def kinds_table() -> str:
    """Markdown: what KIND stands for, and its codes in order."""
    lines = ["| KIND | what it is | codes |", "|---|---|---|"]
    lines += [f"| `{one.kind}` | {one.meaning} | {', '.join(one.names)} |" for one in CATEGORIES]
    return "\n".join(lines) + "\n"


def feature_table() -> str:
    """Markdown, one line a feature for studies of data sets: columns (with suffixes), unit, group, signal, source."""
    lines = ["| feature | further columns | unit | group | signal | what it is |", "|---|---|---|---|---|---|"]
    for signal in all_signals():
        for feature in signal.features:
            views = ", ".join(f"`{view.value}`" for view in feature.views if view.value)
            source = feature.source + (f"; {feature.candidates} candidates" if feature.candidates else "")
            lines.append(
                f"| `{feature.name}` | {views} | {feature.unit} | {feature.group} | {signal.name} | {source} |"
            )
    return "\n".join(lines) + "\n"
