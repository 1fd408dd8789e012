"""Handing over to another model with the same conversation, and summaries that a model writes for a target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    CostLimit,
    DefinitionError,
    GuardrailTripped,
    HookContext,
    Limits,
    ModelTarget,
    Request,
    RunCancelled,
    Skill,
    guardrail,
    handoff,
    hook,
)
from callboard.actors.testing.doubles.models import Script, call

from .support import add, function, scripted, until


async def test_another_model_is_asked_with_the_same_conversation_and_its_answer_comes_back() -> None:
    expert = ModelTarget("vendor/big-1.5", temperature=0.5)
    a = Agent("A", "a", model="small", tools=[add], handoffs=[handoff(expert)], settings={"top_p": 0.9})
    script = Script(["noted", call("delegate_to_big-1_5", message="think hard"), "from big", "done"])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("first", conversation="c")
        answer = await agency.run("second", conversation="c")
    asked = script.requests[2]
    assert (asked.model, asked.temperature, asked.top_p) == ("vendor/big-1.5", 0.5, 0.9)
    assert [message.text for message in asked.messages][:4] == ["a", "first", "noted", "second"]
    assert "think hard" in asked.messages[4].text
    assert [spec.name for spec in asked.tools] == ["add"]
    assert (answer.text, answer.agent) == ("done", "A")
    assert answer.chain == ("A → A-big-1_5",)
    assert script.requests[3].model == "small"


async def test_a_conversation_goes_over_to_another_model_for_good() -> None:
    a = Agent("A", "a", handoffs=[handoff(ModelTarget("big", name="Expert"), kind="transfer")])
    script = Script([call("transfer_to_Expert", message="x"), "big here", "big again"])
    async with Agency(a, model=scripted(script)) as agency:
        first = await agency.run("hello", conversation="c")
        second = await agency.run("more", conversation="c")
    assert (first.agent, second.agent) == ("A-Expert", "A-Expert")
    assert [message.text for message in script.requests[2].messages] == ["a", "hello", "big here", "more"]
    assert [request.model for request in script.requests] == ["", "big", "big"]


async def test_the_same_model_with_other_settings_needs_a_name() -> None:
    cold = handoff(ModelTarget(name="Careful", temperature=0.0))
    script = Script([call("delegate_to_Careful", message="x"), "careful", "done"])
    async with Agency(Agent("A", "a", model="m", handoffs=[cold]), model=scripted(script)) as agency:
        await agency.run("?")
    assert (script.requests[1].model, script.requests[1].temperature) == ("m", 0.0)
    for wrong in ({}, {"temperature": 1.0}, {"model": "///"}):
        with pytest.raises(DefinitionError, match="ModelTarget"):
            ModelTarget(**wrong)
    with pytest.raises(DefinitionError, match="no setting is called warmth"):
        Agency(Agent("A", handoffs=[handoff(ModelTarget("big", warmth=1.0))]), model="offline")


async def test_one_target_serves_several_agents_each_with_their_own_instructions() -> None:
    big = ModelTarget("big")
    agents = [Agent(name, name.lower(), handoffs=[handoff(big)]) for name in ("A", "B")]
    script = Script([call("delegate_to_big", message="x"), "yes", "done"])
    async with Agency(*agents, model=scripted(script)) as agency:
        assert list(agency.agents) == ["A", "B"]
        await agency.run("?", agent="B")
    assert script.requests[1].messages[0].text == "b"


async def test_a_target_of_a_skill_and_of_an_agent_that_is_changed_at_work_stays_what_it_is() -> None:
    skill = Skill("thinking", handoffs=[handoff(ModelTarget("big"))])
    script = Script([call("delegate_to_big", message="x"), "yes", "done"])
    async with Agency(Agent("A", "a", skills=[skill]), model=scripted(script)) as agency:
        agency.add_tool("A", add)
        await agency.run("?")
    assert [spec.name for spec in script.requests[1].tools] == ["add"], "the other model was not given the new tool"


async def test_what_is_allowed_and_revoked_holds_for_other_models() -> None:
    script = Script(["no more"])
    async with Agency(Agent("A", handoffs=[handoff(ModelTarget("big"))]), model=scripted(script)) as agency:
        assert agency.may_reach("A", "A-big")
        agency.revoke("A", "A-big")
        await agency.run("?")
    assert script.requests[0].tools == ()


# -- summaries ---------------------------------------------------------------------------------------------------------


def summarizing(request: Request) -> bool:
    return request.messages[-1].text.startswith("Summarize what was said")


async def test_a_delegate_is_told_a_summary_that_a_model_wrote() -> None:
    b = Agent("B", "b")
    a = Agent("A", "a", model="own", handoffs=[handoff(b, summary=True)])
    script = Script(["noted", call("delegate_to_B", message="go"), "the sum of it", "b", "a"], cost=1.0)
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("first", conversation="c")
        answer = await agency.run("second", conversation="c")
        assert [h.name for h in agency._runtime.journal.headers()] in ([], ["A/c"])
    summary = script.requests[2]
    assert [message.text for message in summary.messages][1:4] == ["first", "noted", "second"]
    assert "for B" in summary.messages[-1].text
    assert (summary.model, summary.tools) == ("own", ())
    assert "What was done so far:\nthe sum of it" in script.requests[3].messages[-1].text
    assert answer.cost == 4.0
    assert answer.chain == ("A → B",)


async def test_a_summary_stands_for_the_conversation_where_that_goes_over() -> None:
    b = Agent("B", "b")
    a = Agent("A", "a", handoffs=[handoff(b, kind="transfer", summary="cheap/model")])
    script = Script(["noted", call("transfer_to_B", message="go"), "the sum of it", "b here", "b again"])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("first", conversation="c")
        await agency.run("second", conversation="c")
        await agency.run("third", conversation="c")
    assert script.requests[2].model == "cheap/model"
    assert [message.text for message in script.requests[3].messages] == [
        "b",
        "What was done so far:\nthe sum of it",
        "second",
    ]
    assert script.requests[4].messages[-1].text == "third"


async def test_hooks_see_the_summary_and_may_change_it() -> None:
    @hook("handoff")
    def clean(context: HookContext) -> None:
        from dataclasses import replace

        assert context.handoff is not None
        assert context.handoff.summary == "the password is hunter2"
        context.handoff = replace(context.handoff, summary="nothing secret")

    a = Agent("A", "a", handoffs=[handoff(Agent("B", "b"), summary=True)], hooks=[clean])
    script = Script([call("delegate_to_B", message="go"), "the password is hunter2", "b", "a"])
    async with Agency(a, model=scripted(script)) as agency:
        await agency.run("?")
    assert "nothing secret" in script.requests[2].messages[-1].text
    assert "hunter2" not in script.requests[2].messages[-1].text


async def test_a_summary_that_fails_is_told_and_nothing_is_handed_over() -> None:
    a = Agent("A", "a", handoffs=[handoff(Agent("B", "b"), summary=True)])
    script = Script([call("delegate_to_B", message="go"), RuntimeError("down"), "so be it"])
    async with Agency(a, model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.text == "so be it"
    assert "no summary could be made: RunFailed" in script.requests[2].messages[-1].text


@pytest.mark.parametrize("refuses", ["hook", "guardrail"])
async def test_a_summary_is_paid_for_also_where_the_handoff_is_refused(refuses: str) -> None:
    def no(_: Any) -> None:
        raise ValueError("not today")

    hooks = [guardrail("handoff")(no)] if refuses == "guardrail" else []
    offered = handoff(Agent("B", "b"), summary=True, on_handoff=no if refuses == "hook" else None)
    script = Script([call("delegate_to_B", message="go"), "sum", "so be it"], cost=1.0)
    async with Agency(Agent("A", "a", handoffs=[offered], hooks=hooks), model=scripted(script)) as agency:
        if refuses == "hook":
            assert (await agency.run("?")).cost == 3.0
        else:
            with pytest.raises(GuardrailTripped) as told:
                await agency.run("?")
            assert told.value.partial is not None
            assert told.value.partial.cost == 2.0


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("stopped_by", ["hook", "guardrail", "caller"])
async def test_nothing_is_left_of_a_summary_whose_handoff_is_not_sent_but_what_it_has_cost(
    stopped_by: str, durable: bool, tmp_path: Path
) -> None:
    looking = asyncio.Event()

    async def no(_: Any) -> None:
        looking.set()
        if stopped_by == "caller":
            await asyncio.Event().wait()
        raise ValueError("not today")

    hooks = [guardrail("handoff")(no)] if stopped_by == "guardrail" else []
    offered = handoff(Agent("B", "b"), summary=True, on_handoff=no if stopped_by != "guardrail" else None)
    script = Script([call("delegate_to_B", message="go"), "sum", "so be it"], cost=1.0)
    a = Agent("A", "a", handoffs=[offered], hooks=hooks)
    async with Agency(a, model=scripted(script), journal=tmp_path / "j.db" if durable else None) as agency:
        handle = await agency.start_run("?", conversation="c", run_id="r")
        await looking.wait()
        if stopped_by == "caller":
            await handle.cancel()
        if stopped_by == "hook":
            assert (await handle).cost == 3.0
        else:
            with pytest.raises(GuardrailTripped if stopped_by == "guardrail" else RunCancelled) as told:
                await handle
            assert told.value.partial is not None
            assert told.value.partial.cost == 2.0
        kept = agency._runtime
        await until(lambda: not kept.register._entries.keys() - {"r"})
        headers = kept.journal.headers()
        names = [header.name for header in (await headers if isinstance(headers, Awaitable) else headers)]
        assert [*names, *kept.unkept] == ["A/c"]


async def test_a_summary_is_bounded_by_what_its_asker_has_left() -> None:
    a = Agent("A", "a", handoffs=[handoff(Agent("B", "b"), summary=True)], limits=Limits(cost=2.0))
    script = Script([call("delegate_to_B", message="go"), "sum"], cost=1.0)
    async with Agency(a, model=scripted(script)) as agency:
        with pytest.raises(CostLimit) as told:
            await agency.run("?")
    assert told.value.partial is not None
    assert told.value.partial.cost == 2.0


@pytest.mark.parametrize("whom", ["agency/A/c", "agency/A", "agency/B", "agency"])
@pytest.mark.parametrize("at", ["summary", "delegate"])
async def test_a_summary_that_was_recorded_is_not_asked_for_again_after_a_crash(
    at: str, whom: str, tmp_path: Path
) -> None:
    reached, again = asyncio.Event(), asyncio.Event()
    summaries = 0

    async def model(request: Request) -> Any:
        nonlocal summaries
        if summarizing(request):
            summaries += 1
            if at == "summary" and not again.is_set():
                reached.set()
                await again.wait()
            return "the sum of it"
        if request.messages[0].text == "b":
            if at == "delegate" and not again.is_set():
                reached.set()
                await again.wait()
            return f"b knows: {request.messages[-1].text}"
        return request.messages[-1].text if request.messages[-1].role == "tool" else call("delegate_to_B", message="go")

    a = Agent("A", "a", handoffs=[handoff(Agent("B", "b"), summary=True)])
    async with Agency(a, model=function(model), journal=tmp_path / "j.db") as agency:
        assert agency.system is not None
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        await reached.wait()
        victim = agency.system.find(whom)
        assert victim is not None
        victim.kill()
        again.set()
        answer = await run
    assert "the sum of it" in answer.text
    if at == "delegate":
        assert summaries == 1


@pytest.mark.parametrize("wrong", [1, None, ["x"]])
def test_a_summary_is_yes_or_no_or_a_models_name(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="expected True, False, or the name of a model"):
        handoff(Agent("B"), summary=wrong)


@pytest.mark.parametrize("setting", [{"stop": "END"}, {"max_tokens": 0}, {"temperature": "hot"}])
def test_a_setting_that_no_request_could_have_is_refused_where_the_agent_is_made(setting: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=f"agent A, settings: {next(iter(setting))} is .*; expected"):
        Agent("A", settings=setting)
