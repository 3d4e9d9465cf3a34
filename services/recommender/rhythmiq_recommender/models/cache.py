"""Loaded packages, at most so many: what a channel needs stays, the rest goes when there is no room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import NamedTuple

from rhythmiq_recommender.learning.package import Package
from rhythmiq_recommender.models.channels import Key


class Model(NamedTuple):
    """One version of one kind of model."""

    key: Key
    version: str

    def __str__(self) -> str:
        return f"{self.key.kind}/{self.key.cohort}/{self.version}"


class Packages:
    """Least recently needed first. Not for use from several threads at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._loaded: OrderedDict[Model, Package] = OrderedDict()

    def __contains__(self, model: Model) -> bool:
        return model in self._loaded

    def get(self, model: Model) -> Package | None:
        """The package, which is now the most recently needed one."""
        found = self._loaded.get(model)
        if found is not None:
            self._loaded.move_to_end(model)
        return found

    def put(self, model: Model, package: Package, needed: Collection[Model]) -> list[Model]:
        """Adds a package; those not `needed` make room for it, the least recent first. Returns who went."""
        self._loaded[model] = package
        gone = [old for old in self._loaded if old not in needed and old != model]
        gone = gone[: max(0, len(self._loaded) - self.most)]
        for old in gone:
            del self._loaded[old]
        return gone

    def drop(self, model: Model) -> None:
        """Forgets it, if it is there."""
        self._loaded.pop(model, None)
