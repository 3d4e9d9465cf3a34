"""`python -m bench`: measures speed, prints a table, writes bench/reports/speed.json.

Figures depend on the machine, so each stands beside its limit or its peer, measured in the same run. `--only` measures
some parts anew and keeps the others as they are in the report.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import ranking, speed, training
from bench.catalogues import catalogues, data_folder
from bench.interactions import interactions

REPORT = Path(__file__).parent / "reports" / "speed.json"
MEMORY_LIMIT_MIB = 400
PARTS = ("requests", "interactions", "ranking", "training")


def rows(report: dict[str, Any]) -> list[tuple[str, str, str, bool | None]]:
    """What is promised: figure, measured, limit, kept; None where there is no limit, only something to compare with."""
    ranked = ranking.rows(report["ranking"]) if "ranking" in report else []
    trained = training.rows(report["training"]) if "training" in report else []
    full, profile, learned = report["full"], report["profile"], report["learned"]
    memory = full["memory_mib"]["recommender"]
    events = report["interactions"]["by_message_size"]["1000"]["per_second"]
    ours, peers, fast = (profile[name]["per_second"] for name in ("rhythmiq", "fastapi", "fastapi_uvloop"))
    return [
        (f"Recommend, {full['items']:,} items: p50", f"{full['p50_ms']} ms", "<= 15 ms", full["p50_ms"] <= 15),
        (f"Recommend, {full['items']:,} items: p99", f"{full['p99_ms']} ms", "<= 40 ms", full["p99_ms"] <= 40),
        (
            f"Recommend: p50 from {report['small']['items']:,} to {full['items']:,} items",
            f"{report['p50_growth']}x",
            "< 2x",
            report["p50_growth"] < 2,
        ),
        ("Recommend, learned ranker: p50", f"{learned['p50_ms']} ms", "<= 20 ms", learned["p50_ms"] <= 20),
        ("Recommend, learned ranker: p99", f"{learned['p99_ms']} ms", "<= 50 ms", learned["p99_ms"] <= 50),
        (
            "A promoted model answers after",
            f"{learned['promoted_after_seconds']} s",
            "<= 10 s",
            learned["promoted_after_seconds"] <= 10,
        ),
        (
            "GetProfile: throughput against FastAPI",
            f"{profile['throughput_ratio']}x ({ours} : {peers} per second)",
            ">= 1.0x",
            profile["throughput_ratio"] >= 1,
        ),
        (
            "GetProfile: the same with uvloop and httptools",
            f"{profile['throughput_ratio_uvloop']}x ({ours} : {fast} per second)",
            "",
            None,
        ),
        (
            "Catalogue import, end to end",
            f"{full['import_items_per_second']:,} items/s",
            ">= 10,000 items/s",
            full["import_items_per_second"] >= 10_000,
        ),
        (
            "Interactions by stream, durable",
            f"{events:,} events/s",
            ">= 5,000 events/s",
            events >= 5_000,
        ),
        ("Recommender memory", f"{memory} MiB", f"<= {MEMORY_LIMIT_MIB} MB", memory * 1.048576 <= MEMORY_LIMIT_MIB),
        *ranked,
        *trained,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--data", help="folder of real data sets (default: RHYTHMIQ_DATA_DIR)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part (may be repeated)")
    options = parser.parse_args()
    console = Console()
    parts = options.only or PARTS
    if not REPORT.is_file() and set(parts) != set(PARTS):
        parser.error(f"--only keeps the rest of {REPORT.name}, and there is none: measure everything first")
    report: dict[str, Any] = json.loads(REPORT.read_text()) if set(parts) != set(PARTS) else {}
    folder = data_folder(options.data)
    with tempfile.TemporaryDirectory() as scratch:
        full, small = catalogues(folder, Path(scratch))
        if "requests" in parts:
            report |= speed.recommend(full, small=small, seconds=options.seconds)
            report["catalogue"] = "spotify-tracks" if folder else "generated"
        if "interactions" in parts:
            report["interactions"] = interactions(small, seconds=options.seconds)
    if "ranking" in parts:
        report["ranking"] = ranking.ranking()
    if "training" in parts:
        report["training"] = training.training(console)
    report["machine"] = {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()}
    table = Table("what", "measured", "limit", "kept", title=f"Speed ({report['catalogue']}, {os.cpu_count()} cores)")
    for what, measured, limit, kept in rows(report):
        table.add_row(what, measured, limit, "" if kept is None else "yes" if kept else "NO")
    console.print(table)
    cpu = Table("process", "Recommend, CPU ms", "GetProfile, CPU ms", "memory MiB", title="Per request, at 4 at a time")
    recommend, profile = report["full"], report["profile"]["rhythmiq"]
    for name in recommend["cpu_ms_per_request"]:
        per = [part["cpu_ms_per_request"].get(name, 0) for part in (recommend, profile)]
        cpu.add_row(name, *map(str, per), str(recommend["memory_mib"].get(name, "")))
    console.print(cpu)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"Details: {REPORT.relative_to(Path.cwd()) if REPORT.is_relative_to(Path.cwd()) else REPORT.name}")


if __name__ == "__main__":
    main()
