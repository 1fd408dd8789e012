"""A process that is killed in the middle of a program, for `test_functions`. Its argument is its files' folder."""

import asyncio
import sys

from tests.agents.prompts.test_functions import main

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
