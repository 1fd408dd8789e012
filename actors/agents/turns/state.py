"""The state of a conversation, folded from what its journal keeps.

This is the only place that says what an event means for it, live and in replay alike: a live conversation applies each
event as it appends it, a new incarnation applies them all. The fold depends on the events alone and not on the code or
the settings of today: what a run depended on (its limits, the tools its caller runs, what a check said) is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

from ..caller import Caller
from .arrivals import Hearing, hearing, replaced
from .history import History, repaired
from .inner import InnerCalled, InnerCalls, InnerDecided, InnerRecord, InnerReturned
from .loop.machine import advance
from .loop.turn import Turn, closed, reopened
from .outcome import Outcome, brief, outcome_of
from .records import (
    Accepted,
    ApprovalAsked,
    CredentialGiven,
    Ended,
    NotSteered,
    PromptChanged,
    Resumed,
    Rewound,
    RunRequest,
    Snapshot,
    ToolsStarted,
)
from .remembered import NOTHING_REMEMBERED, Remembered
from .rules import NOTHING, Limits, Rules
from .shape import WHOLE, Shape, ShapeChange, kept_before
from .steps import Begin, Commands, Condensed, Decided, Fail, Finish, Input, Interrupted, Raised, Spent, ToolReturned


class ConversationState:
    """What is known of a conversation between two events.

    Attributes:
        turn: of the run under way, or the last one.
        queue: the runs that have no outcome, in the order accepted; the first is under way or next.
        begun: whether the first run's messages are in the turn.
        owner: agent and conversation that it was transferred to.
        caller: who began it, once somebody has.
        started: ids of the calls of the step under way that may have had effects.
        approvals: what a person was asked in the step under way, by call id.
        verdict: the command with which the turn under way ended, from then on until the run's end is recorded.
        used: seconds of the run under way that count against its limit.
        resumed: times the run under way was taken up without getting a step further.
        rollback: whether the messages of the run under way are to be taken out of the history once it has ended.
        newer: for runs that a newer one puts an end to, by id, that one.
        prompt: what its prompt function remembers.
        inner: the calls that calls of the step under way have made.
        shapes: what of the history the model was shown since when, in the order decided.
        size: how large the history is, where somebody has counted; it follows from the rest, and is never recorded.
    """

    __slots__ = (
        "_last",
        "agent",
        "approvals",
        "begun",
        "caller",
        "conversation",
        "credentials",
        "inner",
        "keyed",
        "newer",
        "owner",
        "prompt",
        "queue",
        "resumed",
        "rollback",
        "shapes",
        "size",
        "started",
        "turn",
        "used",
        "verdict",
    )

    def __init__(self, agent: str, conversation: str) -> None:
        self.agent = agent
        self.conversation = conversation
        self.turn = Turn()
        self.queue: list[RunRequest] = []  # an empty deque takes 0.6 kB
        self.begun = False
        self.owner: tuple[str, str] | None = None
        self.caller: Caller | None = None
        self.started: frozenset[str] = NOTHING
        self.approvals: dict[str, ApprovalAsked] | None = None
        self.credentials: tuple[CredentialGiven, ...] = ()
        """What tools were given in the conversation so far."""
        self.prompt: Remembered = NOTHING_REMEMBERED
        self.inner: InnerCalls | None = None
        self.shapes: tuple[ShapeChange, ...] = ()
        self.size: Any = None
        self.used = 0.0
        self.resumed = 0
        self.rollback = False
        self.newer: dict[str, RunRequest] | None = None
        self.keyed: dict[str, Outcome] | None = None
        self.verdict: Finish | Fail | None = None
        self._last: Outcome | tuple[RunRequest, Turn, Ended, Finish | Fail | None] | None = None

    def copy(self) -> ConversationState:
        """One that is as this one is, and goes on by itself."""
        other = copy(self)
        other.queue = list(self.queue)
        other.newer = None if self.newer is None else dict(self.newer)
        other.keyed = None if self.keyed is None else dict(self.keyed)
        other.inner = None if self.inner is None else self.inner.copy()
        return other

    # -- reading -------------------------------------------------------------------------------------------------------

    def knows(self, run_id: str) -> bool:
        """Whether the run was accepted here, as far as that is remembered: the last one, and those with a key."""
        if self.queue and any(run.id == run_id for run in self.queue):
            return True
        return self.outcome_of(run_id) is not None

    def in_background(self, run_id: str) -> bool:
        """Whether the run has not ended, and goes on although nobody waits for it."""
        return any(run.background and run.id == run_id for run in self.queue)

    def outcome_of(self, run_id: str) -> Outcome | None:
        """How a run ended, if it has and is remembered."""
        last = self._last
        if last is not None and (last.run if isinstance(last, Outcome) else last[0].id) == run_id:
            return self.last
        return self.keyed.get(run_id) if self.keyed is not None else None

    def replaced_by(self, run: RunRequest) -> RunRequest | None:
        """The newer run that puts an end to this one, if one does that has not ended itself."""
        newer = self.newer.get(run.id) if self.newer is not None else None
        return newer if newer is not None and any(one.id == newer.id for one in self.queue) else None

    @property
    def shape(self) -> Shape:
        """What of the history the model is shown."""
        return self.shapes[-1][1] if self.shapes else WHOLE

    @property
    def ending(self) -> bool:
        """Whether the run under way has its outcome, and hooks look at it."""
        return self.begun and self.turn.phase == "ended"

    @property
    def hearing(self) -> Hearing:
        """Whether somebody hears what is said to the run under way."""
        return hearing(self.queue, self.begun, self.ending)

    def taken_back(self) -> tuple[Rewound, ...]:
        """What is to be recorded with the end of the run under way, where its messages leave the history."""
        return (Rewound(self.turn.start),) if self.rollback else ()

    @property
    def last(self) -> Outcome | None:
        """How the last run ended."""
        last = self._last
        if last is not None and type(last) is not Outcome:  # made when it is asked for: a replay passes thousands
            self._last = last = outcome_of(*last)
        return last

    # -- changing ------------------------------------------------------------------------------------------------------

    def apply(self, event: Any) -> None:
        """The state after an event.

        Raises:
            TypeError: it cannot happen now: the journal has a gap, or the code around it a bug.
        """
        happened = _APPLIED.get(type(event))
        if happened is not None:
            happened(self, event)
            return
        if not self.queue or self.begun == (type(event) is Begin):
            why = "the run has begun" if self.begun else "no run has begun" if self.queue else "no run is there"
            raise TypeError(f"{type(event).__name__} cannot happen: {why}")
        if type(event) is Begin and event.messages is None:
            event = Begin(self.queue[0].messages)
        turn, commands = advance(self.turn, event, rules_of(self.queue[0]))
        self.begun = True
        self.stepped(turn, commands, event)

    def stepped(self, turn: Turn, commands: Commands, happened: Input) -> None:
        """The state after an input that the caller has put through the machine itself."""
        kind = type(happened)
        if turn.message is None and self.started:
            self.started = NOTHING
        if self.approvals is not None:
            decided = kind is Decided or kind is Raised
            if decided or (turn.message is None and turn.phase != "held"):
                left = {} if turn.message is None else dict(self.approvals)
                left.pop(getattr(happened, "call_id", ""), None)
                self.approvals = left or None
        if self.inner is not None and (turn.message is None or kind is ToolReturned):
            self._inner_over("" if turn.message is None else getattr(happened, "call_id", ""))
        self.turn = turn
        if turn.phase == "ended" and commands:
            last = commands[-1]
            self.verdict = last if type(last) is Finish or type(last) is Fail else None
        if kind is not Spent:  # no step further: a call that spends and kills the process would never end
            self.resumed = 0
        also = _STEPPED.get(kind)
        if also is not None:
            also(self, turn, happened)
        used = getattr(happened, "used", 0.0)
        if used > self.used:
            self.used = used

    def _turn_begun(self, turn: Turn, happened: Begin) -> None:
        if self.prompt.changes:
            self.prompt = self.prompt.begun(turn.start)

    def _turn_condensed(self, turn: Turn, happened: Condensed) -> None:
        if happened.shape != self.shape:
            self.shapes += ((len(turn.history), happened.shape),)

    def _turn_interrupted(self, turn: Turn, happened: Interrupted) -> None:
        self.rollback = self.rollback or happened.rollback

    def _accepted(self, event: Accepted) -> None:
        run = event.run
        if not self.knows(run.id):
            for old in replaced(self.queue, self.ending, run):
                self.newer = {**(self.newer or {}), old.id: run}
            self.queue.append(run)
            if self.caller is None:
                self.caller = run.caller

    def _tools_started(self, event: ToolsStarted) -> None:
        self.started |= frozenset(event.call_ids)

    def _approval_asked(self, event: ApprovalAsked) -> None:
        self.approvals = {**(self.approvals or {}), event.call_id: event}

    def _credential_given(self, event: CredentialGiven) -> None:
        if event not in self.credentials:
            self.credentials += (event,)

    def _prompt_changed(self, event: PromptChanged) -> None:
        self.prompt = self.prompt.plus(len(self.turn.history), event)

    def _inner(self, event: InnerRecord) -> None:
        if not self.begun or self.turn.message is None:
            raise TypeError(f"{type(event).__name__} cannot happen: no call is open")
        if self.inner is None:
            self.inner = InnerCalls()
        self.inner.apply(event)
        if type(event) is InnerDecided and self.approvals is not None:
            self.approvals = {id: asked for id, asked in self.approvals.items() if id != event.call_id} or None
        elif type(event) is InnerReturned:
            self.resumed = 0  # it has got a step further
            self.used = max(self.used, event.used)

    def _inner_over(self, outer: str) -> None:
        """A call has its result, or, without a name, all of the step have."""
        assert self.inner is not None
        gone = self.inner.over(outer)
        if not outer or not len(self.inner):
            self.inner = None
        if self.approvals is not None and gone:
            self.approvals = {id: asked for id, asked in self.approvals.items() if id not in gone} or None

    def _resumed(self, event: Resumed) -> None:
        self.resumed += 1
        self.used = max(self.used, event.used)

    def _rewound(self, event: Rewound) -> None:
        if self.begun:
            raise TypeError("a conversation cannot be rewound while a run is under way")
        self._last = self.last  # how the last run ended stays known, although its messages are gone
        self.turn = Turn("ended", History(repaired(self.turn.history[: event.messages])))
        self.prompt = self.prompt.before(event.messages)
        self.shapes = kept_before(self.shapes, event.messages)

    def _not_steered(self, event: NotSteered) -> None:
        """It concerns whoever said it."""

    def _snapshot(self, event: Snapshot) -> None:
        self.turn = reopened(event.history)
        self.owner = event.owner
        self.caller = event.caller
        if event.prompt:
            self.prompt = Remembered(event.prompt)
        self.shapes = event.shapes
        if event.last is not None:
            run = RunRequest(event.last.run, "", self.agent, self.conversation, (), ())
            self._last = (run, self.turn, event.last, None)

    def _ended(self, event: Ended) -> None:
        queue = self.queue
        verdict: Finish | Fail | None = None
        turn = Turn()
        if queue and queue[0].id == event.run:
            run = queue.pop(0)
            if self.begun:
                if self.turn.phase != "ended":  # ended by others while it had no actor
                    self.turn = closed(self.turn)
                turn = self.turn
            verdict, self.verdict = self.verdict, None
            self.begun = False
            self.started = NOTHING
            self.approvals = None
            self.inner = None
            self.used = 0.0
            self.resumed = 0
            self.rollback = False
        else:
            found = [waiting for waiting in queue if waiting.id == event.run]
            if not found:
                return  # it has ended already: the first end counts
            run = found[0]
            queue.remove(run)
        if self.newer is not None:
            self.newer.pop(run.id, None)
        self.owner = event.owner or self.owner
        self._last = (run, turn, event, verdict)
        if run.keyed:
            outcome = self.last
            assert outcome is not None
            self.keyed = self.keyed if self.keyed is not None else {}
            self.keyed[run.id] = outcome._replace(answer=brief(outcome.answer))

    def ended(self, outcome: Outcome) -> None:
        """Remember a run's outcome as it was made, so that it need not be made again."""
        self._last = outcome


