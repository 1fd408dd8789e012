"""What a kept conversation looks like to those who read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from ....providers.messages import Message, Request, Usage
from ..answer import NO_USAGE, Step
from ..caller import NOBODY, Caller
from ..errors import AgentError
from ..runs.handle import Status as HandleStatus

Status: TypeAlias = Literal["idle", "running", "waiting"]
RunStatus: TypeAlias = Literal["queued", "running", "waiting", "answered", "failed"]
DifferenceKind: TypeAlias = Literal[
    "agent", "input", "request", "completion", "call", "handoff", "limits", "answer", "record"
]


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """What is known of a conversation without reading it.

    Args:
        agent: whose it is.
        id: the conversation's id.
        user, tenant: of the caller who began it.
        unfinished: whether a run is waiting or under way.
        version: number of events kept.
        created_at, updated_at: seconds since 1970 by the store's wall clock.
        damaged: why it cannot be read, or empty.
    """

    agent: str
    id: str
    user: str = ""
    tenant: str = ""
    unfinished: bool = False
    version: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0
    damaged: str = ""

    @property
    def name(self) -> str:
        """The journal stream, by which lists are ordered and paged."""
        return f"{self.agent}/{self.id}"


@dataclass(frozen=True, slots=True)
class ConversationRun:
    """A question and its answer.

    Args:
        id: the run's.
        status: ``waiting``: for a person's approval.
        question: the text of the last message that the caller said.
        answer: the text of the answer, also of what there is of a run that failed.
        error: why it failed, or None.
        caller: who asked.
        agent: who answered; empty where nobody has yet.
        usage, cost, steps, seconds: of the run, with those it handed work to.
        at: when it was accepted, in seconds since 1970 by the store's wall clock.
        rewound: whether the conversation was rewound to before its end: the history has not all of it any more.
        metadata: what the run was asked with, see `Agency.run`.
    """

    id: str
    status: RunStatus
    question: str
    answer: str = ""
    error: AgentError | None = None
    caller: Caller = NOBODY
    agent: str = ""
    usage: Usage = NO_USAGE
    cost: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    at: float = 0.0
    rewound: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a list.

    Args:
        id, agent, conversation: as its `RunHandle` has them.
        status: as `RunHandle.status` says.
        user, tenant: of the caller who began the conversation.
        at: when it was accepted, in seconds since 1970 by the store's wall clock.
        steps, usage, cost: of the run, with those it handed work to; of one under way what is known so far.
        worker: the process that has its conversation, where the run has not ended: the `worker` of its journal, in a
            cluster the name of the node. Empty where nobody alive has it.
    """

    id: str
    agent: str
    conversation: str
    status: HandleStatus
    user: str = ""
    tenant: str = ""
    at: float = 0.0
    steps: int = 0
    usage: Usage = NO_USAGE
    cost: float = 0.0
    worker: str = ""


class RunPage(NamedTuple):
    """Some of the runs that there are.

    Args:
        runs: conversation by conversation, by name, and in each of them in the order in which they were accepted.
        next: what `Agency.runs` is to be given as ``after`` for those that follow; None where there are none.
    """

    runs: tuple[RunSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ConversationView:
    """A conversation as its journal has it at one moment. Looking at it changes nothing and owns nothing.

    Where the conversation was transferred, the messages are those of the agent that has it now, and the steps those of
    all that have had it, as far as they are kept.

    Args:
        agent: whose it is.
        id: the conversation's id.
        caller: who began it.
        status: ``waiting``: for a person's approval, here or in a conversation that it handed work to.
        messages: its history, valid for every vendor: a call without a result is marked as not run.
        steps: the completions that are in the history.
        runs: every run that was accepted, in that order.
        children: conversations of other agents that belong to it and are kept: those it has handed work to and waits
            for, and those it was transferred to.
        owner: agent and conversation that it was transferred to, or None.
        usage, cost: of all runs, with those they handed work to; of a run under way what is known so far.
        version: number of events kept.
        created_at, updated_at: seconds since 1970 by the store's wall clock.
        began_with: the messages of its history that belong to no run and no step: what `Agency.begin` was given.
        metadata: what `Agency.begin` was given besides.
    """

    agent: str
    id: str
    caller: Caller
    status: Status
    messages: tuple[Message, ...]
    steps: tuple[Step, ...]
    runs: tuple[ConversationRun, ...]
    children: tuple[ConversationSummary, ...]
    owner: tuple[str, str] | None
    usage: Usage
    cost: float
    version: int
    created_at: float
    updated_at: float
    began_with: tuple[Message, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplayedRequest:
    """What today's code would ask the model.

    Args:
        run: the run's id.
        step: the number of the step whose recorded completion stands for the answer.
        agent: who would ask.
        request: what would be asked, after the hooks.
    """

    run: str
    step: int
    agent: str
    request: Request


@dataclass(frozen=True, slots=True)
class ReplayDifference:
    """Where today's code would go another way than the record.

    Args:
        run: the run's id.
        step: the number of the step that it concerns.
        agent: who would be at work.
        kind: what is different: the ``agent`` is not there; the ``input`` after the connection hooks; the ``request``,
            which is refused or cannot be made; the ``completion``, as hooks or the output type see it; a ``call`` or
            ``handoff``, which is treated otherwise; the ``limits``, which end the run; the ``answer`` after the
            finalize hooks; the ``record``, which contradicts itself.
        text: in words.
    """

    run: str
    step: int
    agent: str
    kind: DifferenceKind
    text: str

    def __str__(self) -> str:
        return f"step {self.step} of run {self.run} ({self.agent}), {self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What came of going through a conversation again.

    Args:
        agent, conversation: whose.
        runs: the ids of the runs that were gone through.
        steps: how many recorded completions stood for the model's answers.
        requests: what the model would have been asked. A journal does not keep what it was asked then, so these are
            not compared with anything: keep them from one version to the next to see what has changed.
        differences: in the recorded order.
    """

    agent: str
    conversation: str
    runs: tuple[str, ...]
    steps: int
    requests: tuple[ReplayedRequest, ...]
    differences: tuple[ReplayDifference, ...]

    @property
    def same(self) -> bool:
        """Whether today's code would go the recorded way."""
        return not self.differences
