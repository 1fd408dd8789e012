"""A process that indexes version after version of a document in the memory at a path until it is killed, and says of
each that it is kept."""

from __future__ import annotations

import asyncio
import sys

from callboard import Documents, Memory
from tests.agents.documents.support import ANN

PARAGRAPHS = 30


async def main(path: str) -> None:
    with Memory(path) as memory:
        documents = Documents(memory, characters=40)
        version = 0
        while True:
            text = "\n\n".join(f"version {version} paragraph {number} of diary" for number in range(PARAGRAPHS))
            await documents.index(text.encode(), owner=ANN, name="diary.txt")
            print(version, flush=True)
            version += 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
