"""Who may use what: tools, skills, hooks, handoffs and agents carry scopes, and callers hold them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import (
    Agency,
    Agent,
    Caller,
    DefinitionError,
    NotAllowed,
    Pipeline,
    Skill,
    StepPlan,
    guardrail,
    handoff,
    hook,
    load_team,
)
from callboard.actors.agents.hooks import Hook, HookContext
from callboard.actors.agents.runs.coordination.elsewhere import decide
from callboard.actors.agents.team.directory import Directory
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.journal.sqlite import SqliteJournal
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from callboard.tools import Tool, tool

from .support import function, until

ANN = Caller("ann", "acme", {"finance"})  # type: ignore[arg-type]
ADMIN = Caller("root", "acme", {"admin"})  # type: ignore[arg-type]
VAULT = "You are the vault."
STRANGER = Caller("eve", "acme")


class Model:
    """Calls what it is told to by the question ("name" or "name to whom"), then repeats the result; notes requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Any:
        self.requests.append(request)
        last = request.messages[-1]
        if last.role == "tool":
            return last.text
        name, _, target = last.text.partition(" ")
        if name in ("", "done") or VAULT in self.said(request):
            return "nothing"
        arguments = {"message": "done"} if target or name.startswith(("delegate", "transfer")) else {}
        return call(name, **arguments, **({"target_agent": target} if target else {}))

    @staticmethod
    def said(request: Request) -> str:
        return "".join(message.text for message in request.messages if message.role == "system")

    @property
    def reached_vault(self) -> bool:
        """Whether the vault's model was asked."""
        return any(VAULT in self.said(request) for request in self.requests)

    @property
    def offered(self) -> set[str]:
        """The tools of the first request."""
        return {spec.name for spec in self.requests[0].tools}

    @property
    def system(self) -> str:
        """The system message of the first request."""
        return self.said(self.requests[0])


def noting(ran: list[str], name: str, **options: Any) -> Tool:
    async def run() -> str:
        ran.append(name)
        return f"{name} ran"

    return tool(name=name, risk="safe", **options)(run)


async def asked(
    agent: Agent, question: str, caller: Caller | None, *others: Agent, **options: Any
) -> tuple[str, Model]:
    model = Model()
    async with Agency(agent, *others, model=function(model), **options) as agency:
        return (await agency.run(question, caller=caller)).text, model


# -- tools -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "caller", "may"),
    [
        ("admin", None, False),
        ("admin", STRANGER, False),
        ("admin", ADMIN, True),
        ("finance", STRANGER, False),
        ("finance", ANN, True),
        ("finance", ADMIN, True),
        (("legal", "finance"), ANN, True),
        (("legal", "board"), ANN, False),
        (("all", "board"), None, True),
        ("owner", ANN, False),
        ("owner", ADMIN, True),
        ("owner", Caller("deputy", "acme", frozenset({"owner"})), True),
        ("all", None, True),
    ],
)
async def test_a_tool_is_offered_to_and_run_for_those_who_have_one_of_its_scopes_only(
    scope: Any, caller: Caller | None, may: bool
) -> None:
    ran: list[str] = []
    agent = Agent("Clerk", tools=[noting(ran, "pay", scope=scope), noting(ran, "look")])
    text, model = await asked(agent, "pay", caller)
    assert model.offered == ({"pay", "look"} if may else {"look"})
    assert ran == (["pay"] if may else [])
    assert text == ("pay ran" if may else "no tool is called 'pay'; there are: look")


async def test_a_call_of_a_tool_that_a_caller_may_not_use_is_answered_as_one_of_a_tool_that_is_not_there() -> None:
    barred = Agent("Clerk", tools=[noting([], "pay", scope="finance"), noting([], "look")])
    without = Agent("Clerk", tools=[noting([], "look")])
    first, there = await asked(barred, "pay", STRANGER)
    second, not_there = await asked(without, "pay", STRANGER)
    assert first == second
    assert there.requests == not_there.requests


