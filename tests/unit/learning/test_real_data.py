"""The adapters read what the data sets' own READMEs count. Skipped where the data are not at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from bench.quality import lastfm, sessions, thirtymusic
from bench.quality.situnes import SPLITS, Study

from rhythmiq_recommender.learning.pipeline import next_events


def data(folder: str) -> Path:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    found = Path(os.environ.get("RHYTHMIQ_DATA_DIR") or beside)
    if not (found / folder).is_dir():
        pytest.skip(f"no data set {folder}: set RHYTHMIQ_DATA_DIR to the folder that holds it")
    return found


def test_lastfm_has_the_counts_of_its_readme() -> None:
    tables = lastfm.load(data("lastfm-hetrec2k"))
    assert (len(tables.events), tables.users, tables.items.count) == (71_375, 1_859, 2_828)


def test_thirtymusic_has_both_counts_of_predictions() -> None:
    """1,279 with sessions as they are; 1,136 (README) when unseen items are removed from test sessions first."""
    folder = data("thirtymusic-windows")
    counts: dict[str, list[int]] = {"A": [], "B": []}
    for window in range(thirtymusic.WINDOWS):
        tables = thirtymusic.load(folder, window)
        for reading, world in (("A", tables), ("B", sessions.without_unseen(tables))):
            past, _, cut = sessions.halves(tables)
            start = world.events.start
            assert start is not None
            asked = next_events(world, start >= cut)
            seen = np.isin(world.events.item[asked], tables.events.item[past])
            counts[reading].append(int(seen.sum()))
    assert round(float(np.mean(counts["A"]))) == 1_279
    assert round(float(np.mean(counts["B"]))) == 1_136


def test_situnes_splits_cover_stage_two_and_nothing_from_after_the_play_is_read() -> None:
    study = Study(data("situnes"))
    assert (len(study.tables.events), int(study.field.sum()), int(study.walking.sum())) == (1_497, 897, 126)
    for number in SPLITS[:3]:
        past, asked = study.split(number)
        assert not set(past) & set(asked)
        assert study.field[np.r_[past, asked]].all()
        assert len(past) + len(asked) >= 890
    assert set(study.tables.context.measures) == {"motion", "body", "climate", "position", "mood"}
