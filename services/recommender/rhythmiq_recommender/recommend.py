"""The use case: what to play for this listener, here and now."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rhythmiq_mesh.errors import NotFound
from rhythmiq_recommender.gather import Sources
from rhythmiq_recommender.models.shadow import Shadowed, Shadows
from rhythmiq_recommender.prior_ranker import PriorRanker
from rhythmiq_recommender.recommend_ports import Catalog, Choice, Rankers
from rhythmiq_recommender.shortlist import Listing, Pick, listed
from rhythmiq_recommender.situation import Degradation, Leaning, Seeds, Situation, Surrounding, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot

log = logging.getLogger("rhythmiq.recommend")

PRIOR: Final = PriorRanker()
"""Answers where no model is, and where one failed."""


MODEL_FAILED: Final = "MODEL_FAILED"
"""Reason of the degradation of an answer whose ranker failed."""


class SeedNotFound(NotFound):
    """A seed that the catalogue does not have. `field` is its path in the request."""

    def __init__(self, field: str, kind: str, value: str) -> None:
        super().__init__(
            f"{field}: the catalogue has no {kind} {value[:100]!r}: list items to see what there is",
            resource_type=f"rhythmiq.dev/{kind.capitalize()}",
            resource_name=value[:200],
            reason="SEED_NOT_FOUND",
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """Picks, best first, and all that they rest on. Leanings have the weight that they counted with."""

    snapshot: CatalogSnapshot
    picks: Sequence[Pick]
    surroundings: Sequence[Surrounding]
    leanings: Sequence[Leaning]
    ranker: str
    degradations: Sequence[Degradation]
    listing: Listing = field(compare=False, repr=False)
    """Where the picks come from."""
    experiment: str = ""
    variant: str = ""


class PriorAlone:
    """Rankers where nothing has been learned: the prior answers everyone."""

    def choose(self, profile_id: str, situation: Situation) -> Choice:
        return Choice(PRIOR)


@dataclass(frozen=True)
class Recommend:
    """Retrieves, ranks, arranges and explains.

    What a service does not answer in time is done without, and named in the answer; only a listener's blocks are not
    done without. Raises NotFound (SEED_NOT_FOUND, and PROFILE_NOT_FOUND where the wish needs a profile), Unavailable.
    """

    catalog: Catalog
    sources: Sources
    rankers: Rankers
    exploration: float = 0.0
    """Share of places that may be explored, 0 to 1, where the wish lets them be."""
    shadows: Shadows | None = None

    async def __call__(self, wish: Wish, *, needs_profile: bool = True) -> Answer:
        snapshot = self.catalog.snapshot
        require_seeds(snapshot, wish.seeds)
        gathered = await self.sources.gather(wish, needs_profile=needs_profile)
        choice = self.rankers.choose(wish.profile_id, gathered.situation)
        answer = answered(choice, snapshot, wish, gathered.situation, gathered.degradations, self.exploration)
        if choice.shadow is not None and self.shadows is not None:
            self.shadows.offer(
                Shadowed(choice.shadow, answer.ranker, answer.listing.ranked, snapshot, wish, gathered.situation)
            )
        return answer


def answered(
    choice: Choice,
    snapshot: CatalogSnapshot,
    wish: Wish,
    situation: Situation,
    lacking: Sequence[Degradation],
    exploration: float = 0.0,
) -> Answer:
    """The answer in this situation; by the prior, and with a note, should the chosen ranker fail."""
    ranker, failed = choice.ranker, list[Degradation]()
    try:
        listing = listed(ranker, snapshot, wish, situation, exploration)
    except Exception:
        if ranker is PRIOR:
            raise
        log.exception("a ranker failed; the prior answers", extra={"ranker": ranker.name})
        text = f"{ranker.name} failed: this answer does without what was learned"
        failed.append(Degradation("ranker", MODEL_FAILED, text))
        # Whoever was answered by the prior took part in no experiment.
        choice, ranker = Choice(PRIOR), PRIOR
        listing = listed(ranker, snapshot, wish, situation, exploration)
    return Answer(
        snapshot,
        listing.picks,
        list(situation.surroundings.values()),
        situation.leanings,
        ranker.name,
        [*lacking, *failed, *_shortage(snapshot, wish, len(listing.picks))],
        listing,
        choice.experiment,
        choice.variant,
    )


def require_seeds(snapshot: CatalogSnapshot, seeds: Seeds, *, within: str = "") -> None:
    """Raises SeedNotFound for the first seed that the catalogue does not have, with its path below `within`."""
    for index, name in enumerate(seeds.items):
        if snapshot.row_of_name(name) is None:
            raise SeedNotFound(f"{within}seeds.items[{index}]", "item", name)
    for index, name in enumerate(seeds.artists):
        found = snapshot.names.artists.find(name)
        if found is None or not len(snapshot.by_artist[found]):
            raise SeedNotFound(f"{within}seeds.artists[{index}]", "artist", name)
    for index, name in enumerate(seeds.genres):
        found = snapshot.names.genres.find(name)
        if found is None or not len(snapshot.by_genre[found]):
            raise SeedNotFound(f"{within}seeds.genres[{index}]", "genre", name)


def _shortage(snapshot: CatalogSnapshot, wish: Wish, found: int) -> list[Degradation]:
    if not len(snapshot):
        return [Degradation("catalog", "CATALOG_EMPTY", "the catalogue is empty: import items first")]
    if found < wish.count:
        text = f"only {found} of {wish.count} items: what the request asks for leaves no more"
        return [Degradation("catalog", "NOT_ENOUGH_ITEMS", text)]
    return []
