"""Which rankers stand ready for one kind and cohort, and who gets which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from rhythmiq_recommender.learned_ranker import LearnedRanker
from rhythmiq_recommender.learning.package import KINDS
from rhythmiq_recommender.learning.scorer import cohort_of
from rhythmiq_recommender.models.channels import ALL, Experiment, Key
from rhythmiq_recommender.models.variants import TREATMENT, variant_of
from rhythmiq_recommender.ranking import Ranker
from rhythmiq_recommender.recommend_ports import Choice
from rhythmiq_recommender.situation import Situation

_NAME_OF: Final = {number: name for name, number in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Lineup:
    """The loaded rankers of one channel. `tried` answers the experiment's share; without it there is no experiment."""

    promoted: LearnedRanker | None = None
    tried: LearnedRanker | None = None
    experiment: Experiment | None = None
    shadow: LearnedRanker | None = None

    @property
    def rankers(self) -> list[LearnedRanker]:
        """All that are there."""
        return [ranker for ranker in (self.promoted, self.tried, self.shadow) if ranker is not None]


class Lineups(Protocol):
    """The lineups of the moment."""

    @property
    def lineups(self) -> Mapping[Key, Lineup]:
        """Replaced as a whole whenever anything in it changes."""
        ...

    def asked(self, key: Key) -> None:
        """Someone wants to be answered by this lineup."""
        ...


class LearnedRankers:
    """Rankers: the cohort's model, else the one for all, else the prior; what an experiment says comes first."""

    def __init__(self, lineups: Lineups, prior: Ranker) -> None:
        self._lineups, self._prior = lineups, prior

    def choose(self, profile_id: str, situation: Situation) -> Choice:
        kind = _NAME_OF.get(situation.kind)
        if kind is None:
            return Choice(self._prior)
        now, shadow = self._lineups.lineups, None
        for key in (Key(kind, cohort_of(situation.history)), Key(kind, ALL)):
            self._lineups.asked(key)
            lineup = now.get(key)
            if lineup is None:
                continue
            if (choice := self._of(lineup, profile_id)) is not None:
                return choice
            shadow = shadow or lineup.shadow
        return Choice(self._prior, shadow=shadow)

    def _of(self, lineup: Lineup, profile_id: str) -> Choice | None:
        usual: Ranker | None = lineup.promoted
        if lineup.experiment is None or lineup.tried is None:
            return None if usual is None else Choice(usual, shadow=_other(lineup.shadow, usual))
        variant = variant_of(lineup.experiment.name, lineup.experiment.share, profile_id)
        ranker = lineup.tried if variant == TREATMENT else usual or self._prior
        return Choice(ranker, lineup.experiment.name, variant, _other(lineup.shadow, ranker))


def _other(shadow: LearnedRanker | None, ranker: Ranker) -> LearnedRanker | None:
    """The shadow, unless it answers: it would be compared with itself."""
    return None if shadow is None or shadow.name == ranker.name else shadow
