"""Server interceptors: one concern, one file. `chain` puts them into their order."""

from __future__ import annotations

from rhythmiq_mesh.interceptors.base import Interceptor
from rhythmiq_mesh.interceptors.deadline import DeadlineInterceptor
from rhythmiq_mesh.interceptors.errors import ErrorInterceptor
from rhythmiq_mesh.interceptors.logging import LoggingInterceptor
from rhythmiq_mesh.interceptors.principal import PrincipalInterceptor
from rhythmiq_mesh.interceptors.validation import ValidationInterceptor

__all__ = ["chain"]


def chain() -> list[Interceptor]:
    """All interceptors, outermost first. Telemetry belongs before logging."""
    return [
        LoggingInterceptor(),
        ErrorInterceptor(),
        DeadlineInterceptor(),
        PrincipalInterceptor(),
        ValidationInterceptor(),
    ]
