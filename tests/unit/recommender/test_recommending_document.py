"""docs/recommending.md says what the code does, where it gives names and numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from rhythmiq_recommender import plan
from rhythmiq_recommender.arranging import fatigue, shuffle, variety
from rhythmiq_recommender.audio import FEATURES, KEY
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_recommender.environment import FRESH_FOR
from rhythmiq_recommender.plan import Group
from rhythmiq_recommender.prior import POPULARITY_SCORE, SURROUNDINGS_SCALE
from rhythmiq_recommender.retrieval import CANDIDATES, SEED_CANDIDATES
from rhythmiq_recommender.situation import DEFAULT_DIVERSITY, DEFAULT_FATIGUE

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "recommending.md"


@pytest.fixture(scope="module")
def told() -> str:
    return " ".join(DOCUMENT.read_text(encoding="utf-8").split())


def test_every_audio_feature_stands_there_with_its_unit_and_scale() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    for index, feature in enumerate(FEATURES):
        (line,) = [line for line in lines if line.startswith(f"| `{feature.name}` | {feature.unit.split()[0]}")]
        if index != KEY:
            assert line.endswith(f" | {feature.mean:,.10g} | {feature.sd:,.10g} |")


def test_every_group_of_reasons_stands_there(told: str) -> None:
    for group in Group:
        assert f"`{group.name}`" in told


def test_what_things_are_worth_is_what_the_plan_adds(told: str) -> None:
    worth = [
        f"{plan.ARTIST_SCORE}, {plan.GENRE_SCORE}, {plan.INSTRUMENT_SCORE} |",
        f"{plan.TEMPO_SCORE} inside, fading to 0 over {plan.BAND_EDGE:g} BPM",
        f"| target of a feature | {plan.TUNING_SCORE} |",
        f"{plan.SEED_SOUND_SCORE}, {plan.SEED_ARTIST_SCORE}, {plan.SEED_GENRE_SCORE} |",
        f"{SURROUNDINGS_SCALE} for each unit of effect size",
        f"| well known rather than not | {POPULARITY_SCORE} |",
        f"the {CANDIDATES} (or 2 x count) best by the plan, {SEED_CANDIDATES} nearest",
    ]
    for words in worth:
        assert words in told


def test_defaults_of_arranging_are_the_ones_that_hold(told: str) -> None:
    exploration = RecommenderSettings.model_fields["exploration"].default
    assert f"`diversity` (0 to 1, default {DEFAULT_DIVERSITY})" in told
    assert f"`fatigue` (0 to 1, default {DEFAULT_FATIGUE})" in told
    assert f"(`RHYTHMIQ_RECOMMENDER_EXPLORATION`, default {exploration})" in told
    assert f"best {variety.CONTENDERS} x count" in told
    assert variety.APART == 6
    assert fatigue.HALF_LIFE == 8 * 3600
    assert shuffle.SHUFFLE < POPULARITY_SCORE


def test_the_ages_at_which_readings_go_stale_are_the_ones_that_hold(told: str) -> None:
    spans = {15 * 60: "15 minutes", 3600: "an hour", 3 * 3600: "3 hours", 24 * 3600: "a day"}
    names = {
        "ambient_noise": "noise",
        "heart_rate": "heart rate",
        "place_type": "place",
        "audio_output": "output",
        "illuminance": "light",
        "local_time": "local time",
    }
    for kind, seconds in FRESH_FOR.items():
        after = told[told.index(f"{spans[int(seconds)]} (") :]
        assert names.get(kind, kind) in after[: after.index(")")]
