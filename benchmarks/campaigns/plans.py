"""What a run has to do, as a text that the scripted model reads back: ``#KEY work sign+ delegate transfer``.

========== =====================================================================================
``work``   one call of a tool that must not run twice
``look``   one call of a tool that may
``both``   both at once
``sign+``  a call that waits for a person, who approves it; ``sign-``: denies; ``sign?``: never says anything
``delegate``  the Helper is given a plan of its own and answers
``transfer``  the Closer takes the conversation over and does the rest
========== =====================================================================================

The call that carries out step 3 of run ``K7`` has the id ``K7.3``, and the tool is given it as its key; the plan that
step 3 delegates has the key ``K7.3`` too, so its own calls are ``K7.3.0`` and so on.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from callboard import Completion, Message, Request, ToolCall, Usage

FRONT, HELPER, CLOSER = "Front", "Helper", "Closer"
WEIGHTS = {"work": 30, "look": 10, "both": 10, "sign+": 12, "sign-": 4, "delegate": 18, "transfer": 8}
SUBPLAN = "work look"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run's key and steps."""

    key: str
    steps: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join((f"#{self.key}", *self.steps))

    @property
    def answer(self) -> str:
        """What the run must answer."""
        return f"done {self.key}"


def draw(key: str, rng: random.Random, longest: int = 4) -> Plan:
    """Draw a plan. A transfer is only ever the first of its kind: one conversation goes over once."""
    steps = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=rng.randint(0, longest))
    transfers = [number for number, step in enumerate(steps) if step == "transfer"]
    for number in transfers[1:]:
        steps[number] = "work"
    return Plan(key, tuple(steps))


def parse(text: str) -> Plan | None:
    """The plan that a text holds, or None."""
    if not text.startswith("#"):
        return None
    key, *steps = text.split("\n")[0][1:].split()
    return Plan(key, tuple(steps))


def plan_of(messages: Sequence[Message]) -> tuple[Plan, set[str]] | None:
    """The last plan in a conversation, and the ids of its calls that have their results."""
    done: set[str] = set()
    for message in reversed(messages):
        if message.role == "tool":
            done.add(message.tool_call_id or "")
        elif message.role == "user":
            for said in message.text.split("\n\n"):  # a delegate is told first who asks
                if (plan := parse(said)) is not None:
                    return plan, done
    return None


def root_of(key: str) -> str:
    """The key of the run that the caller started."""
    return key.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """What the model was asked: for which plan, which agent, after how many results; unique within a run."""

    key: str
    agent: str
    done: int

    @property
    def name(self) -> str:
        return f"{self.key}/{self.agent}/{self.done}"


def complete(request: Request, model: str) -> tuple[Step | None, Completion]:
    """What the scripted model answers, and which step that is; None for a request that is no run's (a probe)."""
    found = plan_of(request.messages)
    if found is None:
        return None, Completion(Message("assistant", "pong"), "stop", Usage(5, 1), model)
    plan, done = found
    system = request.messages[0].text if request.messages[0].role == "system" else ""
    agent = system.partition("\n")[0]  # behind its instructions stands how far it may go by itself
    calls = _calls(plan, done, agent)
    step = Step(plan.key, agent, len(done))
    usage = Usage(50 + 12 * len(request.messages), 20 + zlib.crc32(step.name.encode()) % 80)
    if calls:
        return step, Completion(Message("assistant", "", tuple(calls)), "tool_calls", usage, model)
    return step, Completion(Message("assistant", plan.answer), "stop", usage, model)


def _calls(plan: Plan, done: set[str], agent: str) -> list[ToolCall]:
    over = plan.steps.index("transfer") if agent == CLOSER and "transfer" in plan.steps else -1
    for number, step in enumerate(plan.steps):
        key = f"{plan.key}.{number}"
        # What was handed over holds the results of tools, and no earlier handoffs.
        if key in done or (number <= over and step in ("transfer", "delegate")):
            continue
        if step == "delegate":
            return [_call(key, f"delegate_to_{HELPER}", message=f"#{key} {SUBPLAN}")]
        if step == "transfer":
            return [_call(key, f"transfer_to_{CLOSER}", message="please go on")]
        if step == "both":
            return [_call(key, "work", key=key), _call(f"{key}b", "look", key=f"{key}b")]
        return [_call(key, "sign" if step.startswith("sign") else step, key=key + step[4:])]
    return []


def _call(id: str, tool: str, **arguments: str) -> ToolCall:
    return ToolCall(id, tool, json.dumps(arguments))
