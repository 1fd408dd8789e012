"""A person is asked about a call: what it would change, until when, and what comes of the answer."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Final

from ....tools.errors import ToolError
from ...agents.agency import Agency
from ...agents.errors import UnknownApproval
from ...agents.events import ApprovalDecided, ApprovalRequested, RunEvent
from ...agents.rendering.flow import arguments_in_words
from ...agents.turns.rules import Limits
from ...agents.turns.steps import NOBODY_THERE
from ...core.base.errors import CallboardError
from ..parts.printed import plain, shown, shown_json
from .decision import Decision, expiry, more_of, understand_decision
from .diff import diff_lines
from .keyboard import Interrupted, Keyboard
from .screen import Screen

QUESTION = "allow? yes, no and why, edit, or always for this run> "
MOST: Final = 20_000
"""Characters of a call's arguments that are shown, half of them from its end, and that can be edited."""

AGAIN = "say yes, no (and why), edit, or always"


class Asking:
    """Asks about calls, one after the other.

    Args:
        agency: whose calls.
        keyboard: where the answers come from.
        screen: where the questions stand.
    """

    def __init__(self, agency: Agency, keyboard: Keyboard, screen: Screen) -> None:
        self._agency = agency
        self._keyboard = keyboard
        self._screen = screen
        self._always: set[tuple[str, str, str]] = set()

    async def decide(self, event: ApprovalRequested) -> None:
        """Have a call decided that waits. Whoever presses Ctrl-C cancels the run.

        Raises:
            asyncio.CancelledError: Ctrl-C.
        """
        if not self._waits(event):
            return
        if (event.root, event.agent, event.tool) in self._always and not event.why:
            self._agency.approve(event)
            return
        with self._screen.aside():
            try:
                await self._ask(event)
            except EOFError:
                self._agency.deny(event, NOBODY_THERE)
            except Interrupted:
                raise asyncio.CancelledError from None

    async def _ask(self, event: ApprovalRequested) -> None:
        await self._tell(event)
        while self._waits(event):
            try:
                done = await (self._decided(event) if event.tool else self._raised(event))
            except UnknownApproval as error:
                self._screen.say(str(error), "yellow")
                return
            except CallboardError as error:  # other arguments that do not fit
                self._screen.say(str(error), "red")
                continue
            if done:
                return

    async def _tell(self, event: ApprovalRequested) -> None:
        say, words = self._screen.say, arguments_in_words(event.arguments)
        if not event.tool:
            limit = _limit(event)
            say(
                f"{event.agent} has used {limit['used']} of {limit['allowed']} ({limit['limit']}), and wants more",
                "yellow",
            )
        else:
            say(plain(f"{event.agent} wants {event.tool}: {_ends_of(words)}"), "yellow")
        if event.why:
            say(plain(f"why: {event.why}"), "yellow")
        if until := expiry(event.expires_at, time.time()):
            say(until, "dim")
        try:
            changes = await self._agency.preview(event)
        except (ToolError, CallboardError) as error:
            say(f"it would fail: {error}", "red")
            return
        for line in diff_lines(changes or ()):
            say(line.text, line.style)

    async def _decided(self, event: ApprovalRequested) -> bool:
        """Ask once; whether that decided it."""
        said = await self._answer(event, QUESTION)
        if said is None:
            return True
        decision = understand_decision(said)
        match decision:
            case None:
                self._screen.say(AGAIN, "yellow")
                return False
            case Decision("no"):
                self._agency.deny(event, decision.reason)
            case Decision("edit") if len(event.arguments) > MOST:
                self._screen.say(f"{len(event.arguments):,} characters are too many to be edited here", "yellow")
                return False
            case Decision("edit"):
                arguments = await self._answer(event, "arguments> ", shown_json(event.arguments))
                if arguments is not None:
                    self._agency.approve(event, arguments=arguments)
            case Decision(word):
                self._agency.approve(event)
                if word == "always":
                    self._always.add((event.root, event.agent, event.tool))
                    if event.why:
                        self._screen.say("what is asked for a reason of its own is asked each time", "dim")
        return True

    async def _raised(self, event: ApprovalRequested) -> bool:
        limit = _limit(event)
        said = await self._answer(event, "how much in all? a number, yes for twice as much, or no> ")
        if said is None:
            return True
        decision = understand_decision(said)
        if decision is not None and decision.word == "no":
            self._agency.deny(event, decision.reason)
            return True
        more = more_of(limit["limit"], said, limit["allowed"])
        if more is None:
            self._screen.say(f"say a number above {limit['allowed']}, yes, or no", "yellow")
            return False
        wanted: dict[str, Any] = {"steps": None, "seconds": None, limit["limit"]: more}
        self._agency.approve(event, limits=Limits(**wanted))
        return True

    async def _answer(self, event: ApprovalRequested, prompt: str, default: str = "") -> str | None:
        """What is typed; None where it was decided meanwhile, elsewhere or by its expiry."""
        if not self._keyboard.waits:
            return await self._keyboard.answer(prompt, default)
        loop = asyncio.get_running_loop()
        decided: asyncio.Future[Any] = loop.create_future()

        def look(other: RunEvent) -> None:
            ours = isinstance(other, ApprovalDecided) and (other.run, other.call_id) == (event.run, event.call_id)
            if ours and not decided.done():
                decided.set_result(other)

        unsubscribe = self._agency.subscribe(look)
        typed = loop.create_task(self._keyboard.answer(prompt, default), name="answer")
        try:
            await asyncio.wait((typed, decided), return_when=asyncio.FIRST_COMPLETED)
            if typed.done():
                return typed.result()
            how = "approved" if decided.result().approved else "denied"
            why = f": {decided.result().reason}" if decided.result().reason else ""
        finally:
            unsubscribe()
            if not typed.done():
                typed.cancel()
                await asyncio.gather(typed, return_exceptions=True)
        self._screen.say(f"it was {how} meanwhile{shown(why)}", "yellow")
        return None

    def _waits(self, event: ApprovalRequested) -> bool:
        return any(one.approval == event.approval for one in self._agency.approvals)


def _ends_of(words: str) -> str:
    """Arguments, and where they are long between their ends how much is left out."""
    if len(words) <= MOST:
        return words
    left_out = len(words) - MOST
    return f"{words[: MOST // 2]} … {left_out:,} characters more … {words[-MOST // 2 :]}"


def _limit(event: ApprovalRequested) -> dict[str, Any]:
    """Which limit is spent, and how much of it."""
    limit: dict[str, Any] = json.loads(event.arguments)
    return limit
