"""Fitting the ranker on a Dask cluster: rows of a query stay together, trees are grown from all workers' histograms.

Only fitting is spread: it is what grows with rows times trees. The booster that comes back goes the same way as one
fitted here. Dask moves work between machines by pickle, so the cluster must be one that you trust: docs/training.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.ranker import DEFAULTS, ROUNDS, Parameters
from rhythmiq_recommender.learning.tables import IntArray, UnfitTables

CONNECT_SECONDS: Final = 5
_ADDRESS: Final = re.compile(r"(tcp|tls)://[^\s/]+:[0-9]{1,5}")
WORKERS_SECONDS: Final = 30
PARTITIONS_A_WORKER: Final = 2
_FIXED: Final[Mapping[str, Any]] = {
    "metric": "None",
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "tree_learner": "data",
}


class BadScheduler(ValueError):
    """What was given with --scheduler is no address."""


class NoDask(Exception):
    """The optional extra is not installed."""


class SchedulerUnavailable(Exception):
    """No scheduler answers at the address, or it has no workers."""


def check(scheduler: str) -> None:
    """Whether a scheduler answers there, within CONNECT_SECONDS. Raises BadScheduler, NoDask, SchedulerUnavailable.

    Asked over a connection of its own: a Client that did not get through cannot be closed, and tells so at the end of
    the program.
    """
    if not _ADDRESS.fullmatch(scheduler):
        raise BadScheduler(f"--scheduler {scheduler[:100]!r} must be an address such as tcp://HOST:8786")
    try:
        from distributed.core import rpc
        from distributed.security import Security
    except ImportError:
        raise NoDask(
            "--scheduler needs the optional extra: install rhythmiq-recommender[dask], on the workers too"
        ) from None

    async def ask() -> None:
        security: Any = Security
        call: Any = rpc
        async with call(
            scheduler, timeout=CONNECT_SECONDS, connection_args=security().get_connection_args("client")
        ) as there:
            await asyncio.wait_for(there.identity(), CONNECT_SECONDS)

    try:
        asyncio.run(ask())
    except (OSError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        # No connection, no certificate for tls://, or something else that answers there: its words are taken for sizes.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SchedulerUnavailable(f"no Dask scheduler answers at {scheduler}: {reason}") from None


def fit_distributed(
    frame: Frame, scheduler: str, *, rounds: int = ROUNDS, parameters: Parameters | None = None, seed: int = 7
) -> lgb.Booster:
    """As `learning.ranker.fit`, on the workers of that scheduler (`tcp://host:port`).

    Sums of floats depend on which worker had which rows: two fits are alike, not equal. Raises UnfitTables for rows of
    one class, NoDask, SchedulerUnavailable.
    """
    if not frame.label.any() or frame.label.all():
        raise UnfitTables("all rows are of one class: nothing can be told apart")
    with _client(scheduler) as client:
        from lightgbm.dask import DaskLGBMRanker

        workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        chosen = {**DEFAULTS, **dict(parameters or {}), **_FIXED, "random_state": seed, "n_estimators": rounds}
        ranker = DaskLGBMRanker(client=client, **chosen)
        x, label, group = _arrays(client, frame, workers)
        ranker.fit(x, label, group=group)
        return _named(ranker.booster_, frame.names)


def _arrays(client: Any, frame: Frame, workers: list[str]) -> tuple[Any, Any, Any]:
    """Features, labels and sizes of queries as Dask arrays, partitions dealt to the workers in turn.

    Left to itself, Dask may give all of a small frame to one worker.
    """
    from dask import array
    from dask.delayed import delayed

    x, y, group = [], [], []
    make: Any = array.from_delayed
    parts = partitions(frame, len(workers) * PARTITIONS_A_WORKER)
    for (rows, sizes), worker in zip(parts, cycle(workers), strict=False):
        part, label = client.scatter([frame.x[rows], frame.label[rows].astype(np.int32)], workers=[worker])
        x.append(make(delayed(part), (sizes.sum(), frame.x.shape[1]), np.float32))
        y.append(make(delayed(label), (sizes.sum(),), np.int32))
        group.append(make(delayed(sizes), (len(sizes),), np.int64))
    join: Any = array.concatenate
    return join(x), join(y), join(group)


def partitions(frame: Frame, count: int) -> Iterator[tuple[slice, IntArray]]:
    """At most `count` runs of rows of about equal length that never cut a query, each with its queries' sizes."""
    size = np.bincount(frame.query)
    size = size[size > 0].astype(np.int64)
    ends = np.cumsum(size)
    wanted = np.linspace(0, ends[-1], count + 1)[1:]
    cuts = np.unique(np.searchsorted(ends, wanted) + 1).clip(max=len(size))
    start_query = start_row = 0
    for cut in np.unique(cuts).tolist():
        yield slice(start_row, int(ends[cut - 1])), size[start_query:cut]
        start_query, start_row = cut, int(ends[cut - 1])


def _named(booster: lgb.Booster, names: tuple[str, ...]) -> lgb.Booster:
    """The same trees over the frame's names: Dask arrays carry none."""
    text = booster.model_to_string()
    before = " ".join(booster.feature_name())
    return lgb.Booster(model_str=text.replace(f"feature_names={before}\n", f"feature_names={' '.join(names)}\n", 1))


@contextlib.contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    check(scheduler)
    from distributed import Client

    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise SchedulerUnavailable(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError:
            raise SchedulerUnavailable(f"the Dask scheduler at {scheduler} has no workers: start some") from None
        yield client
