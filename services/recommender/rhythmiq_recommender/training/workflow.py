"""The steps of a training run, in order: what each of them reads, does and writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_mesh.errors import DeadlineExceeded, Unavailable
from rhythmiq_recommender.learning import package
from rhythmiq_recommender.learning.features import Frame, stack
from rhythmiq_recommender.learning.listening import Catalogue, Listens, tables_of
from rhythmiq_recommender.learning.selection import Budget, select
from rhythmiq_recommender.learning.tables import Tables
from rhythmiq_recommender.learning.training import Settings, Split, fit_frames, fit_ranker, fit_signals, split
from rhythmiq_recommender.models.registry import ChannelChanged, OtherPromoted, Registry
from rhythmiq_recommender.models.store import StoreUnavailable
from rhythmiq_recommender.models.variants import TREATMENT, variant_of
from rhythmiq_recommender.training import assess, enough, report
from rhythmiq_recommender.training.dask import SchedulerUnavailable, fit_distributed
from rhythmiq_recommender.training.extract import LISTENERS, extract
from rhythmiq_recommender.training.journal import heal
from rhythmiq_recommender.training.run import Run
from rhythmiq_recommender.training.steps import Facts, Scene, Step, write_json
from rhythmiq_recommender.training.tables_store import (
    read_catalogue,
    read_columns,
    read_frame,
    read_listens,
    write_frame,
)

TRANSIENT: Final = (Unavailable, DeadlineExceeded, StoreUnavailable, SchedulerUnavailable, ChannelChanged, OSError)
"""What may be back in a moment: OSErrors are those of disks and networks."""
JOURNAL: Final = "journal.log"
_SELECTED: Final = "selected.json"
_MODEL: Final = "model.txt"
_PACKAGE: Final = "package"
_FRAMES: Final = "train-{}.npz"
_VALID: Final = "valid.npz"


@dataclass(frozen=True, slots=True)
class Source:
    """Where interactions and items are."""

    uri: str
    database: str


class Training:
    """The steps of one run. Steps share nothing but files."""

    def __init__(
        self, run: Run, source: Source, registry: Registry, scheduler: str | None, settings: Settings | None = None
    ) -> None:
        self._run, self._source, self._registry, self._scheduler = run, source, registry, scheduler
        self._settings = settings or Settings()
        self._kind, self._cohort = run.settings.kind, run.settings.cohort
        self._number = package.KINDS[self._kind]

    def steps(self) -> list[Step]:
        """In order."""
        return [
            Step("extract", self._extract),
            Step("features", self._features, after=("extract",)),
            Step("select", self._select, after=("features",), keeps=(JOURNAL,)),
            Step("fit", self._fit, after=("features", "select")),
            Step("evaluate", self._evaluate, after=("extract", "features", "select", "fit")),
            Step("package", self._pack, after=("extract", "select", "fit", "evaluate")),
            Step("report", self._report, after=("extract", "select", "fit", "evaluate", "package")),
            Step("publish", self._publish, after=("package",)),
            Step("promote", self._promote, after=("evaluate", "package", "publish")),
        ]

    # ---- data

    def _extract(self, scene: Scene) -> Facts:
        """Interactions as they were when the run began, and the catalogue."""
        channel = self._registry.channel(self._kind, self._cohort)
        tried = channel.experiment

        def side(profile_id: str) -> int:
            return -1 if tried is None else int(variant_of(tried.name, tried.share, profile_id) == TREATMENT)

        facts = asyncio.run(
            extract(self._source.uri, self._source.database, scene.folder, self._run.as_of, side, scene.tell)
        )
        listens, catalogue = read_listens(scene.folder), read_catalogue(scene.folder)
        enough.check(listens, catalogue, self._kind, self._number)
        experiment = None if tried is None else asdict(tried)
        return {**facts, "experiment": experiment}

    def _load(self, scene: Scene) -> tuple[Listens, Catalogue, Tables]:
        folder = scene.before["extract"]
        listens, catalogue = read_listens(folder), read_catalogue(folder)
        return listens, catalogue, tables_of(listens, catalogue, self._number)

    # ---- learning

    def _features(self, scene: Scene) -> Facts:
        """Rows to train on, window by window, and rows to choose settings by: the newest window of those."""
        _, catalogue, tables = self._load(scene)
        parts = split(tables, self._settings)
        windows = [*parts.train, parts.test]
        for number, window in enumerate(parts.train):
            frames = fit_frames(
                tables,
                catalogue,
                self._number,
                Split((window,), windows[number + 1]),
                settings=self._settings,
                seed=self._run.settings.seed + number,
                cohort=self._cohort,
            )
            write_frame(scene.folder / _FRAMES.format(number), frames.train)
            if number == len(parts.train) - 2:
                write_frame(scene.folder / _VALID, frames.test.frame)
            scene.tell((number + 1) / len(parts.train), f"{len(frames.train.label):,} rows")
        return {"windows": [[window.low, window.high] for window in parts.train], "hold_out": parts.test.low}

    def _select(self, scene: Scene) -> Facts:
        """Settings by trials: trained on all windows but the newest one, judged by that."""
        frames, valid = self._frames(scene)[:-1], read_frame(scene.before["features"] / _VALID)
        train = _joined(frames)
        heal(scene.folder / JOURNAL)
        budget = Budget(self._run.settings.trials, self._run.settings.minutes)

        def told(trials: int, best: float) -> None:
            share = None if budget.trials is None else min(trials / budget.trials, 1.0)
            scene.tell(share, f"{trials} trials, best {best:.4f}")

        found = select(
            train,
            valid.select(train.names),
            metric=assess.JUDGED_BY,
            budget=budget,
            storage=scene.folder / JOURNAL,
            seed=self._run.settings.seed,
            on_trial=told,
        )
        # Its lines carry the time of day, and what it says is said below.
        (scene.folder / JOURNAL).unlink()
        content = {slot: getattr(found, slot) for slot in ("rounds", "value", "trials")}
        content |= {"parameters": dict(found.parameters), "left_out": sorted(found.left_out)}
        write_json(scene.folder / _SELECTED, {**content, "history": list(found.history)})
        return {"value": found.value}

    def _fit(self, scene: Scene) -> Facts:
        """The ranker, on all windows but the hold-out."""
        chosen, settings = self._chosen(scene)
        frame = _joined(self._frames(scene)).without_groups(frozenset(chosen["left_out"]))
        seed = self._run.settings.seed
        if self._scheduler is None:
            booster = fit_ranker(frame, settings=settings, seed=seed)
        else:
            booster = fit_distributed(
                frame, self._scheduler, rounds=settings.rounds, parameters=settings.parameters, seed=seed
            )
        (scene.folder / _MODEL).write_text(booster.model_to_string(), encoding="utf-8")
        return {
            "rows": len(frame.label),
            "queries": len(frame.positives),
            "trees": booster.num_trees(),
            "distributed": self._scheduler is not None,
        }

    def _frames(self, scene: Scene) -> list[Frame]:
        paths = sorted(scene.before["features"].glob(_FRAMES.format("*")))
        return [read_frame(path) for path in paths]

    def _chosen(self, scene: Scene) -> tuple[dict[str, Any], Settings]:
        chosen = json.loads((scene.before["select"] / _SELECTED).read_text(encoding="utf-8"))
        return chosen, replace(self._settings, rounds=chosen["rounds"], parameters=chosen["parameters"])

    # ---- judging

    def _evaluate(self, scene: Scene) -> Facts:
        """On the hold-out: the model, the promoted one, and everything that the report tells."""
        listens, catalogue, tables = self._load(scene)
        chosen, settings = self._chosen(scene)
        version = self._registry.channel(self._kind, self._cohort).promoted
        promoted, note = self._promoted(version, scene.folder / "promoted")
        variants = read_columns(scene.before["extract"] / LISTENERS)["variant"].astype(np.int64)
        document = assess.assess(
            assess.Material(
                listens=listens,
                catalogue=catalogue,
                tables=tables,
                kind=self._number,
                cohort=self._cohort,
                window=split(tables, self._settings).test,
                train=_joined(self._frames(scene)).without_groups(frozenset(chosen["left_out"])),
                booster=_booster(scene.before["fit"] / _MODEL),
                promoted=promoted,
                variants=variants,
                experiment=self._facts(scene, "extract")["experiment"],
                settings=settings,
                seed=self._run.settings.seed,
                margin=self._run.settings.margin,
            ),
            scene.tell,
        )
        document["notes"] = [*filter(None, (note, assess.left_out(chosen["left_out"]))), *document["notes"]]
        write_json(scene.folder / assess.EVALUATION, document)
        return {"promoted": version}

    def _promoted(self, version: str | None, folder: Path) -> tuple[package.Package | None, str]:
        """The promoted package, and a note where there is one that cannot be compared with."""
        if version is None:
            return None, ""
        try:
            self._registry.fetch(self._kind, self._cohort, version, folder)
            return package.load(folder), ""
        except (package.BadModel, LookupError) as error:
            return None, f"The promoted model {version} cannot be used, so it was not compared with: {error}."

    def _pack(self, scene: Scene) -> Facts:
        """The ranker over signals of everything that is known, as serving reads it."""
        _, catalogue, tables = self._load(scene)
        judged = _json(scene.before["evaluate"] / assess.EVALUATION)
        _, settings = self._chosen(scene)
        assert tables.events.time is not None
        fitted = self._facts(scene, "fit")
        manifest = package.save(
            scene.folder / _PACKAGE,
            _booster(scene.before["fit"] / _MODEL),
            fit_signals(tables, catalogue, self._number, float("inf")),
            version=self._run.name,
            cohort=self._cohort,
            scale=judged["scale"],
            trained_until=float(tables.events.time.max()),
            counts={
                "events": len(tables.events),
                "listeners": len(np.unique(tables.events.user)),
                "items": len(np.unique(tables.events.item)),
                "queries": fitted["queries"],
                "rows": fitted["rows"],
            },
            metrics=judged["summary"],
            settings={**settings.as_json(), "seed": self._run.settings.seed},
        )
        return {"version": manifest.version}

    def _report(self, scene: Scene) -> Facts:
        """For people and machines."""
        _, _, tables = self._load(scene)
        judged = _json(scene.before["evaluate"] / assess.EVALUATION)
        chosen = _json(scene.before["select"] / _SELECTED)
        settings = self._run.settings
        asked = {name: getattr(settings, name) for name in ("kind", "cohort", "seed", "promote")}
        asked["distributed"] = self._facts(scene, "fit")["distributed"]
        report.write(
            scene.folder,
            {
                **judged,
                "run": {"name": self._run.name, "as_of": self._run.as_of.isoformat(timespec="seconds"), **asked},
                "version": self._run.name,
                "data": assess.data(tables, self._facts(scene, "extract"), judged["hold_out"]),
                "selection": chosen,
            },
        )
        return {}

    # ---- serving

    def _publish(self, scene: Scene) -> Facts:
        """Into the model store."""
        version = self._run.name
        self._registry.publish(scene.before["package"] / _PACKAGE, self._kind, self._cohort, version)
        return {"version": version}

    def _promote(self, scene: Scene) -> Facts:
        """If it is better, if that is wanted, and if it was compared with what is promoted now."""
        judged = _json(scene.before["evaluate"] / assess.EVALUATION)
        compared = self._facts(scene, "evaluate")["promoted"]
        return self._decided(judged["decision"], compared, scene.before["package"] / _PACKAGE)

    def _decided(self, decision: Mapping[str, Any], compared: str | None, folder: Path) -> Facts:
        version = self._run.name
        if not decision["better"]:
            return {"outcome": "not promoted", "reason": decision["reason"]}
        if not self._run.settings.promote:
            return {"outcome": "published", "reason": f"{decision['reason']}; published only, as asked"}
        # Once more: what was published before the run was interrupted may be gone with its store.
        self._registry.publish(folder, self._kind, self._cohort, version)
        try:
            # A run that was killed right after promoting finds itself promoted.
            self._registry.promote(self._kind, self._cohort, version, expected=(compared, version))
        except OtherPromoted as error:
            meanwhile = (
                f"{error.now} was promoted meanwhile" if error.now else "listeners went back to the prior meanwhile"
            )
            reason = f"{meanwhile}, and the comparison was with {compared or 'the prior'}: train again"
            return {"outcome": "not promoted", "reason": reason}
        return {"outcome": "promoted", "reason": decision["reason"]}

    @staticmethod
    def _facts(scene: Scene, step: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = _json(scene.before[step] / "done.json")["facts"]
        return found


def _joined(frames: list[Frame]) -> Frame:
    """All rows, with the columns that every window has."""
    names = [name for name in frames[0].names if all(name in frame.names for frame in frames)]
    return stack([frame.select(names) for frame in frames])


def _booster(path: Path) -> lgb.Booster:
    return lgb.Booster(model_str=path.read_text(encoding="utf-8"))


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
