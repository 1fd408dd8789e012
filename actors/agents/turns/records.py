"""What a conversation's journal keeps besides the inputs of its turns."""

from __future__ import annotations

import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from ....providers.messages import Labels, Message, ToolSpec
from ..answer import Answer
from ..caller import NOBODY, Caller
from ..errors import AgentError
from ..handoffs.handoff import Handoff
from .inner import INNER
from .rules import Limits
from .shape import ShapeChange
from .steps import INPUTS

_NOTHING: Mapping[str, Any] = MappingProxyType({})

_IN_NAMES: Final = string.punctuation.replace("/", "").replace("%", "") + " "

WhenBusy: TypeAlias = Literal["queue", "reject", "interrupt", "rollback"]
"""What becomes of a run whose conversation is at work: see `arrivals`."""


class RunRequest(NamedTuple):
    """A request to an agent.

    Args:
        id: unique; the same run sent twice is worked on once.
        root: the id of the run the caller started; its own id for that one.
        agent: whom it is for.
        conversation: the conversation it continues or begins.
        messages: what is said.
        chain: the agents from the first asked to this one, inclusive.
        tasks: what each of the chain but the first was asked, as ``target: task``.
        caller: who asks.
        metadata: what else the caller passed along.
        limits: what it may use. In a journal always all that counts, the agent's own included.
        stream: whether text is wanted as it comes.
        external: tools that the caller runs.
        handoff: the handoff it comes from.
        once: the conversation ends with this run.
        fleeting: so does the one of the run the caller started, and all that came of it.
        parent: the id of the run it is made for; empty for the one the caller started.
        within: the journal stream of the conversation that asks; empty for the run the caller started.
        keyed: the caller may ask for the same run again by its id.
        output: name and JSON schema of the type that its answer must fit, where the run asks for one of its own.
        when_busy: what is to become of it where its conversation is at work.
        asked_at: when it was asked for, seconds since 1970.
        background: it goes on although nobody waits for it.
        labels: of what the run it comes from was told: it is made of that.
        trace: the span that it is a part of, as W3C's ``traceparent``; empty where nobody has said.
    """

    id: str
    root: str
    agent: str
    conversation: str
    messages: tuple[Message, ...]
    chain: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    caller: Caller = NOBODY
    metadata: Mapping[str, Any] = _NOTHING
    limits: Limits | None = None
    stream: bool = False
    external: tuple[ToolSpec, ...] = ()
    handoff: Handoff | None = None
    once: bool = False
    fleeting: bool = False
    parent: str = ""
    within: str = ""
    keyed: bool = False
    output: tuple[str, str] | None = None
    when_busy: WhenBusy = "queue"
    asked_at: float = 0.0
    background: bool = False
    labels: Labels | None = None
    trace: str = ""

    def __repr__(self) -> str:
        """Which run it is, never what is said in it: errors and logs show messages."""
        return f"RunRequest({self.id!r}, agent={self.agent!r}, conversation={self.conversation!r})"

    @property
    def stream_name(self) -> str:
        """The journal stream of the conversation."""
        return f"{self.agent}/{self.conversation}"

    @property
    def takes_over(self) -> bool:
        """Whether it is made by another agent because the conversation is theirs now."""
        return bool(self.parent and self.within) and not self.once

    def id_for(self, step: int, call: str) -> str:
        """The id of a run that is made for a call of this one. It follows from the journal: a restarted conversation
        finds the run that it had sent.

        Args:
            step: in which the call is made, counted from 1.
            call: its id. Vendors write what they like there; what no actor can be called is escaped.
        """
        return f"{self.id}.{step}.{quote(call, _IN_NAMES, errors='surrogatepass')}"

    def nested(
        self,
        id: str,
        agent: str,
        messages: tuple[Message, ...],
        *,
        chain: tuple[str, ...],
        handoff: Handoff,
        limits: Limits | None,
        asked_at: float,
        labels: Labels,
        trace: str,
    ) -> RunRequest:
        """The request of a task that this run hands to another agent, in a conversation that ends with it.

        Args:
            id: the task's, and its conversation's.
            agent, messages, chain, handoff, limits, asked_at: the task's.
            labels: of what it is made of.
            trace: the span that it is a part of.
        """
        return self._replace(
            id=id,
            agent=agent,
            conversation=id,
            messages=messages,
            chain=chain,
            limits=limits,
            external=(),
            handoff=handoff,
            once=True,
            parent=self.id,
            within=self.stream_name,
            keyed=False,
            output=None,
            when_busy="queue",
            asked_at=asked_at,
            background=False,
            labels=labels or None,
            trace=trace,
        )


class Accepted(NamedTuple):
    """The run will be worked on, in the order accepted."""

    run: RunRequest


class ToolsStarted(NamedTuple):
    """From here on these calls may have had effects."""

    call_ids: tuple[str, ...]


class ApprovalAsked(NamedTuple):
    """A person was asked whether a call may run.

    Args:
        call_id: the call.
        approval: the id by which it is decided; nobody can guess it.
        expires_at: seconds since 1970 from when on nobody can approve it any more; None for never.
        approvers: the scopes of those who may decide it; empty for whoever asked for the run, and the scope
            ``approvals``.
        owner: the agent's, where ``owner`` is among them.
        why: for which reason, where a hook or a guardrail wants it.
        schema: of the tool's arguments, as JSON, for whoever decides and has not the tool; empty where there is none.
        asked_at: when, in seconds since 1970; 0 in journals that are older than this.
    """

    call_id: str
    approval: str
    expires_at: float | None = None
    approvers: frozenset[str] = frozenset()
    owner: Caller | None = None
    why: str = ""
    schema: str = ""
    asked_at: float = 0.0


