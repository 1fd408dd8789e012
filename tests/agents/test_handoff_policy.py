"""Who may hand off to whom: flows and handoffs, a policy above them, and what is allowed and revoked at run time."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import (
    Agency,
    Agent,
    Handoff,
    HandoffPolicy,
    HandoffRefused,
    HookContext,
    Pipeline,
    RemoteAgent,
    Request,
    UnknownAgent,
    WebhookTarget,
    handoff,
    hook,
)
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.testing.doubles.models import Script, call

from .support import function, scripted, until


def send(target: str) -> Any:
    return call("SendMessage", target_agent=target, message="do it")


NAMES = ("A", "B", "C")
targets = st.dictionaries(st.sampled_from((*NAMES, "*")), st.sets(st.sampled_from((*NAMES, "*"))))


@settings(max_examples=200, deadline=None)
@given(st.none() | targets, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_a_policy_allows_what_it_names_and_nothing_else(agents: Any, sender: str, target: str) -> None:
    allowed = HandoffPolicy(agents).allows(sender, target)
    if agents is None:
        assert allowed
    elif sender in agents:
        assert allowed == bool(agents[sender] & {target, "*"})
    else:
        assert allowed == bool(agents.get("*", set()) & {target, "*"})


@pytest.mark.parametrize(
    ("domains", "host", "allowed"),
    [
        (None, "anywhere.example", True),
        (["example.com"], "example.com", True),
        (["Example.COM."], "agents.example.com", True),
        (["example.com"], "evilexample.com", False),
        (["example.com"], "example.com.evil.net", False),
        (["example.com"], "", True),
        ([], "example.com", False),
    ],
)
def test_a_policy_allows_a_domain_and_all_below_it(domains: Any, host: str, allowed: bool) -> None:
    assert HandoffPolicy(domains=domains).allows_host(host) is allowed


@pytest.mark.parametrize(
    "wrong",
    [
        {"agents": ["A"]},
        {"agents": {"A": "B"}},
        {"agents": {"A": [7]}},
        {"agents": {"": ["A"]}},
        {"domains": "example.com"},
        {"domains": ["https://example.com"]},
        {"domains": ["*.example.com"]},
        {"domains": [""]},
    ],
)
def test_a_policy_of_the_wrong_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="HandoffPolicy"):
        HandoffPolicy(**wrong)


async def test_a_handoff_whose_target_a_function_chooses_is_offered_and_described_under_any_policy() -> None:
    b = Agent("B", "b")

    @handoff
    def whoever(message: str) -> Agent:
        """Give it to whoever knows."""
        return b

    script = Script([call("whoever", message="x"), "I may not."])
    policy = HandoffPolicy({"A": []})
    async with Agency(Agent("A", handoffs=[whoever]), b, handoff_policy=policy, model=scripted(script)) as agency:
        assert [ability.name for ability in agency.describe("A").handoffs] == ["whoever"]
        assert (await agency.run("?")).agent == "A"
    assert [spec.name for spec in script.requests[0].tools] == ["whoever"]
    assert "A may not hand off to B" in script.requests[1].messages[-1].text


async def test_what_the_policy_forbids_is_neither_offered_nor_done() -> None:
    b, c = Agent("B", "b"), Agent("C", "c")
    a = Agent("A", "a", handoffs=[handoff(b), handoff(c, kind="transfer"), b, c])
    script = Script([[send("C"), call("transfer_to_C", message="x")], "I may not."])
    async with Agency(a, handoff_policy=HandoffPolicy({"A": ["B"]}), model=scripted(script)) as agency:
        assert (await agency.run("?")).agent == "A"
        assert (agency.may_reach("A", "B"), agency.may_reach("A", "C")) == (True, False)
        assert {ability.details["target"] for ability in agency.describe("A").handoffs} == {"B"}
    assert [spec.name for spec in script.requests[0].tools] == ["delegate_to_B", "SendMessage"]
    refusals = [message.text for message in script.requests[1].messages if message.role == "tool"]
    assert "A may not hand off to C; it may reach B" in refusals[0]


async def test_no_hook_gets_past_the_policy() -> None:
    @hook("handoff")
    def elsewhere(context: HookContext) -> None:
        from dataclasses import replace

        assert context.handoff is not None
        context.handoff = replace(context.handoff, target="C")

    a = Agent("A", "a", handoffs=[Agent("B", "b"), Agent("C", "c")], hooks=[elsewhere])
    script = Script([send("B"), "I may not."])
    async with Agency(a, handoff_policy=HandoffPolicy({"A": ["B"]}), model=scripted(script)) as agency:
        assert (await agency.run("?")).text == "I may not."
    assert "A may not hand off to C" in script.requests[1].messages[-1].text


async def test_actors_of_ones_own_obey_the_policy_too() -> None:
    policy = HandoffPolicy({"Cron": ["A"]})
    async with Agency(Agent("A", "a"), handoff_policy=policy, model=scripted(Script(["done"]))) as agency:
        with pytest.raises(HandoffRefused):
            await agency.agent_ref("A").ask(Handoff("Stranger", "A", "x"))
        assert (await agency.agent_ref("A").ask(Handoff("Cron", "A", "x"))).text == "done"


@pytest.mark.parametrize(
    "target",
    [
        handoff("https://evil.example/v1"),
        handoff(RemoteAgent("Far", "https://evil.example/v1")),
        handoff(Pipeline("Line", WebhookTarget("Hook", "https://evil.example/x"))),
    ],
)
def test_targets_elsewhere_have_to_be_where_the_policy_allows(target: Any) -> None:
    policy = HandoffPolicy(domains=["example.com"])
    with pytest.raises(DefinitionError, match=r"evil\.example, where the handoff policy allows nobody"):
        Agency(Agent("A", handoffs=[target]), handoff_policy=policy, model="offline")
    Agency(Agent("A", handoffs=[handoff("https://agents.example.com/v1")]), handoff_policy=policy, model="offline")


async def test_a_handoff_that_is_revoked_in_a_run_under_way_is_refused_from_the_next_one_on() -> None:
    script = Script([])
    replies = iter([send("B"), "b", send("B"), "I may not.", send("B"), "b again", "done"])

    async def model(request: Request) -> Any:
        script.requests.append(request)
        reply = next(replies)
        if len(script.requests) == 3:  # as the model answers the third request, B is still offered to it
            agency.revoke("A", "B")
        if len(script.requests) == 4:
            agency.allow("A", "B")
        return reply

    async with Agency(Agent("A", "a", handoffs=[Agent("B", "b")]), model=function(model)) as agency:
        first = await agency.run("?")
        second = await agency.run("?")
    assert first.text == "I may not."
    assert "A may not hand off to B; it may reach nobody" in script.requests[3].messages[-1].text
    assert [bool(request.tools) for request in script.requests[2:5]] == [True, False, True]
    assert (second.text, second.chain) == ("done", ("A → B",))


@pytest.mark.parametrize("kind", ["delegate", "transfer"])
async def test_a_handoff_of_its_own_is_revoked_and_allowed_again(kind: Any) -> None:
    b = Agent("B", "b")
    script = Script(["no tools", "tools again"])
    async with Agency(Agent("A", "a", handoffs=[handoff(b, kind=kind)]), model=scripted(script)) as agency:
        agency.revoke("A", b)
        assert not agency.may_reach("A", "B")
        await agency.run("?")
        agency.allow("A", "B")
        assert agency.may_reach("A", "B")
        await agency.run("?")
    assert [[spec.name for spec in request.tools] for request in script.requests] == [[], [f"{kind}_to_B"]]


async def test_a_pipeline_is_revoked_by_its_name() -> None:
    line = Pipeline("Line", Agent("One"), Agent("Two"))
    async with Agency(Agent("A", handoffs=[handoff(line)]), model=scripted(Script([]))) as agency:
        assert agency.may_reach("A", "Line")
        agency.revoke("A", "Line")
        assert not agency.may_reach("A", "Line")


async def test_a_run_under_way_may_be_allowed_a_handoff_that_it_began_without() -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> Any:
        if request.messages[0].text == "b":
            return "b did it"
        if request.messages[-1].role == "tool" and "b did it" in request.messages[-1].text:
            return "done"
        if request.tools and any(spec.name == "SendMessage" for spec in request.tools):
            return send("B")
        asked.set()
        await go.wait()
        return send("B")

    async with Agency(Agent("A", "a"), Agent("B", "b"), model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("?"))
        await asked.wait()
        agency.allow("A", "B")
        go.set()
        answer = await run
    assert answer.text == "done"
    assert answer.handoffs[-1].target == "B"


async def test_names_that_nobody_has_and_what_the_policy_forbids_are_told() -> None:
    agents = (Agent("A"), Agent("B"), Agent("C"))
    policy = HandoffPolicy({"*": ["B"]})
    async with Agency(*agents, handoff_policy=policy, model=scripted(Script([]))) as agency:
        for change in (agency.allow, agency.revoke):
            with pytest.raises(UnknownAgent):
                change("Nobody", "B")
            with pytest.raises(UnknownAgent):
                change("A", "Nobody")
        with pytest.raises(UnknownAgent):
            agency.may_reach("Nobody", "B")
        with pytest.raises(UnknownAgent, match="Nobody"):
            agency.may_reach("A", "Nobody")
        with pytest.raises(DefinitionError, match="policy does not allow A to hand off to C"):
            agency.allow("A", "C")
        agency.allow("A", "B")
        assert agency.may_reach("A", "B")


async def test_allowing_and_revoking_from_many_threads_leaves_what_was_said_last() -> None:
    names = [f"Agent{number}" for number in range(8)]
    async with Agency(*(Agent(name) for name in names), model=function(lambda request: "ok")) as agency:

        def work(sender: str) -> None:
            for _ in range(50):
                for target in names:
                    agency.allow(sender, target)
                    agency.revoke(sender, target)
            agency.allow(sender, names[0])

        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert (await agency.run("?")).text == "ok"
        await until(lambda: not any(thread.is_alive() for thread in threads))
        reached = {name: [target for target in names if agency.may_reach(name, target)] for name in names}
    assert all(found in ([names[0]], []) for found in reached.values())
    assert sum(map(bool, reached.values())) == len(names) - 1, (
        "an agent cannot reach itself, all others reach the first"
    )


def test_what_is_no_policy_is_refused() -> None:
    with pytest.raises(DefinitionError, match="handoff_policy is a HandoffPolicy"):
        Agency(Agent("A"), handoff_policy={"A": ["B"]}, model="offline")  # type: ignore[arg-type]
