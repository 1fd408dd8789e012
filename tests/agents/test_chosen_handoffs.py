"""`@handoff` on a function: the model fills in its parameters, and it says where the task goes."""

from __future__ import annotations

import threading
from typing import Any, Literal

import pytest

from callboard import (
    Agency,
    Agent,
    DefinitionError,
    Handoff,
    HandoffLimits,
    HandoffPolicy,
    HookContext,
    Pipeline,
    guardrail,
    handoff,
    request_context,
)
from callboard.actors.agents.errors import GuardrailTripped, HandoffCycle
from callboard.actors.testing.doubles.models import Script, call

from .support import function, scripted

billing, support = Agent("Billing", "billing"), Agent("Support", "support")


@handoff
def escalate(area: Literal["bill", "other"], order: int) -> Any:
    """Give a complaint to whoever knows.

    Args:
        area: what it is about.
        order: the order's number.
    """
    if order < 0:
        return "There is no such order; ask for its number."
    return billing if area == "bill" else support


def desk(*handoffs: Any, script: Script, **options: Any) -> Agency:
    return Agency(Agent("Desk", "desk", handoffs=handoffs), billing, support, model=scripted(script), **options)


async def test_a_functions_parameters_are_what_the_model_fills_in_and_it_chooses_the_target() -> None:
    script = Script([call("escalate", area="bill", order=7), "refunded", "done"])
    async with desk(escalate, script=script) as agency:
        answer = await agency.run("?")
    (spec,) = script.requests[0].tools
    assert (spec.name, spec.description) == ("escalate", "Give a complaint to whoever knows.")
    assert spec.parameters["properties"]["area"]["enum"] == ["bill", "other"]
    assert spec.parameters["properties"]["order"]["description"] == "the order's number."
    assert script.requests[1].messages[0].text == "billing"
    assert '"order": 7' in script.requests[1].messages[-1].text
    assert (answer.text, answer.chain) == ("done", ("Desk → Billing",))


async def test_a_text_that_it_returns_is_told_to_the_model_and_nothing_is_handed_over() -> None:
    script = Script([call("escalate", area="bill", order=-1), "What is the number?"])
    async with desk(escalate, script=script) as agency:
        answer = await agency.run("?")
    assert script.requests[1].messages[-1].text == "There is no such order; ask for its number."
    assert not script.requests[1].messages[-1].is_error
    assert answer.handoffs == ()


async def test_a_handoff_that_it_returns_is_sent_as_it_is() -> None:
    @handoff(name="ask", description="Ask somebody.")
    async def choose(message: str) -> Handoff:
        context = request_context()
        assert context is not None
        return Handoff("ignored", "Support", f"{message}, for {context.user}", context="urgent")

    script = Script([call("ask", message="help"), "helped", "done"])
    async with desk(choose, script=script) as agency:
        answer = await agency.run("?", user="ann")
    assert "help, for ann" in script.requests[1].messages[-1].text
    assert "urgent" in script.requests[1].messages[-1].text
    assert answer.handoffs[0].sender == "Desk"


async def test_a_conversation_may_go_over_to_whom_it_chooses() -> None:
    @handoff(kind="transfer", history_filter=lambda messages: [m for m in messages if m.role == "user"])
    def route(message: str) -> Agent:
        return support

    script = Script(["hi", call("route", message="x"), "support here", "support again"])
    async with desk(route, script=script) as agency:
        await agency.run("first", conversation="c")
        second = await agency.run("second", conversation="c")
        third = await agency.run("third", conversation="c")
    assert (second.agent, third.agent) == ("Support", "Support")
    assert [message.text for message in script.requests[2].messages] == ["support", "first", "second"]


async def test_a_message_parameter_is_the_task() -> None:
    @handoff
    def ask(message: str, urgent: bool = False) -> Agent:
        """Ask the support."""
        return support

    script = Script([call("ask", message="the printer"), "ok", "done"])
    async with desk(ask, script=script) as agency:
        answer = await agency.run("?")
    assert answer.handoffs[0].task == "the printer"


