"""Running the scripts of public skills: what nobody trusts yet is run only once a person has said so.

The call that the model makes decides by the folder's digest which of two calls is made within it: of a script in a
folder that is trusted as it is, which is risky, or of one in a folder that is not, which always waits for a person.
Either looks at the digest again, right before the script is started.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from .....tools.builtin.launcher import launcher
from .....tools.builtin.process import checked_output, clean_environment, run_process
from .....tools.errors import CommandFailed, ToolError
from .....tools.function_tool import tool
from .....tools.threads import in_thread
from .....tools.tool import Tool
from ...context import ToolContext
from ...errors import SkillFileError
from .folder import SkillFolder
from .trust import SkillTrust

RUN_BY: Final[Mapping[str, tuple[str, ...]]] = {
    ".py": (sys.executable,),
    ".sh": ("bash",),
    ".bash": ("bash",),
    ".js": ("node",),
    ".mjs": ("node",),
    ".rb": ("ruby",),
}
"""What a script is run by; another is run as it is, if it may be."""

LONGEST: Final = 120.0
"""Seconds that a script may take."""

MOST_OUTPUT: Final = 30_000
"""Characters of its output that a model sees."""


def script_tool(
    found: Callable[[str], SkillFolder], trust: SkillTrust, workspace: str | os.PathLike[str] | None
) -> Tool:
    """The tool ``run_skill_script``.

    Args:
        found: gives a skill by its name, or raises `ToolError`.
        trust: which folders are trusted.
        workspace: where scripts run; None for a new empty folder each time, which is removed afterwards.
    """

    async def digest_of(skill: str, folder: SkillFolder) -> str:
        try:
            return await in_thread(folder.digest)
        except SkillFileError as error:
            raise ToolError(f"no script of the skill {skill!r} can be run: {error.problem}") from error

    async def run(skill: str, path: str, arguments: list[str], digest: str) -> str:
        folder = found(skill)
        if any("\0" in argument for argument in arguments):
            raise ToolError("an argument of a script has no zero byte")
        if await digest_of(skill, folder) != digest:
            raise ToolError(f"what is in the skill {skill!r} has changed meanwhile: call it again")
        program = await in_thread(lambda: folder.program(path))
        command = (*_runner(program, path), program, *arguments)
        with nullcontext(str(workspace)) if workspace is not None else tempfile.TemporaryDirectory() as where:
            finished = await run_process(
                [*await in_thread(launcher), *command],
                folder=where,
                # What Python compiles would lie in the folder, and be a change of it.
                environment=clean_environment({"PYTHONDONTWRITEBYTECODE": "1", "SKILL_FOLDER": str(folder.path)}),
                timeout=LONGEST,
                max_output=MOST_OUTPUT,
            )
        return checked_output(finished)

    @tool(name="run_trusted_script", risk="risky", sends=True, timeout=LONGEST + 10, max_result=MOST_OUTPUT + 200)
    async def run_trusted(skill: str, path: str, arguments: list[str], digest: str) -> str:
        """Run a script of a skill whose folder is trusted."""
        return await run(skill, path, arguments, digest)

    @tool(
        name="trust_skill_and_run",
        risk="risky",
        sends=True,
        approval="always",
        timeout=LONGEST + 10,
        max_result=MOST_OUTPUT + 200,
    )
    async def run_first(skill: str, path: str, arguments: list[str], digest: str) -> str:
        """Run a script of a skill, and trust what is in its folder from now on."""
        try:
            output = await run(skill, path, arguments, digest)
        except CommandFailed:
            await in_thread(lambda: trust.trust(found(skill), digest))
            raise
        await in_thread(lambda: trust.trust(found(skill), digest))
        return output

    # A person is asked about the call that it makes, and not twice.
    @tool(risk="safe", approval="never", resumable=True, timeout=None, max_result=MOST_OUTPUT + 200)
    async def run_skill_script(context: ToolContext, skill: str, path: str, arguments: list[str] | None = None) -> str:
        """Run a script that a skill tells you to run. A person may have to look at it first.

        Args:
            skill: the skill's name.
            path: of the script, relative to the skill's folder.
            arguments: what it is given.
        """
        folder = found(skill)
        digest = await digest_of(skill, folder)
        chosen = run_trusted if await in_thread(lambda: trust.trusts(folder, digest)) else run_first
        if chosen is run_first and not context.run:
            raise ToolError(f"nobody trusts the skill {skill!r} as it is, and outside of an agency nobody can be asked")
        asked = {"skill": skill, "path": path, "arguments": arguments or [], "digest": digest}
        result = await context.call(chosen, asked)
        if result.is_error:
            raise ToolError(result.text)
        return result.text

    return run_skill_script


def _runner(program: str, path: str) -> tuple[str, ...]:
    by = RUN_BY.get(Path(path).suffix.lower())
    if by is not None:
        return by
    if os.access(program, os.X_OK):
        return ()
    raise ToolError(f"{path!r} is no script: it may not be executed, and ends in none of {', '.join(RUN_BY)}")
