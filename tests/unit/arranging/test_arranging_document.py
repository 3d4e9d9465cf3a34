"""docs/arranging.md says the numbers that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from rhythmiq_recommender.arranging.exploration import FIRST, POOL, WITHIN
from rhythmiq_recommender.arranging.fatigue import ARTIST_PART, FATIGUE_SCORE, HALF_LIFE
from rhythmiq_recommender.arranging.likeness import ARTIST_SHARE, GENRE_SHARE, SOUND_SHARE
from rhythmiq_recommender.arranging.variety import APART, CONTENDERS, SPAN
from rhythmiq_recommender.blocks.model import LIMIT
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_recommender.situation import DEFAULT_DIVERSITY, DEFAULT_FATIGUE

DOCUMENT = Path(__file__).parents[3] / "docs" / "arranging.md"
SIGNS = str.maketrans({"\N{MULTIPLICATION SIGN}": "x", "\N{GREEK SMALL LETTER SIGMA}": "sd"})
TEXT = " ".join(DOCUMENT.read_text(encoding="utf-8").translate(SIGNS).split())


@pytest.mark.parametrize(
    "told",
    [
        f"at most {LIMIT:,} per profile",
        f"2^(-age / {HALF_LIFE / 3600:g} h)",
        f"{FATIGUE_SCORE:.1f} x fatigue x tiredness",
        f"tire {ARTIST_PART:g} times as much",
        f"0 to 1, default {DEFAULT_FATIGUE:g}",
        f"(0 to 1, default {DEFAULT_DIVERSITY:g})",
        f"score / ({SPAN:g} sd)",
        f"the best {CONTENDERS} x count",
        f"{SOUND_SHARE:g} x nearness of sound",
        f"{GENRE_SHARE:g} x common genres",
        f"{ARTIST_SHARE:g} if the main artist is the same",
        f"at most {POOL} contenders",
        f"at most {WITHIN / 2:g} sd above",
        f"loses more than {WITHIN:g} sd",
        f"Why {RecommenderSettings.model_fields['exploration'].default:g}.",
    ],
)
def test_the_document_says_it(told: str) -> None:
    assert told in TEXT


def test_the_document_counts_in_words() -> None:
    assert (APART, "at least six others" in TEXT) == (6, True)
    assert (FIRST, "from the third on" in TEXT) == (3, True)
