"""`python -m bench.quality.document`: the tables of bench/reports/quality.json as Markdown, for docs/quality.md."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

# Nothing but a count is so large.
_COUNT = 100
REPORT = Path(__file__).parents[1] / "reports" / "quality.json"


def _cell(figure: dict[str, float] | None) -> str:
    if figure is None or math.isnan(figure["mean"]):
        return ""
    if "low" not in figure:
        return f"{figure['mean']:,.0f}" if figure["mean"] >= _COUNT else f"{figure['mean']:.3f}"
    return f"{figure['mean']:.4f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def tables(report: dict[str, Any]) -> str:
    """One section a protocol."""
    parts = []
    for sections in (value for value in report.values() if isinstance(value, list)):
        for section in sections:
            # Sections measured before there were columns without a target have none of these.
            figures = section.get("columns") or list(section["targets"])
            promised = ", ".join(f"{name} >= {least}" for name, least in section["targets"].items())
            lines = [f"### {section['title']}", "", section["protocol"], ""]
            lines += [f"Promised: {promised}.", ""] if promised else []
            lines += [f"| ranking | {' | '.join(figures)} |", "|---|" + "---|" * len(figures)]
            for row in section["rows"]:
                name = f"{row['name']} ({row['source']})" if row.get("source") else row["name"]
                name = f"**{name}**" if row.get("ours") else name
                lines.append(f"| {name} | " + " | ".join(_cell(row["figures"].get(f)) for f in figures) + " |")
            parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(tables(json.loads(REPORT.read_text())), end="")
