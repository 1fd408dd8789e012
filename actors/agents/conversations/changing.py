"""Forking, rewinding and erasing conversations."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Final

from ....providers.messages import Message
from ...core.base.errors import CoreError
from ...journal.errors import EventNotReadable, JournalError, StreamOwned
from ...journal.store import Header, Journal, at_hand
from ..caller import Caller
from ..errors import ConversationBusy, DefinitionError
from ..runs.reading.folding import header_of
from ..runs.runtime.messages import Release, Rewind
from ..runs.runtime.runtime import AgencyRuntime
from ..turns.history import repaired
from ..turns.loop.turn import reopened
from ..turns.records import Cancel, GiveUp, Snapshot
from .reading import METADATA, Lineage, read_lineage

PATIENCE: Final = 10.0
"""Seconds for which another process is given the time to let go of a conversation."""

PASSES: Final = 3
"""Times that a user's conversations are looked for: one may begin while others are being deleted."""

FIRST_LOOK: Final = 0.02
LAST_LOOK: Final = 0.5
"""Seconds between two looks at what another process has; each wait is twice the one before."""


async def begin(
    runtime: AgencyRuntime,
    agent: str,
    conversation: str,
    messages: tuple[Message, ...],
    caller: Caller,
    metadata: dict[str, str],
    over: int,
) -> str:
    """Begin a conversation with what was said before; see `Agency.begin`."""
    labels = {"agent": agent, "conversation": conversation, "user": caller.user, "tenant": caller.tenant}
    labels = {name: label for name, label in labels.items() if label}
    if metadata or over:
        labels[METADATA] = json.dumps(metadata)
    turn = reopened(messages)
    waiting = () if turn.message is None else (turn.message, *(result for result in turn.results if result is not None))
    snapshot = Snapshot((*repaired(turn.history), *waiting), caller=Caller(caller.user, caller.tenant))
    await _begin(runtime.journal, f"{agent}/{conversation}", snapshot, labels, over)
    return conversation


async def fork(runtime: AgencyRuntime, agent: str, conversation: str, at: int | None, to: str) -> str:
    """Begin a conversation with the history that another one had after a step; see `Agency.fork`."""
    journal = runtime.journal
    lineage = await read_lineage(journal, agent, conversation)
    place, messages = lineage.find(at)
    first, forked = lineage.streams[0], lineage.streams[place]
    labels = _labels(lineage, agent, to)
    if place == 0:
        await _begin(journal, f"{agent}/{to}", first.snapshot(messages), labels)
        return to
    owner = (forked.state.agent, runtime.new_id())
    owned = {**labels, "agent": owner[0], "conversation": owner[1], "parent": f"{agent}/{to}"}
    await _begin(journal, "/".join(owner), forked.snapshot(messages), owned)
    try:
        await _begin(journal, f"{agent}/{to}", first.snapshot(len(first.messages), owner), labels)
    except DefinitionError:
        await at_hand(journal.delete("/".join(owner)))
        raise
    return to


async def _begin(journal: Journal, name: str, snapshot: Snapshot, labels: dict[str, str], over: int = 0) -> None:
    """Write the first event of a stream that must not be there yet, or have so many events."""
    agent, _, conversation = name.partition("/")
    taken: Exception = DefinitionError(
        f"{agent} has a conversation {conversation!r:.200} already; give the new one another id"
    )
    if over:
        taken = ConversationBusy(f"conversation {conversation!r:.200} of {agent} is not what it was: look at it again")
    header = await header_of(journal, name)
    if (0 if header is None else header.version) != over:
        raise taken
    try:
        stream = await at_hand(journal.open(name))
    except StreamOwned:
        raise taken from None
    try:
        if stream.version != over:
            raise taken
        await at_hand(stream.append((snapshot,), unfinished=False, labels=labels))
    finally:
        await at_hand(stream.release())


def _labels(lineage: Lineage, agent: str, conversation: str) -> dict[str, str]:
    labels = {"agent": agent, "conversation": conversation}
    kept = lineage.header.labels if lineage.header is not None else {}
    labels.update({name: kept[name] for name in ("user", "tenant") if name in kept})
    return labels


