"""``callboard serve``: a team, an agency or an application behind HTTP, in one process, several, or many machines."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import logging
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from ....tools.errors import MissingExtra
from ...agents.agency import Agency
from ...agents.plaindata import function_of, imported, wrong_kind
from ...cluster.agency import ClusterAgency
from ...cluster.cluster import Cluster
from ...core.base.errors import CallboardError
from ...observe.logs import JsonFormatter
from ..parts.folders import team_file
from ..parts.listening import check_address, taken
from ..parts.seen import seen
from ..parts.team import journal_of, logs_of, look_in, running

try:
    from ...serving import Registry, Webhooks
    from ...serving import serve as as_application
    from ...serving.dashboard.app import PATH
    from ...serving.dashboard.beside import programs
    from ...serving.dashboard.board import KEY, Board, key_is_told
    from ...serving.operations.draining import LINGER, drain
    from ...serving.operations.metrics import FOLDER
    from ...serving.operations.supervisor import Supervisor
    from ...serving.operations.worker import Drain, UvicornWorker, assigned, config_of, listening_on
    from ...serving.server import Server
except ImportError as error:
    raise MissingExtra("serve", "callboard serve") from error

DRAIN: Final = 30.0
"""Seconds for which runs under way are waited for where nothing is said of it."""

POSTGRES: Final = ("postgres://", "postgresql://")

LOCAL: Final = "local"
"""The address of a Ray that a process starts for itself."""

GROUP: Final = "CALLBOARD_DASHBOARD_GROUP"
"""The variable by which workers find each other: each shows the dashboards of all."""

_MAIN: Final = "import sys; from callboard.actors.cli import main; sys.exit(main())"


class CannotServe(CallboardError):
    """What is to be served, or where, is wrong."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was told.

    Args:
        what: a team file, or module:name of an agency or an ASGI application.
        host, port: where to listen; port 0 for any that is free.
        workers: processes.
        folder: what a team's file tools are confined to.
        import_from: a folder to look in for modules.
        reload: whether the process is replaced when files change.
        drain: seconds for which runs under way are waited for; None for what the application says, or else 30.
        authenticate: module:name of the function that says who asks; empty for none.
        allow_anyone: whether others than this machine may ask without saying who they are.
        webhooks: module:name of the `Webhooks` that runs may name; empty for none.
        registry: module:name of the `Registry` that is told of the agents; empty for none.
        dashboard: whether a page shows what they do.
        cluster: the address of Ray, where each process is a node of a cluster; empty where none is.
        journal: in place of the team file's; empty for that one.
    """

    what: str
    host: str
    port: int
    workers: int
    folder: Path
    import_from: Path | None
    reload: bool
    drain: float | None
    authenticate: str
    allow_anyone: bool
    webhooks: str
    registry: str
    dashboard: bool
    cluster: str
    journal: str

    @property
    def words(self) -> list[str]:
        """The command line of a worker. It listens where it is told."""
        said = [self.what, "--folder", str(self.folder)]
        named = {"--import-from": self.import_from, "--drain": self.drain, "--authenticate": self.authenticate or None}
        named |= {"--webhooks": self.webhooks or None, "--registry": self.registry or None}
        named |= {"--cluster": self.cluster or None, "--journal": self.journal or None}
        said += [word for name, value in named.items() if value is not None for word in (name, str(value))]
        return ["serve", *said, *(["--dashboard"] if self.dashboard else [])]

    @property
    def file(self) -> Path | None:
        """The team file; None where a module is named."""
        path = Path(self.what)
        return None if ":" in self.what and not path.exists() else team_file(path)


def serve(wanted: Wanted) -> int:
    """Serve until told to stop.

    Returns:
        0 where all went well; otherwise the status of the first worker.

    Raises:
        CannotServe: what was told does not go together.
        CannotListen: the address is taken, or none of this machine's.
        CallboardError: the file, or what a module names, is wrong.
    """
    look_in(wanted.import_from)
    if wanted.file is None:
        look_in(Path())  # as Python does for a program of one's own
    mine = assigned()
    if mine is not None:
        return _work(wanted, *mine)
    given = bool(os.environ.get(KEY))
    key_is_told()
    drain = _check(wanted)
    try:
        listening = listening_on(wanted.host, wanted.port)
    except OSError as error:
        raise taken(wanted.host, wanted.port, error) from None
    board = _board_of(_named(wanted)) if wanted.file is None else None
    shows = wanted.dashboard or board is not None
    of_callers = bool(wanted.authenticate) or (board is not None and not board.key)
    where = [_where(listening, of_callers, given)] if shows else []
    if wanted.workers > 1 or wanted.reload:
        return _supervise(wanted, listening, drain, where)
    return _work(wanted, listening, said=[f"serving {wanted.what} at {_url(listening)}; Ctrl-C ends it", *where])


def _where(listening: socket.socket, of_callers: bool, given: bool) -> str:
    """Where the dashboard is, and with which key."""
    url = f"its dashboard is at {_url(listening)}/{PATH}/"
    if of_callers:
        return f"{url}, for keys with the scope metrics or admin"
    return f"{url}, with the key that {KEY} has" if given else f"{url}#key={key_is_told()}"


def _work(wanted: Wanted, listening: socket.socket, link: socket.socket | None = None, said: Sequence[str] = ()) -> int:
    as_json = wanted.file is not None and logs_of(wanted.file, wanted.folder) == "json"
    _show_errors(as_json=as_json)
    with asyncio.Runner(loop_factory=config_of(None, drain=0.0).get_loop_factory()) as runner:
        runner.run(_serve(wanted, listening, link, said, as_json=as_json))
    return 0


def _show_errors(*, as_json: bool) -> None:
    """What the library logs is seen, as in any service, unless what is served has said itself where logs go."""
    shown = logging.StreamHandler()
    shown.setLevel(logging.WARNING)
    shown.setFormatter(JsonFormatter() if as_json else logging.Formatter("%(levelname)s:     %(message)s"))
    shown.addFilter(lambda _: not logging.getLogger().handlers)
    logging.getLogger("callboard").addHandler(shown)


def _supervise(wanted: Wanted, listening: socket.socket, drain: float, dashboard: list[str]) -> int:
    watch: list[Path] = []
    if wanted.reload:
        watch = [wanted.import_from or Path(), Path() if wanted.file is None else wanted.file.parent]
    many = f"{wanted.workers} workers" if wanted.workers > 1 else "one worker"
    said = f"serving {wanted.what} at {_url(listening)} by {many}; Ctrl-C ends them, SIGHUP replaces them one by one"
    os.environ[GROUP] = str(os.getpid())  # all workers have the same
    if dashboard:
        os.environ[KEY] = key_is_told()
    command = [sys.executable, "-c", _MAIN, *wanted.words]
    supervisor = Supervisor(command, listening, wanted.workers, drain, _say, watch, [said, *dashboard])
    if FOLDER in os.environ:
        return supervisor.run()
    with tempfile.TemporaryDirectory(prefix="callboard-metrics-") as figures:
        os.environ[FOLDER] = figures  # where the workers leave them for each other
        try:
            return supervisor.run()
        finally:
            del os.environ[FOLDER]


async def _serve(
    wanted: Wanted, listening: socket.socket, link: socket.socket | None, said: Sequence[str], *, as_json: bool
) -> None:
    group = os.environ.pop(GROUP, "")
    async with _opened(wanted, group) as (app, drained):
        config = config_of(app, drain=_seconds(wanted, _server_of(app)))
        for handler in logging.getLogger("uvicorn").handlers if as_json else ():  # which has made them with its config
            handler.setFormatter(JsonFormatter())
        ready = partial(_say, *said)
        await UvicornWorker(config, drained, link, ready).serve(sockets=[listening])


@asynccontextmanager
async def _opened(wanted: Wanted, group: str) -> AsyncIterator[tuple[Any, Drain]]:
    """The application, with its agency started, and what drains it. Other workers, and ``callboard dashboard``, see it
    where it is a team's, or has a dashboard."""
    if wanted.file is not None:
        options: dict[str, Any] = {"journal": wanted.journal} if wanted.journal else {}
        if wanted.cluster:
            options["make"] = partial(_of_cluster, wanted)
        async with running(wanted.file, wanted.folder, group=group, **options) as agency:
            app = _grouped(_application(wanted, agency), group)
            yield app, partial(drain, app.state.server)
        return
    app = _grouped(_named(wanted), group)
    server, board = _server_of(app), _board_of(app)
    async with AsyncExitStack() as stack:
        if server is not None:
            await stack.enter_async_context(server.agency)
        shown = board if server is None else server
        if shown is not None:
            await stack.enter_async_context(seen(shown.agency, group))
        yield app, _linger if server is None else partial(drain, server)


