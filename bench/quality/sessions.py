"""30Music: what does the listener play next? Five windows of sessions with times and artists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.quality import thirtymusic
from bench.quality.report import Row, Say, Section, Stopwatch, pooled
from rhythmiq_recommender.learning.evaluate import Ranked, ablation, mean_metric, session_baselines
from rhythmiq_recommender.learning.features import Frame, stack, usable
from rhythmiq_recommender.learning.pipeline import DAY, Slice, next_events, rolling, session_folds, session_frame
from rhythmiq_recommender.learning.ranker import fit, predict
from rhythmiq_recommender.learning.tables import IntArray, Tables

FOLDS = 5
SLICES = 5
MOST = 1000
NEGATIVES = 60
ROUNDS = 120
METRICS = {"hr": "HR@20", "mrr": "MRR@20"}
PROTOCOL = (
    "README's windows: learn from sessions that start before the last 24 hours, foretell each next event of those "
    "after, where its item occurs in the training part; mean of five windows. {reading}"
)
READINGS = {
    "A": "Sessions as they are: some 1,279 predictions a window (reproduces the quoted references).",
    "B": "Items unseen in training are first removed from test sessions: some 1,136 predictions a window (README).",
}
QUOTED = {
    "A": (
        ("transitions", 0.197, 0.179, "own reference"),
        ("top of the current artist", 0.441, 0.152, "own reference"),
        ("hand-weighted mix of transitions, co-occurrence, artist, own history", 0.500, 0.259, "own reference"),
    ),
    "B": (
        ("popularity", 0.019, float("nan"), "data README"),
        ("last-item transitions", 0.233, 0.211, "data README"),
        ("top 20 tracks of the current artist", 0.455, float("nan"), "data README"),
    ),
}


def halves(tables: Tables) -> tuple[IntArray, IntArray, float]:
    """Rows before the cut, rows that begin after, and the cut (Unix seconds): 24 hours before the last event."""
    events = tables.events
    assert events.time is not None
    assert events.start is not None
    cut = float(events.time.max()) - DAY
    return np.flatnonzero(events.start < cut), np.flatnonzero(events.start >= cut), cut


def without_unseen(tables: Tables) -> Tables:
    """Reading B: events after the cut only of items that occur before it."""
    past, later, _ = halves(tables)
    seen = np.zeros(tables.items.count, np.bool_)
    seen[tables.events.item[past]] = True
    keep = np.zeros(len(tables.events), np.bool_)
    keep[past] = True
    keep[later] = seen[tables.events.item[later]]
    return tables.take(keep)


def training(tables: Tables, window: int, say: Say) -> dict[str, Frame]:
    """Rows of slices that roll forward ("strictly earlier"), and of those plus random folds of whole sessions."""
    signals, _ = usable(tables)
    past, _, cut = halves(tables)
    say(f"30Music, window {window}: training rows")
    earlier = [
        session_frame(tables, part, signals, seed=k, most=MOST, negatives=NEGATIVES)
        for k, part in enumerate(rolling(tables, cut, width=DAY / 2, count=SLICES))
    ]
    folds = [
        session_frame(tables, part, signals, seed=k, most=MOST, negatives=NEGATIVES)
        for k, part in enumerate(session_folds(tables, past, 1, FOLDS))
    ]
    return {"strictly earlier": stack(earlier), "folds": stack(earlier + folds)}


def testing(tables: Tables, cut: float) -> Frame:
    """All queries after the cut."""
    signals, _ = usable(tables)
    start = tables.events.start
    assert start is not None
    part = Slice(np.flatnonzero(start < cut), next_events(tables, start >= cut))
    return session_frame(tables, part, signals)


def run(data: Path, say: Say, *, windows: int = thirtymusic.WINDOWS, with_ablation: bool = True) -> list[Section]:
    """All windows, both readings."""
    clock = Stopwatch()
    found: dict[str, dict[str, list[Ranked]]] = {reading: {} for reading in READINGS}
    notes: dict[str, object] = {}
    offset = 0
    for window in range(windows):
        tables = thirtymusic.load(data, window)
        _, _, cut = halves(tables)
        train = training(tables, window, say)
        say(f"30Music, window {window}: ranker on {len(train['folds'].label):,} rows")
        models = {name: fit(rows, rounds=ROUNDS) for name, rows in train.items()}
        for reading, asked in (("A", tables), ("B", without_unseen(tables))):
            say(f"30Music, window {window}: test, reading {reading}")
            test = testing(asked, cut)
            lists = session_baselines(test)
            for name, shown in (("strictly earlier", "RhythmIQ, trained on strictly earlier"), ("folds", "RhythmIQ")):
                lists[shown] = Ranked.of(test, predict(models[name], test.x))
            for name, list_ in lists.items():
                # listeners of different windows are drawn as different people: numbers are per window
                moved = replace(list_, user=list_.user + offset)
                found[reading].setdefault(name, []).append(moved)
            if reading == "A":
                size = {
                    "queries": len(test.positives),
                    "candidate_recall": float(test.label.sum() / len(test.positives)),
                }
                notes[f"window {window}"] = size
                if with_ablation and window == 0:
                    say("30Music: ablation by group (window 0)")
                    loss = ablation(train["folds"], test, mean_metric("hr"), rounds=ROUNDS)
                    notes["ablation_hr_window_0"] = {group: round(value, 5) for group, value in loss.items()}
        offset += tables.users
    settings = {"folds": FOLDS, "slices": SLICES, "most": MOST, "negatives": NEGATIVES, "rounds": ROUNDS}
    sections = []
    for reading, text in READINGS.items():
        rows = [Row(n, {"HR@20": hr, "MRR@20": mrr}, published=source) for n, hr, mrr, source in QUOTED[reading]]
        for name, one in found[reading].items():
            ours = name == "RhythmIQ"
            rows.append(pooled(name, one, METRICS, ours=ours, extra=dict(notes) if ours else {}))
        title = f"30Music windows, reading {reading}: the next track"
        targets = {"HR@20": 0.56, "MRR@20": 0.30}
        sections.append(Section(title, PROTOCOL.format(reading=text), rows, targets, settings, clock()))
    return sections