async def rewind(runtime: AgencyRuntime, agent: str, conversation: str, to: int) -> None:
    """Have a conversation go on from an earlier step; see `Agency.rewind`."""
    loop = asyncio.get_running_loop()
    until, wait = loop.time() + PATIENCE, FIRST_LOOK
    misfit: tuple[int | None, int] | None = None
    while True:
        lineage = await read_lineage(runtime.journal, agent, conversation)
        place, messages = lineage.find(to)
        stream = lineage.streams[place]
        if place < len(lineage.streams) - 1:
            raise DefinitionError(
                f"conversation {conversation!r:.100} of {agent} was transferred to {lineage.streams[-1].state.agent} "
                f"after step {to}, which has it now; fork it at that step instead"
            )
        state = stream.state
        name = f"{state.agent}/{state.conversation}"
        header = await header_of(runtime.journal, name)
        if header is None or header.version != stream.version:
            found = (None if header is None else header.version, stream.version)
            if found == misfit:  # not because somebody has written meanwhile
                says = "there is no header" if header is None else f"the header says version {header.version}"
                text = f"{name} has {stream.version} events, and {says}; repair its journal"
                raise EventNotReadable(text, name)
            misfit = found
            continue
        if any(one.state.queue for one in lineage.streams):
            raise _busy(agent, conversation, "a run is under way; wait for it, or cancel it")
        if messages >= len(stream.messages):
            return
        message = Rewind(state.conversation, messages, stream.version)
        try:
            answer = await runtime.agents[state.agent].ask(message)
        except CoreError:  # it let go of itself this moment, or another process has it
            answer = "elsewhere"
        if answer == "done":
            return
        if answer == "busy":
            raise _busy(agent, conversation, "a run is under way; wait for it, or cancel it")
        if loop.time() >= until:
            raise _busy(agent, conversation, "another process works on it, and did not let go of it")
        if header.owner not in ("", runtime.journal.worker):
            await at_hand(runtime.journal.post(name, GiveUp()))  # whoever has it idle lets go of it
        await asyncio.sleep(wait)
        wait = min(LAST_LOOK, 2 * wait)


def _busy(agent: str, conversation: str, why: str) -> ConversationBusy:
    return ConversationBusy(f"conversation {conversation!r:.100} of {agent} cannot be rewound: {why}")


async def erase(runtime: AgencyRuntime, user: str, tenant: str | None) -> int:
    """Delete all conversations of a user; see `Agency.erase`."""
    journal, register = runtime.journal, runtime.register
    labels = {"user": user} if tenant is None else {"user": user, "tenant": tenant}
    for entry in register.open():
        caller = entry.run.caller
        if not entry.run.parent and caller.user == user and tenant in (None, caller.tenant):
            register.cancel(entry.run.id, "the data of its user is erased")
    erased: set[str] = set()
    for _ in range(PASSES):
        headers = [one for one in await at_hand(journal.headers(labels=labels)) if one.name not in erased]
        # Those that others belong to come first: they take them along.
        for header in sorted(headers, key=lambda one: "parent" in one.labels):
            erased |= await _erase(runtime, header)
        if not headers:
            break
    return len(erased)


async def _erase(runtime: AgencyRuntime, header: Header) -> set[str]:
    """Delete a conversation and what belongs to it; returns the streams."""
    agent, _, conversation = header.name.partition("/")
    journal = runtime.journal
    if header.owner not in ("", journal.worker):
        await _end_elsewhere(journal, header)
    children = await at_hand(journal.headers(labels={"parent": header.name}))
    if agent in runtime.agents:
        with suppress(Exception):  # whatever keeps it from being read, it is deleted nevertheless
            await runtime.ask_until_answered(Release(conversation), agent)
    names = {header.name, *(child.name for child in children)}
    await at_hand(journal.delete(*names))
    return names


async def _end_elsewhere(journal: Journal, header: Header) -> None:
    """Have another process end what it has under way there, and let go: with the stream gone it would begin anew."""
    agent, _, conversation = header.name.partition("/")
    try:
        lineage = await read_lineage(journal, agent, conversation)
    except (DefinitionError, JournalError):
        return
    for run in lineage.streams[0].state.queue:
        await at_hand(journal.post(header.name, Cancel(conversation, run.id, "the data of its user is erased")))
    await at_hand(journal.post(header.name, GiveUp()))
    loop = asyncio.get_running_loop()
    until, wait = loop.time() + PATIENCE, FIRST_LOOK
    while loop.time() < until:
        await asyncio.sleep(wait)
        wait = min(LAST_LOOK, 2 * wait)
        now = await header_of(journal, header.name)
        if now is None or now.owner in ("", journal.worker):
            return