@pytest.mark.parametrize(
    ("owner", "caller", "owns"),
    [
        (Caller("ann", "acme"), Caller("ann", "acme"), True),
        (Caller("ann", "acme"), Caller("ann", "evil"), False),
        (Caller("ann", "acme"), Caller("ann"), False),
        ("ann", Caller("ann"), True),
        ("ann", Caller("ann", "acme"), False),
        ("ann", None, False),
        (None, None, False),
        (None, Caller("", "acme"), False),
    ],
)
async def test_the_owner_is_one_user_of_one_tenant(owner: Any, caller: Caller | None, owns: bool) -> None:
    ran: list[str] = []
    agent = Agent("Clerk", tools=[noting(ran, "pay", scope="owner")], owner=owner)
    _, model = await asked(agent, "pay", caller)
    assert (model.offered, ran) == (({"pay"}, ["pay"]) if owns else (set(), []))


def test_an_owner_and_scopes_may_stand_in_a_file() -> None:
    data = {"name": "Clerk", "scope": ["finance", "owner"], "owner": {"user": "ann", "tenant": "acme"}}
    agent = Agent.from_config(data)
    assert (agent.scope, agent.owner) == ({"finance", "owner"}, Caller("ann", "acme"))


@pytest.mark.parametrize(
    "owner", [{"user": ""}, {"user": "ann", "scopes": ["x"]}, "", 7, Caller(), Caller(tenant="acme"), ["ann"]]
)
def test_an_owner_that_names_no_user_is_refused(owner: Any) -> None:
    with pytest.raises(DefinitionError, match="agent Clerk: the owner is a user's name"):
        Agent("Clerk", owner=owner)


@pytest.mark.parametrize("scope", ["", " ", (), None, 7, ["finance", ""], [None], b"admin"])
def test_a_scope_that_is_no_text_is_refused_by_name(scope: Any) -> None:
    with pytest.raises(DefinitionError, match="agent Clerk: scope is a text"):
        Agent("Clerk", scope=scope)
    with pytest.raises(DefinitionError, match="skill books: scope is a text"):
        Skill("books", scope=scope)
    with pytest.raises(DefinitionError, match="hook request: scope is a text"):
        Hook("request", print, scope=scope)
    with pytest.raises(DefinitionError, match="the handoff to Other: scope is a text"):
        handoff("Other", scope=scope)


async def test_a_hook_that_changes_a_call_gives_nobody_a_tool() -> None:
    ran: list[str] = []

    @hook("toolcall")
    def other(context: HookContext) -> None:
        assert context.call is not None
        context.call = type(context.call)(context.call.id, "pay", "{}")

    agent = Agent("Clerk", tools=[noting(ran, "pay", scope="finance"), noting(ran, "look")], hooks=[other])
    text, _ = await asked(agent, "look", STRANGER)
    assert (text, ran) == ("no tool is called 'pay'", [])
    text, _ = await asked(agent, "look", ANN)
    assert (text, ran) == ("pay ran", ["pay"])


async def test_a_plan_for_a_step_gives_nobody_a_tool_and_may_name_it_all_the_same() -> None:
    ran: list[str] = []
    tools = [noting(ran, "pay", scope="finance"), noting(ran, "look"), noting(ran, "other")]
    agent = Agent("Clerk", tools=tools, prepare_step=lambda run: StepPlan(tools=["pay", "look"]))
    _, model = await asked(agent, "pay", STRANGER)
    assert (model.offered, ran) == ({"look"}, [])
    _, model = await asked(agent, "pay", ANN)
    assert (model.offered, ran) == ({"pay", "look"}, ["pay"])


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("lost", ["scope", "owner"])
async def test_what_was_asked_about_or_approved_is_not_run_once_its_caller_may_not_use_it(
    tmp_path: Path, lost: str, decided: bool
) -> None:
    ran: list[str] = []

    def agency(scope: str, owner: str) -> Agency:
        agent = Agent("Clerk", tools=[noting(ran, "pay", scope=scope)], autonomy="manual", owner=owner)
        return Agency(agent, model=function(Model()), journal=tmp_path / "runs.db")

    before, after = (("all", "eve"), ("finance", "eve")) if lost == "scope" else (("owner", "eve"), ("owner", "ann"))
    async with agency(*before) as first:
        await first.start_run("pay", run_id="r", caller=Caller("eve"))
        await until(lambda: first.approvals)
        (request,) = first.approvals
    if decided:
        with closing(SqliteJournal(tmp_path / "runs.db", RunCodec())) as journal:
            await decide(journal, request.approval, True)
    async with agency(*after) as second:
        answer = await (await second.handle("r"))
        assert await second.pending_approvals() == ()
    assert (answer.text, ran) == ("no tool is called 'pay'; there are: none", [])


