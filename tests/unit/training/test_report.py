"""The report's promises: readable without anything else, true to its document, safe with any name in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rhythmiq_recommender.training.report import page, write


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02}


def document(**other: Any) -> dict[str, Any]:
    quality = {
        name: {key: interval(value + shift) for shift, key in enumerate(("ndcg@10", "recall@10", "hr@10", "mrr@10"))}
        for name, value in {"model": 0.31, "promoted model": 0.28, "prior": 0.12, "popularity": 0.11}.items()
    }
    return {
        "run": {"name": "nightly", "kind": "track", "cohort": "all", "seed": 7, "as_of": "2026-03-01", "promote": True},
        "version": "nightly",
        "decision": {
            "better": True,
            "reason": "better than prior and popularity",
            "margin": 0.01,
            "contests": [{"rival": "prior", "mean": 0.19, "low": 0.17, "high": 0.21, "passed": True}],
        },
        "notes": [],
        "data": {
            "counts": {"listeners": 1234, "LIKE": 56789},
            "times": {"first": "2025-01-01"},
            "surroundings": {"activity": 0.4},
        },
        "metrics": {"NDCG@10": "ndcg@10", "Recall@10": "recall@10"},
        "quality": quality,
        "context": {"with surroundings": interval(0.31), "without": interval(0.27)},
        "ablation": {
            "feature_groups": {"taste": interval(0.05), "popularity": interval(-0.01)},
            "environment_kinds": {"activity": interval(0.02)},
        },
        "importance": [{"feature": "item_knn", "group": "item-to-item", "share": 0.6}],
        "cold_start": [
            {"interactions": "0", "queries": 10, "quality": {"model": interval(0.2), "popularity": interval(0.1)}},
            {"interactions": "1 to 4", "queries": 20, "quality": {"model": interval(0.2), "popularity": interval(0.1)}},
        ],
        "calibration": {"error": 0.01, "points": [{"foretold": 0.1, "observed": 0.12}]},
        "beyond": {"model": {"coverage": 0.4, "diversity": 0.9, "popularity_bias": 0.7}},
        "selection": {
            "trials": 3,
            "value": 0.3,
            "left_out": ["listener"],
            "history": [0.2, 0.3, 0.25],
            "parameters": {},
        },
        "off_policy": {"missing": "Nothing was shown with a known propensity."},
        "experiment": {"missing": "No experiment was running."},
        **other,
    }


class Loads(HTMLParser):
    """All that a browser would fetch, and whether every element is closed."""

    VOID = frozenset({"meta", "br", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attributes:
            if name in {"src", "href", "xlink:href", "data"} and not (value or "").startswith("#"):
                self.fetched.append(value or "")


def test_the_page_fetches_and_runs_nothing() -> None:
    found = Loads()
    text = page(document())
    found.feed(text)
    assert found.fetched == []
    assert found.scripts == 0
    assert not re.search(r"url\((?!#)", text)
    assert text.count("<svg ") == 6


@pytest.mark.parametrize(
    "said",
    [
        "0.3100 (0.2900 to 0.3300)",
        "promoted model",
        "+0.1900",
        "1,234",
        "40.0%",
        "item_knn",
        "without listener",
        "1 to 4",
    ],
)
def test_what_the_document_holds_is_on_the_page(said: str) -> None:
    assert said in page(document())


def test_estimates_and_experiments_are_shown_where_there_are_any() -> None:
    text = page(
        document(
            off_policy={
                "rows": 5000,
                "effective": 812.5,
                "mean_weight": 0.98,
                "clipped": 0,
                "estimates": {"SNIPS": interval(0.21)},
            },
            experiment={
                "name": "autumn",
                "version": "b",
                "share": 0.1,
                "since": "2026-02-01",
                "variants": [{"variant": "autumn", "listeners": 10, "shown": 900, "liked": interval(0.15)}],
            },
        )
    )
    for said in ("5,000", "812", "SNIPS", "autumn", "10.0%", "900", "0.1500"):
        assert said in text


def test_a_model_that_stays_unpromoted_says_so_and_one_only_published_too() -> None:
    kept = document()["decision"] | {"better": False, "reason": "not better by 0.01"}
    assert "Not promoted" in page(document(decision=kept))
    published = document()["run"] | {"promote": False}
    assert "published only" in page(document(run=published))


def test_names_cannot_break_out_of_the_page() -> None:
    evil = "</title><script>alert(1)</script>"
    other = document(
        run=document()["run"] | {"name": evil},
        quality={evil: document()["quality"]["model"]},
        ablation={"feature_groups": {evil: interval(0.1)}, "environment_kinds": {}},
    )
    assert "<script>" not in page(other)


def test_a_document_without_cold_start_trials_or_points_still_gives_a_page() -> None:
    text = page(
        document(
            cold_start=[],
            calibration={"error": None, "points": []},
            selection={"trials": 0, "value": 0.3, "left_out": [], "history": [], "parameters": {"num_leaves": 15}},
            ablation={"feature_groups": {}, "environment_kinds": {}},
        )
    )
    assert "nothing to judge by" in text
    assert "not known" in text


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, document())
    for file in ("report.html", "report.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    stored = json.loads((tmp_path / "one" / "report.json").read_text())
    assert stored["format"] == "rhythmiq-training-report"
    assert stored["quality"] == document()["quality"]
