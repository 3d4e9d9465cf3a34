"""Training on the demo world: seconds and memory against the number of interactions, each in a process of its own.

Model selection is not in it: one set of parameters, the defaults. The world is made in the same process, so that its
memory counts too; its seconds do not.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

from rich.console import Console

Section = dict[str, Any]
SIZES = (10_000, 100_000, 1_000_000)
INTERACTIONS_A_LISTENER = 100
SECONDS_LIMIT = 300
MEMORY_LIMIT_MIB = 4096


def training(console: Console, sizes: tuple[int, ...] = SIZES) -> Section:
    """One run a size, and how time grows from each to the next against n log n (1: exactly so)."""
    runs = {}
    for size in sizes:
        console.print(f"training on {size:,} interactions of the demo world")
        command = [sys.executable, "-m", "bench.training", str(size)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        runs[str(size)] = json.loads(done.stdout.splitlines()[-1])
    growth = {
        f"{less} to {more}": round(runs[str(more)]["seconds"] / runs[str(less)]["seconds"] / _n_log_n(less, more), 2)
        for less, more in pairwise(sizes)
    }
    return {"listener_has": INTERACTIONS_A_LISTENER, "runs": runs, "growth_against_n_log_n": growth}


def rows(section: Section) -> list[tuple[str, str, str, bool | None]]:
    """What is promised: figure, measured, limit, kept."""
    found: list[tuple[str, str, str, bool | None]] = []
    for size, run in section["runs"].items():
        largest = int(size) == SIZES[-1]
        seconds, memory = run["seconds"], run["peak_mib"]
        name = f"Training on {int(size):,} interactions"
        limits = (f"<= {SECONDS_LIMIT} s", f"<= {MEMORY_LIMIT_MIB} MiB") if largest else ("", "")
        found.append((f"{name}: time", f"{seconds} s", limits[0], seconds <= SECONDS_LIMIT if largest else None))
        found.append((f"{name}: memory", f"{memory} MiB", limits[1], memory <= MEMORY_LIMIT_MIB if largest else None))
    for span, ratio in section["growth_against_n_log_n"].items():
        less, more = (f"{int(size):,}" for size in span.split(" to "))
        found.append((f"Training: growth from {less} to {more}, n log n = 1", f"{ratio}", "<= 1", ratio <= 1))
    return found


def _n_log_n(less: int, more: int) -> float:
    return more * math.log(more) / (less * math.log(less))


def measure(interactions: int) -> Section:
    """Trains in this process."""
    # Imported here: the parent needs none of it.
    from bench.worlds import catalogue_of, listens_of
    from rhythmiq_cli.demo.world import make_world
    from rhythmiq_recommender.learning.training import Settings, train

    begin = time.perf_counter()
    world = make_world(max(20, interactions // INTERACTIONS_A_LISTENER), interactions, 1)
    catalogue, listens = catalogue_of(world.items), listens_of(world)
    made, used = time.perf_counter(), time.process_time()
    trained = train(listens, catalogue, kind="track", settings=Settings(), seed=0)
    return {
        "interactions": interactions,
        "listeners": world.listeners,
        "items": len(catalogue),
        "seconds": round(time.perf_counter() - made, 1),
        # Beside the limit's own seconds: these are the same on a machine that is busy with other things.
        "cpu_seconds": round(time.process_time() - used, 1),
        "world_seconds": round(made - begin, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "trees": trained.booster.num_trees(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("interactions", type=int)
    print(json.dumps(measure(parser.parse_args().interactions)))
