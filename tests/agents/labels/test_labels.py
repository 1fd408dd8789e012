"""Labels through a conversation: what is joined, what they bar, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import (
    Agency,
    Agent,
    DefinitionError,
    Handoff,
    Hook,
    HookContext,
    LabelPolicy,
    LabelRefused,
    Labels,
    Message,
    Pipeline,
    RemoteAgent,
    SharedTaskGraph,
    System,
    ToolContext,
    handoff,
    tool,
)
from callboard.actors.agents.events import ApprovalRequested, RunEvent
from callboard.actors.agents.turns.labels import LabelsOfHistory, joined
from callboard.actors.testing import Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import Script, call
from callboard.tools import ToolDefinitionError, ToolResult
from tests.agents.support import function, results, scripted

TEXTS = st.frozensets(st.sampled_from(["tool web", "agent Bob", "memory"]), max_size=3)
LABELS = st.builds(Labels, TEXTS, st.frozensets(st.sampled_from(["salaries", "health"]), max_size=2))


@given(LABELS, LABELS, LABELS)
def test_what_is_made_of_two_texts_has_the_labels_of_both(one: Labels, two: Labels, three: Labels) -> None:
    both = one | two
    assert both.untrusted == one.untrusted | two.untrusted
    assert both.confidential == one.confidential | two.confidential
    assert (both | three, one | one, one | Labels()) == (one | (two | three), one, one)
    assert bool(one) == (one != Labels())


MESSAGES = st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), labels=st.none() | LABELS)


@given(st.lists(MESSAGES, max_size=8), st.integers(0, 8), st.lists(MESSAGES, max_size=3))
def test_labels_of_a_history_that_grows_or_is_rewound_are_those_of_its_messages(
    messages: list[Message], kept: int, more: list[Message]
) -> None:
    labels = LabelsOfHistory()
    for end in range(len(messages) + 1):
        assert labels.of(messages[:end]) == joined(messages[:end])
    rewound = [*messages[:kept], *more]
    assert labels.of(rewound) == joined(rewound)


@pytest.mark.parametrize("labels", ["web", 3, [4], None])
def test_labels_that_are_no_sets_of_texts_are_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match=r"Labels.untrusted is a set of texts"):
        Labels(labels)
    with pytest.raises(ValueError, match=r"Labels.confidential is a set of texts"):
        Labels(frozenset(), labels)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"risks": "risky"}, "risks is a set of names"),
        ({"risks": {"dangerous"}}, "risks are safe and risky, not 'dangerous'"),
        ({"trusted": "tool Read"}, "trusted is a set of names"),
        ({"allowed": [3]}, "allowed has names in it"),
        ({"confidential": ["salaries"]}, "confidential has names by kind"),
        ({"confidential": {"salaries": "payroll"}}, r"confidential\['salaries'\] is a set of names"),
        ({"barred": "never"}, "barred is ask, refuse or end, not 'never'"),
    ],
)
def test_a_policy_of_another_shape_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        LabelPolicy(**wrong)


def test_what_is_no_policy_is_refused_where_it_is_given() -> None:
    with pytest.raises(DefinitionError, match="label_policy"):
        Agent("A", label_policy="strict")  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="label_policy is a LabelPolicy, or None, not str"):
        Agency(Agent("A"), model="m", label_policy="strict")  # type: ignore[arg-type]


class Desk:
    """Tools, and what was done with them."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def tools(self, **of_read: Any) -> list[Any]:
        @tool(risk="safe", **of_read)
        def read() -> str:
            return "read"

        @tool(risk="risky", sends=True, trusted=True)
        def send(text: str) -> str:
            self.sent.append(text)
            return "sent"

        return [read, send]

    async def run(self, *turns: Any, policy: LabelPolicy | None, approve: bool = False, **of_read: Any) -> Any:
        """What a run with these calls comes to, and what a person was asked."""
        asked: list[str] = []
        agent = Agent("A", tools=self.tools(**of_read), label_policy=policy)
        async with Agency(agent, model=scripted(Script([*turns, "done"]))) as agency:

            def decide(event: RunEvent) -> None:
                if isinstance(event, ApprovalRequested):
                    asked.append(event.why)
                    (agency.approve if approve else agency.deny)(event.approval)

            agency.subscribe(decide)
            return await agency.run("go"), asked


READ, SEND = [call("read", "r")], [call("send", "s", text="x")]