class CredentialGiven(NamedTuple):
    """A tool was given a secret. After a restart it is asked for again, to be known where it turns up.

    Args:
        name: the credential's; never what it is.
        caller: whose, without scopes.
    """

    name: str
    caller: Caller


class Resumed(NamedTuple):
    """The run was taken up by another incarnation, or another process.

    Args:
        used: seconds of the run's time that had been used by then.
    """

    used: float = 0.0


class Rewound(NamedTuple):
    """The conversation goes on from an earlier point.

    Args:
        messages: how many messages of its history it keeps.
    """

    messages: int


class Ended(NamedTuple):
    """The run has its outcome.

    Args:
        run: its id.
        answer: the answer, where it does not follow from the turn: a hook changed it, or another agent gave it.
        error: why it failed, or None.
        owner: agent and conversation that took the conversation over, if one did.
        seconds: how long it took.
        agent: who answered, where the conversation was handed over; otherwise empty.
        value: the answer as the requested type, as plain data.
    """

    run: str
    answer: Answer | None = None
    error: AgentError | None = None
    owner: tuple[str, str] | None = None
    seconds: float = 0.0
    agent: str = ""
    value: Any = None


class PromptChanged(NamedTuple):
    """What a prompt function remembers has changed.

    Args:
        state: the new values that it keeps, by key, as plain data.
        effects: for effects that ran, what they depended on, as JSON; None for one that is forgotten.
        initial: of values that were given in the same step, those that its effects have changed since.
    """

    state: Mapping[str, Any] = _NOTHING
    effects: Mapping[str, str | None] = _NOTHING
    initial: Mapping[str, Any] = _NOTHING

    def __repr__(self) -> str:
        """What has changed, never to what: errors and logs show records."""
        return f"PromptChanged(state={sorted(self.state)}, {len(self.effects)} effects)"


class NotSteered(NamedTuple):
    """What somebody wanted to say to the run under way was not taken.

    Args:
        id: the message's.
        owner: agent and conversation that it belongs to, where the conversation is theirs now; None where no run was
            under way.
    """

    id: str
    owner: tuple[str, str] | None = None


class Snapshot(NamedTuple):
    """Stands for all events before it: a conversation between two runs.

    Args:
        history: its messages.
        owner: agent and conversation that it was transferred to.
        last: how the last run ended.
        steps: for each completion in the history where its messages, the results of its calls included, begin and end.
        caller: who began it.
        prompt: what its prompt function remembers: each change, with how many messages there were then.
        shapes: what of the history its model was shown: likewise.
    """

    history: tuple[Message, ...]
    owner: tuple[str, str] | None = None
    last: Ended | None = None
    steps: tuple[tuple[int, int], ...] = ()
    caller: Caller = NOBODY
    prompt: tuple[tuple[int, PromptChanged], ...] = ()
    shapes: tuple[ShapeChange, ...] = ()


# What is said to a conversation, also from another process: it lies in the journal until its owner takes it.


class Cancel(NamedTuple):
    """End a run that is waiting or under way.

    Args:
        conversation: the conversation's id.
        run: the run's.
        reason: told to whoever waits for it.
        rollback: take its messages out of the history.
        given_up: nobody asked for that, but whoever waited has given up: the run ends unless others wait for it, or
            it is in the background, which only whoever works on it can tell.
    """

    conversation: str
    run: str
    reason: str = "cancelled by the caller"
    rollback: bool = False
    given_up: bool = False


class Decision(NamedTuple):
    """What a person says to a call that waits for approval.

    Args:
        conversation: the conversation's id.
        approval: the approval's.
        approved: whether the call may run.
        arguments: JSON text in place of what the model wrote.
        reason: told to the model.
        limits: what the run is given, where it waits for more.
    """

    conversation: str
    approval: str
    approved: bool
    arguments: str | None = None
    reason: str = ""
    limits: Limits | None = None

    def __repr__(self) -> str:
        """Which call, never with what: errors and logs show messages."""
        return f"Decision({self.conversation!r}, {self.approval!r}, approved={self.approved})"


class Steer(NamedTuple):
    """Say something to the run under way, at its next safe boundary.

    Args:
        conversation: the conversation's id.
        messages: what is said.
        id: unique; the record of what became of it has it, too.
    """

    conversation: str
    messages: tuple[Message, ...]
    id: str = ""


class GiveUp(NamedTuple):
    """Another process has work for the conversation: let go of it as soon as nothing is under way."""


RECORDS = (
    *(Accepted, ApprovalAsked, CredentialGiven, Ended, NotSteered),
    *(PromptChanged, Resumed, Rewound, Snapshot, ToolsStarted),
    *INNER,
)
POSTS = (Cancel, Decision, GiveUp, Steer)
EVENTS: tuple[type[Any], ...] = (*RECORDS, *INPUTS, *POSTS)
"""All that a conversation's journal keeps."""
