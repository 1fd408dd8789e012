"""The skill ``crew``: a CrewAI crew, run in an environment and a process of its own.

crewai pins packages that Callboard needs in other versions, so it is no extra: make an environment with it, and say
which Python is its.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from ......providers.checks import MAPPING, NAME, SOME_SECONDS, TEXT
from ......providers.wire.secrets import blot
from ......tools.builtin.launcher import launcher
from ......tools.builtin.process import clean_environment
from ......tools.errors import ToolError
from ......tools.from_schema import tool_from_schema
from ......tools.threads import in_thread
from ....context import ToolContext
from ....errors import DefinitionError
from ....wishes import AGENT_NAME, define
from ...context import SkillContext
from ...skill import Skill

WORKER: Final = Path(__file__).with_name("worker.py")
LONGEST_LINE: Final = 8 * 1024 * 1024
"""Bytes of what a crew answers."""
STARTING: Final = 50.0
"""Seconds that looking for the crew may take: crewai alone takes some to import."""

_QUIET: Final = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "PYTHONUNBUFFERED": "1"}
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_ANYTHING: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"inputs": {"type": "object", "description": "what its tasks are filled in with"}},
    "required": ["inputs"],
}


class CrewSkill(Skill):
    """A tool that has a CrewAI crew do something. Each call is a process of its own, which ends with the call.

    Args:
        name: of the skill; its tool is called so, too.
        crew: the crew, or a function that makes one, as ``module:name``.
        python: the interpreter of an environment that has crewai.
        folder: where the module lies, and where it runs.
        description: what the crew does, and when to use it.
        parameters: a JSON schema of its inputs; by default any object, as ``inputs``.
        environment: variables that it needs, such as keys. It has nothing else of ours, but the search path and the
            like.
        seconds: that one call may take.

    Raises:
        DefinitionError: an argument is of the wrong type, or the interpreter or the folder is not there.
    """

    def __init__(
        self,
        name: str,
        crew: str,
        *,
        python: str | os.PathLike[str],
        folder: str | os.PathLike[str],
        description: str = "",
        parameters: Mapping[str, Any] = _NOTHING,
        environment: Mapping[str, str] = _NOTHING,
        seconds: float = 600.0,
    ) -> None:
        define("a crew", name=(name, AGENT_NAME))
        whose = f"crew {name}"
        define(
            whose,
            crew=(crew, NAME),
            description=(description, TEXT),
            parameters=(parameters, MAPPING),
            environment=(environment, MAPPING),
            seconds=(seconds, SOME_SECONDS),
        )
        module, mark, found = crew.partition(":")
        if not mark or not all(part.isidentifier() for part in (*module.split("."), *found.split("."))):
            raise DefinitionError(f"{whose}: crew is {crew!r:.80}; expected module:name, as in research.crew:make")
        if not all(isinstance(value, str) for value in environment.values()):
            raise DefinitionError(f"{whose}: environment is names of variables, each with a text")
        if shutil.which(python) is None:
            raise DefinitionError(f"{whose}: python is {str(python)!r:.200}; expected an interpreter with crewai")
        if not os.path.isdir(folder):
            raise DefinitionError(f"{whose}: folder is {str(folder)!r:.200}; expected a folder")
        self._crew = crew
        self._python = os.path.abspath(shutil.which(python) or python)
        self._folder = os.path.abspath(folder)
        self._environment = dict(environment)
        self._seconds = float(seconds)
        self._open = bool(parameters)
        made = tool_from_schema(
            name=name,
            description=description or f"Have the crew {name} do something.",
            schema=parameters or _ANYTHING,
            handler=self._run,
            risk="risky",
            sends=True,
            timeout=seconds + 10,
            max_result=50_000,
        )
        super().__init__(name, tools=[made], description=description)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {self._crew}>"

    async def initialize(self, context: SkillContext) -> None:
        """Look whether there is a crewai, and the crew."""
        async with asyncio.timeout(STARTING):
            await self._asked({}, None)

    async def _run(self, context: ToolContext, arguments: dict[str, Any]) -> str:
        inputs = arguments if self._open else arguments["inputs"]
        try:
            async with asyncio.timeout(self._seconds):
                said = await self._asked({"inputs": inputs}, context)
        except TimeoutError:
            raise ToolError(f"the crew {self.name} was stopped after {self._seconds:g} seconds") from None
        return str(said.get("text", ""))

    async def _asked(self, asked: Mapping[str, Any], context: ToolContext | None) -> Mapping[str, Any]:
        """What the crew answers; its process, and all that it started, is gone then.

        Raises:
            ToolError: it failed.
        """
        process = await asyncio.create_subprocess_exec(
            *await in_thread(launcher),
            self._python,
            str(WORKER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self._folder,
            env=clean_environment({**_QUIET, **self._environment}),
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = json.dumps({"crew": self._crew, "folder": self._folder, **asked})
            with suppress(ConnectionError):  # it has died already, and says so below
                process.stdin.write(f"{line}\n".encode())
                await process.stdin.drain()
            async for answer in process.stdout:
                said = _read(answer)
                if "progress" in said and context is not None:
                    context.progress(str(said["progress"]))
                elif "error" in said:
                    text = blot(str(said["error"]), *self._environment.values())
                    raise ToolError(f"the crew {self.name} failed: {text}")
                elif "result" in said or "ready" in said:
                    result = said.get("result", {})
                    return result if isinstance(result, dict) else {}
        except ValueError:  # asyncio's word for a line that is too long
            raise ToolError(f"the crew {self.name} answered more than {LONGEST_LINE:,} bytes") from None
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        raise ToolError(f"the crew {self.name} ended without an answer (exit status {process.returncode})")


def _read(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
