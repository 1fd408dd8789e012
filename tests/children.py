"""The processes that a test has started."""

from __future__ import annotations

import psutil


def command_of(child: psutil.Process) -> str:
    """Its command line; empty where it has ended, and nobody has asked how."""
    try:
        return " ".join(child.cmdline())
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return ""
