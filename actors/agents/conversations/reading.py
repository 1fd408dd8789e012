"""Reading conversations out of a journal, whoever works on them: nothing is owned, nothing is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from ....providers.messages import Usage
from ...journal.errors import EventNotReadable
from ...journal.store import Header, Journal, Record, at_hand
from ..answer import Step
from ..caller import NOBODY, Caller
from ..errors import DefinitionError, UnknownConversation
from ..runs.reading.folding import header_of, is_conversation, read, unfit
from .history import StreamHistory
from .view import ConversationSummary, ConversationView

PAGE: Final = 500
"""Headers that are asked for at once."""

METADATA: Final = "metadata"
"""The label that has a conversation's metadata, as JSON."""


class Lineage:
    """A conversation through all the agents that have had it: the stream of the first, then of those it was
    transferred to.

    Attributes:
        header: of the first stream.
        streams: in the order in which they had it; the last one has it now.
        records: of each of them.
    """

    __slots__ = ("header", "records", "streams")

    def __init__(self, header: Header | None, streams: list[StreamHistory], records: list[Sequence[Record]]) -> None:
        self.header = header
        self.streams = streams
        self.records = records

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return sum(len(stream.steps) for stream in self.streams)

    @property
    def names(self) -> dict[str, str]:
        """Under which id the caller knows each run."""
        names = {id: id for id in self.streams[0].runs}
        for stream in self.streams[1:]:
            for id, run in stream.runs.items():
                names.setdefault(id, names.get(run.request.parent, run.request.root))
        return names

    def find(self, step: int | None) -> tuple[int, int]:
        """The stream that a step is in, by its place, and how many messages of that one's history there are up to and
        including the step.

        Args:
            step: 0 for before the first step; None for all there is.

        Raises:
            DefinitionError: there is no such step.
        """
        if step is None:
            return len(self.streams) - 1, len(self.streams[-1].messages)
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= self.steps:
            first = self.streams[0].state
            raise DefinitionError(
                f"conversation {first.conversation!r:.100} of {first.agent} has no step {step!r:.40}; "
                f"it has {self.steps}, and 0 stands for before the first"
            )
        left = step
        for place, stream in enumerate(self.streams):
            if left <= len(stream.steps):
                return place, stream.up_to(left)
            left -= len(stream.steps)
        raise AssertionError("the steps were counted")


async def read_lineage(journal: Journal, agent: str, conversation: str) -> Lineage:
    """Read a conversation, with those it was transferred to.

    Raises:
        UnknownConversation: there is none.
        EventNotReadable: it is damaged.
    """
    records = await at_hand(journal.read(f"{agent}/{conversation}"))
    if not records:
        raise UnknownConversation(f"{agent:.80} has no conversation {conversation!r:.200}")
    header = await header_of(journal, f"{agent}/{conversation}")
    streams = [_history(agent, conversation, records)]
    kept = [records]
    seen = {(agent, conversation)}
    owner = streams[0].state.owner
    while owner is not None and owner not in seen:
        seen.add(owner)
        records = await at_hand(journal.read("/".join(owner)))
        if not records:
            break
        streams.append(_history(*owner, records))
        kept.append(records)
        owner = streams[-1].state.owner
    return Lineage(header, streams, kept)


async def read_conversation(journal: Journal, agent: str, conversation: str) -> ConversationView:
    """A conversation as it is now.

    Raises:
        UnknownConversation: there is none.
        EventNotReadable: it is damaged.
    """
    lineage = await read_lineage(journal, agent, conversation)
    streams = lineage.streams
    first, last = streams[0], streams[-1]
    names = lineage.names
    steps: list[Step] = []
    for stream in streams:
        steps += stream.shown_steps(len(steps) + 1, names)
    runs = first.shown_runs()
    usage, cost = Usage(), 0.0
    for run in runs:
        usage, cost = usage + run.usage, cost + run.cost
    at_work = [stream for stream in streams if stream.state.queue]
    for stream in streams[1:]:
        if stream.state.queue and stream.state.begun:  # the first one's is among its runs
            usage, cost = usage + stream.state.turn.usage, cost + stream.state.turn.cost
    children = await _children(journal, streams)
    waiting = any(stream.state.approvals for stream in at_work)
    if at_work and not waiting:
        waiting = await _any_waits(journal, children)
    if waiting:
        runs = [replace(run, status="waiting") if run.status == "running" else run for run in runs]
    header = lineage.header
    return ConversationView(
        agent,
        conversation,
        _caller(first, header),
        "idle" if not first.state.queue else "waiting" if waiting else "running",
        last.messages,
        tuple(steps),
        tuple(runs),
        tuple(children),
        first.state.owner,
        usage,
        cost,
        first.version,
        header.created_at if header is not None else 0.0,
        header.updated_at if header is not None else 0.0,
        first.began_with,
        json.loads(header.labels.get(METADATA, "{}")) if header is not None else {},
    )


