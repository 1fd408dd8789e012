"""What the commands that serve take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...core.base.errors import CallboardError
from ..parts.caller import caller_of
from ..parts.folders import existing, team_file
from ..parts.version import version

AUTO = "auto"
"""The address of the Ray that runs on this machine, or that ``RAY_ADDRESS`` names."""


class NoAddress(CallboardError):
    """An option that takes an address was given none."""


class NothingToServe(CallboardError):
    """It was not said what to serve."""


def serve(
    what: Annotated[str, Parameter(show_default=False)] = "",
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    folder: Path = Path(),
    import_from: Path | None = None,
    reload: bool = False,
    drain: float | None = None,
    authenticate: str = "",
    allow_anyone: bool = False,
    webhooks: str = "",
    registry: str = "",
    dashboard: bool = False,
    cluster: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    journal: str = "",
) -> int:
    """Serve a team over HTTP until it is told to stop: SIGTERM and Ctrl-C have what is under way finished.

    Args:
        what: a team file, an llm.yaml, or module:name of an Agency or of an ASGI application.
        host: the address to listen on; one that can be reached from elsewhere wants --authenticate.
        port: the port; 0 for any that is free.
        workers: processes that serve; more than one need a journal that they share. SIGHUP replaces them one by one.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that are named.
        reload: for development: start anew when a file changes.
        drain: seconds for which runs under way are waited for in the end, 30 by default; others go on with the rest.
        authenticate: module:name of what says who asks; an ASGI application says it itself.
        allow_anyone: let everybody ask who can reach the address.
        webhooks: module:name of the Webhooks that runs in the background may name, to be told of their end.
        registry: module:name of the Registry where other agencies are told of these agents, and theirs are found.
        dashboard: show what the team does on a page, at /dashboard; an ASGI application says it itself.
        cluster: be a node of a cluster, which makes each run where its conversation lives; by the address of Ray's head
            if one is given, or else by the Ray of this machine. It needs a journal in PostgreSQL.
        journal: in place of the team file's: a file, or postgresql://….
    """
    from .serve import Wanted, serve

    said = (authenticate, allow_anyone, webhooks, registry, dashboard)
    what, address = _told(what, cluster)
    wanted = Wanted(what, host, port, workers, existing(folder), import_from, reload, drain, *said, address, journal)
    return serve(wanted)


def _told(what: str, cluster: list[str] | None) -> tuple[str, str]:
    """What to serve, and the address of Ray, which is left out where the one of this machine is meant: so what stands
    behind ``--cluster`` may be either, or both."""
    words = cluster or []
    if not what and len(words) > 1:
        *words, what = words
    if len(words) > 1:
        raise NoAddress(f"--cluster has one address of Ray, not {len(words)}: {' '.join(words):.80}")
    if words == [""]:
        raise NoAddress("--cluster is an address of Ray, such as 10.0.0.1:6379, or stands alone")
    if not what and words:
        raise NothingToServe(
            f"{words[0]:.80}, behind --cluster, was taken for the address of Ray, and nothing is there to serve:"
            " callboard serve TEAM.yaml --cluster"
        )
    if not what:
        raise NothingToServe("say what to serve: a team file, or module:name; callboard serve TEAM.yaml")
    return what, "" if cluster is None else (*words, AUTO)[0]


def mcp(team: Path, /, *, folder: Path = Path(), import_from: Path | None = None) -> int:
    """Offer the agents of a team as tools to a program that speaks the Model Context Protocol, and that starts this
    command itself: over standard input and output.

    Args:
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
    """
    from ..parts.team import look_in

    look_in(import_from)
    from .mcp import mcp

    return mcp(team_file(team), existing(folder))


def acp(
    team: Path,
    /,
    *,
    folder: Path = Path(),
    import_from: Path | None = None,
    user: str | None = None,
    tenant: str = "",
) -> int:
    """Be the agent of an editor that speaks the Agent Client Protocol, over stdin and stdout; the editor starts it.

    Args:
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
        user: whom it is for: whose memory and files the agents have. By default nobody is named.
        tenant: the customer the user belongs to.
    """
    from ..parts.team import look_in
    from .acp import acp

    look_in(import_from)
    return acp(team_file(team), existing(folder), caller_of(user, tenant), version())


def simulate_provider(
    *,
    host: str = "127.0.0.1",
    port: int = 8089,
    latency: float = 0.0,
    chunk_delay: float = 0.0,
    fault: str = "",
    failure_rate: float = 1.0,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    seed: int = 0,
) -> int:
    """Serve OpenAI's and Anthropic's protocols on loopback, with rate limits and faults on demand, until Ctrl-C.

    Args:
        host: the address to listen on.
        port: the port; 0 for any that is free.
        latency: seconds before the first byte.
        chunk_delay: seconds between two events of a stream.
        fault: what goes wrong: a status such as 503 or 429:2 (retry after 2 s), reset, cut:5, hang, malformed, html,
            trickle:0.5, stream_error.
        failure_rate: with what probability it does, 0 to 1.
        requests_per_minute: requests a key may make.
        tokens_per_minute: tokens a key may use.
        seed: of the random choices.
    """
    from .simulate import simulate

    return simulate(
        host=host,
        port=port,
        latency=latency,
        chunk_delay=chunk_delay,
        fault=fault,
        failure_rate=failure_rate,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        seed=seed,
    )
