"""``callboard demo``: the main job on real input, offline, while a provider is killed and an agent is crashed.

The team, the pool, the tools and the runtime are the ones every program uses. Only two things are made for the
occasion: the offline model answers at the pace of a real one, so that there is a midway to fail in, and a ledger hears
from the runtime of each message, so that the closing table is a count and not a claim.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import rich.box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ....providers.messages import Completion, Delta, Request
from ....providers.offline import OfflineProvider
from ....providers.pool import FREE, Endpoint, Pool, Quota
from ....providers.pool.accounts.cost import Prices, load_prices
from ....providers.registry.presets import PRESETS
from ....providers.spec import ProviderSpec
from ....tools.builtin.files import file_tools
from ...agents.agency import Agency
from ...agents.agent import Agent
from ...agents.answer import Answer
from ...agents.errors import AgentError
from ...agents.events import RunEvent, ToolFinished
from ...agents.rendering.flow import dollars
from ...core.base.errors import CallboardError
from ...core.base.events import Event
from ...core.base.spec import ChildSpec
from ..parts.flow import Flow, Restarts, make_console
from ..parts.folders import NoSuchFolder
from ..parts.printed import plain, shown
from .init import STARTER
from .ledger import Ledger

PACE = 0.1
"""Seconds the offline model takes to answer here."""

STRUCK_REQUEST = 2
"""The request, counted per provider, in the middle of which that provider is killed."""

REVIEW = "Review this folder: what is broken, forgotten or left to do, with file and line"
REPORT = "callboard-report.md"
_SAYABLE = re.compile(r"(?:[\w.@+-]+/)*[\w@+-][\w.@+-]*\.[A-Za-z]\w{0,7}")
"""A report's name that a request can say: with others, something else would be written."""
SHOWN = 12
"""Lines of the report that are shown; the file has all."""

PROVIDERS = ("alpha", "beta")
AGENCY = "agency"


class NoReport(CallboardError):
    """The report cannot be written where it is wanted."""


class Struck(BaseException):
    """What the demonstration crashes an agent with. Not an `Exception`: those go to the asker, and the actor lives."""


class Paced(OfflineProvider):
    """The offline model, at the pace of a real one."""

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(PACE)
        return await super().complete(request)

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        await asyncio.sleep(PACE)
        async for delta in super().stream(request):
            yield delta


def demo(folder: Path, *, ask: str | None, report: Path | None, dashboard: bool = False) -> int:
    """Run the demonstration.

    Args:
        folder: an existing folder; tools reach nothing outside it.
        ask: the request; by default a review of the folder.
        report: the report's path within the folder, where nothing stands yet; by default `REPORT`, which is replaced.
        dashboard: show it in a browser as well, until Ctrl-C.

    Returns:
        0 if the answer came, its report is written, and no message was lost, else 1.

    Raises:
        NoSuchFolder: the folder that a relative path begins at is gone.
        NoReport: the report's path leads out of the folder, is a link, cannot be said in a request, or cannot be
            written.
        MissingExtra: a dashboard needs the extra ``serve``.
    """
    try:
        root = Path(os.path.realpath(folder))
    except FileNotFoundError:
        raise NoSuchFolder("the folder this command was begun in is gone; change to one that is there") from None
    given = root / (report or REPORT)
    target = Path(os.path.realpath(given))
    if not target.is_relative_to(root):
        raise NoReport(f"the report {report} lies outside the folder {folder}; give a path inside it")
    name = target.relative_to(root)
    if given.is_symlink() or (report is not None and target.exists()):
        raise NoReport(f"the report would overwrite {report or REPORT}; give a path where nothing stands")
    if ".git" in name.parts or not _SAYABLE.fullmatch(name.as_posix()):
        raise NoReport(f"a request cannot have a report written to {report}; give a plain name, such as review.md")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("", encoding="utf-8")
        target.unlink(missing_ok=True)  # or the search would find the last report
    except OSError as error:
        raise NoReport(f"cannot write the report {target}: {error.strerror}; give another --report or folder") from None
    return asyncio.run(_Demonstration(root, target, (ask or "").strip() or REVIEW, make_console()).run(dashboard))


