"""Reads the command line. Each command imports what it needs when it runs, so that ``callboard --help`` is quick."""

from __future__ import annotations

import errno
import io
import logging
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from ..core.base.errors import CallboardError
from .config import config
from .folders import existing
from .journals.approvals import approvals, caller_of
from .journals.journal import journal
from .journals.keys import keys
from .printed import no_more_to, say

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells report a command that Ctrl-C ended."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a file or a terminal says that takes no more; commands name other errors of files themselves."""

AUTO = "auto"
"""The address of the Ray that runs on this machine, or that ``RAY_ADDRESS`` names."""

DETAILS = 400
"""Characters of an error's second line."""


class EmptyRequest(CallboardError):
    """There is nothing to do."""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("callboard")
    except PackageNotFoundError:  # run from the source tree
        return "not installed"


app = App(name="callboard", help="Supervised actors for LLM agents.", version=_version, result_action="return_value")
app.command(journal)
app.command(approvals)
app.command(keys)
app.command(config)


@app.command
def demo(
    folder: Path = Path(),
    /,
    *,
    ask: str | None = None,
    report: Path | None = None,
    dashboard: bool = False,
) -> int:
    """Let a planner and a developer work on a folder, offline, while parts of the team are made to fail.

    Args:
        folder: the folder to work on; nothing outside it is read or written.
        ask: the request, in words. By default a review: what is broken, forgotten or left to do, with file and line.
        report: where in the folder the report is written. By default: callboard-report.md.
        dashboard: show it in a browser as well, until Ctrl-C.
    """
    from .demo import demo

    return demo(existing(folder), ask=ask, report=report, dashboard=dashboard)


@app.command
def run(
    team: Path,
    request: str,
    /,
    *,
    folder: Path = Path(),
    import_from: Path | None = None,
    user: str | None = None,
    tenant: str = "",
) -> int:
    """Give a request to a team, and print its answer. How it came about goes to stderr.

    Args:
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        request: what to do, in words.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
        user: whom it is for: whose memory and files the agents have. By default nobody is named.
        tenant: the customer the user belongs to.
    """
    from .run import run
    from .team import look_in

    if not request.strip():
        raise EmptyRequest('the request has no words; say what to do: callboard run TEAM.yaml "List every TODO"')
    look_in(import_from)
    return run(team, request, existing(folder), caller_of(user, tenant))


@app.command(name="eval")
def evaluate(
    cases: Path,
    team: Path,
    /,
    *,
    only: tuple[str, ...] = (),
    repeat: int | None = None,
    concurrency: int = 4,
    json: Path | None = None,
    compare: Path | None = None,
    folder: Path = Path(),
    import_from: Path | None = None,
) -> int:
    """Ask a team the cases of a file, and report how it does. What the team's journal keeps is left alone. The exit
    status is 1 where a case fails; with --compare, where one has become worse.

    Args:
        cases: the file of cases: what is asked, and what is expected then.
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        only: the name of a case; given several times, several of them. By default: all.
        repeat: how many times each case is asked that says nothing else; by default as the file says.
        concurrency: how many are asked at once.
        json: a file to write the report into, with what was answered.
        compare: the report of an earlier evaluation, written with --json.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the files name, such as their own.
    """
    from .evaluate import evaluate
    from .team import look_in

    look_in(import_from)
    return evaluate(cases, team, existing(folder), only, repeat, concurrency, json, compare)


