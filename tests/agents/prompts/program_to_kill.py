"""A process that carries out `main` of a test module, and is killed in its middle. Its arguments are the module's name
and what `main` takes; see `tests.agents.prompts.crashes.killed`."""

import asyncio
import importlib
import sys

if __name__ == "__main__":
    asyncio.run(importlib.import_module(sys.argv[1]).main(sys.argv[2]))
