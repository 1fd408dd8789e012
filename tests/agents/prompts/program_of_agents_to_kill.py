"""A process that is killed while a program of its model waits for agents, for `test_function_agents_crashes`. Its
argument is the journal's file."""

import asyncio
import os
import sys

from tests.agents.prompts.test_function_agents_crashes import main

if __name__ == "__main__":
    os.environ["KILLED_IN_ITS_MIDDLE"] = "yes"
    asyncio.run(main(sys.argv[1]))