@app.command
def bench(
    *what: str,
    also: tuple[str, ...] = (),
    concurrency: str = "1,10,100",
    rate: str = "",
    duration: float = 30.0,
    rounds: int = 3,
    ask: tuple[str, ...] = (),
    questions: Path | None = None,
    agent: str = "",
    model: str = "",
    timeout: float = 60.0,
    json: Path | None = None,
    plot: Path | None = None,
    compare: Path | None = None,
    folder: Path = Path(),
    import_from: Path | None = None,
) -> int:
    """Put load on teams and servers, and report throughput, latency, time to first token, errors, tokens, cost, CPU
    and memory. Several are measured in turns, beside each other; --also compares settings of a team's pool. With
    --compare the exit status is 1 where a figure has become worse.

    Args:
        what: team files, addresses of servers (http://127.0.0.1:8000/Clerk), or module:name of agencies.
        also: settings to measure each team with besides, as in routing=weighted,hedge.budget=0.2; given several times,
            each is one more subject. They are called as in a team file, with dots between; values are YAML, null for
            none, and * is every provider: providers.*.limits.concurrency=8.
        concurrency: clients that ask again once they are answered, as in 1,10,100: one load after the other.
        rate: questions a second, whatever becomes of them, as in 5,50: further loads.
        duration: seconds for each subject and load.
        rounds: how many rounds that makes, whose spread is told.
        ask: a question; given several times, several, asked in turns. By default: "Say hello."
        questions: a file with a question on each line.
        agent: who is asked; by default a team's first agent.
        model: the model that a server is asked for; by default the last part of its address.
        timeout: seconds after which a question counts as failed.
        json: a file to write the report into.
        plot: a picture to draw: a .png, or an .html page that needs nothing beside it.
        compare: the report of an earlier run, written with --json.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that are named.
    """
    from .bench import Wanted, bench

    wanted = Wanted(
        *(what, also, concurrency, rate, duration, rounds, ask, questions, agent, model, timeout),
        *(json, plot, compare, existing(folder), import_from),
    )
    return bench(wanted)


@app.command
def chat(
    team: Path,
    /,
    *,
    folder: Path = Path(),
    import_from: Path | None = None,
    user: str | None = None,
    tenant: str = "",
) -> int:
    """Talk to a team: @agent speaks to one of them, /help lists the commands, Ctrl-C cancels a run.

    Args:
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
        user: whom it is for: whose memory and files the agents have. By default nobody is named.
        tenant: the customer the user belongs to.
    """
    from .chat import chat
    from .team import look_in

    look_in(import_from)
    return chat(team, existing(folder), caller_of(user, tenant))


@app.command
def mcp(team: Path, /, *, folder: Path = Path(), import_from: Path | None = None) -> int:
    """Offer the agents of a team as tools to a program that speaks the Model Context Protocol, and that starts this
    command itself: over standard input and output.

    Args:
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the file names, such as its own.
    """
    from .team import look_in

    look_in(import_from)
    from .mcp import mcp

    return mcp(team, existing(folder))


