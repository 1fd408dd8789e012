"""``callboard dashboard``: a running agency, seen in a browser on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ....tools.errors import MissingExtra
from ..parts.listening import check_address, taken

try:
    from ...serving.dashboard.beside import program
    from ...serving.dashboard.board import key_is_told
    from ...serving.dashboard.loopback import loopback
    from ...serving.operations.worker import UvicornWorker, config_of, listening_on
except ImportError as error:
    raise MissingExtra("serve", "callboard dashboard") from error

HOST = "127.0.0.1"


def dashboard(process: int | None, port: int, say: Callable[[str], None]) -> int:
    """Show a program's dashboard until interrupted.

    Args:
        process: the number of its process; None where only one shows a dashboard.
        port: where to listen, on this machine only; 0 for any that is free.
        say: prints a text.

    Returns:
        0.

    Raises:
        NothingRuns: there is none, or several.
        CannotListen: the port is taken.
    """
    check_address(HOST, port)
    found, socket = program(process)
    try:
        listening = listening_on(HOST, port)
    except OSError as error:
        raise taken(HOST, port, error) from None
    port = listening.getsockname()[1]
    key = key_is_told()
    config = config_of(loopback(socket, key, port), drain=0.0)
    server: UvicornWorker

    async def leave(hurried: Callable[[], bool], close_idle: Callable[[], object]) -> None:
        for connection in list(server.server_state.connections):  # streams have no end of their own
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    server = UvicornWorker(config, leave)
    say(f"the dashboard of process {found}: http://{HOST}:{port}/#key={quote(key, safe='')}")
    say("whoever has this address may do everything there; Ctrl-C ends it")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listening]))
    return 0
