"""Training on a cluster of two real worker processes gives the model that one machine gives, within its interval."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mongod import Mongod, free_port
from training_world import Trainer, plant

from rhythmiq_recommender.learning.evaluate import Ranked
from rhythmiq_recommender.learning.features import GROUPS, REGISTRY, Frame
from rhythmiq_recommender.learning.ranker import fit, predict
from rhythmiq_recommender.learning.tables import UnfitTables
from rhythmiq_recommender.training import dask
from rhythmiq_recommender.training.dask import SchedulerUnavailable, fit_distributed, partitions

# What the libraries themselves warn of: LightGBM's ports, and Dask's futures that are collected after their client.
LIBRARIES = pytest.mark.filterwarnings(
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::DeprecationWarning",
    "ignore::UserWarning",
    "ignore::FutureWarning",
)
QUERIES, CANDIDATES = 1_200, 20
NAMES = tuple(name for name in REGISTRY if REGISTRY[name].group == GROUPS[0])[:4]


def frame_of(seed: int, queries: int = QUERIES) -> Frame:
    """Rows whose first two columns together say what is liked."""
    chance = np.random.default_rng(seed)
    rows = queries * CANDIDATES
    x = chance.standard_normal((rows, len(NAMES))).astype(np.float32)
    worth = x[:, 0] + 0.5 * x[:, 0] * x[:, 1] + 0.5 * chance.standard_normal(rows)
    query = np.repeat(np.arange(queries), CANDIDATES)
    best = np.argsort(-worth.reshape(queries, CANDIDATES), axis=1)[:, :3]
    label = np.zeros((queries, CANDIDATES), np.bool_)
    np.put_along_axis(label, best, True, axis=1)
    item = np.tile(np.arange(CANDIDATES), queries)
    return Frame(NAMES, x, query, item, label.ravel(), np.full(queries, 3), np.arange(queries))


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from distributed import LocalCluster

    start: Any = LocalCluster
    with start(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as running:
        yield running.scheduler_address


@LIBRARIES
def test_two_workers_reach_the_quality_of_one_machine_within_its_interval(cluster: str) -> None:
    train, test = frame_of(1), frame_of(2, 400)
    here = Ranked.of(test, predict(fit(train, rounds=40), test.x)).estimates(10)["ndcg"]
    booster = fit_distributed(train, cluster, rounds=40)
    there = Ranked.of(test, predict(booster, test.x)).estimates(10)["ndcg"]
    assert here.low <= there.mean <= here.high
    # Quality that is not chance, so that the interval says something.
    chance = Ranked.of(test, np.random.default_rng(3).random(len(test.label))).estimates(10)["ndcg"]
    assert here.low > chance.high
    assert tuple(booster.feature_name()) == NAMES
    assert booster.num_trees() == 40
    assert "[num_machines: 2]" in booster.model_to_string()


@LIBRARIES
async def test_a_run_that_was_begun_here_is_fitted_on_a_cluster_and_the_report_says_so(
    mongo_uri: str, mongo_database_name: str, cluster: str, tmp_path: Path
) -> None:
    await plant(mongo_uri, mongo_database_name)
    trainer = Trainer(mongo_uri, mongo_database_name, tmp_path, attempts=1)
    await asyncio.to_thread(trainer.run_until, "select: begun")
    code, said = await asyncio.to_thread(trainer.run, f"--scheduler={cluster}")
    assert code == 0, said
    assert "features: done before" in said
    assert "nightly: promoted" in said
    assert trainer.result()["report"]["run"]["distributed"] is True


def test_a_scheduler_that_is_not_there_is_noticed_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = f"tcp://127.0.0.1:{free_port()}"
    trainer = Trainer("mongodb://127.0.0.1:1/?replicaSet=test", "none", tmp_path)
    code, said = trainer.run(f"--scheduler={nothing}")
    assert code == 6
    assert f"No Dask scheduler answers at {nothing}" in said
    assert "begun" not in said.replace("has not begun", "")
    assert "Traceback" not in said


def test_what_is_no_scheduler_is_told_as_none(mongod: Mongod) -> None:
    port = mongod.uri.partition("127.0.0.1:")[2].partition("/")[0]
    with pytest.raises(SchedulerUnavailable, match="no Dask scheduler answers"):
        dask.check(f"tcp://127.0.0.1:{port}")


@LIBRARIES
def test_one_class_is_refused_as_on_one_machine(cluster: str) -> None:
    frame = frame_of(1, 10)
    with pytest.raises(UnfitTables, match="one class"):
        fit_distributed(frame.take(~frame.label), cluster)


@LIBRARIES
def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "CONNECT_SECONDS", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(SchedulerUnavailable, match=f"no Dask scheduler answers at {address}"):
        fit_distributed(frame_of(1, 10), address)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
def test_partitions_hold_every_row_once_and_whole_queries(count: int) -> None:
    frame = frame_of(4, 30)
    uneven = frame.take(np.random.default_rng(5).random(len(frame.label)) < 0.4)
    parts = list(partitions(uneven, count))
    assert len(parts) <= count
    rows = np.concatenate([np.arange(part.start, part.stop) for part, _ in parts])
    assert np.array_equal(rows, np.arange(len(uneven.label)))
    for part, sizes in parts:
        _, found = np.unique(uneven.query[part], return_counts=True)
        assert np.array_equal(found, sizes)
    assert sum(len(sizes) for _, sizes in parts) == len(np.unique(uneven.query))
