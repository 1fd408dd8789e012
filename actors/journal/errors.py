"""What journals raise.

JournalError(CallboardError)   events cannot be written or read; the cause is chained
"""

from __future__ import annotations

from ..core.base.errors import CallboardError


class JournalError(CallboardError):
    """Events cannot be written or read."""
