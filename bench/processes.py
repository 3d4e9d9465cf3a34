"""CPU time and memory of a process tree, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> dict[int, str]:
    """Process ids at and below `root`, with a short name each."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        found[pid] = _name(pid)
        waiting += children.get(pid, [])
    return found


def cpu_seconds(pids: dict[int, str]) -> dict[str, float]:
    """User and system time so far, by name."""
    spent: dict[str, float] = {}
    for pid, name in pids.items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent[name] = spent.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / _TICKS
    return spent


def resident_mib(pids: dict[int, str]) -> dict[str, float]:
    """Resident memory in MiB, by name."""
    held: dict[str, float] = {}
    for pid, name in pids.items():
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                held[name] = held.get(name, 0.0) + int(line.split()[1]) / 1024
    return held


def _name(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    for word in words:
        if word.startswith(b"rhythmiq_"):
            return word.decode().removeprefix("rhythmiq_")
    return Path(words[0].decode() or "unknown").name
