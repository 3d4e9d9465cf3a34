"""Brings models from the registry into this process, and keeps each fitted onto the catalogue as it is.

A background task looks at the channels every few seconds, and swaps what answers as a whole. What is slow happens in
threads. Nothing that goes wrong here touches what already answers:

- a package that is broken, truncated, foreign or made for other features is logged with the reason and tried again
  when its channel changes; until then the version promoted before it answers (after a restart too);
- while the store is away everything stays as it is; that is logged once, and once when it is back. A service that
  starts without its store has nothing that could stay: the prior answers, and a warning says so;
- a channel whose file has vanished stays as it was: only a channel that says so takes a model back.

At most `most` packages are loaded. Channels that are there at the start are loaded at once as long as there is room:
first what is promoted, those asked for before others, then what experiments try, then shadows. One that finds no room
is loaded when it is asked for, in place of one that nobody asked for during the last RESIDENCE seconds; meanwhile the
cohort "all" answers, else the prior.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rhythmiq_recommender.learned_catalogue import catalogue_of
from rhythmiq_recommender.learned_ranker import LearnedRanker
from rhythmiq_recommender.learning.listening import Catalogue
from rhythmiq_recommender.learning.package import BadModel, Package, load
from rhythmiq_recommender.models.cache import Model, Packages
from rhythmiq_recommender.models.channels import ALL, BadChannel, Channel, Key, channel_of
from rhythmiq_recommender.models.lineup import Lineup
from rhythmiq_recommender.models.registry import Registry, UnknownVersion, require
from rhythmiq_recommender.models.store import StoreUnavailable
from rhythmiq_recommender.recommend_ports import Catalog
from rhythmiq_recommender.snapshot import CatalogSnapshot

log = logging.getLogger("rhythmiq.models")

RESIDENCE: Final = 60.0
"""Seconds since it was last asked for, after which a model makes room for another that is."""
_TICK: Final = 0.1
"""Seconds between looks at the catalogue, which are free."""
_REST: Final = 4.0
"""While the catalogue keeps changing, the time between fits in times of the last one's duration."""
_AT_START: Final = 10.0
"""Seconds that a start waits for models; without them the prior answers."""
_KEPT: Final = 3
"""Promoted versions of each channel of which a copy stays on disk, for a rollback without the store."""