async def test_a_delegate_uses_what_the_caller_may_and_not_what_its_asker_or_owner_may() -> None:
    ran: list[str] = []
    paying = Agent("Cashier", tools=[noting(ran, "pay", scope="finance")], owner="ann")

    def model(request: Request) -> Any:
        last = request.messages[-1]
        if last.role == "tool":
            return last.text
        if any(spec.name == "SendMessage" for spec in request.tools):
            return call("SendMessage", target_agent="Cashier", message="pay")
        return call("pay")

    async with Agency(Agent("Front", handoffs=[paying], owner="boss"), model=function(model)) as agency:
        assert (await agency.run("go", caller=STRANGER)).text.startswith("no tool is called 'pay'")
        assert ran == []
        assert (await agency.run("go", caller=ANN)).text == "pay ran"


# -- skills ------------------------------------------------------------------------------------------------------------


async def test_a_skills_scope_covers_its_tools_prompt_hooks_and_handoffs() -> None:
    ran: list[str] = []
    auditor = Agent("Auditor", description="audits")
    skill = Skill(
        "books",
        "You keep the books.",
        tools=[noting(ran, "book")],
        hooks=[Hook("request", lambda context: ran.append("hook"))],
        handoffs=[auditor, handoff(auditor, name="audit")],
        scope="finance",
    )
    agent = Agent("Clerk", "You are a clerk.", tools=[noting(ran, "look")], skills=[skill])
    text, model = await asked(agent, "book", STRANGER)
    assert (model.offered, model.system, ran) == ({"look"}, "You are a clerk.", [])
    assert text == "no tool is called 'book'; there are: look"
    _, model = await asked(agent, "book", ANN)
    assert model.offered == {"look", "book", "audit", "SendMessage"}
    assert model.system == "You are a clerk.\n\nYou keep the books."
    assert ran == ["hook", "book", "hook"]


async def test_a_target_of_a_barred_skill_stays_reachable_where_a_flow_leads_to_it() -> None:
    auditor, other = Agent("Auditor"), Agent("Other")
    skill = Skill("books", handoffs=[auditor, other], scope="finance")
    _, model = await asked(Agent("Clerk", skills=[skill]), "", STRANGER, flows=[("Clerk", "Auditor")])
    (spec,) = model.requests[0].tools
    assert spec.parameters["properties"]["target_agent"]["enum"] == ["Auditor"]


async def test_a_skill_that_builds_on_one_that_a_caller_may_not_use_is_not_offered_either() -> None:
    base = Skill("base", "Base.", tools=[noting([], "base")], scope="finance")
    above = Skill("above", "Above.", tools=[noting([], "above")], requires=[base])
    _, model = await asked(Agent("Clerk", skills=[above]), "", STRANGER)
    assert (model.offered, model.system) == (set(), "")
    _, model = await asked(Agent("Clerk", skills=[above]), "", ANN)
    assert (model.offered, model.system) == ({"base", "above"}, "Base.\n\nAbove.")


# -- hooks -------------------------------------------------------------------------------------------------------------


async def test_a_hook_with_a_scope_runs_for_those_who_have_it_and_a_guardrail_without_one_always() -> None:
    seen: list[str] = []
    mine = hook("request", scope=("finance", "legal"))(lambda context: seen.append("mine"))
    always = guardrail("request")(lambda context: seen.append("always"))
    owners = guardrail("request", scope="owner")(lambda context: seen.append("owner's"))
    agent = Agent("Clerk", hooks=[mine, always, owners], owner=Caller("ann", "acme"))
    for caller, expected in ((None, ["always"]), (STRANGER, ["always"]), (ANN, ["always", "owner's", "mine"])):
        seen.clear()
        await asked(agent, "", caller)
        assert seen == expected


# -- handoffs, and agents that not everybody may ask -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["delegate", "transfer"])
async def test_a_handoff_with_a_scope_is_offered_to_and_done_for_those_who_have_it(kind: Any) -> None:
    agent = Agent("Front", handoffs=[handoff(Agent("Vault", VAULT), kind=kind, name="go", scope="finance")])
    text, model = await asked(agent, "go there", STRANGER)
    assert (model.offered, text) == (set(), "no tool is called 'go'; there are: none")
    text, model = await asked(agent, "go there", ANN)
    assert model.offered == {"go"}
    assert text == "nothing"
    assert model.reached_vault


