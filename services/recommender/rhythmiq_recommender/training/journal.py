"""Optuna's journal after a kill: cut back to its last finished trial, so that the search goes on as if undisturbed.

A trial that was stopped halfway would stay in the study as running, the first one (the defaults) would never be tried
again, and half a line at the end would make the file unreadable.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from optuna.trial import TrialState

_SET_STATE: Final = 6
"""Optuna's journal operation SET_TRIAL_STATE_VALUES."""
_FINISHED: Final = {int(TrialState.COMPLETE), int(TrialState.PRUNED), int(TrialState.FAIL)}


def heal(path: Path) -> int:
    """Leaves what was there when the last trial ended; returns how many did. Nobody else may be at the file."""
    for stale in (path.with_name(path.name + suffix) for suffix in (".lock", ".rename")):
        if stale.is_dir():
            shutil.rmtree(stale)
        else:
            stale.unlink(missing_ok=True)
    if not path.exists():
        return 0
    end, trials = _last_finished(path.read_bytes())
    if trials:
        with path.open("r+b") as file:
            file.truncate(end)
    else:
        path.unlink()
    return trials


def _last_finished(content: bytes) -> tuple[int, int]:
    """Bytes up to the end of the last trial that ended, and how many ended."""
    position = end = trials = 0
    for line in content.splitlines(keepends=True):
        position += len(line)
        try:
            entry = json.loads(line) if line.endswith(b"\n") else {}
            ended = entry["op_code"] == _SET_STATE and entry["state"] in _FINISHED
        except (ValueError, TypeError, KeyError):
            break
        if ended:
            end, trials = position, trials + 1
    return end, trials
