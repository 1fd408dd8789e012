"""Whatever an agent, a tool, a skill, a handoff or an agency is made of: what has the wrong type is refused where it is
made, by name, and never by an error of Python's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import pytest

from callboard import (
    Agency,
    Agent,
    AgentError,
    Caller,
    DefinitionError,
    FanOutTarget,
    HandoffLimits,
    HandoffPolicy,
    Limits,
    ModelTarget,
    Pipeline,
    RemoteAgent,
    Skill,
    StepPlan,
    ToolDefinitionError,
    ToolRegistry,
    UnknownAgent,
    WebhookTarget,
    composite,
    create_agent,
    handoff,
    hook,
    tool,
    tool_from_schema,
)
from callboard.actors.testing.doubles.models import Script

from .support import scripted

Make = Callable[..., Any]
WRONG: tuple[Any, ...] = (5, 1.5, b"x", object(), [1], {1: 2}, (None,), "", "x y", None, True)


def up(text: str) -> str:
    return text.upper()


def chosen(task: str) -> str:
    """Choose somebody."""
    return task


B = Agent("B")
ANY: Any = up

# What makes something of one argument, and the wrong values that are right for it.
ARGUMENTS: dict[str, tuple[Make, tuple[Any, ...]]] = {
    "Agent.name": (lambda given: Agent(given), ()),
    "Agent.instructions": (lambda given: Agent("A", given), ("", "x y")),
    "Agent.model": (lambda given: Agent("A", model=given), ("", "x y")),
    "Agent.tools": (lambda given: Agent("A", tools=given), ()),
    "Agent.handoffs": (lambda given: Agent("A", handoffs=given), ()),
    "Agent.description": (lambda given: Agent("A", description=given), ("", "x y")),
    "Agent.limits": (lambda given: Agent("A", limits=given), ()),
    "Agent.autonomy": (lambda given: Agent("A", autonomy=given), ()),
    "Agent.settings": (lambda given: Agent("A", settings=given), ()),
    "Agent.settings.temperature": (lambda given: Agent("A", settings={"temperature": given}), (5, 1.5, None)),
    "Agent.settings.max_tokens": (lambda given: Agent("A", settings={"max_tokens": given}), (5, None)),
    "Agent.settings.max_retries": (lambda given: Agent("A", settings={"max_retries": given}), (5, None)),
    "Agent.settings.headers": (lambda given: Agent("A", settings={"headers": given}), ()),
    "Agent.settings.batch": (lambda given: Agent("A", settings={"batch": given}), (True,)),
    "Agent.hooks": (lambda given: Agent("A", hooks=given), ()),
    "Agent.skills": (lambda given: Agent("A", skills=given), ()),
    "Agent.defer_tools": (lambda given: Agent("A", defer_tools=given), (True,)),
    "Agent.stop_when": (lambda given: Agent("A", stop_when=given), (None,)),
    "Agent.prepare_step": (lambda given: Agent("A", prepare_step=given), (None,)),
    "Agent.scope": (lambda given: Agent("A", scope=given), ("x y",)),
    "Agent.owner": (lambda given: Agent("A", owner=given), ("x y", None)),
    "from_config": (lambda given: Agent.from_config(given), ()),
    "from_config.settings": (lambda given: Agent.from_config({"name": "A", "settings": given}), ()),
    "from_config.handoffs": (lambda given: Agent.from_config({"name": "A", "handoffs": given}), ()),
    "from_config.limits": (lambda given: Agent.from_config({"name": "A", "limits": given}), ()),
    "Skill.name": (lambda given: Skill(given), ("x y",)),
    "Skill.instructions": (lambda given: Skill("s", given), ("", "x y")),
    "Skill.tools": (lambda given: Skill("s", tools=given), ()),
    "Skill.hooks": (lambda given: Skill("s", hooks=given), ()),
    "Skill.handoffs": (lambda given: Skill("s", handoffs=given), ()),
    "Skill.requires": (lambda given: Skill("s", requires=given), ()),
    "Skill.scope": (lambda given: Skill("s", scope=given), ("x y",)),
    "handoff.target": (lambda given: handoff(given), (None,)),
    "handoff.kind": (lambda given: handoff(B, kind=given), ()),
    "handoff.name": (lambda given: handoff(B, name=given), ("",)),
    "handoff.description": (lambda given: handoff(B, description=given), ("", "x y")),
    "handoff.on_handoff": (lambda given: handoff(B, on_handoff=given), (None,)),
    "handoff.history_filter": (lambda given: handoff(B, history_filter=given), (None,)),
    "handoff.summary": (lambda given: handoff(B, summary=given), ("x y", True)),
    "handoff.scope": (lambda given: handoff(B, scope=given), ("x y",)),
    "handoff.name of a function": (lambda given: handoff(chosen, name=given), ("",)),
    "handoff.scope of a function": (lambda given: handoff(scope=given)(chosen), ("x y",)),
    "ModelTarget.model": (lambda given: ModelTarget(given, name="m"), ("x y",)),
    "ModelTarget.name": (lambda given: ModelTarget("m", name=given), ("",)),
    "ModelTarget.description": (lambda given: ModelTarget("m", description=given), ("", "x y")),
    "ModelTarget.temperature": (lambda given: ModelTarget("m", temperature=given), (5, 1.5, None)),
    "Pipeline.name": (lambda given: Pipeline(given, B), ()),
    "Pipeline.stage": (lambda given: Pipeline("P", given), ()),
    "Pipeline.description": (lambda given: Pipeline("P", B, description=given), ("", "x y")),
    "WebhookTarget.name": (lambda given: WebhookTarget(given, "https://a.b/c"), ()),
    "WebhookTarget.url": (lambda given: WebhookTarget("W", given), ()),
    "WebhookTarget.description": (lambda given: WebhookTarget("W", "https://a.b", description=given), ("", "x y")),
    "WebhookTarget.headers": (lambda given: WebhookTarget("W", "https://a.b/c", headers=given), ()),
    "WebhookTarget.timeout": (lambda given: WebhookTarget("W", "https://a.b/c", timeout=given), (5, 1.5)),
    "RemoteAgent.name": (lambda given: RemoteAgent(given, "https://a.b/v1"), ()),
    "RemoteAgent.url": (lambda given: RemoteAgent("R", given), ()),
    "RemoteAgent.model": (lambda given: RemoteAgent("R", "https://a.b/v1", model=given), ("", "x y")),
    "RemoteAgent.api_key": (lambda given: RemoteAgent("R", "https://a.b/v1", api_key=given), ("",)),
    "RemoteAgent.timeout": (lambda given: RemoteAgent("R", "https://a.b/v1", timeout=given), (5, 1.5)),
    "FanOutTarget.name": (lambda given: FanOutTarget(given), ()),
    "FanOutTarget.providers": (lambda given: FanOutTarget("F", providers=given), ()),
    "FanOutTarget.model": (lambda given: FanOutTarget("F", model=given), ("", "x y")),
    "FanOutTarget.instructions": (lambda given: FanOutTarget("F", instructions=given), ("", "x y")),
    "FanOutTarget.pool": (lambda given: FanOutTarget("F", pool=given), (None,)),
    "HandoffLimits.depth": (lambda given: HandoffLimits(depth=given), (5,)),
    "HandoffLimits.total": (lambda given: HandoffLimits(total=given), (5,)),
    "HandoffPolicy.agents": (lambda given: HandoffPolicy(agents=given), (None,)),
    "HandoffPolicy.domains": (lambda given: HandoffPolicy(domains=given), (None,)),
    "Limits.steps": (lambda given: Agent("A", limits=Limits(steps=given)), (5, None)),
    "Limits.ask": (lambda given: Agent("A", limits=Limits(ask=given)), (True,)),
    "StepPlan.model": (lambda given: StepPlan(model=given), ("", "x y", None)),
    "StepPlan.tools": (lambda given: StepPlan(tools=given), (None,)),
    "StepPlan.settings": (lambda given: StepPlan(settings=given), (None,)),
    "StepPlan.settings.temperature": (lambda given: StepPlan(settings={"temperature": given}), (5, 1.5, None)),
    "Caller.user": (lambda given: Caller(given), ("", "x y")),
    "Caller.tenant": (lambda given: Caller("u", tenant=given), ("", "x y")),
    "Caller.scopes": (lambda given: Caller("u", scopes=given), ()),
    "hook": (lambda given: hook(given)(ANY), ()),
    "hook.priority": (lambda given: hook("request", priority=given)(ANY), (5,)),
    "hook of": (lambda given: hook("request")(given), ()),
    "tool": (lambda given: tool(given), (None,)),
    "tool.name": (lambda given: tool(name=given)(up), ()),
    "tool.description": (lambda given: tool(description=given)(up), ("", "x y")),
    "tool.risk": (lambda given: tool(risk=given)(up), ()),
    "tool.idempotent": (lambda given: tool(idempotent=given)(up), (True,)),
    "tool.scope": (lambda given: tool(scope=given)(up), ("x y",)),
    "tool.approval": (lambda given: tool(approval=given)(up), (None,)),
    "tool.approved_by": (lambda given: tool(approved_by=given)(up), ("x y", None)),
    "tool.timeout": (lambda given: tool(timeout=given)(up), (5, 1.5, None)),
    "tool.max_concurrency": (lambda given: tool(max_concurrency=given)(up), (5, None)),
    "tool.max_result": (lambda given: tool(max_result=given)(up), (5,)),
    "tool.before_call": (lambda given: tool(before_call=given)(up), (None,)),
    "tool.on_success": (lambda given: tool(on_success=given)(up), (None,)),
    "tool.on_error": (lambda given: tool(on_error=given)(up), (None,)),
    "tool.defer": (lambda given: tool(defer=given)(up), (None, True)),
    "tool.process": (lambda given: tool(process=given)(up), (True,)),
    "tool_from_schema.name": (lambda given: of_schema(name=given), ()),
    "tool_from_schema.description": (lambda given: of_schema(description=given), ("", "x y")),
    "tool_from_schema.schema": (lambda given: of_schema(schema=given), ()),
    "tool_from_schema.handler": (lambda given: of_schema(handler=given), ()),
    "tool_from_schema.timeout": (lambda given: of_schema(timeout=given), (5, 1.5, None)),
    "create_agent": (lambda given: create_agent(given), ()),
    "create_agent.prompts": (lambda given: create_agent("developer", prompts=given), ("", ".", None)),
    "create_agent.model": (lambda given: create_agent("developer", model=given), ("", "x y")),
    "composite": (lambda given: composite(given), ()),
    "composite.name": (lambda given: composite([up], name=given), ()),
    "composite.description": (lambda given: composite([up], description=given), ("", "x y")),
    "composite.parallel": (lambda given: composite([up], parallel=given), (True,)),
    "composite.concurrency": (lambda given: composite([up], concurrency=given), (5,)),
    "ToolRegistry": (lambda given: ToolRegistry(given), ()),
    "Agency": (lambda given: Agency(given), ()),
    "Agency.flows": (lambda given: Agency(B, flows=given), ()),
    "Agency.name": (lambda given: Agency(B, name=given), ("x y",)),
    "Agency.shared_instructions": (lambda given: Agency(B, shared_instructions=given), ("", "x y")),
    "Agency.model": (lambda given: Agency(B, model=given), ("", "x y", None)),
    "Agency.pool": (lambda given: Agency(B, pool=given), (None,)),
    "Agency.handoff_limits": (lambda given: Agency(B, handoff_limits=given), (None,)),
    "Agency.verbose": (lambda given: Agency(B, verbose=given), (True,)),
}


def of_schema(**given: Any) -> Any:
    return tool_from_schema(
        **{"name": "o", "description": "d", "schema": {"type": "object"}, "handler": lambda given: "x", **given}
    )


@pytest.mark.parametrize("what", ARGUMENTS)
def test_what_has_the_wrong_type_is_refused_where_it_is_made(what: str) -> None:
    make, right = ARGUMENTS[what]
    for given in WRONG:
        if any(given is one or (type(given) is type(one) and given == one) for one in right):
            make(given)
            continue
        try:
            make(given)
        except (DefinitionError, ToolDefinitionError):
            pass
        except Exception as error:
            raise AssertionError(f"{what} = {given!r} raised {type(error).__name__}: {error}") from error
        else:
            raise AssertionError(f"{what} = {given!r} was taken")


@pytest.mark.parametrize("kind", [int, str, Agent])
def test_a_class_is_no_function_to_make_a_tool_of(kind: type) -> None:
    with pytest.raises(ToolDefinitionError, match="a tool is made of a function"):
        tool(kind)
    with pytest.raises(ToolDefinitionError, match="handler is a function"):
        of_schema(handler=kind)


def test_a_class_of_agents_or_of_other_targets_is_no_agent_and_is_told_what_to_write() -> None:
    class Mine(Agent):
        name = "Mine"

    for kind in (Agent, Mine, WebhookTarget):
        with pytest.raises(
            DefinitionError, match=rf"^{kind.__name__} is a class, and no agent: write {kind.__name__}\("
        ):
            Agency(cast("Any", kind), model="offline")
        with pytest.raises(DefinitionError, match="handoffs are agents"):
            Agent("A", handoffs=[cast("Any", kind)])


def test_a_class_is_a_function_where_it_is_called_with_what_there_is() -> None:
    assert handoff(B, history_filter=list).history_filter is list


def test_an_empty_list_is_right_wherever_several_are_taken() -> None:
    Agent("A", tools=[], handoffs=[], hooks=[], skills=[], settings={})
    Skill("s", tools=[], hooks=[], handoffs=[], requires=[])


def test_a_wrong_setting_says_whose_which_and_what_was_expected() -> None:
    with pytest.raises(DefinitionError, match="agent A, settings: temperature is 'x'; expected a number, or None"):
        Agent("A", settings={"temperature": "x"})


def test_headers_that_are_wrong_are_not_shown() -> None:
    with pytest.raises(DefinitionError, match="headers is of type dict") as caught:
        WebhookTarget("W", "https://a.b/c", headers={"Key": b"s3cret"})  # type: ignore[dict-item]
    assert "s3cret" not in str(caught.value)
    with pytest.raises(DefinitionError, match="headers is of type dict") as caught:
        Agent("A", settings={"headers": {"Key": b"s3cret"}})
    assert "s3cret" not in str(caught.value)


def test_a_model_and_a_pool_are_one_argument() -> None:
    with pytest.raises(DefinitionError, match="model and pool are two names of one argument"):
        Agency(B, model=scripted(Script([])), pool=scripted(Script([])))


@pytest.mark.parametrize("name", ["a/b", "", "  ", 5, None])
def test_an_agency_is_called_as_an_actor_may_be(name: Any) -> None:
    with pytest.raises(DefinitionError, match="an agency's name is that of its actor"):
        Agency(B, name=name)


def test_a_function_that_chooses_has_a_scope_too() -> None:
    @handoff(scope="admin")
    def away(task: str) -> str:
        """Send it away."""
        return task

    assert away.scope == {"admin"}
    assert handoff(chosen, scope="admin").scope == {"admin"}


def test_a_lambda_that_chooses_needs_a_name() -> None:
    with pytest.raises(DefinitionError, match=r"handoff <lambda>: give it a name, @handoff\(name=…\)"):
        handoff(lambda: "x")


LIVE: dict[str, Callable[[Agency, Any], Any]] = {
    "add_agent": lambda agency, given: agency.add_agent(given),
    "add_agent flows": lambda agency, given: agency.add_agent(Agent("C"), flows=given),
    "add_tool": lambda agency, given: agency.add_tool("A", given),
    "add_hook": lambda agency, given: agency.add_hook("A", given),
    "add_handoff": lambda agency, given: agency.add_handoff("A", given),
    "add_skill": lambda agency, given: agency.add_skill("A", given),
    "remove_tool": lambda agency, given: agency.remove_tool("A", given),
    "allow": lambda agency, given: agency.allow("A", given),
    "allow sender": lambda agency, given: agency.allow(given, "B"),
    "revoke": lambda agency, given: agency.revoke("A", given),
    "may_reach": lambda agency, given: agency.may_reach("A", given),
    "subscribe": lambda agency, given: agency.subscribe(given),
    "fan_out": lambda agency, given: agency.fan_out("?", given),
    "one of fan_out": lambda agency, given: agency.fan_out("?", [given]),
    "approve": lambda agency, given: agency.approve("1", caller=given),
    "deny": lambda agency, given: agency.deny("1", caller=given),
    "agent_ref": lambda agency, given: agency.agent_ref(given),
    "describe": lambda agency, given: agency.describe(given),
    "ask an actor": lambda agency, given: agency.agent_ref("A").ask(given),
}


@pytest.mark.parametrize("given", [5, "finance", b"x", object(), (1,)], ids=lambda given: type(given).__name__)
@pytest.mark.parametrize("what", LIVE)
async def test_what_has_the_wrong_type_is_refused_by_an_agency_at_work(what: str, given: Any) -> None:
    async with Agency(Agent("A"), B, model=scripted(Script(["hi"]))) as agency:

        async def act() -> None:
            done = LIVE[what](agency, given)
            if inspect.isawaitable(done):
                await done

        with pytest.raises(DefinitionError):
            await act()
        assert set(agency.agents) == {"A", "B"}
        assert (await agency.run("?")).text == "hi"


async def test_whom_nobody_knows_is_unknown_to_may_reach_as_to_allow() -> None:
    async with Agency(Agent("A"), B, model=scripted(Script([]))) as agency:
        for ask in (agency.may_reach, agency.allow, agency.revoke):
            with pytest.raises(UnknownAgent, match="Nobody"):
                ask("A", "Nobody")
            with pytest.raises(UnknownAgent, match="Nobody"):
                ask("Nobody", "A")


async def test_a_text_told_to_an_agents_actor_is_passed_over_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async with Agency(Agent("A"), model=scripted(Script(["hi"]))) as agency:
        agency.agent_ref("A").tell("hi")
        assert (await agency.run("?")).text == "hi"
    assert "the actor of A takes a Handoff(sender, target, task)" in caplog.text


LONG = "a" * 100_000

NAMING: dict[str, Callable[[Agency], Any]] = {
    "run": lambda agency: agency.run("?", agent=LONG),
    "output_type": lambda agency: agency.run("?", output_type=LONG),
    "conversation": lambda agency: agency.conversation("c", agent=LONG),
    "steer": lambda agency: agency.steer("c", "x", agent=LONG),
    "describe": lambda agency: agency.describe(LONG),
    "add_tool": lambda agency: agency.add_tool("A", LONG),  # type: ignore[arg-type]
    "add_handoff": lambda agency: agency.add_handoff("A", LONG),
    "remove_tool": lambda agency: agency.remove_tool("A", LONG),
    "remove_hook": lambda agency: agency.remove_hook("A", LONG),
    "remove_handoff": lambda agency: agency.remove_handoff("A", LONG),
    "remove_skill": lambda agency: agency.remove_skill("A", LONG),
    "allow": lambda agency: agency.allow("A", LONG),
    "agent_ref": lambda agency: agency.agent_ref(LONG),
    "flows": lambda agency: Agency(Agent("A"), flows=[(LONG, "A")]),
    "hook": lambda agency: hook(LONG),  # type: ignore[arg-type]
    "tool": lambda agency: Agent("A", tools=[LONG]),  # type: ignore[list-item]
}


@pytest.mark.parametrize("what", NAMING)
async def test_a_name_without_end_is_cut_in_the_error_about_it(what: str) -> None:
    async with Agency(Agent("A"), B, model=scripted(Script([]))) as agency:

        async def act() -> None:
            done = NAMING[what](agency)
            if inspect.isawaitable(done):
                await done

        with pytest.raises(AgentError) as caught:
            await act()
        assert len(str(caught.value)) < 700


def test_a_value_that_cannot_be_shown_is_told_by_its_type() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    with pytest.raises(DefinitionError, match="description is of type Silent, which cannot be shown; expected a text"):
        Agent("A", description=Silent())  # type: ignore[arg-type]
