"""What is known when a recommendation is asked for."""

from __future__ import annotations

from typing import NamedTuple

from rhythmiq_recommender.learning.encoding import CodeArray
from rhythmiq_recommender.learning.history import History


class Asking(NamedTuple):
    """One query: who asks (by what they did), when (Unix seconds, UTC), and in which surroundings (codes of kinds)."""

    history: History
    time: float
    codes: CodeArray
