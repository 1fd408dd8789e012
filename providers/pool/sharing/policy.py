"""How much of a limit each of several processes should have, by what each of them wants. Pure.

Whoever has something waiting gets at least room for that, since a share too small for any request would help nobody.
Where there is not enough for all, those who have no room take turns with those who have it. Then what is wanted is
given evenly, and at last some of what nobody wants, so that a process which begins to want something need not ask for
each bit. The rest nobody has: it is there for whoever wants it first, and for who comes after a process that died.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

FLOOR: Final = 0.03
"""Of a limit: what processes have together that want nothing, whatever others want."""


class Wish(NamedTuple):
    """What a process wants of a limit.

    Args:
        want: what it uses, and what waits.
        share: what it has.
        lump: the largest amount that waits for room; 0 where nothing does.
        turn: when it last got, or lost, room for what waits, higher for later; 0 for never.
    """

    want: int
    share: int = 0
    lump: int = 0
    turn: int = 0

    @property
    def place(self) -> tuple[bool, int]:
        """Its place among those with something waiting: who has no room before who has, and who waits longest; of
        those who have room, who has had it longest is the last."""
        has_room = self.share >= self.lump
        return has_room, -self.turn if has_room else self.turn


def targets(limit: int, wishes: Mapping[str, Wish], spare: float = 0.0) -> dict[str, int]:
    """Return what each process should have; together no more than there is.

    Args:
        limit: how much there is.
        wishes: by process.
        spare: the part of what nobody wants that nobody is to have.
    """
    if not wishes:
        return {}
    floor = int(limit * FLOOR / len(wishes))
    given = dict.fromkeys(sorted(wishes), 0)
    left = limit
    late = set()
    for name in sorted((name for name in given if wishes[name].lump), key=lambda name: wishes[name].place):
        lump = min(wishes[name].lump, limit)
        if lump <= left:
            given[name] = lump
            left -= lump
        else:
            late.add(name)
    served = [name for name in given if name not in late]
    _level(given, left, served, lambda name: max(wishes[name].want, floor))
    unwanted = limit - sum(given.values())
    _level(given, unwanted - int(unwanted * spare), served, lambda _: limit)
    return given


def _level(given: dict[str, int], left: int, names: list[str], most: Callable[[str], int]) -> None:
    """Give what is left to those who have least, none of them more than its most."""

    def raised(level: int) -> int:
        return sum(max(0, min(level, most(name)) - given[name]) for name in names)

    low, high = 0, left + max(given.values(), default=0)
    while low < high:  # the highest level for which there is enough
        middle = (low + high + 1) // 2
        if raised(middle) <= left:
            low = middle
        else:
            high = middle - 1
    left -= raised(low)
    for name in names:
        given[name] = max(given[name], min(low, most(name)))
    for name in names:
        if left and given[name] == low < most(name):
            given[name] += 1
            left -= 1
