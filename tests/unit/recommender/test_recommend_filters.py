"""What a listener rules out never comes back."""

from __future__ import annotations

import asyncio
import unicodedata

import small_catalogue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listening import LOUD_RUN, PROFILE, World, leaning

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.features import FEATURES
from rhythmiq_recommender.situation import Explicit, Filter, LeaningType, Seeds, Target, Wish

ITEMS = small_catalogue.items()
GENRES = sorted({genre for item in ITEMS for genre in item.genres})
ARTISTS = sorted({artist for item in ITEMS for artist in item.artists})
RANGES = dict.fromkeys((feature.name for feature in FEATURES), (0.0, 1.0)) | {
    "loudness": (-70.0, 10.0),
    "tempo": (0.0, 300.0),
    "key": (0.0, 11.0),
    "time_signature": (1.0, 15.0),
    "duration_ms": (0.0, 500_000.0),
    "popularity": (0.0, 100.0),
}


def value_of(item: item_pb2.Item, name: str) -> float | None:
    if name == "duration_ms":
        return item.duration.ToMicroseconds() / 1000 if item.HasField("duration") else None
    holder = item if name == "popularity" else item.features
    return float(getattr(holder, name)) if holder.HasField(name) else None  # type: ignore[arg-type]


EDGES = {name: sorted({value for item in ITEMS if (value := value_of(item, name)) is not None}) for name in RANGES}


@st.composite
def targets(draw: st.DrawFn, name: str) -> Target:
    low, high = RANGES[name]
    numbers = st.floats(low, high)
    # Values of the items themselves are where an off-by-one would show.
    first, second, third = sorted(draw(st.tuples(*[st.one_of(numbers, st.sampled_from(EDGES[name]))] * 3)))
    given_ = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    return Target(
        min=first if given_[0] else None,
        target=second if given_[1] else None,
        max=third if given_[2] else None,
        weight=draw(st.floats(0, 10)),
    )


def tunings() -> st.SearchStrategy[dict[str, Target]]:
    names = st.lists(st.sampled_from(sorted(RANGES)), max_size=3, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: targets(name) for name in chosen}))


def some(values: list[str], most: int = 3) -> st.SearchStrategy[list[str]]:
    varied = st.sampled_from(values).flatmap(lambda name: st.sampled_from([name, name.upper(), name.lower()]))
    return st.lists(varied, max_size=most, unique=True)


filters = st.builds(
    Filter,
    genres=some([*GENRES, "no such genre"]),
    exclude_genres=some(GENRES),
    explicit=st.sampled_from(Explicit),
    languages=st.one_of(st.just([]), some(["en", "de", "de-AT", "fr"])),
    min_year=st.one_of(st.none(), st.integers(1955, 2000)),
    max_year=st.one_of(st.none(), st.integers(1990, 2030)),
    exclude_artists=some(ARTISTS, 10),
)
wishes = st.builds(
    Wish,
    profile_id=st.just(PROFILE),
    kind=st.sampled_from([1, 1, 1, 2, 3]),
    count=st.integers(1, 200),
    environment=st.sampled_from([{}, LOUD_RUN]),
    tuning=tunings(),
    seeds=st.builds(
        Seeds,
        items=st.lists(st.sampled_from([item.name for item in ITEMS]), max_size=2, unique=True),
        artists=some(ARTISTS, 2),
        genres=some(GENRES, 2),
    ),
    exclude_items=st.lists(st.sampled_from([item.name for item in ITEMS]), max_size=50),
    filter=filters,
    seed=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
)
WORLD = World(
    preferences=[leaning(LeaningType.GENRE, genre, 1.0) for genre in GENRES[:5]]
    + [leaning(LeaningType.ARTIST, artist, 1.0) for artist in ARTISTS[:20]]
)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(wishes)
def test_every_hard_filter_holds_for_every_item_of_a_thousand_random_requests(wish: Wish) -> None:
    answer = asyncio.run(WORLD.ask(wish))
    found = [answer.snapshot.item(pick.row) for pick in answer.picks]
    names = [item.name for item in found]
    assert len(names) == len(set(names)) <= wish.count
    excluded = {*wish.exclude_items, *wish.seeds.items}
    assert not set(names) & excluded
    for item in found:
        assert item.kind == wish.kind
        assert breach(item, wish) is None
    # The filters are the only reason for a shorter list.
    admitted = sum(
        item.kind == wish.kind and breach(item, wish) is None and item.name not in excluded for item in ITEMS
    )
    assert len(found) == min(wish.count, admitted)
    assert [lack.reason for lack in answer.degradations] == (["NOT_ENOUGH_ITEMS"] if admitted < wish.count else [])


def breach(item: item_pb2.Item, wish: Wish) -> str | None:
    """The hard filter that an item breaks; told from the item alone, without the service's indexes."""
    for name, target in wish.tuning.items():
        value = value_of(item, name)
        if target.min is not None and not (value is not None and value >= target.min):
            return f"min {name}"
        if target.max is not None and not (value is not None and value <= target.max):
            return f"max {name}"
    rules = wish.filter
    genres, artists = fold_all(item.genres), fold_all(item.artists)
    explicit = item.explicit if item.HasField("explicit") else None
    year = item.release_date.year if item.HasField("release_date") else None
    language = item.language.lower()
    checks = {
        "genres": not rules.genres or bool(genres & fold_all(rules.genres)),
        "exclude_genres": not genres & fold_all(rules.exclude_genres),
        "exclude_artists": not artists & fold_all(rules.exclude_artists),
        "explicit": {
            Explicit.ANY: True,
            Explicit.EXCLUDE: explicit is not True,
            Explicit.ONLY_CLEAN: explicit is False,
            Explicit.ONLY_EXPLICIT: explicit is True,
        }[rules.explicit],
        "min_year": rules.min_year is None or (year is not None and year >= rules.min_year),
        "max_year": rules.max_year is None or (year is not None and year <= rules.max_year),
        "languages": not rules.languages
        or any(language == tag.lower() or language.startswith(tag.lower() + "-") for tag in rules.languages),
    }
    return next((name for name, holds in checks.items() if not holds), None)


def fold_all(names: object) -> set[str]:
    return {unicodedata.normalize("NFC", name.casefold()) for name in names}  # type: ignore[attr-defined]