@pytest.mark.parametrize(
    ("handoffs", "question", "refused"),
    [
        (lambda vault: [vault, "Open"], "SendMessage Vault", "Front may not hand off to Vault; it may reach Open"),
        (lambda vault: [handoff(vault)], "delegate_to_Vault", "no tool is called 'delegate_to_Vault'; there are: none"),
        (lambda vault: [handoff(vault, kind="transfer")], "transfer_to_Vault", "no tool is called 'transfer_to_Vault'"),
        (lambda vault: [handoff("Vault")], "delegate_to_Vault", "no tool is called 'delegate_to_Vault'"),
        (
            lambda vault: [handoff(Pipeline("Both", Agent("First"), vault))],
            "delegate_to_Both",
            "no tool is called 'delegate_to_Both'",
        ),
    ],
)
async def test_an_agent_is_neither_offered_to_nor_asked_for_those_who_may_not_ask_it(
    handoffs: Any, question: str, refused: str
) -> None:
    vault, others = Agent("Vault", VAULT, scope="finance", description="gold"), [Agent("Open")]
    front = Agent("Front", handoffs=handoffs(vault))
    text, model = await asked(front, question, STRANGER, vault, *others)
    assert refused in text
    assert "Vault" not in str(model.requests[0].tools)
    assert "gold" not in str(model.requests[0].tools)
    assert not model.reached_vault
    _, model = await asked(front, question, ANN, vault, *others)
    assert model.reached_vault


async def test_the_refusal_of_an_agent_that_a_caller_may_not_ask_is_that_of_one_that_is_not_there() -> None:
    vault, other = Agent("Vault", scope="finance"), Agent("Open")
    there, _ = await asked(Agent("Front", handoffs=[vault, other]), "SendMessage Vault", STRANGER)
    not_there, _ = await asked(Agent("Front", handoffs=[other]), "SendMessage Vault", STRANGER)
    assert there == not_there


async def test_a_hook_that_changes_a_handoffs_target_brings_nobody_to_an_agent_that_they_may_not_ask() -> None:
    from dataclasses import replace

    @hook("handoff")
    def elsewhere(context: HookContext) -> None:
        assert context.handoff is not None
        context.handoff = replace(context.handoff, target="Vault")

    vault = Agent("Vault", VAULT, scope="finance")
    front = Agent("Front", handoffs=[Agent("Open"), vault], hooks=[elsewhere])
    text, model = await asked(front, "SendMessage Open", STRANGER)
    assert "Front may not hand off to Vault; it may reach Open" in text
    assert not model.reached_vault


@pytest.mark.parametrize("caller", [None, STRANGER, Caller("ann", "evil")])
async def test_who_has_no_scope_for_an_agent_is_refused_and_nothing_is_begun(caller: Caller | None) -> None:
    model = Model()
    vault = Agent("Vault", scope=("owner", "finance"), owner=Caller("ann", "acme"))
    async with Agency(vault, model=function(model)) as agency:
        for ask in (agency.run, agency.start_run):
            with pytest.raises(NotAllowed, match="the caller has no scope for agent Vault; it takes the scope "):
                await ask("hi", caller=caller, conversation="c")
        with pytest.raises(NotAllowed):
            async for _ in agency.run_streaming("hi", caller=caller):
                pass
        assert await agency.conversations() == []
        assert isinstance((await agency.fan_out("hi", caller=caller))["Vault"], NotAllowed)
        assert model.requests == []
        assert (await agency.run("", caller=Caller("ann", "acme"))).text == "nothing"


async def test_a_transferred_conversation_is_closed_to_callers_who_may_not_ask_the_agent_that_has_it() -> None:
    model = Model()
    vault = Agent("Vault", VAULT, scope="finance")
    front = Agent("Front", handoffs=[handoff(vault, kind="transfer")])
    async with Agency(front, model=function(model)) as agency:
        colleague = Caller("eve", "acme", frozenset({"conversations"}))
        await agency.run("transfer_to_Vault", caller=ANN, conversation="c")
        count = len(model.requests)
        with pytest.raises(NotAllowed, match="no scope for agent Vault"):
            await agency.run("hi", caller=colleague, conversation="c")
        assert len(model.requests) == count
        await agency.run("hi", caller=ANN, conversation="c")


