"""Simulation testing, under its short name: what `callboard.actors.testing` exports."""

from .actors.testing import *  # noqa: F403
from .actors.testing import __all__ as __all__
