"""A process that adds facts to the memory at a path until it is killed, and says of each that it is kept. Each is added
under a key; the ones of an earlier life are added again."""

from __future__ import annotations

import asyncio
import sys

from callboard import Memory, Owner

AT_ONCE = 5


async def main(path: str) -> None:
    async def add(number: int) -> None:
        await memory.add(f"fact number {number}", owner=Owner("ann"), key=f"k{number}")
        print(number, flush=True)

    with Memory(path) as memory:
        number = 0
        while True:
            await asyncio.gather(*(add(number + each) for each in range(AT_ONCE)))
            number += AT_ONCE


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