class _Demonstration:
    def __init__(self, root: Path, report: Path, ask: str, console: Console) -> None:
        self.root = root
        self.report = report
        self.console = console
        name = report.relative_to(root).as_posix()
        self.request = ask if name in ask else f"{ask.rstrip(' .')}, and write the report to {name}."
        self.ledger = Ledger(self._on_fact)
        self.requests: dict[str, int] = {}
        self.killed = ""
        self.crashed = ""
        self.crashes: list[Event] = []
        self.restarts: list[Event] = []
        self._looking = Restarts()
        self.agency = _make_agency(root)

    async def run(self, dashboard: bool) -> int:
        loop = asyncio.get_running_loop()
        self.flow = Flow(self.console, loop.time)
        self.console.print(
            f"Folder   {plain(str(self.root))}\n"
            f"Request  {plain(self.request)}\n"
            f"Model    offline, {len(PROVIDERS)} providers\n",
            soft_wrap=True,
        )
        prices = asyncio.create_task(asyncio.to_thread(load_prices))  # meanwhile
        with self.ledger.installed():
            async with self.agency, AsyncExitStack() as stack:
                ended = await self._show(stack) if dashboard else None
                answer = await self._work()
                seconds = self.flow.seconds()
                kept = answer is not None and self._close(answer)
                if ended is not None:
                    self.console.print("The dashboard stays until Ctrl-C.\n")
                    await ended
        await prices
        self.console.print(self._table(answer, seconds))
        if not dashboard:
            again = "make demo DASHBOARD=1" if "MAKELEVEL" in os.environ else "callboard demo --dashboard"
            self.console.print(f"\nThe same in a browser: {again}")
        return 0 if kept and self.ledger.lost == 0 else 1

    async def _show(self, stack: AsyncExitStack) -> asyncio.Task[None]:
        from ..watch.dashboard import showing

        # What ends the dashboard ends nothing else: the table is still to come.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
        address, ended = await stack.enter_async_context(showing(self.agency))
        self.console.print(f"Dashboard  {address}\n", soft_wrap=True)
        return ended

    async def _work(self) -> Answer | None:
        assert self.agency.system is not None
        self.agency.system.subscribe(self._on_event)
        self.agency.subscribe(self._on_run_event)
        try:
            return await self.agency.run(self.request, conversation="demo")  # for the dashboard to show
        except AgentError as error:
            self.flow.say(f"no answer: {error}")
            return None

    def _close(self, answer: Answer) -> bool:
        """Show the report; if the team wrote none, its answer is the report. Returns whether there is a file."""
        text, how, kept = answer.text + "\n", "written by the team", True
        try:
            if self.report.exists():
                text = self.report.read_text(encoding="utf-8", errors="replace")
            else:
                how = "the team's answer, saved here because it wrote no file"
                self.report.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            how, kept = f"not written: {error.strerror}; this is the team's answer", False
        lines = shown(text).splitlines()
        if len(lines) > SHOWN:
            lines[SHOWN:] = ["…"]
        self.console.print()
        for line in lines:
            shortened = Text(line)
            shortened.truncate(self.console.width, overflow="ellipsis")
            self.console.print(shortened, soft_wrap=True)
        count = len(text.splitlines())
        about = f"{count} line{'s' * (count != 1)}; {how}"
        self.console.print(f"\nReport   {plain(str(self.report))} ({about})\n", soft_wrap=True)
        return kept

    # -- what is made to fail ------------------------------------------------------------------------------------------

    def _on_fact(self, kind: str, fields: dict[str, Any]) -> None:
        """Kill a provider in the middle of a request."""
        if kind != "recv" or self.killed or not isinstance(fields["message"], Request):
            return
        path = fields["actor"]
        if path.rpartition("/")[2] not in PROVIDERS:
            return
        self.requests[path] = self.requests.get(path, 0) + 1
        if self.requests[path] == STRUCK_REQUEST:
            self.killed = path
            # Not before the handler has begun: then the request is in flight, and its answer is what is at stake.
            asyncio.get_running_loop().call_later(PACE / 2, self._kill, path)

    def _kill(self, path: str) -> None:
        assert self.agency.system is not None
        provider = self.agency.system.find(path)
        if provider is not None:
            self.flow.say(f"the demo kills provider {path}, which has a request in flight")
            provider.kill()

    def _crash(self, path: str) -> None:
        assert self.agency.system is not None
        agent = self.agency.system.find(path)
        if agent is not None:
            self.crashed = path
            self.flow.say(f"the demo crashes agent {path}, in the middle of its work")
            self.ledger.crash_at_next_message(path, Struck("by the demo"))
            agent.tell("anything")

    # -- what is shown -------------------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if event.kind == "crashed":
            self.crashes.append(event)
        if self._looking.look(event):
            self.restarts.append(event)
        self.flow.system_event(event)

    def _on_run_event(self, event: RunEvent) -> None:
        self.flow.run_event(event)
        if isinstance(event, ToolFinished) and not self.crashed and event.agent != self.agency.entry:
            self._crash(f"{AGENCY}/{event.agent}")

    def _table(self, answer: Answer | None, seconds: float) -> Table:
        ledger = self.ledger
        table = Table(show_header=False, box=rich.box.ROUNDED if self.console.is_terminal else None, pad_edge=False)
        table.add_row("failed", "\n".join(f"{event.actor}: {event.detail}" for event in self.crashes) or "nothing")
        table.add_row("restarted", ", ".join(event.actor for event in self.restarts) or "nothing")
        table.add_row("messages", f"{ledger.sent} sent, {ledger.processed} processed, {ledger.lost} lost")
        asks = f"{ledger.asked} asked, {ledger.answered} answered, {ledger.refused} failed or called off"
        table.add_row("asks", asks)
        letters = f"{ledger.facts['dead_letter']}, of which {ledger.unheard} unknown to their sender"
        table.add_row("dead letters", letters)
        if answer is not None:
            usage = answer.usage
            table.add_row("handoffs", ", ".join(answer.chain) or "none")
            table.add_row("tokens", f"{usage.input_tokens} in, {usage.output_tokens} out")
            vendor = PRESETS["openai"]
            otherwise = Prices().cost(vendor.name, vendor.default_model, usage, 0.0)
            known = f"; {vendor.default_model} would have taken {dollars(otherwise)}" if otherwise else ""
            table.add_row("cost", f"{dollars(answer.cost)}, as it is the offline model{known}")
        table.add_row("time", f"{seconds:.2f} s")
        return table


def _make_agency(root: Path) -> Agency:
    tools = {tool.name: tool for tool in file_tools(root)}
    planner = Agent(
        "Planner",
        (STARTER / "planner.md").read_text(encoding="utf-8"),
        description="breaks a request into work and hands it over",
    )
    developer = Agent(
        "Developer",
        (STARTER / "developer.md").read_text(encoding="utf-8"),
        description="searches, reads and writes files, and reports what it found",
        tools=[tools[name] for name in ("LS", "Glob", "Grep", "Read", "Write")],
    )
    endpoints = [
        Endpoint(
            name,
            ChildSpec(Paced, (ProviderSpec(name, "offline", default_model="offline"),), name=name),
            limits=Quota(requests_per_minute=600, concurrency=4),
            priority=place,
            price=FREE,
        )
        for place, name in enumerate(PROVIDERS)
    ]
    return Agency(planner, developer, flows=[(planner, developer)], pool=Pool.spec(endpoints, seed=0), name=AGENCY)
