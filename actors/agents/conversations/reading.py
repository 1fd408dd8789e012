"""Reading conversations out of a journal, whoever works on them: nothing is owned, nothing is written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final, NamedTuple

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

AT_ONCE: Final = 300
"""Events that are gone through at once: 30 µs each."""

MOST_READ: Final = 5_000
"""Events that are read at once: 2 µs each in memory."""

METADATA: Final = "metadata"
"""The label that has a conversation's metadata, as JSON."""


class Lineage:
    """A conversation through all the agents that have had it: the stream of the first, then of those it was
    transferred to.

    Attributes:
        header: of the first stream.
        streams: in the order in which they had it; the last one has it now.
        records: of each of them; none where only what they come to was asked for.
    """

    __slots__ = ("header", "records", "streams")

    def __init__(self, header: Header | None, streams: list[StreamHistory], records: list[Sequence[Record]]) -> None:
        self.header = header
        self.streams = streams
        self.records = records

    @property
    def version(self) -> int:
        """How many events there are."""
        return sum(stream.version for stream in self.streams)

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
    records = await _all(journal, f"{agent}/{conversation}")
    if not records:
        raise UnknownConversation(f"{agent:.80} has no conversation {conversation!r:.200}")
    header = await header_of(journal, f"{agent}/{conversation}")
    return await _lineage(header, agent, conversation, {f"{agent}/{conversation}": records}, journal)


class Events(NamedTuple):
    """Some of a conversation's events.

    Args:
        records: they, in the order in which they were recorded.
        version: how many there are in all.
    """

    records: Sequence[Record]
    version: int


async def read_past(journal: Journal, agent: str, conversation: str, version: int) -> Lineage:
    """A conversation as it was after so many of its events; see `read_events`.

    Raises:
        UnknownConversation: there is none.
        DefinitionError: it has not so many events, or 0 is asked for.
        EventNotReadable: it is damaged.
    """
    name = f"{agent}/{conversation}"
    events = (await read_events(journal, agent, conversation, limit=version)).records
    if not 0 < version == len(events):
        raise DefinitionError(f"conversation {conversation!r:.100} of {agent:.80} has no version {version}")
    streams: dict[str, list[Record]] = {}
    for record in events:
        streams.setdefault(record.stream, []).append(record)
    return await _lineage(await header_of(journal, name), agent, conversation, dict(streams), None)


async def read_events(
    journal: Journal, agent: str, conversation: str, *, after: int = 0, limit: int | None = None
) -> Events:
    """The events of a conversation, and of those it was transferred to, in the order in which they were recorded.

    Args:
        journal: where it is kept.
        agent, conversation: which.
        after: how many of them are left out at the beginning.
        limit: how many are returned at most; None for all.

    Raises:
        UnknownConversation: there is none.
        EventNotReadable: it is damaged.
    """
    name = f"{agent}/{conversation}"
    header = await header_of(journal, name)
    if header is None or not header.version:
        raise UnknownConversation(f"{agent:.80} has no conversation {conversation!r:.200}")
    if not await at_hand(journal.headers(labels={"parent": name}, limit=1)):  # it was transferred to nobody
        records = await _all(journal, name, after, limit)
        return Events(records, max(header.version, records[-1].version if records else 0))
    lineage = await read_lineage(journal, agent, conversation)
    every = sorted((record for records in lineage.records for record in records), key=attrgetter("position"))
    return Events(every[after : None if limit is None else after + limit], len(every))


async def _all(journal: Journal, name: str, after: int = 0, limit: int | None = None) -> Sequence[Record]:
    """The events of a stream; of many, others have their turn meanwhile."""
    found: list[Record] = []
    while limit is None or len(found) < limit:
        most = MOST_READ if limit is None else min(MOST_READ, limit - len(found))
        page = await at_hand(journal.read(name, after=after + len(found), limit=most))
        found += page
        if len(page) < most:
            break
        await asyncio.sleep(0)
    return found


async def _lineage(
    header: Header | None, agent: str, conversation: str, known: dict[str, Sequence[Record]], journal: Journal | None
) -> Lineage:
    """A conversation, and those it was transferred to.

    Args:
        known: what was read of their streams.
        journal: where the rest is; None where there is no more.
    """
    streams: list[StreamHistory] = []
    kept: list[Sequence[Record]] = []
    owner: tuple[str, str] | None = (agent, conversation)
    while owner is not None and not any((one.state.agent, one.state.conversation) == owner for one in streams):
        name = "/".join(owner)
        records = known.get(name, ())
        if name not in known and journal is not None:
            records = await _all(journal, name)
        if not records:
            break
        streams.append(StreamHistory(*owner, ()))
        await taken_in(streams[-1], records)
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


async def taken_in(history: StreamHistory, records: Sequence[Record]) -> None:
    """Have a history take in its next events; of many, others have their turn meanwhile.

    Raises:
        EventNotReadable: one is missing, or they do not fit together.
    """
    name = f"{history.state.agent}/{history.state.conversation}"
    version = history.version
    for record in records:
        version += 1
        if record.version != version:
            raise EventNotReadable(f"event {version} of {name} is missing", name)
    for first in range(0, len(records), AT_ONCE):
        try:
            for record in records[first : first + AT_ONCE]:
                history.apply(record)
        except Exception as error:
            raise unfit(name, error) from error
        await asyncio.sleep(0)


def _caller(first: StreamHistory, header: Header | None) -> Caller:
    for run in first.runs.values():
        return run.request.caller
    if header is None or not {"user", "tenant"} & header.labels.keys():
        return NOBODY
    return Caller(header.labels.get("user", ""), header.labels.get("tenant", ""))