async def test_a_run_that_was_begun_goes_no_further_once_its_caller_may_not_ask_its_agent(tmp_path: Path) -> None:
    def agency(scope: str) -> Agency:
        agent = Agent("Clerk", tools=[noting([], "pay")], autonomy="manual", scope=scope)
        return Agency(agent, model=function(Model()), journal=tmp_path / "runs.db")

    async with agency("all") as first:
        await first.start_run("pay", run_id="r", caller=STRANGER)
        await until(lambda: first.approvals)
    async with agency("finance") as second:
        with pytest.raises(NotAllowed, match="no scope for agent Clerk"):
            await (await second.handle("r"))
        assert await second.pending_approvals() == ()


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_an_agent_is_made_ready_once_for_all_who_hold_the_same_of_what_matters() -> None:
    scoped = Agent("Scoped", tools=[noting([], "pay", scope="finance")], owner="ann")
    directory = Directory([scoped, Agent("Plain")], (), "")
    prepared = {name: directory.prepared(name) for name in directory.agents}
    assert prepared["Plain"].offered_to(ANN) is prepared["Plain"]
    of_all = {prepared["Scoped"].offered_to(Caller(f"user{i}", scopes=frozenset({f"s{i}"}))) for i in range(100)}
    assert len(of_all) == 1
    for_finance = prepared["Scoped"].offered_to(ANN)
    assert for_finance is prepared["Scoped"].offered_to(Caller("bob", "other", frozenset({"finance", "x"})))
    assert for_finance not in of_all


NAMES = ("all", "owner", "admin", "finance", "legal")
SCOPES = st.frozensets(st.sampled_from(NAMES), min_size=1, max_size=3)
CALLERS = st.builds(
    Caller, st.sampled_from(["", "ann", "bob"]), st.sampled_from(["", "acme"]), st.frozensets(st.sampled_from(NAMES))
)


@given(st.lists(SCOPES, max_size=4), SCOPES, st.lists(SCOPES, max_size=3), st.lists(CALLERS, min_size=1, max_size=5))
def test_whatever_the_scopes_each_caller_is_offered_just_what_the_rule_says(
    tools: list[frozenset[str]], skill: frozenset[str], targets: list[frozenset[str]], callers: list[Caller]
) -> None:
    owner = Caller("ann", "acme")
    agents = [Agent(f"T{i}", scope=scope, owner=owner) for i, scope in enumerate(targets)]
    own = [noting([], f"t{i}", scope=scope) for i, scope in enumerate(tools)]
    skills = [Skill("s", "taught", tools=[noting([], "s")], scope=skill)]
    prepared = Directory([Agent("A", tools=own, skills=skills, handoffs=agents, owner=owner)], (), "").prepared("A")

    def may(caller: Caller, scope: frozenset[str]) -> bool:
        held = caller.scopes | ({"owner"} if (caller.user, caller.tenant) == ("ann", "acme") else set())
        return "all" in scope or "admin" in held or bool(scope & held)

    for caller in callers:
        view = prepared.offered_to(caller)
        expected = {f"t{i}" for i, scope in enumerate(tools) if may(caller, scope)} | (
            {"s"} if may(caller, skill) else set()
        )
        assert set(view.tools) == expected
        assert view.reachable == tuple(f"T{i}" for i, scope in enumerate(targets) if may(caller, scope))
        assert {spec.name for spec in view.specs} == expected | ({"SendMessage"} if view.reachable else set())


def test_scopes_and_owners_may_stand_in_a_team_file(tmp_path: Path) -> None:
    text = """
        agents:
          Clerk: {scope: [finance, owner], owner: {user: ann, tenant: acme}}
          Other: {scope: hr, owner: bob}
    """
    (tmp_path / "team.yaml").write_text(text, encoding="utf-8")
    clerk, other = load_team(tmp_path / "team.yaml").agents.values()
    assert (clerk.scope, clerk.owner) == ({"finance", "owner"}, Caller("ann", "acme"))
    assert (other.scope, other.owner) == ({"hr"}, Caller("bob"))
