"""What runs a CrewAI crew, in an environment of its own: started as a program, by a Python that has crewai.

It stands alone: nothing of Callboard is imported here, as crewai and Callboard cannot be installed side by side. One
line of JSON comes in on standard input: ``{"crew": "module:name", "folder": "…", "inputs": {…}}``. Lines of JSON go
out on standard output: ``{"progress": "…"}`` for each task that has ended, and at last ``{"result": {"text": "…",
"tokens": 0}}`` or ``{"error": "…"}``. Without ``inputs`` it only looks whether the crew is there, and says ``{"ready":
"crewai 1.15.30"}``.
"""

import importlib
import json
import os
import sys
from typing import Any


def main() -> int:
    """Run one crew. Returns the exit status."""
    # What crewai and its tools print goes to standard error; only what is said here goes out.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**said: Any) -> None:
        out.write(json.dumps(said) + "\n")
        out.flush()

    try:
        asked = json.loads(sys.stdin.readline())
        sys.path.insert(0, asked["folder"])
        version = getattr(importlib.import_module("crewai"), "__version__", "")
        module, _, name = asked["crew"].partition(":")
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        if "inputs" not in asked:
            if not callable(getattr(found, "kickoff", None)) and not callable(found):
                raise TypeError(f"{asked['crew']} is no crew, and makes none")
            say(ready=f"crewai {version}".rstrip())
            return 0
        crew = found if callable(getattr(found, "kickoff", None)) else found()
        if hasattr(crew, "task_callback"):
            before = crew.task_callback

            def task_ended(output: Any) -> None:
                say(progress=f"{getattr(output, 'agent', '') or 'an agent'} has ended a task")
                if before is not None:
                    before(output)

            crew.task_callback = task_ended
        made = crew.kickoff(inputs=asked["inputs"])
        usage = getattr(made, "token_usage", None)
        tokens = getattr(usage, "total_tokens", 0)
        say(result={"text": str(getattr(made, "raw", made)), "tokens": tokens if isinstance(tokens, int) else 0})
    except BaseException as error:
        say(error=f"{type(error).__name__}: {error}"[:2000])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