async def test_a_call_before_anything_from_outside_was_read_is_made() -> None:
    desk = Desk()
    _, asked = await desk.run(SEND, READ, policy=LabelPolicy())
    assert (desk.sent, asked) == (["x"], [])


async def test_calls_of_one_step_are_not_caused_by_each_others_results() -> None:
    desk = Desk()
    _, asked = await desk.run([call("read", "r"), call("send", "s", text="x")], policy=LabelPolicy())
    assert (desk.sent, asked) == (["x"], [])


async def test_after_it_a_person_is_asked_and_told_why() -> None:
    for approve in (True, False):
        desk = Desk()
        _, asked = await desk.run(READ, SEND, policy=LabelPolicy(), approve=approve)
        assert asked == ["send may not be called because of text from outside (tool read)"]
        assert desk.sent == ["x"] * approve


async def test_or_the_model_is_told_that_it_may_not() -> None:
    desk = Desk()
    answer, asked = await desk.run(READ, SEND, policy=LabelPolicy(barred="refuse"))
    assert (desk.sent, asked) == ([], [])
    said = "Refused: send may not be called because of text from outside (tool read)"
    assert [message.text for message in answer.messages if message.role == "tool"] == ["read", said]


async def test_or_the_run_ends_by_name() -> None:
    desk = Desk()
    with pytest.raises(LabelRefused, match=r"send may not be called because of text from outside \(tool read\)"):
        await desk.run(READ, SEND, policy=LabelPolicy(barred="end"))
    assert not desk.sent


@pytest.mark.parametrize(
    "policy",
    [None, LabelPolicy(risks=frozenset()), LabelPolicy(trusted={"tool read"}), LabelPolicy(allowed={"send"})],  # type: ignore[arg-type]
    ids=["none", "no risks", "a source that is trusted", "a tool that is allowed"],
)
async def test_what_the_policy_does_not_bar_is_made(policy: LabelPolicy | None) -> None:
    desk = Desk()
    _, asked = await desk.run(READ, SEND, policy=policy)
    assert (desk.sent, asked) == (["x"], [])


async def test_results_of_a_trusted_tool_cause_what_they_like() -> None:
    desk = Desk()
    _, asked = await desk.run(READ, SEND, policy=LabelPolicy(), trusted=True)
    assert (desk.sent, asked) == (["x"], [])


@pytest.mark.parametrize(("confidential", "kind"), [(True, "confidential"), ("salaries", "salaries")])
async def test_what_is_confidential_is_not_sent_but_where_it_may_go(confidential: Any, kind: str) -> None:
    desk = Desk()
    _, asked = await desk.run(READ, SEND, policy=LabelPolicy(), trusted=True, confidential=confidential)
    assert asked == [f"send sends to somebody outside what may be confidential ({kind})"]
    assert not desk.sent
    allowed = LabelPolicy(confidential={kind: frozenset({"send"})})
    await desk.run(READ, SEND, policy=allowed, trusted=True, confidential=confidential)
    assert desk.sent == ["x"]


async def test_a_tool_from_outside_does_not_pass_for_one_that_is_trusted_by_its_name() -> None:
    policy = LabelPolicy(trusted=frozenset({"tool read", "description of read"}), barred="refuse")
    desk = Desk()
    answer, _ = await desk.run([call("read", "r")], SEND, policy=policy, foreign=True)
    assert "because of text from outside (foreign tool read)" in answer.messages[-2].text
    assert desk.sent == []
    await desk.run([call("read", "r")], SEND, policy=policy)
    assert desk.sent == ["x"]


async def test_a_result_says_other_labels_than_its_tool() -> None:
    @tool(risk="safe", trusted=True)
    def read() -> ToolResult:
        return ToolResult("read", labels=Labels(frozenset({"the mail of eve"})))

    desk = Desk()
    tools = [read, desk.tools()[1]]
    agent = Agent("A", tools=tools, label_policy=LabelPolicy(barred="refuse"))
    async with Agency(agent, model=scripted(Script([READ, SEND, "done"]))) as agency:
        answer = await agency.run("go")
    assert "text from outside (the mail of eve)" in answer.messages[-2].text


async def test_labels_of_a_message_that_are_none_are_refused_at_the_door() -> None:
    async with Agency(Agent("A"), model=scripted(Script(["done"]))) as agency:
        with pytest.raises(DefinitionError, match="labels: expected a Labels"):
            await agency.run([Message("user", "a mail", labels="web")])  # type: ignore[arg-type]


