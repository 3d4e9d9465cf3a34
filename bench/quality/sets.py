"""Last.fm: which artists does a listener also have? Sets without order; tags and friends as side information."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.quality import lastfm
from bench.quality.report import Row, Say, Section, Stopwatch, pooled
from rhythmiq_recommender.learning.evaluate import Ranked, ablation, baselines, by_columns, character, mean_metric
from rhythmiq_recommender.learning.features import Frame, stack, usable
from rhythmiq_recommender.learning.pipeline import Slice, parts_of_users, set_frame, without_statements_on
from rhythmiq_recommender.learning.ranker import fit, predict, thin
from rhythmiq_recommender.learning.tables import IntArray, Tables

SEEDS = (0, 1, 2)
FOLDS = 3
NEGATIVES = 60
ROUNDS = 150
BAGS = 2
PARAMETERS = {"learning_rate": 0.06, "min_data_in_leaf": 200}
METRICS = {"recall": "Recall@20", "ndcg": "NDCG@20"}
PROTOCOL = (
    "README's filter (artists with 5 listeners, then listeners with 5 artists: 71,375 pairs, 1,859 listeners, 2,828 "
    "artists); per listener random 80/20, three seeds; tag assignments of held-out pairs removed before anything is "
    "learned; no feature says that a listener tagged an artist."
)
QUOTED = (
    ("popularity", 0.121, 0.107, "data README"),
    ("item-kNN cosine, k = 100", 0.317, 0.295, "data README"),
    ("EASE, lambda 100", 0.344, 0.320, "own reference"),
    ("EASE with tags as side information", 0.367, 0.341, "own reference"),
)


def split(tables: Tables, seed: int) -> tuple[Tables, IntArray, IntArray]:
    """Tables without statements about held-out pairs, rows to learn from, rows to foretell."""
    part = parts_of_users(tables.events.user, seed)
    held = np.flatnonzero(part == 4)
    return without_statements_on(tables, held), np.flatnonzero(part != 4), held


def frames(tables: Tables, past: IntArray, held: IntArray, seed: int, say: Say) -> tuple[Frame, Frame]:
    """Rows to train on (inner folds of the past), and rows to test on."""
    signals, _ = usable(tables)
    inner = parts_of_users(tables.events.user[past], seed + 1000)
    train = []
    for fold in range(FOLDS):
        say(f"Last.fm, seed {seed}: signals of inner fold {fold + 1} of {FOLDS}")
        part = Slice(past[inner != fold], past[inner == fold])
        train.append(thin(set_frame(tables, part, signals, seed=seed), NEGATIVES))
    say(f"Last.fm, seed {seed}: signals of the test")
    return stack(train), set_frame(tables, Slice(past, held), signals, seed=seed)


def run(data: Path, say: Say, *, seeds: tuple[int, ...] = SEEDS, with_ablation: bool = True) -> Section:
    """All seeds."""
    clock, tables = Stopwatch(), lastfm.load(data)
    found: dict[str, list[Ranked]] = {}
    notes: dict[str, object] = {}
    for seed in seeds:
        known, past, held = split(tables, seed)
        train, test = frames(known, past, held, seed, say)
        say(f"Last.fm, seed {seed}: ranker on {len(train.label):,} rows")
        models = [fit(train, rounds=ROUNDS, parameters=PARAMETERS, seed=k) for k in range(BAGS)]
        ranked = Ranked.of(test, np.sum([predict(model, test.x) for model in models], axis=0))
        users = np.unique(known.events.user[held])
        answers = np.zeros((len(users), tables.items.count), np.bool_)
        answers[np.searchsorted(users, known.events.user[held]), known.events.item[held]] = True
        lists = baselines(known, past, users, answers, repeats=False)
        lists["EASE"] = by_columns(test, ["ease"])
        lists["EASE with tags and playlists"] = by_columns(test, ["ease_attributes"])
        for name, list_ in {**lists, "RhythmIQ": ranked}.items():
            found.setdefault(name, []).append(list_)
        if seed == seeds[-1]:
            notes = {
                "features": len(test.names),
                "candidate_recall": float(test.label.sum() / test.positives.sum()),
                "character": {name: dict(character(one[-1], known, past)) for name, one in found.items()},
            }
            if with_ablation:
                say("Last.fm: ablation by group")
                loss = ablation(train, test, mean_metric("ndcg"), rounds=ROUNDS, parameters=PARAMETERS)
                notes["ablation_ndcg"] = {group: round(value, 5) for group, value in loss.items()}
    rows = [
        Row(name, {"Recall@20": recall, "NDCG@20": ndcg}, published=source) for name, recall, ndcg, source in QUOTED
    ]
    for name, one in found.items():
        ours = name == "RhythmIQ"
        rows.append(pooled(name, one, METRICS, ours=ours, extra=dict(notes) if ours else {}))
    settings = {"seeds": seeds, "folds": FOLDS, "negatives": NEGATIVES, "rounds": ROUNDS, "bags": BAGS, **PARAMETERS}
    targets = {"Recall@20": 0.385, "NDCG@20": 0.36}
    return Section("Last.fm (HetRec 2011): artists of a listener", PROTOCOL, rows, targets, settings, clock())