async def list_conversations(
    journal: Journal,
    *,
    agent: str | None = None,
    user: str | None = None,
    tenant: str | None = None,
    unfinished: bool | None = None,
    after: str = "",
    limit: int = 100,
) -> list[ConversationSummary]:
    """The conversations that fit, by name, without reading them; see `Agency.conversations`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise DefinitionError(f"limit is a whole number not below 0, not {limit!r:.80}")
    labels = {}
    if user is not None:
        labels["user"] = user
    if tenant is not None:
        labels["tenant"] = tenant
    prefix = f"{agent}/" if agent is not None else ""
    found: list[ConversationSummary] = []
    while len(found) < limit:
        headers = await at_hand(
            journal.headers(prefix=prefix, labels=labels, unfinished=unfinished, after=after, limit=PAGE)
        )
        for header in headers:
            if header.version and is_conversation(header) and not {"parent", "ephemeral"} & header.labels.keys():
                found.append(summary(header))
        if len(headers) < PAGE:
            break
        after = headers[-1].name
    return found[:limit]


def summary(header: Header) -> ConversationSummary:
    """What a header says of a conversation."""
    agent, _, conversation = header.name.partition("/")
    return ConversationSummary(
        agent,
        conversation,
        header.labels.get("user", ""),
        header.labels.get("tenant", ""),
        header.unfinished,
        header.version,
        header.created_at,
        header.updated_at,
        header.damaged,
    )


async def _children(journal: Journal, streams: list[StreamHistory]) -> list[ConversationSummary]:
    found: list[ConversationSummary] = []
    for stream in streams[1:]:
        header = await header_of(journal, f"{stream.state.agent}/{stream.state.conversation}")
        if header is not None:
            found.append(summary(header))
    for stream in streams:
        if stream.state.queue and stream.state.begun:  # others are gone, with the step that took their answer
            parent = {"parent": f"{stream.state.agent}/{stream.state.conversation}"}
            known = {child.name for child in found}
            nested = await at_hand(journal.headers(labels=parent))
            found += [summary(header) for header in nested if header.version and header.name not in known]
    return found


async def _any_waits(journal: Journal, children: Sequence[ConversationSummary]) -> bool:
    """Whether one of these, or of those that they have handed work to, waits for a person."""
    for child in children:
        if not child.unfinished:
            continue
        if (await read(journal, child.name)).state.approvals:
            return True
        nested = await at_hand(journal.headers(labels={"parent": child.name}, unfinished=True))
        if await _any_waits(journal, [summary(header) for header in nested]):
            return True
    return False


def _history(agent: str, conversation: str, records: Sequence[Record]) -> StreamHistory:
    for before, record in pairwise(records):
        if record.version != before.version + 1:
            name = f"{agent}/{conversation}"
            raise EventNotReadable(f"event {before.version + 1} of {name} is missing", name)
    try:
        return StreamHistory(agent, conversation, records)
    except Exception as error:
        raise unfit(f"{agent}/{conversation}", error) from error


def _caller(first: StreamHistory, header: Header | None) -> Caller:
    for run in first.runs.values():
        return run.request.caller
    if header is None or not {"user", "tenant"} & header.labels.keys():
        return NOBODY
    return Caller(header.labels.get("user", ""), header.labels.get("tenant", ""))