def _grouped(app: Any, group: str) -> Any:
    """An application whose dashboard, where it has one, shows the other workers."""
    board = _board_of(app)
    if board is not None and group:
        board.elsewhere = partial(programs, group)
    return app


def _of_cluster(wanted: Wanted, *agents: Any, journal: str, **options: Any) -> ClusterAgency:
    """An agency of a cluster. Workers of one machine are nodes of their own, each with its own name."""
    name = socket.gethostname()
    node = f"{name}-{os.getpid()}" if wanted.workers > 1 else name
    return Cluster(wanted.cluster, journal=str(journal), node=node).agency(*agents, **options)


def _application(wanted: Wanted, agency: Agency) -> Any:
    who = function_of(wanted.authenticate) if wanted.authenticate else None
    webhooks = imported(wanted.webhooks) if wanted.webhooks else None
    registry = imported(wanted.registry) if wanted.registry else None
    drain = _seconds(wanted, None)
    return as_application(
        agency, authenticate=who, drain=drain, webhooks=webhooks, registry=registry, dashboard=wanted.dashboard
    )


def _named(wanted: Wanted) -> Any:
    """The application that a module has."""
    found = imported(wanted.what)
    if isinstance(found, Agency):
        return _application(wanted, found)
    if not _is_application(found):
        raise wrong_kind(wanted.what, "an Agency, or an ASGI application", found)
    given = {"authenticate": wanted.authenticate, "webhooks": wanted.webhooks, "registry": wanted.registry}
    given["dashboard"] = "True" if wanted.dashboard else ""
    for option, said in given.items():
        if said:
            raise CannotServe(
                f"--{option} is for a team file or an Agency; {wanted.what} is an application: "
                f"give serve(agency, {option}=…) there"
            )
    if wanted.drain is not None:
        for server in _servers_in(found):
            server.drain = wanted.drain
    return found


