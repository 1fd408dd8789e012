"""The Bash tool."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..function_tool import tool
from ..threads import in_thread
from ..tool import Tool
from .folder import existing
from .launcher import launcher
from .process import checked_output, clean_environment, run_process


def bash_tool(
    root: str | os.PathLike[str],
    *,
    timeout: float = 120.0,
    max_output: int = 30_000,
    max_memory: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Tool:
    """The tool Bash: runs a command in ``root``, which is where it starts and nothing that confines it.

    When the command ends, times out or is cancelled, its whole process group is killed, so background jobs end with
    it. Its environment holds the search path, the home folder and the locale, and no key of ours; and it cannot look
    into other processes that have one, see `launcher`. Files that its user may read are open to it.

    Args:
        root: an existing folder.
        timeout: seconds that one command may take at most, and does unless the model asks for less.
        max_output: characters of output the model sees: the beginning and the end.
        max_memory: bytes of address space for each process (``ulimit -v``); None for no limit.
        environment: variables to add.

    Raises:
        NoSuchPath: the folder does not exist.
    """
    folder = existing(root)
    longest = timeout

    # Its own limit stops a command first, so that the model sees what it printed; the tool's is the safety net.
    @tool(name="Bash", risk="risky", sends=True, timeout=longest + 10, max_result=max_output + 200)
    async def bash(command: str, timeout: float | None = None) -> str:
        """Run a command with bash and return what it prints. Each call is a new shell; nothing keeps running after it.

        Args:
            command: the command line.
            timeout: seconds after which it is stopped; there is an upper limit.
        """
        argv = ["bash", "-c", command]
        if max_memory is not None:
            argv = ["bash", "-c", 'ulimit -v "$1" && exec bash -c "$2"', "bash", str(max_memory // 1024), command]
        finished = await run_process(
            [*await in_thread(launcher), *argv],
            folder=folder,
            environment=clean_environment(environment),
            timeout=longest if timeout is None else min(max(timeout, 0.0), longest),
            max_output=max_output,
        )
        return checked_output(finished)

    return bash
