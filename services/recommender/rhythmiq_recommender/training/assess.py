"""All that the report says of a model, worked out on the hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.features import REGISTRY, Frame
from rhythmiq_recommender.learning.judging import (
    MODEL,
    Evaluation,
    HoldOut,
    ablation,
    cold_start,
    evaluate,
    measured,
    ranked_by,
)
from rhythmiq_recommender.learning.listening import Catalogue, Listens
from rhythmiq_recommender.learning.metrics import Estimate, beyond_accuracy
from rhythmiq_recommender.learning.package import Package
from rhythmiq_recommender.learning.tables import IntArray, Tables
from rhythmiq_recommender.learning.training import Settings, Window, hold_out, scale_of
from rhythmiq_recommender.learning.visits import asked_frame
from rhythmiq_recommender.training.calibration import calibration
from rhythmiq_recommender.training.counterfactual import estimates
from rhythmiq_recommender.training.progress import Tell
from rhythmiq_recommender.training.promotion import PROMOTED, decide
from rhythmiq_recommender.training.shown import by_variant

EVALUATION: Final = "evaluation.json"
JUDGED_BY: Final = "ndcg@10"
METRICS: Final[Mapping[str, str]] = {
    "NDCG@10": "ndcg@10",
    "Recall@10": "recall@10",
    "HR@10": "hr@10",
    "MRR@10": "mrr@10",
    "NDCG@20": "ndcg@20",
}
"""Headings of the report, and names of the metrics."""


@dataclass(frozen=True, slots=True)
class Material:
    """What is judged, and what by."""

    listens: Listens
    catalogue: Catalogue
    tables: Tables
    kind: int
    cohort: str
    window: Window
    train: Frame
    booster: lgb.Booster
    promoted: Package | None
    variants: IntArray
    """Of each listener: 1 treated, 0 not, -1 no experiment."""
    experiment: Mapping[str, Any] | None
    settings: Settings
    seed: int
    margin: float


def assess(given: Material, tell: Tell) -> dict[str, Any]:
    """The document that the report is made of. Raises UnfitTables if nothing was liked in the hold-out."""
    tell(0.0, "the hold-out")
    test = hold_out(
        given.tables,
        given.catalogue,
        given.kind,
        given.window,
        settings=given.settings,
        seed=given.seed,
        cohort=given.cohort,
    )
    tell(0.2, "the model and its rivals")
    judged, notes = _evaluated(given, test)
    decision = decide(
        {name: values[JUDGED_BY] for name, values in judged.values.items()}, judged.listener, margin=given.margin
    )
    tell(0.4, "what each group of features adds")
    lost = ablation(given.train, test, given.settings.parameters, seed=given.seed)
    tell(0.8, "new listeners, calibration, what was shown")
    score = ranked_by(given.booster, test.frame)
    return {
        "decision": decision.as_json(),
        "notes": notes,
        "metrics": dict(METRICS),
        "quality": {
            name: {key: judged.estimate(name, key).as_json() for key in METRICS.values()} for name in judged.values
        },
        "context": {
            "with surroundings": lost.whole.as_json(),
            "without": lost.without_context.as_json(),
            "difference": lost.context.as_json(),
        },
        "ablation": {"feature_groups": _json(lost.groups), "environment_kinds": _json(lost.kinds)},
        "cold_start": _cold_start(given.booster, test, given.seed),
        "calibration": calibration(score.score, score.label, score.user[score.query]),
        "beyond": {name: dict(look) for name, look in judged.character.items()},
        "importance": _importance(given.booster),
        "off_policy": estimates(given.listens, test, given.booster, given.window.low, given.seed),
        "experiment": _experiment(given),
        "hold_out": {
            "from": given.window.low,
            "queries": len(judged.listener),
            "listeners": len(np.unique(judged.listener)),
        },
        "scale": scale_of(given.booster, test.frame),
        "summary": judged.summary(),
    }


def left_out(groups: Sequence[str]) -> str:
    """Says why those groups are in none of the tables; empty if there are none."""
    if not groups:
        return ""
    return (
        f"Model selection left out {', '.join(group.replace(':', ' of kind ') for group in groups)}: without them the"
        " model was better, or as good. The model does not look at them, so nothing is told of what they add."
    )


def data(tables: Tables, extracted: Mapping[str, Any], judged: Mapping[str, Any]) -> dict[str, Any]:
    """What the model was made of."""
    events = tables.events
    assert events.time is not None
    assert events.session is not None
    known = tables.context.categories
    return {
        "counts": {
            "listeners": len(np.unique(events.user)),
            "items that anyone met": len(np.unique(events.item)),
            "visits": int(events.session[-1]) + 1,
            **{f"interactions of type {name}, all kinds": count for name, count in extracted["types"].items()},
            "left out: items that are gone": extracted["unknown_items"],
            "queries of the hold-out": judged["queries"],
            "listeners in the hold-out": judged["listeners"],
        },
        "times": {
            "first interaction": _minute(float(events.time.min())),
            "last interaction": _minute(float(events.time.max())),
            "hold-out from": _minute(judged["from"]),
        },
        "surroundings": {kind: float((known[kind] >= 0).mean()) for kind in KINDS if kind in known},
    }


def _evaluated(given: Material, test: HoldOut) -> tuple[Evaluation, list[str]]:
    """The model and all rivals. The promoted model is asked as it serves, unless its signals know the hold-out."""
    promoted = given.promoted
    if promoted is None:
        return evaluate(given.booster, test), []
    if promoted.manifest.trained_until >= given.window.low:
        note = (
            "The signals of the promoted model know part of the hold-out, so its ranker was asked over signals fitted"
            " before it, as the new one was."
        )
        return evaluate(given.booster, test, {PROMOTED: promoted.booster}), [note]
    judged = evaluate(given.booster, test)
    frame = asked_frame(promoted.fit.onto(given.catalogue), test.ask, test.visits, candidates=test.candidates)
    way = ranked_by(promoted.booster, frame)
    look = beyond_accuracy(way.query, way.item, way.score, test.reader.likes, test.past.items.group)
    values = {MODEL: judged.values[MODEL], PROMOTED: measured(way), **judged.values}
    return replace(judged, values=values, character={**judged.character, PROMOTED: look}), []


def _cold_start(booster: lgb.Booster, test: HoldOut, seed: int) -> list[dict[str, Any]]:
    return [
        {
            "interactions": str(events),
            "queries": len(found.listener),
            "quality": {name: found.estimate(name, JUDGED_BY).as_json() for name in found.values},
        }
        for events, found in cold_start(booster, test, seed).items()
    ]


def _importance(booster: lgb.Booster) -> list[dict[str, Any]]:
    gain = booster.feature_importance("gain")
    share = gain / max(float(gain.sum()), 1e-12)
    names = booster.feature_name()
    order = np.argsort(-share, kind="stable").tolist()
    return [
        {"feature": names[at], "group": REGISTRY[names[at]].group, "share": round(float(share[at]), 6)} for at in order
    ]


def _experiment(given: Material) -> dict[str, Any]:
    tried = given.experiment
    if tried is None:
        return {"missing": "No experiment was running when the run began."}
    since = datetime.fromisoformat(tried["since"]).timestamp()
    ours = given.listens.take(given.catalogue.kind[given.listens.item] == given.kind)
    names = (f"control: {'promoted model' if given.promoted else 'prior'}", f"treatment: {tried['version']}")
    return {**tried, "variants": by_variant(ours, given.variants, names, since)}


def _json(losses: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {name: loss.as_json() for name, loss in losses.items()}


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes")
