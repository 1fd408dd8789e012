"""Guardrails: what is looked at, by which checks, and what happens when they find something."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeVar, get_args

from ....providers.checks import TEXT
from ....providers.messages import Message
from ...core.base.foreign import is_ours
from ...core.base.log import logger_of
from ..errors import DefinitionError, GuardrailTripped, said
from ..events import GuardrailFound
from ..hooks import Hook, HookContext, HookSource, TextStream
from ..wishes import define
from .findings import Action, Check, CheckFailed, Finding, Where, checks_of, findings_of, name_of, replaced, spans
from .judging import TextJudge, found_in
from .texts import Reading, counted, of_call, of_content, of_handoff, of_messages, of_value

logger = logger_of()

T = TypeVar("T")

WHERE: Final[tuple[Where, ...]] = get_args(Where)
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
_ASKABLE: Final = frozenset({"tool_call", "handoff"})
_IN_WORDS: Final = {
    "chunk": "streamed text",
    "tool_call": "tool call",
    "tool_result": "tool result",
    "memory": "memory",
}


@dataclass(frozen=True)
class Guardrail(HookSource):
    """Looks for something, somewhere, and does something about it. It stands among an agent's (or a skill's) hooks:
    ``Agent("Support", hooks=[Guardrail(vendor_keys(), on={"output"}, action="redact")])``.

    Args:
        check: what looks: a function of a text that returns `Finding`s (it may be async), or several. Ready ones are
            `vendor_keys`, `card_numbers`, `ibans`, `email_addresses`, `phone_numbers`, `high_entropy_strings`,
            `prompt_injections` and others; see the page.
        on: where it looks. ``input``: what the caller says, also to a run under way. ``output``: what the model says,
            its visible reasoning too. ``chunk``: only what is shown of a streamed completion while it comes.
            ``tool_call``: the arguments of a call. ``tool_result``: what a tool, a delegate or the caller returns to
            the model. ``handoff``: the task and the messages that go to another agent. ``memory``: what is about to be
            remembered.
        action: ``block`` ends the run in `GuardrailTripped`. ``redact`` puts the finding's replacement in its place and
            goes on. ``warn`` only tells of it. ``ask`` has a person approve the call (``tool_call`` and ``handoff``,
            with checks that are plain functions).
        name: for events and errors; that of the check where it is left out.
        priority: see `Hook`.

    Whatever it does, a `GuardrailFound` event says what kind of thing was found where. A check that raises ends the run
    as a finding would; with ``warn`` it is reported and passed over.

    Raises:
        DefinitionError: there is no such place or action, the check is no function, or a person cannot be asked there.
    """

    check: Check | Sequence[Check]
    on: Collection[Where] | Where = ("input", "output")
    action: Action = "block"
    name: str = ""
    priority: int = 100
    checks: tuple[Check, ...] = field(init=False, repr=False, compare=False)
    _hooks: tuple[Hook, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        define("a guardrail", name=(self.name, TEXT))
        checks = checks_of(self.check, f"guardrail {self.name}".rstrip())
        if not self.name:
            object.__setattr__(self, "name", " and ".join(dict.fromkeys(map(name_of, checks))))
        whose = f"guardrail {self.name}"
        on = (self.on,) if isinstance(self.on, str) else tuple(self.on)
        for one in on:
            if one not in WHERE:
                raise DefinitionError(f"{whose}: it cannot look on {one!r:.80}; there are {', '.join(WHERE)}")
        if not on:
            raise DefinitionError(f"{whose}: it looks nowhere; say on=…: {', '.join(WHERE)}")
        if self.action not in ACTIONS:
            raise DefinitionError(f"{whose}: action is one of {', '.join(ACTIONS)}, not {self.action!r:.80}")
        if self.action == "ask":
            self._check_ask(whose, on, checks)
        object.__setattr__(self, "on", frozenset(on))
        object.__setattr__(self, "checks", checks)
        object.__setattr__(self, "_hooks", self._made())

    def _check_ask(self, whose: str, on: Iterable[str], checks: Iterable[Check]) -> None:
        if elsewhere := sorted(set(on) - _ASKABLE):
            raise DefinitionError(f"{whose}: a person is asked about tool calls and handoffs, not on {elsewhere[0]}")
        for check in checks:
            called = getattr(type(check), "__call__", None)  # noqa: B004
            if inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(called):
                raise DefinitionError(f"{whose}: whether a person is asked is said by plain functions, not async ones")

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """What it is made of."""
        return self._hooks

    def _made(self) -> tuple[Hook, ...]:
        strict = self.action != "warn"
        on = self.on
        made = partial(Hook, priority=self.priority, guardrail=strict, name=self.name)
        if self.action == "ask":
            return (made("approval", self._before_call),)
        hooks = []
        if "input" in on or "tool_result" in on:
            hooks.append(made("connection", self._on_messages))
        if "input" in on:
            hooks.append(made("steering", self._on_messages))
        if "chunk" in on:
            hooks.append(made("chunk", _nothing, stream=partial(_Stream, self, "chunk")))
        if "output" in on:
            hooks.append(made("response", self._on_response, stream=partial(_Stream, self, "output")))
        if "tool_call" in on:
            hooks.append(made("toolcall", self._on_call))
        if "tool_result" in on:
            hooks.append(made("toolresult", self._on_result))
        if "handoff" in on:
            hooks.append(made("handoff", self._on_handoff))
        if "memory" in on:
            hooks.append(made("memory", self._on_memory))
        return tuple(hooks)

    # -- each place ----------------------------------------------------------------------------------------------------

    async def _on_messages(self, context: HookContext) -> None:
        places: tuple[tuple[Where, bool], ...] = (("input", False), ("tool_result", True))
        for where, of_tools in places:
            if where in self.on:
                reading = of_messages(context.messages, partial(_is_result, of_tools))
                context.messages = await self._judged(context, where, reading, context.messages)

    async def _on_response(self, context: HookContext) -> None:
        completion = context.completion
        if completion is None:
            return
        message = completion.message
        content = await self._judged(context, "output", of_content(message.content, gap=""), message.content)
        reasoning = message.reasoning
        if reasoning:
            reasoning = await self._judged(context, "output", of_content(reasoning), reasoning)
        if content is message.content and reasoning is message.reasoning:
            return
        changed = replace(message, content=content, reasoning=reasoning, state=None)
        note = f"guardrail {self.name} redacted the output"
        context.completion = replace(completion, message=changed, notes=(*completion.notes, note))

    async def _on_call(self, context: HookContext) -> None:
        if context.call is not None:
            context.call = await self._judged(context, "tool_call", of_call(context.call), context.call)

    async def _on_result(self, context: HookContext) -> None:
        result = context.result
        if result is None:
            return
        content = await self._judged(context, "tool_result", of_content(result.content), result.content)
        if content is not result.content:
            result = context.result = replace(result, content=content)
        if result.value is None or (result.from_value and self.action != "redact"):
            return  # the text says it
        reading = of_value(result.value)
        found = await self._find(context, "tool_result", reading.whole, quiet=result.from_value)
        if self.action == "redact" and (merged := spans(found)):
            value = reading.put(replaced(reading.texts, len(reading.gap), merged))
            context.result = replace(result, value=value)

    async def _on_handoff(self, context: HookContext) -> None:
        handoff = context.handoff
        if handoff is None:
            return
        given = (handoff, context.messages)
        context.handoff, context.messages = await self._judged(context, "handoff", of_handoff(*given), given)
        if handoff.input is not None:
            plain = json.dumps(handoff.plain_input())
            found = await self._find(context, "handoff", of_value(json.loads(plain)).whole)
            if found and self.action == "redact":  # it is of a type of its own, and may not fit that any more
                raise GuardrailTripped(f"{self._refusal('handoff', found)}; a structured input cannot be redacted")

    async def _on_memory(self, context: HookContext) -> None:
        context.text = await self._judged(context, "memory", of_content(context.text), context.text)

    def _before_call(self, context: HookContext) -> None:
        call = context.call
        where: Where = "handoff" if context.hands_off else "tool_call"
        if call is None or where not in self.on:
            return
        text, began = of_call(call).whole, time.monotonic()
        found: list[Finding] = []
        for check in self.checks:
            try:
                found += findings_of(check, check(text), text)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                raise self.failed(where, error) from error
        if not found:
            return
        context.why = f"guardrail {self.name} found {_in_words(found)}"
        told = context.state.setdefault("callboard.guardrails", set())
        if (self.name, call.id) not in told:  # it is asked again and again what is to be done about a call
            told.add((self.name, call.id))
            self._tell(context, where, time.monotonic() - began, found)

    # -- what is found -------------------------------------------------------------------------------------------------

    async def _judged(self, context: HookContext, where: Where, reading: Reading[Any], before: T) -> T:
        """What is left of something: the very same where nothing was found, or nothing is replaced."""
        if not reading.texts:
            return before
        found = await self._find(context, where, reading.whole)
        merged = spans(found) if self.action == "redact" else []
        if not merged:
            return before
        left: T = reading.put(replaced(reading.texts, len(reading.gap), merged))
        return left

    async def _find(self, context: HookContext, where: Where, text: str, *, quiet: bool = False) -> list[Finding]:
        found: list[Finding] = []
        task = asyncio.current_task()
        began = time.monotonic()
        for check in self.checks:
            try:
                found += await found_in(check, text)
            except BaseException as error:
                if is_ours(error, task):
                    raise
                raise self.failed(where, error) from error
        if found and not quiet:
            self.found(context, where, time.monotonic() - began, found)
        return found

    def failed(self, where: Where, error: BaseException) -> GuardrailTripped:
        """What to raise where a check has raised: its text may say more than is good."""
        if isinstance(error, GuardrailTripped):
            return error
        why = said(error) if isinstance(error, CheckFailed) else type(error).__name__
        return GuardrailTripped(f"guardrail {self.name} could not look at the {_named(where)}: {why}")

    def found(self, context: HookContext, where: Where, seconds: float, found: Sequence[Finding]) -> None:
        """Tell of findings, and end the run where that is the action.

        Args:
            context: of what was looked at.
            where: in what.
            seconds: it took to look.
            found: what was found.

        Raises:
            GuardrailTripped: it is.
        """
        self._tell(context, where, seconds, found)
        if self.action == "block":
            raise GuardrailTripped(self._refusal(where, found))
        if self.action == "warn":
            logger.warning("guardrail %s found %s in the %s", self.name, _in_words(found), _named(where))

    def _refusal(self, where: Where, found: Sequence[Finding]) -> str:
        return f"guardrail {self.name} blocked the {_named(where)}: {_in_words(found)}"

    def _tell(self, context: HookContext, where: Where, seconds: float, found: Sequence[Finding]) -> None:
        call = context.call.id if context.call is not None else ""
        for kind, count in counted(one.kind for one in found).items():
            told = {"guardrail": self.name, "where": where, "kind": kind, "count": count, "action": self.action}
            context.emit(GuardrailFound, **told, call_id=call, seconds=seconds)


class _Stream(TextStream):
    """One text of a streamed completion before a guardrail."""

    def __init__(self, guard: Guardrail, where: Where, context: HookContext) -> None:
        self._guard = guard
        self._where = where
        self._passes = guard.action == "warn"
        # The whole is judged after its end, too, and told of then; of what is refused there is no whole.
        silent = where == "output" and guard.action != "block"
        self._idle = silent and self._passes
        self._context = context
        self._began = 0.0
        self._judge = TextJudge(guard.checks) if silent else TextJudge(guard.checks, self._found)

    async def take(self, piece: str, *, last: bool = False) -> str:
        if self._idle:
            return piece
        task = asyncio.current_task()
        self._began = time.monotonic()
        try:
            shown = await self._judge.take(piece, last=last)
        except BaseException as error:
            if is_ours(error, task):
                raise
            failed = self._guard.failed(self._where, error)
            if not self._passes:
                raise failed from error
            logger.warning("%s", failed)
            self._idle = True
            return piece
        return piece if self._passes else shown

    def _found(self, found: Sequence[Finding]) -> None:
        self._guard.found(self._context, self._where, time.monotonic() - self._began, found)


def _nothing(context: HookContext) -> None:
    """A hook whose stream does the work."""


def _is_result(wanted: bool, message: Message) -> bool:
    return (message.role == "tool") is wanted


def _named(where: str) -> str:
    return _IN_WORDS.get(where, where)


def _in_words(found: Iterable[Finding]) -> str:
    counts = counted(one.kind for one in found)
    return ", ".join(kind if count == 1 else f"{kind} ({count} times)" for kind, count in counts.items())
