"""A process that is killed in the middle of a call, for `test_crashes`. Its argument is the journal's file."""

import asyncio
import os
import sys

from tests.agents.prompts.test_crashes import main

if __name__ == "__main__":
    os.environ["KILLED_IN_ITS_MIDDLE"] = "yes"
    asyncio.run(main(sys.argv[1]))
