"""One run, shown in an editor as it goes on."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import Any

from acp import helpers
from acp.schema import ToolCallUpdate

from ...agents.agency import Agency
from ...agents.caller import Caller
from ...agents.errors import NotAllowed, UnknownApproval
from ...agents.events import (
    ApprovalDecided,
    ApprovalRequested,
    CompletionStarted,
    HandoffFinished,
    HandoffStarted,
    ReasoningDelta,
    Retried,
    RunEvent,
    RunFinished,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from ...agents.turns.rules import Limits
from .content import finished, started
from .permission import may


class Turn:
    """Shows what happens in a run, and asks the user what is asked of a person.

    Args:
        agency: whose run.
        client: the editor.
        session: the session's id.
        run: the run's id.
        caller: who decides; None for whoever has started the program.
    """

    def __init__(self, agency: Agency, client: Any, session: str, run: str, caller: Caller | None) -> None:
        self._agency = agency
        self._client = client
        self._session = session
        self._run = run
        self._caller = caller
        self._events: deque[RunEvent] = deque()
        self._arrived = asyncio.Event()
        self._known: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()
        self._said = ""
        """What was shown of the completion under way."""
        self._before = ""
        self._unsubscribe = agency.subscribe(self._heard, root=run)

    def begin(self, said: str) -> None:
        """Show first what was said before anybody listened.

        Args:
            said: text of the completion under way.
        """
        self._before = said

    def _heard(self, event: RunEvent) -> None:
        last = self._events[-1] if self._events else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta) and last.run == event.run:
            self._events[-1] = replace(last, text=last.text + event.text)
        else:
            self._events.append(event)
        self._arrived.set()

    async def show(self) -> None:
        """Show it until its end."""
        try:
            for waits in self._agency.approvals:
                if waits.root == self._run and waits not in self._events:
                    self._events.appendleft(waits)
            if self._before:
                self._said = self._before
                await self._update(helpers.update_agent_message_text(self._before))
            while True:
                while self._events:
                    event = self._events.popleft()
                    await self._show(event)
                    if isinstance(event, RunFinished) and event.run == self._run:
                        return
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Show nothing any more."""
        self._unsubscribe()
        for task in self._asking:
            task.cancel()

    async def _show(self, event: RunEvent) -> None:
        mine = event.run == self._run
        if isinstance(event, CompletionStarted) and mine:
            if self._said:
                await self._update(helpers.update_agent_message_text("\n\n"))
            self._said = ""
        elif isinstance(event, TextDelta) and mine:
            self._said += event.text
            await self._update(helpers.update_agent_message_text(event.text))
        elif isinstance(event, ReasoningDelta) and mine:
            await self._update(helpers.update_agent_thought_text(event.text))
        elif isinstance(event, Retried) and mine:
            if self._said:
                await self._update(helpers.update_agent_message_text("\n\n(once more)\n\n"))
            self._said = ""
        elif isinstance(event, RunFinished) and mine:
            text = event.answer.text if event.answer is not None and event.error is None else ""
            if text and text != self._said:  # another agent's, or what a hook made of it
                before = "\n\n" if self._said else ""
                await self._update(helpers.update_agent_message_text(before + text))
        elif isinstance(event, ToolStarted):
            await self._call(event, event.tool, event.arguments, "in_progress")
        elif isinstance(event, HandoffStarted):
            await self._call(event, event.target, json.dumps({"task": event.task}), "in_progress")
        elif isinstance(event, ToolProgress):
            await self._update(helpers.update_tool_call(self._id(event), title=f"{event.tool}: {event.text}"[:200]))
        elif isinstance(event, ToolFinished):
            await self._finished(event, event.content, event.is_error)
        elif isinstance(event, HandoffFinished):
            await self._finished(event, event.failed or event.text, bool(event.failed))
        elif isinstance(event, ApprovalDecided) and not event.approved:
            await self._finished(event, f"denied: {event.reason}", True)
        elif isinstance(event, ApprovalRequested):
            task = asyncio.ensure_future(self._ask(event))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def _id(self, event: Any) -> str:
        return f"{event.run}:{event.call_id}"

    async def _call(self, event: Any, tool: str, arguments: str, status: Any) -> None:
        id = self._id(event)
        if id in self._known:
            await self._update(helpers.update_tool_call(id, status=status))
            return
        self._known.add(id)
        await self._update(started(id, tool, arguments, status, "" if event.run == self._run else event.agent))

    async def _finished(self, event: Any, content: str, failed: bool) -> None:
        if self._id(event) in self._known:
            await self._update(finished(self._id(event), content, failed))

    async def _ask(self, event: ApprovalRequested) -> None:
        title = event.tool or "go on beyond its limits"
        await self._call(event, title, event.arguments, "pending")
        why = f" ({event.why})" if event.why else ""
        call = ToolCallUpdate(tool_call_id=self._id(event), title=f"{event.agent}: {title}{why}", status="pending")
        try:
            allowed = await may(self._client, self._session, call)
        except ConnectionError:  # the editor has gone: whoever opens the session next is asked
            return
        with suppress(UnknownApproval, NotAllowed):  # decided by somebody else, or theirs to decide
            if allowed:
                limits = None if event.tool else _doubled(event.arguments)
                await self._agency.approve(event, limits=limits, caller=self._caller)
            else:
                await self._agency.deny(event, "the user does not want it", caller=self._caller)

    async def _update(self, update: Any) -> None:
        await self._client.session_update(self._session, update)


def _doubled(arguments: str) -> Limits:
    """Twice as much of what is spent."""
    told = json.loads(arguments)
    allowed = told["allowed"] * 2
    spent = told["limit"]
    return Limits(
        steps=int(allowed) if spent == "steps" else None,
        tokens=int(allowed) if spent == "tokens" else None,
        cost=allowed if spent == "cost" else None,
        seconds=None,
    )
