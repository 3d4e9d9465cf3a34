"""What serving learned models takes, put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rhythmiq_recommender.models.lineup import LearnedRankers
from rhythmiq_recommender.models.loader import ModelLoader
from rhythmiq_recommender.models.registry import Registry
from rhythmiq_recommender.models.shadow import Shadows
from rhythmiq_recommender.recommend import PRIOR, PriorAlone
from rhythmiq_recommender.recommend_ports import Catalog, Rankers

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServingModels:
    """The rankers, whom to offer answers to for shadows, and what a server has to run for them."""

    rankers: Rankers
    shadows: Shadows | None = None
    start: Sequence[Step] = ()
    background: Sequence[Step] = ()
    close: Sequence[Step] = ()


def serving_models(store: str, catalog: Catalog, *, most: int, interval: float, sample: float) -> ServingModels:
    """`store` is the address of the models, empty for none. Raises BadStore."""
    if not store:
        return ServingModels(PriorAlone())
    loader = ModelLoader(Registry(store), catalog, most=most, interval=interval)
    shadows = Shadows(sample)
    return ServingModels(
        LearnedRankers(loader, PRIOR), shadows, [loader.start], [loader.follow, shadows.follow], [loader.close]
    )
