"""What the page of prompts promises: how each of its sentences begins, with the tests that show it.

See `tests/agents/test_promises.py`, which looks at the tests, and `test_page.py`, which looks at the page.
"""

from .agents import AGENTS
from .programs import PROGRAMS
from .steps import STEPS
from .texts import TEXTS

PROMISES: tuple[tuple[str, tuple[str, ...]], ...] = (*STEPS, *AGENTS, *PROGRAMS, *TEXTS)