def fold(agent: str, conversation: str, events: Iterable[Any]) -> ConversationState:
    """The state after events, from the first on."""
    state = ConversationState(agent, conversation)
    for event in events:
        state.apply(event)
    return state


def rules_of(run: RunRequest) -> Rules:
    """The rules by which a run's recorded inputs are read: its own, and nothing of today's."""
    external = frozenset(spec.name for spec in run.external)
    limits = run.limits or Limits(None, None, None, None, repeats=None)
    return Rules(limits, external=external)


_APPLIED: dict[type[Any], Callable[[ConversationState, Any], None]] = {
    Accepted: ConversationState._accepted,
    ToolsStarted: ConversationState._tools_started,
    ApprovalAsked: ConversationState._approval_asked,
    CredentialGiven: ConversationState._credential_given,
    PromptChanged: ConversationState._prompt_changed,
    InnerCalled: ConversationState._inner,
    InnerDecided: ConversationState._inner,
    InnerReturned: ConversationState._inner,
    Resumed: ConversationState._resumed,
    Rewound: ConversationState._rewound,
    NotSteered: ConversationState._not_steered,
    Snapshot: ConversationState._snapshot,
    Ended: ConversationState._ended,
}

_STEPPED: dict[type[Any], Callable[[ConversationState, Turn, Any], None]] = {
    Begin: ConversationState._turn_begun,
    Condensed: ConversationState._turn_condensed,
    Interrupted: ConversationState._turn_interrupted,
}
"""What else an input changes than the turn."""