def test_labels_of_a_result_that_are_none_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"ToolResult\.labels are Labels, or None, not str"):
        ToolResult("read", labels="web")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [3, [4], {"a": 1}.keys() | {2}])
def test_what_a_tool_says_of_its_results_is_looked_at(wrong: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="confidential is True or False, a text, or several"):
        tool(name="x", risk="safe", confidential=wrong)(lambda: "x")
    for name in ("trusted", "sends", "foreign"):
        with pytest.raises(ToolDefinitionError, match=name):
            tool(name="x", risk="safe", **{name: wrong})(lambda: "x")


async def test_a_hook_that_leaves_no_labels_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    def wrong(context: HookContext) -> None:
        context.labels = "web"  # type: ignore[assignment]

    agent = Agent("A", hooks=[Hook("request", wrong)])
    async with Agency(agent, model=scripted(Script(["done"]))) as agency:
        assert (await agency.run("go")).text == "done"
    assert "labels" in caplog.text


async def test_what_a_caller_says_may_be_labelled() -> None:
    desk = Desk()
    agent = Agent("A", tools=desk.tools(), label_policy=LabelPolicy(barred="refuse"))
    async with Agency(agent, model=scripted(Script([SEND, "done"]))) as agency:
        mail = Message("user", "a mail", labels=Labels(frozenset({"a mail"})))
        answer = await agency.run([mail])
    assert not desk.sent
    assert "text from outside (a mail)" in answer.messages[-2].text


async def test_who_is_handed_a_task_works_with_the_labels_of_who_asks_and_the_other_way_round() -> None:
    desk = Desk()
    read, send = desk.tools()
    seen: dict[str, list[str]] = {}

    def model(request: Any) -> Any:
        me = "writer" if "You write" in request.messages[0].text else "lead"
        done = seen[me] = results(request)
        if me == "writer":
            return call("send", f"w{len(done)}", text="by the writer") if not done else "written"
        steps = [
            call("SendMessage", "1", target_agent="Writer", message="before"),
            call("read", "2"),
            call("SendMessage", "3", target_agent="Writer", message="after"),
        ]
        return steps[len(done)] if len(done) < len(steps) else "done"

    writer = Agent("Writer", "You write.", tools=[send])
    lead = Agent("Lead", "You lead.", tools=[read], handoffs=[writer])
    policy = LabelPolicy(barred="refuse")
    async with Agency(lead, model=function(model), label_policy=policy) as agency:
        answer = await agency.run("go")
    assert desk.sent == ["by the writer"], "only before anything from outside was read"
    assert "text from outside (tool read)" in seen["writer"][0]
    first = next(message for message in answer.messages if message.tool_call_id == "1")
    assert first.labels == Labels(), "the writer has read nothing from outside then"


@pytest.mark.parametrize("within", [False, True])
async def test_what_an_agent_answers_a_tool_that_asks_it_itself_keeps_its_labels(within: bool) -> None:
    desk = Desk()
    read, send = desk.tools(confidential="salaries")

    @tool(risk="safe", trusted=True)
    async def research(question: str) -> str:
        answer = await agency.agent_ref("B").ask(Handoff("A", "B", question))
        return str(answer.text)

    @tool(risk="safe", trusted=True)
    async def outer(context: ToolContext) -> str:
        return (await context.call(research, {"question": "?"})).text

    def model(request: Any) -> Any:
        told = results(request)
        if any(spec.name == "read" for spec in request.tools):
            return told[-1] if told else [call("read", "r")]
        first = [call("outer", "o")] if within else [call("research", "o", question="?")]
        return [first, SEND, "done"][len(told)]

    team = Agent("A", tools=[research, outer, send]), Agent("B", tools=[read])
    async with Agency(*team, model=function(model), label_policy=LabelPolicy(barred="refuse")) as agency:
        answer = await agency.run("go")
    told = next(message for message in answer.messages if message.role == "tool")
    assert told.labels == Labels(frozenset({"tool read"}), frozenset({"salaries"}))
    assert desk.sent == []


async def test_a_program_that_reads_from_outside_is_barred_from_what_it_calls_then() -> None:
    from callboard.tools.builtin.code import python_tool

    desk = Desk()
    agent = Agent("A", tools=[python_tool(desk.tools())], label_policy=LabelPolicy(barred="refuse"))
    code = "await send('first')\nawait read()\nawait send('second')"
    async with Agency(agent, model=scripted(Script([[call("RunPython", "p", code=code)], "done"]))) as agency:
        answer = await agency.run("go")
    assert desk.sent == ["first"]
    assert "send may not be called because of text from outside" in answer.messages[-2].text


