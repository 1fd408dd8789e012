"""What the examples of the page about the core take for granted."""

from collections.abc import Callable as Callable
from dataclasses import dataclass

from callboard import Returns


@dataclass
class Add(Returns[int]):
    number: int