async def test_it_may_choose_a_pipeline_that_the_agent_has() -> None:
    line = Pipeline("Line", billing, support)

    @handoff
    def both(message: str) -> Pipeline:
        """Ask both."""
        return line

    script = Script([call("both", message="x"), "one", "two", "done"])
    async with desk(both, handoff(line), script=script) as agency:
        answer = await agency.run("?")
    assert answer.chain == ("Desk → Line", "Line → Billing", "Line → Support")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (Agent("Stranger"), "chose 'Stranger', who is not here; there are Desk, Billing, Support"),
        (Handoff("Desk", "Nobody", "x"), "chose 'Nobody', who is not here"),
        (7, "returned int, not an agent, a Handoff or a text"),
        (None, "returned NoneType, not an agent"),
    ],
)
async def test_what_it_cannot_choose_is_told_to_the_model(returned: Any, said: str) -> None:
    @handoff
    def choose(message: str) -> Any:
        """Choose."""
        return returned

    script = Script([call("choose", message="x"), "so be it"])
    async with desk(choose, script=script) as agency:
        assert (await agency.run("?")).text == "so be it"
    assert said in script.requests[1].messages[-1].text


async def test_arguments_that_do_not_fit_and_what_it_raises_are_told_to_the_model() -> None:
    @handoff
    def broken(message: str) -> Agent:
        """Break."""
        raise ValueError("not today")

    script = Script([call("escalate", area="weather", order=1), call("broken", message="x"), "so be it"])
    async with desk(escalate, broken, script=script) as agency:
        assert (await agency.run("?")).text == "so be it"
    assert "area" in script.requests[1].messages[-1].text
    assert "not today" in script.requests[2].messages[-1].text


async def test_the_policy_and_the_limits_hold_for_what_it_chooses() -> None:
    script = Script([call("escalate", area="bill", order=1), "so be it"])
    async with desk(escalate, script=script, handoff_policy=HandoffPolicy({"Desk": ["Support"]})) as agency:
        assert (await agency.run("?")).text == "so be it"
    assert "Desk may not hand off to Billing" in script.requests[1].messages[-1].text

    @handoff
    def again(message: str) -> Handoff:
        """Ask oneself."""
        return Handoff("", "Desk", message)

    loop = Agent("Desk", "desk", handoffs=[again])
    limits = HandoffLimits(visits=2)
    async with Agency(loop, handoff_limits=limits, model=function(lambda _: call("again", message="x"))) as agency:
        with pytest.raises(HandoffCycle):
            await agency.run("?")


async def test_hooks_see_what_it_chose() -> None:
    @guardrail("handoff")
    def not_billing(context: HookContext) -> None:
        assert context.handoff is not None
        if context.handoff.target == "Billing":
            raise ValueError("not to billing")

    lead = Agent("Desk", "desk", handoffs=[escalate], hooks=[not_billing])
    script = Script([call("escalate", area="bill", order=1)])
    async with Agency(lead, billing, support, model=scripted(script)) as agency:
        with pytest.raises(GuardrailTripped, match="not to billing"):
            await agency.run("?")


async def test_a_function_that_blocks_does_not_hold_up_the_loop() -> None:
    loop_thread = threading.current_thread()
    ran: list[threading.Thread] = []

    @handoff
    def slow(message: str) -> str:
        """Think."""
        ran.append(threading.current_thread())
        return "thought"

    async with desk(slow, script=Script([call("slow", message="x"), "ok"])) as agency:
        await agency.run("?")
    assert ran != [loop_thread]


def test_what_cannot_be_such_a_function_is_refused() -> None:
    def positional(*messages: str) -> Agent:
        return support

    with pytest.raises(DefinitionError, match="positional"):
        handoff(positional)
    with pytest.raises(DefinitionError, match="@handoff is for functions"):
        handoff(kind="transfer")(7)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="an agent or by a function"):
        handoff(print)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="takes no more"):
        handoff(lambda message: support, summary=True)