@app.command
def serve(
    what: str,
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
    cluster: Annotated[list[str] | None, Parameter(consume_multiple=(0, 1), negative="")] = None,
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
    if cluster == [""]:
        return _refuse("--cluster is an address of Ray, such as 10.0.0.1:6379, or stands alone")
    address = "" if cluster is None else (*cluster, AUTO)[0]
    wanted = Wanted(what, host, port, workers, existing(folder), import_from, reload, drain, *said, address, journal)
    return serve(wanted)


@app.command
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
    from .acp import acp
    from .team import look_in

    look_in(import_from)
    return acp(team, existing(folder), caller_of(user, tenant), _version())


@app.command
def init(folder: Path = Path(), /) -> int:
    """Write a small team to start from: team.yaml and the instructions of its two agents.

    Args:
        folder: where to; made if need be. Nothing is overwritten.
    """
    from .init import write_team

    team, *others = write_team(folder)
    say(f"wrote {', '.join(str(path) for path in (team, *others))}")
    say(f'now try: callboard run {team} "List every TODO of this folder in report.md"')
    return 0


@app.command
def tree(process: int | None = None, /) -> int:
    """Show the actors of the teams that run now, started by this user with ``callboard run`` or ``callboard chat``.

    Args:
        process: the number of one process. By default: all of them.
    """
    from .tree import read_trees

    for found in read_trees(process):
        say(found)
    return 0


@app.command
def top(process: int | None = None, /, *, interval: float = 1.0, once: bool = False) -> int:
    """Show what a running team does, as it goes on: runs, what waits for a person, providers, the tree of actors. It is
    a team started by this user with ``callboard run``, ``chat`` or ``serve``, or an agency in a `watchable` block.

    Args:
        process: the number of its process; not needed where there is only one.
        interval: seconds between two looks.
        once: show it once; so it is where stdout is no terminal.
    """
    from .tree import top

    return top(process, interval, once, say)


@app.command
def dashboard(process: int | None = None, /, *, port: int = 0) -> int:
    """Show what a running agency does in a browser on this machine, and stop it, help it on and answer it there. It is
    one in a block of ``watchable(agency, dashboard=True)``, or one served with ``callboard serve --dashboard``.

    Args:
        process: the number of its process; not needed where there is only one.
        port: where to listen, on this machine only; 0 for any that is free.
    """
    from .dashboard import dashboard

    return dashboard(process, port, say)


@app.command
def show(journal: str, conversation: str | None = None, /, *, agent: str | None = None, json: bool = False) -> int:
    """Show the conversations that a journal keeps, or one of them with its steps and what they cost. Also of a journal
    that is in use: nothing is owned and nothing is written.

    Args:
        journal: its file, or the postgresql:// address of its database.
        conversation: the id of one. By default: a line for each.
        agent: whose.
        json: print JSON: one conversation as one object, the list as one object a line.
    """
    import asyncio

    from .journals.show import show

    asyncio.run(show(journal, conversation, agent, json, say))
    return 0


@app.command
def replay(
    journal: str, conversation: str, /, *, agent: str | None = None, to: int | None = None, step: bool = False
) -> int:
    """Go through a conversation's events again, one by one, as they are recorded; nothing is carried out.

    Args:
        journal: its file, or the postgresql:// address of its database.
        conversation: its id.
        agent: whose.
        to: stop after this step and the results of its calls; 0 before the first. Steps are counted as they were then.
        step: wait for Enter after each event, at a terminal.
    """
    import asyncio

    from .journals.show import debug

    asyncio.run(debug(journal, conversation, agent, to, step, say))
    return 0


@app.command
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


@app.command
def tool(name: str, arguments: str = "{}", /, *, folder: Path = Path()) -> int:
    """Call one tool as an agent would, to see what it would get.

    Args:
        name: one of the tools that a team file can name.
        arguments: what a model would write: a JSON object.
        folder: the folder that the tool is confined to.
    """
    import asyncio

    from ...tools import ToolRegistry
    from ...tools.builtin.files import file_tools

    result = asyncio.run(ToolRegistry(file_tools(existing(folder))).get(name).run(arguments))
    if result.error is not None:
        raise result.error
    say(result.text)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``callboard``; those of this process by default.

    Returns:
        The exit status: 0, 1 when the command ran and its work failed, 2 for input that is wrong, 130 after Ctrl-C.
        Every error the library names is one line or two on stderr, never a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrows still gets the words
    # What goes wrong is shown by the commands themselves; tracebacks in between would only hide it.
    logging.getLogger("callboard").addHandler(logging.NullHandler())
    try:
        status = app(arguments, exit_on_error=False, print_error=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # what fails as the process ends nobody can name
    except CycloptsError as error:
        return _refuse(str(error))
    except CallboardError as error:
        return _refuse(str(error) or type(error).__name__, BAD_INPUT if _is_bad_input(error) else FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads has seen enough, `head` for example
        no_more_to(1)
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        no_more_to(1)
        return _refuse(f"what it says cannot be written: {error.strerror}", FAILED)
    return status if isinstance(status, int) else 0


def _is_bad_input(error: CallboardError) -> bool:
    """Whether it is for the user to mend; else the input was right, and the work failed."""
    from ...providers.errors import AuthenticationFailed, InvalidRequest, NoProvider, ProviderError
    from ..agents.errors import AgentUnavailable, HandoffError, RunError
    from ..core.base.errors import CoreError

    causes: list[BaseException | None] = [error]
    for cause in causes:
        if isinstance(cause, AuthenticationFailed | InvalidRequest):
            return True
        if cause is not None and cause.__cause__ not in causes:
            causes.append(cause.__cause__)
        if isinstance(cause, NoProvider):
            causes.extend(each for each in cause.causes.values() if each not in causes)
    return not isinstance(error, RunError | HandoffError | AgentUnavailable | ProviderError | CoreError)


def _refuse(message: str, status: int = BAD_INPUT) -> int:
    """Print an error as one line, or two where it has details; tools' errors are longer, being written for models."""
    first, *details = [line.strip() for line in message.splitlines() if line.strip()]
    say(f"callboard: {first}", sys.stderr)
    if details:
        say(textwrap.shorten("; ".join(line.removeprefix("- ") for line in details), DETAILS), sys.stderr)
    return status