def _is_application(found: Any) -> bool:
    """Whether something can be called as ASGI has it. What makes an application cannot."""
    if not callable(found) or isinstance(found, type):
        return False
    try:
        inspect.signature(found).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:
        return True  # nobody knows what it takes
    return True


def _seconds(wanted: Wanted, server: Server | None) -> float:
    """How long runs under way are waited for."""
    if wanted.drain is not None:
        return wanted.drain
    return DRAIN if server is None else server.drain


def _server_of(app: Any) -> Server | None:
    """What is behind an application that `serve` has made."""
    server = getattr(getattr(app, "state", None), "server", None)
    return server if isinstance(server, Server) else None


def _board_of(app: Any) -> Board | None:
    """The dashboard of an application that `serve` has made, where it has one."""
    board = getattr(getattr(app, "state", None), "board", None)
    return board if isinstance(board, Board) else None


def _servers_in(app: Any) -> list[Server]:
    """What is behind an application, and behind those that are mounted into it."""
    server = _server_of(app)
    if server is not None:
        return [server]
    mounted = (getattr(route, "app", None) for route in getattr(app, "routes", ()))
    return [found for each in mounted for found in _servers_in(each)]


async def _linger(hurried: Callable[[], bool], close_idle: Callable[[], object]) -> None:
    """An application of which nothing is known: what it has accepted, uvicorn waits for."""
    if not hurried():
        await asyncio.sleep(LINGER)
    close_idle()