async def test_a_task_graph_that_agents_share_has_the_labels_of_who_puts_something_into_it() -> None:
    graph = SharedTaskGraph()
    desk = Desk()
    read, send = desk.tools()
    add = call("generate_task_graph", "g", tasks=[{"id": "a", "title": "mail eve"}])
    script = Script([[call("read", "r")], [add], "planned", [call("get_unblocked_tasks", "u")], SEND, "done"])
    team = Agent("A", tools=[read, *graph.tools("A")]), Agent("B", tools=[send, *graph.tools("B")])
    async with Agency(*team, model=scripted(script), label_policy=LabelPolicy(barred="refuse")) as agency:
        await agency.run("plan", agent="A")
        answer = await agency.run("work", agent="B")
    assert desk.sent == []
    assert "because of text from outside (tool read)" in answer.messages[-2].text


def test_labels_hold_in_the_process_that_goes_on_after_a_kill() -> None:
    async def scenario(sim: Simulation) -> None:
        desk = Desk()

        async def main(system: System) -> str:
            agent = Agent("A", tools=desk.tools(idempotent=True), label_policy=LabelPolicy(barred="refuse"))
            model = function(lambda request: [*READ, *SEND, "done"][len(results(request))])
            async with Agency(agent, model=model, journal=sim.folder / "j.db", system=system) as agency:
                return (await (await agency.start_run("go", conversation="c", run_id="r"))).text

        assert await sim.process("desk", main) == "done"
        assert not desk.sent

    simulate(scenario, seeds=6, faults=[Restart("desk"), Restart("desk", optional=True)])


async def test_labels_of_a_conversation_are_in_its_journal(tmp_path: Path) -> None:
    for texts in (["read", "done"], ["send", "done"]):
        desk = Desk()
        turns: list[Any] = [READ if texts[0] == "read" else SEND, "done"]
        agent = Agent("A", tools=desk.tools(), label_policy=LabelPolicy(barred="refuse"))
        async with Agency(agent, model=scripted(Script(turns)), journal=tmp_path / "j.db") as agency:
            await agency.run("go", conversation="c")
    assert not desk.sent


def somewhere_else(text: str) -> RemoteAgent:
    def answer(request: httpx.Request) -> httpx.Response:
        message = {"role": "assistant", "content": text}
        return httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})

    return RemoteAgent("There", "https://there.test/v1", transport=httpx.MockTransport(answer))


async def test_what_an_agent_on_another_machine_answers_is_from_outside() -> None:
    desk = Desk()
    agent = Agent("A", tools=desk.tools(), handoffs=[somewhere_else("call send")], label_policy=LabelPolicy())
    ask = [call("SendMessage", "m", target_agent="There", message="hello")]
    async with Agency(agent, model=scripted(Script([ask, SEND, "done"]))) as agency:
        asked: list[str] = []

        def decide(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.why)
                agency.deny(event.approval)

        agency.subscribe(decide)
        answer = await agency.run("go")
    assert asked == ["send may not be called because of text from outside (agent There)"]
    told = next(message for message in answer.messages if message.tool_call_id == "m")
    assert told.labels == Labels(frozenset({"agent There"}))
    assert not desk.sent


async def test_a_stage_of_a_pipeline_works_with_the_labels_of_those_before_it() -> None:
    desk = Desk()
    read, send = desk.tools()

    def model(request: Any) -> Any:
        done, said = results(request), request.messages[0].text
        if "You read" in said:
            return call("read", "1") if not done else "it says: send"
        if "You send" in said:
            return call("send", "2", text="x") if not done else done[-1]
        return call("both", "3", message="go") if not done else done[-1]

    reader, sender = Agent("Reader", "You read.", tools=[read]), Agent("Sender", "You send.", tools=[send])
    lead = Agent("Lead", "You lead.", handoffs=[handoff(Pipeline("both", reader, sender), name="both")])
    policy = LabelPolicy(barred="refuse")
    async with Agency(lead, model=function(model), label_policy=policy) as agency:
        answer = await agency.run("go")
    assert not desk.sent
    assert "text from outside (tool read)" in answer.text
