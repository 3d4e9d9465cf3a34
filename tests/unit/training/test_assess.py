"""What the report is made of: the promoted model as it serves, an experiment, and estimates from propensities."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest
from packages import CUT, trained

from rhythmiq_recommender.learning.listening import TYPES, Listens, tables_of
from rhythmiq_recommender.learning.package import load, save
from rhythmiq_recommender.learning.training import Settings, Window, hold_out
from rhythmiq_recommender.training.assess import Material, assess, data, left_out
from rhythmiq_recommender.training.counterfactual import estimates
from rhythmiq_recommender.training.promotion import PROMOTED

WINDOW = Window(CUT + 3 * planted.DAY, float("inf"))
SETTINGS = Settings(rounds=15, asked=150, candidates=60)


def with_impressions(*, good: float, places: int = 4) -> Listens:
    """Each visit of the hold-out begins with a list of items drawn at random, all equally likely at each place.

    Those of the listener's genre are liked with the chance `good`, the others never.
    """
    one, chance = trained(), np.random.default_rng(5)
    events = one.tables.events
    assert events.start is not None
    assert events.time is not None
    opens = np.flatnonzero((events.time == events.start) & (events.start >= WINDOW.low))
    rows = []
    for row in opens.tolist():
        who, time = int(events.user[row]), float(events.time[row]) - 60
        for place, item in enumerate(chance.choice(120, places, replace=False).tolist()):
            rows.append((who, item, TYPES.index("IMPRESSION"), time, place + 1))
            if item % 4 == who % 4 and chance.random() < good:
                rows.append((who, item, TYPES.index("LIKE"), time + 1, -1))
    who_, item_, type_, time_, place_ = (np.array(column) for column in zip(*rows, strict=True))
    added = Listens(
        who_,
        item_,
        type_.astype(np.int8),
        time_.astype(np.float64),
        np.full((len(rows), one.listens.codes.shape[1]), -1, np.int8),
        place_,
        np.where(place_ > 0, 1 / 120, np.nan).astype(np.float32),
    )
    parts: dict[str, Any] = {
        name: np.concatenate([getattr(one.listens, name), getattr(added, name)]) for name in Listens.__slots__
    }
    return Listens(**parts)


@cache
def material(folder: Path, trained_until: float) -> Material:
    one = trained()
    save(folder, one.booster, one.fit, version="before", trained_until=trained_until)
    varied = [name for name, column in zip(one.frame.names, one.frame.x.T, strict=True) if np.ptp(column) > 0]
    return Material(
        listens=with_impressions(good=0.9),
        catalogue=one.catalogue,
        tables=one.tables,
        kind=1,
        cohort="all",
        window=WINDOW,
        train=one.frame.take(one.frame.query < 100).select(varied),
        booster=one.booster,
        promoted=load(folder),
        variants=np.arange(80) % 2,
        experiment={"name": "autumn", "version": "b", "share": 0.5, "since": "2001-09-01T00:00:00+00:00"},
        settings=SETTINGS,
        seed=1,
        margin=0.01,
    )


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return assess(material(tmp_path_factory.mktemp("package"), CUT), lambda share, words: None)


def test_the_promoted_model_is_judged_as_it_serves_when_it_does_not_know_the_hold_out(document: dict[str, Any]) -> None:
    assert document["notes"] == []
    quality = {name: value["ndcg@10"]["mean"] for name, value in document["quality"].items()}
    # The same ranker, over signals that are some days older: near, and not the same.
    assert quality[PROMOTED] != quality["model"]
    assert quality[PROMOTED] > quality["popularity"]
    assert [each["rival"] for each in document["decision"]["contests"]] == [PROMOTED, "prior", "popularity"]
    assert not document["decision"]["better"]


def test_one_that_knows_the_hold_out_is_judged_over_signals_that_do_not(tmp_path: Path) -> None:
    given = replace(material(tmp_path / "package", CUT + 9 * planted.DAY), settings=replace(SETTINGS, asked=60))
    found = assess(given, lambda share, words: None)
    assert "know part of the hold-out" in found["notes"][0]
    assert found["quality"][PROMOTED] == found["quality"]["model"]


def test_importance_is_shares_of_named_features_largest_first(document: dict[str, Any]) -> None:
    shares = [row["share"] for row in document["importance"]]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert shares == sorted(shares, reverse=True)


def test_newcomers_are_told_by_what_is_known_of_them(document: dict[str, Any]) -> None:
    rows = document["cold_start"]
    assert [row["interactions"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    gain = [row["quality"]["model"]["mean"] - row["quality"]["popularity"]["mean"] for row in rows]
    assert gain[5] > gain[0]
    # One query a listener: each is new only once.
    assert all(row["queries"] <= 80 for row in rows)


def test_what_selection_left_out_is_said_and_nothing_where_it_left_out_nothing() -> None:
    assert left_out([]) == ""
    said = left_out(["surroundings:heart_rate", "surroundings:weather", "novelty"])
    assert "left out surroundings of kind heart_rate, surroundings of kind weather, novelty" in said


def test_a_running_experiment_has_a_row_a_variant(document: dict[str, Any]) -> None:
    told = document["experiment"]
    assert told["name"] == "autumn"
    control, treatment = told["variants"]
    assert (control["variant"], treatment["variant"]) == ("control: promoted model", "treatment: b")
    assert control["listeners"] == treatment["listeners"] == 40
    assert 0.1 < control["liked"]["mean"] < 0.4


def test_estimates_say_that_a_model_which_knows_tastes_beats_lists_drawn_at_random(document: dict[str, Any]) -> None:
    told = document["off_policy"]
    shown, snips = told["estimates"]["as it was shown"], told["estimates"]["this model (SNIPS)"]
    assert 0.15 < shown["mean"] < 0.3
    assert snips["low"] > shown["high"]
    # Every list could have been shown, so that weights average 1.
    assert told["mean_weight"] == pytest.approx(1, abs=0.3)


def test_too_few_propensities_are_said_to_be_too_few() -> None:
    one = trained()
    test = hold_out(one.tables, one.catalogue, 1, WINDOW, settings=SETTINGS, seed=1)
    assert "0 items were shown with a known propensity" in estimates(one.listens, test, one.booster, CUT, 1)["missing"]


def test_the_summary_of_the_data_counts_what_was_learned_from() -> None:
    one = trained()
    tables = tables_of(one.listens, one.catalogue, 1)
    extracted = {"types": {"COMPLETE": 5, "SKIP": 3}, "unknown_items": 2}
    found = data(tables, extracted, {"queries": 7, "listeners": 4, "from": CUT})
    assert found["counts"]["listeners"] == 80
    assert found["counts"]["visits"] == 80 * 14
    assert found["counts"]["left out: items that are gone"] == 2
    assert found["surroundings"]["activity"] == 1.0
    assert found["surroundings"]["speed"] == 0.0
    assert found["times"]["hold-out from"].startswith("2001-09-")
