"""What differs between two versions of a program that are deployed one after the other: see `cluster_node`.

The environment says which one this process is, as another checkout would.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from callboard import tool
from callboard.actors import Actor
from callboard.actors.cluster import agency
from callboard.actors.cluster.link import frames

VERSION: Final = "CALLBOARD_CAMPAIGN_VERSION"
FRAMES: Final = "CALLBOARD_CAMPAIGN_FRAMES"
"""The variables that say the version, and that frames are of a later protocol."""

OWN: Final = ("weigh", "measure")
"""The tools that one of the versions has."""

WHILE: Final = 1.0

NEW: Final = os.environ.get(VERSION) == "2"

if NEW:
    agency._version = lambda: "2.0.dev"

    @dataclass(frozen=True)
    class Parcel:
        """A message that has got another field, and so has its answer."""

        key: str
        weight: float

    @dataclass(frozen=True)
    class Crate:
        """A message that is new."""

        key: str

else:

    @dataclass(frozen=True)
    class Parcel:  # type: ignore[no-redef]
        """A message."""

        key: str

    @dataclass(frozen=True)
    class Letter:
        """A message that version 2 has no more."""

        key: str


if FRAMES in os.environ:
    frames.PROTOCOL = int(os.environ[FRAMES])  # type: ignore[misc]


class Post(Actor):
    """Takes messages that both versions have, and such as one has."""

    def on_receive(self, message: Any) -> Any:
        weight = message.weight if NEW and isinstance(message, Parcel) else 0.0
        return f"{type(message).__name__} {message.key} {weight:g}"


def messages() -> dict[str, Any]:
    """One of each that this version has, by the names of their classes."""
    if NEW:
        return {"Parcel": Parcel("k", 2.0), "Crate": Crate("k")}
    return {"Parcel": Parcel("k"), "Letter": Letter("k")}  # type: ignore[call-arg]


def tools() -> list[Callable[..., Any]]:
    """The tools that this version has besides those of both; none where it is of no version."""

    @tool(risk="safe")
    async def weigh(key: str) -> str:
        """Weigh something, which takes a while."""
        await asyncio.sleep(WHILE)
        return "3 kg"

    @tool(risk="safe")
    async def measure(key: str, unit: str = "cm") -> str:
        """Measure something, which takes a while."""
        await asyncio.sleep(WHILE)
        return f"3 {unit}"

    return ([measure] if NEW else [weigh]) if VERSION in os.environ else []


INSTRUCTIONS: Final = "Count on, and measure." if NEW else "Count."