class ModelLoader:
    """See the module. `lineups` is what answers now."""

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        *,
        most: int,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry, self._catalog = registry, catalog
        self._interval, self._clock = interval, clock
        self._packages = Packages(most)
        self._folder: Path | None = None
        """Of copies of packages; made when the first is."""
        self._contents: Mapping[Key, bytes] = {}
        self._channels: dict[Key, Channel] = {}
        self._bad: dict[Model, str] = {}
        self._rankers: dict[Model, LearnedRanker] = {}
        self._catalogue: tuple[CatalogSnapshot, Catalogue] | None = None
        self._fitted_at, self._fit_seconds = 0.0, 0.0
        self._asked: dict[Key, float] = {}
        self._away, self._reachable = False, False
        self._next_look = 0.0
        self._lineups: Mapping[Key, Lineup] = {}

    @property
    def lineups(self) -> Mapping[Key, Lineup]:
        """By kind and cohort; replaced as a whole whenever anything in it changes."""
        return self._lineups

    def asked(self, key: Key) -> None:
        """Someone wants to be answered by the model of this kind and cohort."""
        self._asked[key] = self._clock()

    async def start(self) -> None:
        """Loads what there is, so that the first answer has it, as far as that is quick. Never fails."""
        first = asyncio.create_task(self.round())
        await asyncio.wait({first}, timeout=_AT_START)
        if not first.done():
            log.warning("models are not loaded yet: the prior answers until they are")
            first.cancel()

    async def follow(self) -> None:
        """Looks at channels and catalogue for ever."""
        while True:
            await self.round()
            await asyncio.sleep(_TICK)

    async def close(self) -> None:
        """Removes the copies on disk."""
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def round(self) -> None:
        """One look: at the channels when it is time to, and at the catalogue."""
        looks = self._clock() >= self._next_look
        if looks:
            self._reachable = True
            await self._look()
            self._next_look = self._clock() + self._interval
        # Each attempt loads a model, or finds it bad, or the store away: what is needed comes to an end.
        while self._reachable and (missing := self._missing()):
            await self._load(missing[0])
            self._swap()
        for model in self._needed():
            await self._refit(model)
        self._swap()
        if looks and self._reachable and self._away:
            log.info("the model store is back")
            self._away = False

    # Channels

    async def _look(self) -> None:
        try:
            contents = await asyncio.to_thread(self._registry.channels)
        except StoreUnavailable as error:
            self._is_away(error)
            return
        for key, content in contents.items():
            if content != self._contents.get(key):
                self._take(key, content)
        changed = contents != self._contents
        self._contents = contents
        if changed:
            await asyncio.to_thread(self._clear_disk)

    def _take(self, key: Key, content: bytes) -> None:
        try:
            channel = channel_of(content)
        except BadChannel as error:
            log.error("channel ignored", extra={"channel": "/".join(key), "reason": str(error)})
            return
        self._channels[key] = channel
        self._bad = {model: reason for model, reason in self._bad.items() if model.key != key}

    def _is_away(self, error: StoreUnavailable) -> None:
        if not self._away:
            goes_on = "what is loaded goes on" if self._rankers else "the prior answers until it is back"
            log.warning("the model store is away: %s", goes_on, extra={"reason": str(error)})
        self._away, self._reachable = True, False

    # What is needed

    def _needed(self) -> list[Model]:
        """As many as there is room for, the most important first."""
        now = self._clock()
        promoted, tried, shadows = list[Model](), list[Model](), list[Model]()
        for key in sorted(self._channels, key=lambda key: self._demand(key, now)):
            channel = self._channels[key]
            promoted += self._usable(key, channel)[:1]
            if channel.experiment is not None:
                tried.append(Model(key, channel.experiment.version))
            if channel.shadow is not None:
                shadows.append(Model(key, channel.shadow))
        ranked = dict.fromkeys(model for model in (*promoted, *tried, *shadows) if model not in self._bad)
        return list(ranked)[: self._packages.most]

    def _missing(self) -> list[Model]:
        return [model for model in self._needed() if model not in self._packages]

    def _usable(self, key: Key, channel: Channel) -> list[Model]:
        """What may answer: the promoted version, and should that be broken, those before it."""
        if channel.promoted is None:
            return []
        versions = dict.fromkeys((channel.promoted, *channel.history))
        return [model for version in versions if (model := Model(key, version)) not in self._bad]

    def _demand(self, key: Key, now: float) -> tuple[int, float, bool, Key]:
        asked = self._asked.get(key)
        if asked is None:
            return 2, 0.0, key.cohort != ALL, key
        lineup = self._lineups.get(key)
        resident = lineup is not None and lineup.promoted is not None and now - asked < RESIDENCE
        # Those that stay do not change places among each other.
        return (0, 0.0, key.cohort != ALL, key) if resident else (1, -asked, key.cohort != ALL, key)

    # Loading and fitting

    async def _load(self, model: Model) -> None:
        """Loads and fits; only then anything makes room for it."""
        start, snapshot = self._clock(), self._catalog.snapshot
        try:
            package = await asyncio.to_thread(self._read, model)
        except StoreUnavailable as error:
            self._is_away(error)
            return
        except (BadModel, UnknownVersion, BadChannel) as error:
            self._refuse(model, str(error))
            return
        if not await self._fit(model, package, snapshot):
            return
        gone = self._packages.put(model, package, self._needed())
        for old in gone:
            self._rankers.pop(old, None)
        extra = {"seconds": round(self._clock() - start, 2), "unloaded": [str(old) for old in gone]}
        log.info("model loaded", extra={"model": str(model)} | extra)

    def _read(self, model: Model) -> Package:
        """From the copy on disk, else from the store."""
        folder = self._path(model)
        if folder.is_dir():
            try:
                return _checked(folder, model)
            except BadModel:
                shutil.rmtree(folder)  # of the store's own there may be a better one
        self._registry.fetch(*model.key, model.version, folder)
        return _checked(folder, model)

    async def _refit(self, model: Model) -> None:
        package, snapshot, before = self._packages.get(model), self._catalog.snapshot, self._rankers.get(model)
        if package is None or (before is not None and before.snapshot is snapshot):
            return
        if self._clock() - self._fitted_at >= _REST * self._fit_seconds:
            await self._fit(model, package, snapshot)

    async def _fit(self, model: Model, package: Package, snapshot: CatalogSnapshot) -> bool:
        start = self._clock()
        try:
            self._rankers[model] = await asyncio.to_thread(self._fitted, model, package, snapshot)
        except Exception as error:
            log.exception("a model does not fit the catalogue", extra={"model": str(model)})
            self._refuse(model, f"{type(error).__name__}: {error}")
            return False
        self._fitted_at = self._clock()
        self._fit_seconds = self._fitted_at - start
        return True

    def _fitted(self, model: Model, package: Package, snapshot: CatalogSnapshot) -> LearnedRanker:
        if self._catalogue is None or self._catalogue[0] is not snapshot:
            self._catalogue = snapshot, catalogue_of(snapshot.columns, snapshot.names)
        return LearnedRanker(f"learned/{model}", package.onto(self._catalogue[1]), snapshot)

    def _refuse(self, model: Model, reason: str) -> None:
        log.error("model ignored until its channel changes", extra={"model": str(model), "reason": reason})
        self._bad[model] = reason
        self._packages.drop(model)
        self._rankers.pop(model, None)

    # What answers

    def _swap(self) -> None:
        lineups = {key: self._lineup(key, channel) for key, channel in self._channels.items()}
        for key, lineup in lineups.items():
            before, after = self._lineups.get(key, Lineup()).promoted, lineup.promoted
            if _name(before) != _name(after):
                extra = {"channel": "/".join(key), "ranker": _name(after), "before": _name(before)}
                log.info("another ranker answers", extra=extra)
        self._lineups = lineups

    def _lineup(self, key: Key, channel: Channel) -> Lineup:
        usable = self._usable(key, channel)
        promoted = next((ranker for model in usable if (ranker := self._rankers.get(model))), None)
        shadow = self._rankers.get(Model(key, channel.shadow)) if channel.shadow else None
        tried = self._rankers.get(Model(key, channel.experiment.version)) if channel.experiment else None
        if tried is None or (promoted is None and usable):
            return Lineup(promoted, shadow=shadow)  # an experiment needs both of its sides
        return Lineup(promoted, tried, channel.experiment, shadow)

    # Copies on disk

    def _path(self, model: Model) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rhythmiq-models-"))
        return self._folder / model.key.kind / model.key.cohort / model.version

    def _clear_disk(self) -> None:
        if self._folder is None:
            return
        kept = {
            self._path(Model(key, version))
            for key, channel in self._channels.items()
            for version in (*channel.versions, *channel.history[:_KEPT])
        }
        for folder in self._folder.glob("*/*/*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _checked(folder: Path, model: Model) -> Package:
    package = load(folder)
    require(package.manifest, model.key, model.version)
    return package


def _name(ranker: LearnedRanker | None) -> str:
    return ranker.name if ranker is not None else "none"
