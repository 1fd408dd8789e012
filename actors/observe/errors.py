"""Errors of telemetry.

CallboardError
└── TelemetryError
    ├── MissingTelemetry (also an ImportError)
    └── PushFailed (also an OSError)
"""

from __future__ import annotations

from ..core.base.errors import CallboardError


class TelemetryError(CallboardError):
    """Telemetry was asked for something that it cannot do; says what, and what to write."""


class MissingTelemetry(TelemetryError, ImportError):
    """The packages of the extra ``telemetry`` are not installed."""

    def __init__(self, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs an optional dependency: pip install 'callboard[telemetry]'")


class PushFailed(TelemetryError, OSError):
    """A push gateway cannot be reached, takes too long, or refuses."""
