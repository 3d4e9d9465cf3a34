"""The registry of features as a table to read: docs/learning.md carries it, and a test keeps the two alike."""

from __future__ import annotations

from rhythmiq_recommender.learning.features import all_signals
from rhythmiq_recommender.learning.signals.signal import View

VIEWS = {
    View.REL: "divided by the query's best",
    View.REL20: "divided by the query's 20th best among new items",
    View.RANK: "log(1 + rank), ranks beyond 256 as 256",
}
"""What a suffix of a column name means."""


def feature_table() -> str:
    """Markdown, one line a feature: columns (with suffixes), unit, group, signal and source."""
    lines = ["| feature | further columns | unit | group | signal | what it is |", "|---|---|---|---|---|---|"]
    for signal in all_signals():
        for feature in signal.features:
            views = ", ".join(f"`{view.value}`" for view in feature.views if view.value)
            source = feature.source + (f"; {feature.candidates} candidates" if feature.candidates else "")
            lines.append(
                f"| `{feature.name}` | {views} | {feature.unit} | {feature.group} | {signal.name} | {source} |"
            )
    return "\n".join(lines) + "\n"
