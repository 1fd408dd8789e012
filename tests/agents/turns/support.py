"""A conversation that is played without actors, and what is compared of two states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from callboard.actors.agents.answer import Answer, HandoffRecord
from callboard.actors.agents.caller import Caller
from callboard.actors.agents.errors import (
    AgentError,
    GuardrailTripped,
    HandoffDepth,
    RunCancelled,
    RunError,
    RunFailed,
    TimeLimit,
)
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.agents.turns.loop.machine import advance, outstanding
from callboard.actors.agents.turns.loop.turn import cut
from callboard.actors.agents.turns.outcome import Outcome, finished, unanswered
from callboard.actors.agents.turns.records import (
    Accepted,
    ApprovalAsked,
    Ended,
    Resumed,
    Rewound,
    RunRequest,
    ToolsStarted,
)
from callboard.actors.agents.turns.rules import Limits, Rules
from callboard.actors.agents.turns.state import ConversationState
from callboard.actors.agents.turns.steps import (
    AskApproval,
    Begin,
    CallTool,
    Complete,
    Completed,
    CompletionFailed,
    Decided,
    Fail,
    Finish,
    HandOff,
    HandoffReturned,
    Input,
    Interrupted,
    Spent,
    Steered,
    ToolReturned,
)
from callboard.providers.messages import Completion, Message, ToolCall, ToolSpec, Usage

T = TypeVar("T")
AGENT, CONVERSATION = "A", "c"
NAMES = ("x", "y", "ask", "transfer", "outside", "risky")
CODEC = RunCodec()
USED = Usage(3, 2)


def request(name: str, *messages: Message, **options: Any) -> RunRequest:
    """A run of the one conversation there is."""
    return RunRequest(name, name, AGENT, CONVERSATION, messages or (Message("user", "go"),), (AGENT,), **options)


def said(text: str, *calls: ToolCall, usage: Usage = USED, cost: float | None = None, **more: Any) -> Completed:
    """A completion that stops, or calls tools."""
    finish: Any = "tool_calls" if calls else "stop"
    return Completed(Completion(Message("assistant", text, calls), finish, usage, cost=cost), **more)


def through_the_codec(event: Any) -> Any:
    """The event, written and read."""
    encoded = CODEC.encode(event)
    return CODEC.decode(encoded.type, encoded.schema, encoded.data)


def described(error: BaseException | None) -> tuple[str, str] | None:
    """An error as something that can be compared."""
    return None if error is None else (type(error).__name__, str(error))


def told(outcome: Outcome | None) -> Any:
    """An outcome as something that can be compared."""
    if outcome is None:
        return None
    partial = outcome.error.partial if outcome.error is not None else outcome.answer
    assert partial is not None
    return outcome.run, outcome.answer, described(outcome.error), replace(partial, messages=(), steps=()), outcome.owner


def compared(state: ConversationState) -> dict[str, Any]:
    """All that is known of a conversation, as something that can be compared."""
    verdict: Any = state.verdict
    return {
        "turn": state.turn,
        "queue": list(state.queue),
        "begun": state.begun,
        "owner": state.owner,
        "started": state.started,
        "approvals": state.approvals,
        "verdict": described(verdict.error) if isinstance(verdict, Fail) else verdict,
        "used": state.used,
        "resumed": state.resumed,
        "last": told(state.last),
        "keyed": {run: told(outcome) for run, outcome in (state.keyed or {}).items()},
    }


# Made once: that takes Hypothesis longer than to draw from them.
PAUSES = st.sampled_from((0.0, 0.5, 2.25))
OWNERS = st.sampled_from((None, ("C", "d")))
REQUESTS = st.sampled_from(("", "a", "\udc80 \0 é"))
LIMITS = st.sampled_from((None, Limits(steps=3), Limits(tokens=12, cost=0.75), Limits(steps=0)))
ANSWERS = st.sampled_from(("", "ok"))
CALLS = st.lists(
    st.builds(ToolCall, st.sampled_from(("", "1", "2", "3")), st.sampled_from(NAMES), st.just("{}")), max_size=3
)
SOME_NAMES, SOME_AGENTS = st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES[:4]))


class Player:
    """Plays a conversation as its actor does, and remembers what it appends to the journal.

    Args:
        data: decides what happens.
        today: how calls are treated as long as the conversation is played.
    """

    def __init__(self, data: st.DataObject, today: Rules) -> None:
        self.data = data
        self.today = today
        self.state = ConversationState(AGENT, CONVERSATION)
        self.events: list[Any] = []
        self.outcomes: dict[str, Outcome] = {}
        self.steered: list[str] = []
        self.clock = 0.0

    # -- what the actor does -------------------------------------------------------------------------------------------

    @property
    def run(self) -> RunRequest | None:
        """The run under way."""
        return self.state.queue[0] if self.state.queue and self.state.begun else None

    @property
    def rules(self) -> Rules:
        """Today's, with what the first run brings."""
        first = self.state.queue[0]
        external = frozenset(spec.name for spec in first.external)
        return replace(self.today, limits=first.limits or Limits(None, None, None, None), external=external)

    def record(self, *events: Any) -> None:
        """Append, and apply, what is no input."""
        for event in events:
            self.events.append(event)
            self.state.apply(event)

    def happened(self, happened: Input, *, hooks: bool = False) -> None:
        """One step; with ``hooks`` the outcome waits for them."""
        state, rules = self.state, self.rules
        if state.turn.phase == "ended" and type(happened) is not Begin:
            return
        run = state.queue[0]
        turn, commands = advance(state.turn, happened, rules)
        last = commands[-1] if commands else None
        more: list[Any] = []
        outcome = None
        if isinstance(last, Finish | Fail):
            if not hooks:
                outcome = self._outcome(turn, last, happened)
                more = [outcome.recorded(run)]
        elif commands and turn.message is not None:
            started = tuple(command.call.id for command in commands if isinstance(command, CallTool))
            more = [ToolsStarted(started)] if started else []
            asked = [command.call.id for command in commands if isinstance(command, AskApproval)]
            more += [ApprovalAsked(call, f"approval-{call}", self.clock + 60) for call in asked]
        if Complete() in commands:
            assert turn.steering == (), "the model is asked, and does not see what was said"
        if type(happened) is Begin:
            state.begun = True
        self.events.append(happened)
        state.stepped(turn, commands, happened)
        self.record(*more)
        if outcome is not None:
            self._settled(outcome)

    def conclude(self, **changed: Any) -> None:
        """The hooks have looked at the outcome, and changed it."""
        run, verdict = self.run, self.state.verdict
        assert run is not None
        assert verdict is not None
        outcome = self._outcome(self.state.turn, verdict)._replace(**changed)
        if outcome.error is not None:
            outcome.error.partial = outcome.answer
        self.end(run, outcome)

    def end(self, run: RunRequest, outcome: Outcome) -> None:
        """The run has an outcome of its own."""
        self.record(outcome.recorded(run))
        self._settled(outcome)

    def _end_by_name(self, run: RunRequest, error: RunError) -> None:
        """The run under way ends without its answer; what a journal tells of it later has the conversation, too."""
        outcome = unanswered(run, error)
        outcome.answer.messages = cut(self.state.turn)
        self.end(run, outcome)

    def _settled(self, outcome: Outcome) -> None:
        self.state.ended(outcome)
        self.outcomes[outcome.run] = outcome

    def _outcome(self, turn: Any, last: Finish | Fail, happened: Input | None = None) -> Outcome:
        owner, agent = None, ""
        if isinstance(happened, HandoffReturned) and happened.final:
            owner, agent = happened.owner, happened.agent
        value = {"text": last.text, "parts": [1, None]} if isinstance(last, Finish) and last.text == "ok" else None
        outcome = finished(self.state.queue[0], turn, last, self.clock, agent=agent, value=value)
        return outcome._replace(owner=owner)

    # -- what may happen -----------------------------------------------------------------------------------------------

    def play_on(self, *, rewinding: bool = True) -> None:
        """Let one thing happen."""
        draw = self.data.draw
        self.clock += draw(PAUSES)
        if draw(st.integers(0, 9)) == 0 or not self.state.queue:
            if rewinding and self.run is None and draw(st.integers(0, 5)) == 0:
                self.record(Rewound(draw(st.integers(0, len(self.state.turn.history)))))
            else:
                self._accept()
        elif self.run is not None:
            self._go_on()
        elif len(self.state.queue) > 1 and draw(st.booleans()):
            waiting = self._one_of(self.state.queue)
            self.end(waiting, unanswered(waiting, RunCancelled("it was not wanted any more")))
        elif self.state.owner is not None:
            first = self.state.queue[0]
            answer = Answer("from the owner", self.state.owner[0], CONVERSATION, first.id, usage=Usage(1, 1))
            self.end(first, Outcome(first.id, answer, None, draw(OWNERS)))
        else:
            self.happened(Begin(self.state.queue[0].messages), hooks=draw(st.booleans()))

    def _one_of(self, what: Sequence[T]) -> T:
        return what[self.data.draw(st.integers(0, len(what) - 1))]

    def _accept(self) -> None:
        draw = self.data.draw
        turn = self.state.turn
        messages = [Message("user", draw(REQUESTS))]
        if turn.message is not None and draw(st.booleans()):  # results of calls that were left to the caller
            messages[:0] = [Message("tool", "42", tool_call_id=call.id) for call in turn.message.tool_calls]
        run = request(
            f"run-{draw(st.integers(0, 6))}",
            *messages,
            keyed=draw(st.booleans()),
            limits=draw(LIMITS),
            external=(ToolSpec("outside", "", {"type": "object"}),) if draw(st.booleans()) else (),
            caller=Caller("ada", scopes=frozenset({"read", "write"})),
            metadata={"tenant": ["acme", 1]},
        )
        if not self.state.knows(run.id):
            self.record(Accepted(run))

    def _go_on(self) -> None:
        draw, state, run = self.data.draw, self.state, self.run
        assert run is not None
        if state.verdict is not None:
            way = draw(st.integers(0, 3))
            answer = self._outcome(state.turn, state.verdict).answer
            if way == 0:
                self.conclude(answer=replace(answer, text="changed", value=[1]), derived=False)
            elif way == 1 and isinstance(state.verdict, Finish):
                self.conclude(error=GuardrailTripped("not this"))
            elif way == 2:
                self._end_by_name(run, RunFailed("the hook raised"))
            else:
                self.conclude()
            return
        way = draw(st.integers(0, 19))
        if way == 0:
            self.record(Resumed(self.clock))
        elif way == 1:
            self._end_by_name(run, RunCancelled("while it had no actor"))
        elif way in (2, 3, 4):
            texts = [f"said {len(self.steered) + more}" for more in range(draw(st.integers(1, 2)))]
            self.steered += texts
            self.happened(Steered(tuple(Message("user", text) for text in texts)))
        else:
            self.happened(self._one_of(self._ways()), hooks=draw(st.booleans()))

    def _ways(self) -> Sequence[Input]:
        draw, turn = self.data.draw, self.state.turn
        spent: dict[str, Any] = {
            "usage": Usage(2, 1),
            "cost": 0.25,
            "handoffs": (HandoffRecord("A", "B", "delegate", "do"),),
        }
        ways: list[Input] = []
        if draw(st.integers(0, 9)) == 0:
            ways += [Interrupted(RunCancelled("stop")), Interrupted(TimeLimit("late"), **spent)]
        if turn.phase == "completing":
            ways.append(said(draw(ANSWERS), *draw(CALLS), cost=0.25, used=self.clock))
            ways.append(said("bad", problem="bad", used=self.clock))
            ways.append(said("ok", *draw(CALLS), usage=Usage()))
            if draw(st.integers(0, 3)) == 0:
                ways.append(Completed(Completion(Message("assistant", "no"), "content_filter", notes=("lesser",))))
                ways.append(said("ok", broken=RunFailed("the validator raised")))
                ways += [CompletionFailed(ValueError("down")), CompletionFailed(AgentError("odd"))]
        for command in outstanding(turn, self.rules):
            match command:
                case CallTool(call):
                    ways += [ToolReturned(call.id, "out", used=self.clock), ToolReturned(call.id, "failed", True)]
                    ways.append(Spent(call.id, 0.25, "a search", {"pages": 3}))
                case AskApproval(call):
                    ways += [Decided(call.id, True), Decided(call.id, True, "[1]"), Decided(call.id, False, None, "no")]
                case HandOff(call, transfer):
                    owner = ("B", "b") if transfer else None
                    ways.append(HandoffReturned(call.id, "back", final=transfer, owner=owner, agent="B", **spent))
                    ways.append(HandoffReturned(call.id, "refused", True, used=self.clock))
                    ways.append(HandoffReturned(call.id, "no", True, fatal=HandoffDepth("deep")))
        return ways


@st.composite
def rules_of_a_day(draw: st.DrawFn) -> Rules:
    """How an agent may have been described on some day."""
    parts = [frozenset(draw(SOME_AGENTS)) for _ in range(2)]
    risky = draw(SOME_NAMES)
    return Rules(delegates=parts[0], transfers=parts[1] - parts[0], needs_approval=lambda call: call.name in risky)


def ends(events: Sequence[Any]) -> list[Ended]:
    """The records of ends."""
    return [event for event in events if isinstance(event, Ended)]
