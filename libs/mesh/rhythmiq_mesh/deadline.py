"""The caller's deadline, carried in a contextvar.

grpc.aio does not propagate deadlines, so every outgoing call and database operation asks here for the smaller of its
own default and what remains.
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from rhythmiq_mesh.errors import DeadlineExceeded

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def set_deadline(seconds_from_now: float | None) -> None:
    """Binds a deadline to the running task; None means no deadline."""
    _deadline.set(None if seconds_from_now is None else time.monotonic() + seconds_from_now)


def remaining(default: float) -> float:
    """Seconds left: the smaller of `default` and what remains. Raises DeadlineExceeded when nothing does."""
    deadline = _deadline.get()
    if deadline is None:
        return default
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded
    return min(default, left)
