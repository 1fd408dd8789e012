"""Saying something to the run under way in a conversation, in whichever process it is worked on.

The message is left in the journal for the conversation's owner, who records it in the same append that takes it away:
it is heard once, or not at all. Whoever said it waits for that record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

from .....providers.messages import Message
from ....core.base.send_context import SendContext, active
from ....core.mail.future import Future
from ....journal.store import Record, at_hand
from ...context import KEY, MODEL, RequestContext
from ...errors import AgencyClosed, ConversationIdle, DefinitionError, UnknownConversation, named
from ...events import HookFailed, RunEvent
from ...hooks import Hook, HookContext, run_hooks
from ...turns.questions import as_messages
from ...turns.records import NotSteered, Steer
from ...turns.state import ConversationState
from ...turns.steps import Steered
from ..reading.folding import read
from ..runtime.posts import Verdict
from ..runtime.runtime import AgencyRuntime

HOPS: Final = 100
"""Times that a message follows a conversation that is being transferred meanwhile."""

ROLES: Final = frozenset({"user", "system"})

LOOK: Final = 1.0
"""Seconds after which the owner is told again: its actor may have ended as the message came."""


async def steer(runtime: AgencyRuntime, agent: str, conversation: str, said: object) -> None:
    """Say something to the run under way. Returns once it is recorded.

    Raises:
        ConversationIdle: no run is under way.
        GuardrailTripped: a guardrail refused it; nothing of it is kept.
        UnknownConversation: nothing is known of the conversation.
        DefinitionError: the message is of the wrong shape.
        AgencyClosed: the agency is not running.
        JournalError: the conversation cannot be read.
    """
    messages = _of_people(as_messages(said))
    for _ in range(HOPS):
        moved = await _say(runtime, agent, conversation, messages)
        if moved is None:
            return
        agent, conversation = moved
    raise ConversationIdle(f"the conversation went from agent to agent {HOPS} times before it could be told anything")


def _of_people(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    if not all(message.role in ROLES for message in messages):
        raise DefinitionError("what is said to a run is of the role user or system")
    return messages


async def _say(
    runtime: AgencyRuntime, agent: str, conversation: str, messages: tuple[Message, ...]
) -> tuple[str, str] | None:
    """Say it to the owner of one conversation; returns who has it now, if others do."""
    runtime.following.check()
    stream = f"{agent}/{conversation}"
    kept = runtime.unkept.get(stream) is None
    state, version = await _look(runtime, agent, conversation)
    if state.owner is not None:
        return state.owner
    if not state.queue and not runtime.register.open(agent, conversation):
        if kept and not version:
            raise UnknownConversation(f"nothing is known of a conversation {conversation!r:.100} of {agent}")
        raise _idle(agent, conversation)
    messages = await _looked_at(runtime, agent, conversation, state, messages)
    message = Steer(conversation, messages, runtime.new_id())
    asked = runtime.posts.expect(message.id)
    following = runtime.following.follow(runtime.journal, stream, after=version) if version else None
    reading = asyncio.ensure_future(_recorded(following, message.id)) if following is not None else None
    try:
        await at_hand(runtime.journal.post(stream, message))
        verdict = await _verdict(runtime, asked, reading, agent, conversation)
    finally:
        runtime.posts.expect_no_more(message.id)
        if reading is not None:
            reading.cancel()
            with suppress(BaseException):
                await reading
    if verdict is None:
        return None
    if verdict.owner is None:
        _check_open(runtime)
        raise _idle(agent, conversation)
    return verdict.owner


async def _looked_at(
    runtime: AgencyRuntime, agent: str, conversation: str, state: ConversationState, messages: tuple[Message, ...]
) -> tuple[Message, ...]:
    """What is said, as the agent's hooks leave it: before anybody keeps it.

    Raises:
        GuardrailTripped: a guardrail refused it.
        DefinitionError: what a hook left is no user's or system message.
    """
    run = next(iter(state.queue), None) or next(entry.run for entry in runtime.register.open(agent, conversation))
    if agent not in runtime.directory.agents:
        return messages  # of another process, whose hooks are not known here
    hooks = runtime.directory.prepared(agent).offered_to(run.caller).hooks.get("steering")
    if hooks is None:
        return messages

    def emit(event: type[RunEvent], **fields: Any) -> None:
        runtime.happened(event(run.root, run.id, agent, conversation, run.chain, runtime.time(), **fields), **fields)

    def report(failed: Hook, error: BaseException) -> None:
        emit(HookFailed, hook=failed.name, error=named(error))

    asked = RequestContext(run.root, run.id, agent, conversation, run.chain, run.caller, run.metadata, [])
    token = active.set(SendContext(None, {KEY: asked, MODEL: runtime.model}))
    try:
        left = await run_hooks(hooks, HookContext("steering", asked, {}, messages=messages, emit=emit), report)
    finally:
        active.reset(token)
    return _of_people(left.messages)


async def _verdict(
    runtime: AgencyRuntime,
    asked: Future[Verdict],
    reading: asyncio.Future[Verdict] | None,
    agent: str,
    conversation: str,
) -> Verdict:
    """What has become of the message: from this process, or from the journal."""
    told = asyncio.Event()
    asked.when_done(lambda _: told.set())
    if reading is not None:
        reading.add_done_callback(lambda _: told.set())
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await told.wait()
        if asked.done():
            return asked.result()
        if reading is not None and reading.done():
            return reading.result()
        runtime.following.check()
        runtime.tell_of_posts()
        if reading is None and not runtime.register.open(agent, conversation):
            _check_open(runtime)
            raise _idle(agent, conversation)


async def _recorded(records: AsyncGenerator[Record], message: str) -> Verdict:
    """What the journal says has become of a message."""
    try:
        async for record in records:
            event = record.event
            if isinstance(event, Steered) and event.id == message:
                return None
            if isinstance(event, NotSteered) and event.id == message:
                return event
    finally:
        await records.aclose()
    return NotSteered(message)  # the conversation was released, or ended with its run


async def _look(runtime: AgencyRuntime, agent: str, conversation: str) -> tuple[ConversationState, int]:
    """The conversation's state, and the version of its stream."""
    unkept = runtime.unkept.get(f"{agent}/{conversation}")
    if unkept is not None:
        return unkept, 0
    state, records = await read(runtime.journal, f"{agent}/{conversation}")
    return state, records[-1].version if records else 0


def _check_open(runtime: AgencyRuntime) -> None:
    if runtime.register.closed:
        raise AgencyClosed("the agency stops; what was said may still be heard, by whoever goes on with the run")


def _idle(agent: str, conversation: str) -> ConversationIdle:
    return ConversationIdle(f"no run is under way in conversation {conversation!r:.100} of {agent}")
