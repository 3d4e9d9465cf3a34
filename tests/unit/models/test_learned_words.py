"""Whatever is known of the surroundings has words, and spans are said as one would."""

from __future__ import annotations

import pytest

from rhythmiq_recommender.learned_words import ago, surroundings_words, when
from rhythmiq_recommender.learning.encoding import CATEGORIES, Category
from rhythmiq_recommender.situation import Origin, Surrounding


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.kind)
def test_every_code_has_words_of_its_own(category: Category) -> None:
    said = {
        when(Surrounding(category.kind, category.value(code), Origin.REQUEST)) for code in range(len(category.names))
    }
    assert len(said) == len(category.names)
    assert all(words and "_" not in words for words in said)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("activity", "walking", "while walking"),
        ("activity", "riding", "on a ride"),
        ("local_time", 23.5, "at night"),
        ("local_time", 9.0, "in the morning"),
        ("weather", "rain", "when it rains"),
        ("audio_output", "noise_cancelling_headphones", "on noise cancelling headphones"),
        ("audio_output", "phone_speaker", "on phone speakers"),
        ("ambient_noise", 85.0, "where it is very loud"),
        ("speed", 30.0, "at open road speed"),
        ("heart_rate", 50.0, "at a slow heart rate"),
    ],
)
def test_surroundings_are_named_as_one_would(kind: str, value: float | str, words: str) -> None:
    used = Surrounding(kind, value, Origin.READING)
    assert surroundings_words(kind, used, True) == f"often liked {words}"
    assert surroundings_words(kind, used, False) == f"seldom liked {words}"


def test_what_is_not_known_is_said_to_be_so() -> None:
    strange = Surrounding("activity", "levitating", Origin.REQUEST)
    assert surroundings_words("activity", strange, True) == "without knowing your activity"
    assert surroundings_words("ambient_noise", None, False) == "without knowing your ambient noise"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "1 minute"),
        (90, "2 minutes"),
        (3600, "1 hour"),
        (7300, "2 hours"),
        (40 * 3600, "40 hours"),
        (49 * 3600, "2 days"),
        (400 * 86400, "400 days"),
    ],
)
def test_spans_are_said_in_their_unit(seconds: float, said: str) -> None:
    assert ago(seconds) == said