def _check(wanted: Wanted) -> float:
    """Refuse what does not go together. Returns for how many seconds runs under way are waited for in the end."""
    server: Server | None = None
    if wanted.workers < 1:
        raise CannotServe(f"--workers is a number of processes, at least 1, not {wanted.workers}")
    if wanted.drain is not None and not wanted.drain >= 0:
        raise CannotServe(f"--drain is a number of seconds, not {wanted.drain}")
    if wanted.reload and wanted.workers > 1:
        raise CannotServe("--reload is for development, with one worker: leave one of --reload and --workers out")
    check_address(wanted.host, wanted.port)
    if wanted.webhooks and not isinstance(imported(wanted.webhooks), Webhooks):
        raise CannotServe(f"--webhooks {wanted.webhooks} is no Webhooks(hosts, secret)")
    if wanted.registry and not isinstance(imported(wanted.registry), Registry):
        raise CannotServe(f"--registry {wanted.registry} is no Registry(store, url=…)")
    if wanted.file is not None:
        journal = wanted.journal or journal_of(wanted.file, wanted.folder)
        if "://" in journal and not journal.startswith(POSTGRES):
            raise CannotServe("--journal is the path of a file, or an address postgresql://…")
        kept = bool(journal)
        _check_cluster(wanted, journal)
        known = bool(wanted.authenticate and function_of(wanted.authenticate))
        how = f"write `journal: conversations.db` or `journal: postgresql://…` into {wanted.what}"
    else:
        for option, said in (("cluster", wanted.cluster), ("journal", wanted.journal)):
            if said:
                raise CannotServe(
                    f"--{option} is for a team file; {wanted.what} says itself: "
                    "Cluster(address, journal='postgresql://…').agency(…) there, or Agency(journal=…)"
                )
        app = _named(wanted)
        server = _server_of(app)
        kept = all(each.agency.durable for each in _servers_in(app))
        known = server is None or bool(server.authenticate)
        how = "give the Agency journal='conversations.db' or 'postgresql://…'"
    if wanted.workers > 1 and not kept:
        raise CannotServe(
            f"{wanted.workers} workers share conversations by a journal, and {wanted.what} has none; {how}, "
            "or serve it with --workers 1"
        )
    if not known and not wanted.allow_anyone and not _is_of_this_machine(wanted.host):
        raise CannotServe(
            f"{wanted.host} can be reached from elsewhere, and everybody could ask; say who asks by "
            "--authenticate module:function, or give --allow-anyone where that is meant"
        )
    return _seconds(wanted, server)


def _check_cluster(wanted: Wanted, journal: str) -> None:
    """Refuse what no cluster can work with."""
    if not wanted.cluster:
        return
    if not journal.startswith(POSTGRES):
        raise CannotServe(
            f"nodes of a cluster share a journal in PostgreSQL, and {wanted.what} has "
            f"{'another' if journal else 'none'}; write `journal: postgresql://…` into it, or give --journal postgresql://…"
        )
    if wanted.cluster == LOCAL and wanted.workers > 1:
        raise CannotServe(
            "--cluster local has each worker start a Ray of its own, and none would reach another: "
            "start one with `ray start --head`, and give --cluster"
        )
    Cluster(wanted.cluster, journal=journal)  # refuses an address that is none, and says whether Ray is installed


def _is_of_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say(*lines: str) -> None:
    sys.stderr.writelines(f"callboard: {line}\n" for line in lines)
    sys.stderr.flush()
