"""What waits for a person: by an agent's autonomy, by what a tool says of itself, and who may decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from callboard import Agency, Agent, Answer, Caller, NotAllowed, Skill, handoff
from callboard.actors.agents.events import ApprovalRequested, RunEvent
from callboard.actors.agents.team.prepared import TOLD
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from callboard.tools import Tool, composite, tool
from callboard.tools.tool import Autonomy

from .support import function, until

LEVELS: tuple[Autonomy, ...] = get_args(Autonomy)


def noting(ran: list[str], name: str = "pay", **options: Any) -> Tool:
    async def run() -> str:
        ran.append(name)
        return f"{name} ran"

    return tool(name=name, **options)(run)


def calls(name: str, **arguments: Any) -> Any:
    """A model that makes one call, and then repeats its result; what another agent is handed it answers."""

    def model(request: Request) -> Any:
        last = request.messages[-1]
        if last.role == "tool":
            return last.text
        return f"{last.text}, done" if last.text != "go" else call(name, **arguments)

    return function(model)


# -- handoffs ----------------------------------------------------------------------------------------------------------

HANDOFFS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "SendMessage": (lambda other: other, "SendMessage", {"target_agent": "Other", "message": "task"}),
    "delegate": (lambda other: handoff(other), "delegate_to_Other", {"message": "task"}),
    "transfer": (lambda other: handoff(other, kind="transfer"), "transfer_to_Other", {"message": "task"}),
}


@pytest.mark.parametrize("how", HANDOFFS)
@pytest.mark.parametrize("autonomy", LEVELS)
async def test_manual_waits_for_a_person_before_each_handoff_and_no_other_level_does(how: str, autonomy: Any) -> None:
    offered, name, arguments = HANDOFFS[how]
    asked: list[RunEvent] = []
    other = Agent("Other", "I am other.")
    front = Agent("Front", handoffs=[offered(other)], autonomy=autonomy)
    async with Agency(front, model=calls(name, **arguments)) as agency:
        agency.subscribe(asked.append)
        handle = await agency.start_run("go", conversation="c")
        if autonomy == "manual":
            await until(lambda: agency.approvals)
            (request,) = agency.approvals
            assert (request.tool, request.agent) == (name, "Front")
            assert not any(event.agent == "Other" for event in asked)
            agency.approve(request)
        answer = await handle
    assert [record.target for record in answer.handoffs] == ["Other"]
    assert any(event.agent == "Other" for event in asked)


@pytest.mark.parametrize("how", HANDOFFS)
async def test_a_handoff_that_a_person_refuses_is_not_made_and_the_model_is_told(how: str) -> None:
    offered, name, arguments = HANDOFFS[how]
    front = Agent("Front", handoffs=[offered(Agent("Other"))], autonomy="manual")
    async with Agency(front, model=calls(name, **arguments)) as agency:
        handle = await agency.start_run("go")
        await until(lambda: agency.approvals)
        agency.deny(agency.approvals[0], "not today")
        answer = await handle
    assert (answer.text, answer.handoffs) == ("Denied by a person: not today", ())


@pytest.mark.parametrize("how", HANDOFFS)
async def test_what_a_person_changes_in_a_handoff_is_what_is_sent(how: str) -> None:
    offered, name, arguments = HANDOFFS[how]
    front = Agent("Front", handoffs=[offered(Agent("Other"))], autonomy="manual")
    async with Agency(front, model=calls(name, **arguments)) as agency:
        handle = await agency.start_run("go")
        await until(lambda: agency.approvals)
        target = '"target_agent": "Other", ' if how == "SendMessage" else ""
        agency.approve(agency.approvals[0], arguments=f'{{{target}"message": "changed"}}')
        answer = await handle
    assert [record.task for record in answer.handoffs] == ["changed"]


@pytest.mark.parametrize("how", HANDOFFS)
async def test_an_approved_handoff_is_made_once_also_over_a_restart(tmp_path: Path, how: str) -> None:
    offered, name, arguments = HANDOFFS[how]

    def agency() -> Agency:
        front = Agent("Front", handoffs=[offered(Agent("Other"))], autonomy="manual")
        return Agency(front, model=calls(name, **arguments), journal=tmp_path / "runs.db")

    async with agency() as first:
        await first.start_run("go", run_id="r", conversation="c")
        await until(lambda: first.approvals)
        before = first.approvals[0].approval
    async with agency() as second:
        (request,) = await second.pending_approvals()
        assert request.approval == before
        await second.approve(request)
        answer = await (await second.handle("r"))
    assert [record.target for record in answer.handoffs] == ["Other"]


async def approving_and_killing(how: str, whom: str, at: int) -> tuple[Answer, set[str], int]:
    """Approve whatever is asked, and kill an actor at one event. Returns the answer, the approvals, how many events."""
    offered, name, arguments = HANDOFFS[how]
    front = Agent("Front", handoffs=[offered(Agent("Other"))], autonomy="manual")
    asked: set[str] = set()
    count = 0
    async with Agency(front, model=calls(name, **arguments)) as agency:

        def look(event: RunEvent) -> None:
            nonlocal count
            if isinstance(event, ApprovalRequested):
                asked.add(event.approval)
                agency.approve(event)
            ref = agency.system.find(whom) if agency.system is not None and count == at else None
            count += 1
            if ref is not None and ref.is_alive():
                ref.kill()

        agency.subscribe(look)
        return await agency.run("go", conversation="c"), asked, count


@pytest.mark.parametrize("how", HANDOFFS)
@pytest.mark.parametrize("whom", ["agency/Front/c", "agency/Front", "agency", "model"])
async def test_whoever_is_killed_at_whichever_event_an_approved_handoff_is_made_once(how: str, whom: str) -> None:
    at, count = 0, 1
    while at < count:
        answer, asked, count = await approving_and_killing(how, whom, at)
        assert [record.target for record in answer.handoffs] == ["Other"], f"killed at event {at}"
        assert answer.text.endswith("task, done") or how == "transfer"
        assert len(asked) == 1
        at += 1
    assert count > 5


async def test_a_transfer_is_asked_about_once_when_the_other_calls_have_their_results() -> None:
    ran: list[str] = []
    other = Agent("Other")
    front = Agent(
        "Front", handoffs=[handoff(other, kind="transfer")], tools=[noting(ran, approval="never")], autonomy="manual"
    )

    def model(request: Request) -> Any:
        if any(spec.name == "pay" for spec in request.tools):
            return [call("transfer_to_Other", "t", message="task"), call("pay", "p")]
        return "it is mine now"

    asked: list[str] = []
    async with Agency(front, model=function(model)) as agency:

        def look(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.tool)
                assert ran == ["pay"]

        agency.subscribe(look)
        handle = await agency.start_run("go")
        await until(lambda: agency.approvals)
        agency.approve(agency.approvals[0])
        answer = await handle
    assert (answer.text, answer.agent, asked) == ("it is mine now", "Other", ["transfer_to_Other"])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SendMessage", {"target_agent": "Nobody", "message": "task"}),
        ("SendMessage", {"target_agent": "Other"}),
        ("delegate_to_Nobody", {"message": "task"}),
    ],
)
async def test_nobody_is_asked_about_a_handoff_that_would_be_refused(name: str, arguments: dict[str, Any]) -> None:
    front = Agent("Front", handoffs=[Agent("Other")], autonomy="manual")
    async with Agency(front, model=calls(name, **arguments)) as agency:
        answer = await agency.run("go")
    assert answer.handoffs == ()
    assert answer.text.startswith(("Refused: ", "no tool is called"))


# -- what the model is told --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("autonomy", LEVELS)
@pytest.mark.parametrize("instructions", ["You are brief.", "", lambda context: "You are brief."])
async def test_the_model_is_told_its_autonomy_in_one_sentence_unless_nobody_is_asked(
    autonomy: Any, instructions: Any
) -> None:
    requests: list[Request] = []
    skill = Skill("taught", "You add.")

    def model(request: Request) -> str:
        requests.append(request)
        return "hello"

    agent = Agent("Solo", instructions, autonomy=autonomy, skills=[skill])
    async with Agency(agent, model=function(model)) as agency:
        await agency.run("hi")
    said = [message.text for message in requests[0].messages if message.role == "system"]
    parts = ["" if instructions == "" else "You are brief.", "You add.", TOLD.get(autonomy, "")]
    assert said == ["\n\n".join(part for part in parts if part)]
    assert ("A person looks at" in said[0]) == (autonomy != "autonomous")


# -- what a tool says of itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        ({"risk": "safe"}, {"manual"}),
        ({"risk": "risky"}, {"manual", "supervised"}),
        ({"risk": "safe", "approval": "supervised"}, {"supervised"}),
        ({"risk": "risky", "approval": ["manual"]}, {"manual"}),
        ({"approval": "always"}, set(LEVELS)),
        ({"approval": "never"}, set()),
        ({"approved_by": "finance"}, set(LEVELS)),
        ({"approved_by": "finance", "approval": "manual"}, {"manual"}),
    ],
)
@pytest.mark.parametrize("autonomy", LEVELS)
async def test_a_call_waits_at_the_levels_that_its_tool_names_or_those_of_its_risk(
    options: Any, levels: set[str], autonomy: Any
) -> None:
    ran: list[str] = []
    async with Agency(Agent("Solo", tools=[noting(ran, **options)], autonomy=autonomy), model=calls("pay")) as agency:
        handle = await agency.start_run("go")
        if autonomy in levels:
            await until(lambda: agency.approvals)
            assert ran == []
            agency.approve(agency.approvals[0])
        assert (await handle).text == "pay ran"
    assert ran == ["pay"]


def test_a_composite_is_safe_and_needs_a_scope_for_each_of_its_tools() -> None:
    one = noting([], "one", risk="safe", approval="never", scope=("finance", "legal"), approved_by="finance")
    two = noting([], "two", risk="risky", approval="autonomous", scope=("finance", "board"))
    three = noting([], "three", risk="safe", scope="owner")
    free = noting([], "free", risk="safe", approval="never")
    both = composite([one, two, free])
    assert (set(both.scope), set(both.approval), set(both.approved_by)) == ({"finance"}, {"manual"}, set())
    assert composite([one, three]).scope == {"admin"}
    assert set(composite([free]).scope) == {"all"}


# -- who may decide ----------------------------------------------------------------------------------------------------


def person(user: str, *scopes: str, tenant: str = "acme") -> Caller:
    return Caller(user, tenant, frozenset(scopes))


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize(
    ("approved_by", "by", "may"),
    [
        (None, person("eve"), True),
        (None, person("bob"), False),
        (None, person("bob", "approvals"), True),
        (None, person("bob", "admin"), True),
        (None, person("bob", "approvals", tenant="evil"), False),
        ("finance", person("eve"), False),
        ("finance", person("eve", "finance"), True),
        ("finance", person("bob", "approvals"), False),
        ("finance", person("bob", "finance"), True),
        ("finance", person("bob", "finance", tenant="evil"), False),
        (("finance", "legal"), person("bob", "legal"), True),
        ("finance", person("bob", "admin"), True),
        ("owner", person("ann"), True),
        ("owner", person("ann", tenant="evil"), False),
        ("owner", person("eve"), False),
        ("finance", None, True),
    ],
)
async def test_a_call_is_decided_by_those_whom_its_tool_names_or_else_by_whoever_asked_for_it(
    tmp_path: Path, approved_by: Any, by: Caller | None, may: bool, elsewhere: bool
) -> None:
    ran: list[str] = []

    def agency() -> Agency:
        paying = noting(ran, approval="always", approved_by=approved_by)
        agent = Agent("Clerk", tools=[paying], owner=Caller("ann", "acme"))
        return Agency(agent, model=calls("pay"), journal=tmp_path / "runs.db")

    async with agency() as first:
        await first.start_run("go", run_id="r", caller=person("eve"))
        await until(lambda: first.approvals)
        (request,) = first.approvals
        if elsewhere:
            async with agency() as deciding:
                await decide(deciding, request, by, may)
        else:
            await decide(first, request, by, may)
        if not may:
            assert ran == []
            await first.approve(request)
        assert (await (await first.handle("r"))).text == "pay ran"


async def decide(agency: Agency, request: ApprovalRequested, by: Caller | None, may: bool) -> None:
    if may:
        await agency.approve(request.approval, caller=by)
        return
    theirs = by is not None and by.tenant == "acme"
    wanted = "what eve of acme asked for; it takes the scope" if theirs else "this: it is another tenant's"
    with pytest.raises(NotAllowed, match=f"may not decide {wanted}"):
        await agency.approve(request.approval, caller=by)
