"""docs/learning.md names every feature that there is."""

from __future__ import annotations

from pathlib import Path

from rhythmiq_recommender.learning.describe import feature_table, kinds_table, served_table

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_the_feature_list_of_the_documentation_is_current() -> None:
    text = (DOCS / "learning.md").read_text()
    for table in (served_table(), kinds_table(), feature_table()):
        assert table in text
