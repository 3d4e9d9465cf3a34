"""`python -m bench.quality [DATA]`: proves quality; a table, and bench/reports/quality.json.

A data set that is not in the folder is left out, and said; the demo world needs none. Each set's part of the report is
replaced once measured, and what is not measured stays as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.quality import demo, ratings, sessions, sets, situnes
from bench.quality.report import Row, Say, Section
from bench.quality.thirtymusic import WINDOWS
from rhythmiq_recommender.learning.metrics import Estimate

REPORT = Path(__file__).parents[1] / "reports" / "quality.json"
FOLDERS = {"situnes": "situnes", "lastfm": "lastfm-hetrec2k", "thirtymusic": "thirtymusic-windows"}
SETS = (*FOLDERS, "demo")


def _runners(data: Path, quick: bool) -> dict[str, Callable[[Say], list[Section]]]:
    """Data set to what measures it. `quick`: one split each, to see that everything works."""
    return {
        "situnes": lambda say: [ratings.run(data, say, splits=situnes.SPLITS[: 1 if quick else None])],
        "lastfm": lambda say: [sets.run(data, say, seeds=sets.SEEDS[: 1 if quick else None], with_ablation=not quick)],
        "demo": lambda say: demo.run(say, quick=quick),
        "thirtymusic": lambda say: sessions.run(data, say, windows=1 if quick else WINDOWS, with_ablation=not quick),
    }


def _cell(row: Row, figure: str) -> str:
    value = row.figures.get(figure)
    if isinstance(value, Estimate):
        return f"{value.mean:.4f} [{value.low:.3f}, {value.high:.3f}]"
    return "" if value is None or math.isnan(value) else f"{value:.3f}"


def show(console: Console, section: Section) -> None:
    """One table a protocol: quoted rows, measured baselines, and ours against its limits."""
    figures = list(section.columns)
    table = Table("ranking", *figures, "kept", title=section.title, caption=section.protocol, caption_justify="left")
    for row in section.rows:
        kept = ""
        if row.ours:
            means = {name: row.figures[name] for name in section.targets}
            kept = ", ".join(
                f"{name} >= {section.targets[name]}: {'yes' if _mean(value) >= section.targets[name] else 'NO'}"
                for name, value in means.items()
            )
        if row.kept is not None:
            kept = ", ".join(filter(None, (kept, f"interval: {'yes' if row.kept else 'NO'}")))
        name = f"{row.name} ({row.published})" if row.published else row.name
        table.add_row(name, *(_cell(row, figure) for figure in figures), kept, style="bold" if row.ours else "")
    console.print(table)


def _say(progress: Progress, task: TaskID, text: str) -> None:
    if progress.console.is_terminal:
        progress.update(task, description=text)
    else:
        progress.console.print(text)


def _mean(value: Estimate | float) -> float:
    return value.mean if isinstance(value, Estimate) else value


def main() -> int:
    parser = argparse.ArgumentParser(prog="make quality", description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(), help="folder of the data sets")
    parser.add_argument("--only", choices=SETS, action="append", help="measure only this set (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="one split of each; the report is not written")
    options = parser.parse_args()
    console = Console()
    asked = options.only or SETS
    wanted = [name for name in asked if name not in FOLDERS or (options.data / FOLDERS[name]).is_dir()]
    for name in asked:
        if name not in wanted:
            console.print(f"{name}: no folder {FOLDERS[name]} in {options.data}, left out (DATA=DIR names another)")
    if not wanted:
        return 2
    report: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    for name in wanted:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(name)
            found = _runners(options.data, options.quick)[name](partial(_say, progress, task))
        for section in found:
            show(console, section)
        report[name] = [section.as_json() for section in found]
        if not options.quick:
            report["machine"] = {"cores": os.cpu_count(), "python": platform.python_version()}
            REPORT.parent.mkdir(exist_ok=True)
            REPORT.write_text(json.dumps(report, indent=2, allow_nan=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
