"""Lines that mypy and pyright accept, and the types they see. Never run."""

# pyright: strict, reportUnusedFunction=false
from __future__ import annotations

from functools import partial
from typing import Any, Literal, assert_type

from callboard.actors import (
    Actor,
    ActorRef,
    Broadcast,
    ChildSpec,
    DynamicSupervisor,
    Future,
    Publish,
    Resize,
    Routees,
    Router,
    Stream,
    Subscribe,
    Supervisor,
    System,
    Topics,
    ask,
    by_key,
)
from callboard.actors.agents.agency import Agency
from callboard.actors.agents.agent import Agent
from callboard.actors.agents.answer import Answer, Step, StepCall
from callboard.actors.agents.caller import Caller
from callboard.actors.agents.context import ToolContext
from callboard.actors.agents.conversations.view import ConversationSummary, ConversationView, ReplayReport
from callboard.actors.agents.handoffs.handoff import Handoff
from callboard.actors.agents.prompt_run import PromptRun, run_prompt
from callboard.actors.agents.prompts.effects import EffectContext, StepModifier
from callboard.actors.agents.prompts.functions.plugin import Functions
from callboard.actors.agents.prompts.prompt import Prompt
from callboard.actors.agents.prompts.references import Reference, ToolReference
from callboard.actors.agents.prompts.state.cells import StateSetter
from callboard.actors.agents.prompts.subagents import SubAgent
from callboard.actors.agents.prompts.tasks.graph import NewTask, TaskGraphState
from callboard.actors.agents.prompts.tasks.graph_plugin import TaskGraph
from callboard.actors.agents.prompts.tasks.list_plugin import TaskList
from callboard.actors.agents.prompts.tasks.listed import ListedTask, TaskListState
from callboard.actors.agents.runs.handle import RunHandle
from callboard.actors.agents.runs.reading.progress import RunRecord
from callboard.actors.agents.turns.loop.stopping import AfterSteps, AfterTool, RunSoFar, StepPlan
from callboard.actors.agents.turns.rules import Limits
from callboard.actors.journal import EventSourcedActor, Journal, MemoryJournal
from callboard.providers.messages import Message
from tests.typing.vocabulary import (
    Add,
    Added,
    Both,
    Box,
    Counter,
    Counting,
    Echo,
    Get,
    Handling,
    Ledger,
    Lines,
    Note,
    Noting,
    Plain,
    Untold,
)


async def a_message_that_declares_its_reply_is_answered_with_it(ref: ActorRef[Counter], one: Get | Add) -> None:
    assert_type(ref.ask(Get()), Future[int])
    assert_type(await ref.ask(Get(), timeout=1.0), int)
    assert_type(ref.ask(Get(), block=True), int)
    assert_type(ref.ask(Get(), block=False, priority=1), Future[int])
    assert_type(ref.ask(Get()).get(timeout=1.0), int)
    assert_type(ref.ask(Get()).map(str), Future[str])
    assert_type(ref.ask(Add(1)), Future[None])
    assert_type(await ref.ask(one), int | None)


async def a_message_that_declares_none_is_answered_with_anything(ref: ActorRef[Counter]) -> None:
    assert_type(ref.ask(Note()), Future[Any])
    assert_type(ref.ask(Note(), block=True), Any)


async def an_actor_is_sent_what_it_takes(ref: ActorRef[Counter]) -> None:
    ref.tell(Get())
    ref.tell(Add(1), priority=1)
    await ref.put(Note())


async def a_stream_has_items_of_the_type_declared(ref: ActorRef[Counter], plain: ActorRef[Plain]) -> None:
    assert_type(ref.stream(Lines(), buffer=1), Stream[str])
    async with ref.stream(Lines()) as lines:
        async for line in lines:
            assert_type(line, str)
    assert_type(plain.stream("all"), Stream[Any])


async def an_actor_that_declares_nothing_takes_anything(
    plain: ActorRef[Plain], other: ActorRef[Any], message: Any
) -> None:
    plain.tell(3)
    await plain.put(None)
    assert_type(plain.ask("text"), Future[Any])
    assert_type(plain.ask(message), Future[Any])
    assert_type(plain.ask(message, block=True), Any)
    assert_type(plain.ask(Get()), Future[int])
    other.tell(3)
    assert_type(other.ask("text"), Future[Any])
    assert_type(other.ask(message), Future[Any])
    assert_type(other.ask(Get()), Future[int])


def takes_a_getter(getter: ActorRef[Actor[Get]], generic: ActorRef[Actor[Echo[int]]]) -> None:
    assert_type(getter.ask(Get()), Future[int])
    assert_type(generic.ask(Echo(3)), Future[int])


def takes_any(anything: ActorRef[Actor]) -> None:
    anything.tell(3)


def a_ref_stands_in_for_one_that_takes_less(ref: ActorRef[Counter], plain: ActorRef[Plain]) -> None:
    takes_a_getter(ref, plain)
    takes_any(ref)
    takes_any(plain)


class Talks(Actor[Get | Add]):
    async def on_receive(self, message: Get | Add | Note) -> Any:  # more than others may send
        self.ref.tell(Add(1))
        assert_type(self.actor_ref.ask(Get()), Future[int])
        assert_type(self.spawn(Counter, 3), ActorRef[Counter])
        assert_type(self.spawn(Counter, 3, name="counter"), ActorRef[Counter])
        assert_type(self.spawn(ChildSpec(Plain)), ActorRef[Plain])


def arguments_of_constructors(system: System, label: str, kind: type[Plain]) -> None:
    assert_type(system.spawn(Counter, 3), ActorRef[Counter])
    assert_type(system.spawn(Counter, 3, step=2, label=label), ActorRef[Counter])
    assert_type(system.spawn(Counter, total=3), ActorRef[Counter])
    assert_type(system.spawn(Box, 3), ActorRef[Box[int]])
    assert_type(system.spawn(kind), ActorRef[Plain])
    assert_type(Counter.start(3, label=label), ActorRef[Counter])
    assert_type(Plain.start(), ActorRef[Plain])


def arguments_of_constructors_with_a_name(system: System, label: str, kind: type[Plain]) -> None:
    assert_type(system.spawn(Counter, 3, name="counter"), ActorRef[Counter])
    assert_type(system.spawn(Counter, 3, 2, name=None), ActorRef[Counter])
    assert_type(system.spawn(Counter, 3, step=2, label=label, name="counter"), ActorRef[Counter])
    assert_type(system.spawn(Counter, total=3, name="counter"), ActorRef[Counter])
    assert_type(system.spawn(Box, 3, name="box"), ActorRef[Box[int]])
    assert_type(system.spawn(kind, name="plain"), ActorRef[Plain])


def child_specs(system: System) -> None:
    assert_type(ChildSpec(Plain, name="plain", restart="transient"), ChildSpec[Plain])
    assert_type(system.supervise(ChildSpec(Plain)), ActorRef[Plain])
    assert_type(system.supervise(ChildSpec(Counter, (3,), {"step": 2})), ActorRef[Counter])
    assert_type(system.supervise(ChildSpec(Counter, kwargs={"total": 2})), ActorRef[Counter])
    assert_type(system.supervise(ChildSpec(partial(Counter, 3, step=2), name="counter")), ActorRef[Counter])
    assert_type(system.supervise(ChildSpec(lambda: Counter(3))), ActorRef[Counter])
    assert_type(system.supervise(Supervisor.spec([ChildSpec(Plain), ChildSpec(Handling)])), ActorRef[Supervisor])
    assert_type(system.supervise(ChildSpec(DynamicSupervisor)), ActorRef[DynamicSupervisor])
    specs: list[ChildSpec] = [ChildSpec(Plain), ChildSpec(Handling)]
    either: ChildSpec[Actor] = specs[0]
    system.spawn(either, name="either")


def methods(ref: ActorRef[Counter], handling: ActorRef[Handling]) -> None:
    assert_type(ref.call(Counter.double), Future[int])
    assert_type(ref.call(Counter.increase, 3), Future[int])
    assert_type(ref.call(Counter.increase, 3, times=2), Future[int])
    assert_type(handling.call(Handling.get, Get()), Future[int])
    assert_type(handling.call(Handling.add, Add(1)), Future[None])
    assert_type(Handling().note(Note()), str)


async def an_actor_of_another_runtime_is_asked(ref: Any) -> None:
    assert_type(await ask(ref, Get()), int)
    assert_type(await ask(ref, "text"), Any)


class Front(Actor[Get]):
    def __init__(self, behind: ActorRef[Counter]) -> None:
        super().__init__()
        self.behind = behind

    def on_receive(self, message: Get) -> int:
        return self.forward(self.behind, message)


async def routers_and_topics(system: System) -> None:
    pool = system.supervise(Router.spec(Plain, size=2, routing=by_key(lambda message: message.user)))
    assert_type(pool, ActorRef[Router])
    assert_type(await pool.ask(Resize(3)), int)
    assert_type(await pool.ask(Routees()), tuple[ActorRef[Any], ...])
    assert_type(await pool.ask(Broadcast("ready")), tuple[Any, ...])
    assert_type(await pool.ask("anything"), Any)
    topics = system.supervise(Topics.spec())
    assert_type(topics, ActorRef[Topics])
    topics.tell(Subscribe("a.*", pool))
    assert_type(await topics.ask(Publish("a.b", 1)), int)


async def event_sourced_actors(system: System, journal: MemoryJournal) -> None:
    ledger = system.spawn(Ledger, journal, "ledger")
    assert_type(ledger, ActorRef[Ledger])
    assert_type(await ledger.ask(Get()), int)
    takes: ActorRef[Actor[Get]] = ledger
    untold = system.spawn(Untold, journal, "untold")
    untold.tell("anything")
    untold.tell(takes)
    any_journal: Journal = journal
    kept: EventSourcedActor[Added] = Untold(any_journal, "untold")
    kept.apply(Added(1))


async def a_kept_conversation_is_read_and_changed(agency: Agency) -> None:
    assert_type(await agency.conversation("c", agent="A"), ConversationView)
    assert_type(await agency.conversations(user="u", unfinished=True, limit=10), list[ConversationSummary])
    assert_type(await agency.fork("c", at=1, to="d"), str)
    assert_type(await agency.rewind("c", to=0), None)
    assert_type(await agency.erase(user="u"), int)
    assert_type(await agency.replay("c", run="r"), ReplayReport)


async def a_run_in_the_background_is_followed_and_steered(agency: Agency) -> None:
    handle = await agency.start_run("x", conversation="c", when_busy="interrupt")
    assert_type(handle, RunHandle)
    assert_type(await handle, Answer[Any])
    typed = await agency.start_run("x", output_type=int)
    assert_type(typed, RunHandle[int])
    assert_type((await typed).value, int)
    assert_type((await typed.answer(timeout=1.0)).value, int)
    assert_type(await handle.answer(timeout=1.0), Answer)
    assert_type(await handle.status(), Literal["queued", "running", "waiting", "ended", "failed"])
    async for record in handle.events(after=3):
        assert_type(record, RunRecord)
        assert_type(record.data["text"], Any)
    assert_type(await handle.cancel("no longer needed"), None)
    assert_type(await agency.handle(handle.id), RunHandle)
    assert_type(await agency.steer("c", "hurry up", agent="A"), None)
    assert_type(await agency.agent_ref("A").ask(Handoff("Cron", "A", "tidy up")), Answer)


def an_agent_says_what_its_tools_depend_on_and_what_it_answers(some: Agent[Note, str], anyone: Agent) -> None:
    made = Agent[Note, Added]("Analyst", output_type=Added)
    assert_type(made, Agent[Note, Added])
    everyone: list[Agent] = [made, some, anyone, Agent("Other")]
    assert_type(everyone[0], Agent[Any, Any])


async def a_tool_sees_what_it_depends_on(context: ToolContext[Note], untyped: ToolContext) -> None:
    assert_type(context.deps, Note)
    assert_type(ToolContext("1", deps=Note()).deps, Note)
    assert_type(untyped.deps, Any)
    assert_type(context.messages, tuple[Message, ...])
    assert_type(context.caller, Caller)
    context.progress("half", fraction=0.5)
    context.track_usage(0.25, "a search", {"pages": 3})


async def an_answer_has_the_type_that_was_asked_for(agency: Agency, analyst: Agent[Note, Added]) -> None:
    assert_type(await agency.run("x", agent=analyst), Answer[Added])
    assert_type(await agency.run("x", agent=analyst, output_type=int, user="ann"), Answer[int])
    assert_type(await agency.run("x", agent="Analyst"), Answer[Any])
    assert_type(await agency.start_run("x", agent=analyst), RunHandle[Added])
    assert_type(agency.run_sync("x", agent=analyst, raises=False), Answer[Added])
    assert_type(await agency.run("x", output_type=int, conversation="c"), Answer[int])
    assert_type((await agency.run("x", output_type=list[str])).value, list[str])
    assert_type(await agency.run("x"), Answer[Any])
    assert_type(await agency.run([{"role": "user", "content": "x"}], tools=[{"type": "function"}]), Answer[Any])
    assert_type(await agency.run("x", output_type=int | None), Answer[Any])
    assert_type(agency.run_sync("x", output_type=int, raises=False), Answer[int])
    assert_type(agency.run_sync("x", raises=False).error, Exception | None)


async def the_steps_of_an_answer_are_records(answer: Answer[int]) -> None:
    assert_type(answer.steps[0], Step)
    assert_type(answer.steps[0].calls[0], StepCall)
    assert_type(answer.steps[0].confidence, float | None)
    assert_type(answer.agents, tuple[str, ...])


def many_steps(run: RunSoFar) -> bool:
    return len(run.steps) > 2


async def conditions_are_put_together() -> None:
    Agent("A", stop_when=AfterTool("submit") | AfterSteps(3) | many_steps)
    Agent("A", stop_when=many_steps, prepare_step=lambda run: StepPlan(model="m") if run.last is None else None)


def a_prompt_function(prompt: Both) -> None:
    assert_type(prompt.counted("a"), int)
    assert_type(prompt.noted(), list[str])
    count, set_count = prompt.state("count", 0)
    assert_type(count, int)
    assert_type(set_count(3), int)
    assert_type(set_count(lambda before: before + 1), int)
    names, set_names = prompt.state("names", [], list[str])
    assert_type(names, list[str])
    assert_type(set_names(lambda before: [*before, "x"]), list[str])
    anything, _ = prompt.state("anything", None, str | None)
    assert_type(anything, Any)
    assert_type(prompt.system("a", f"{count}").remind(), Reference)
    assert_type(prompt.tool(len, name="length"), ToolReference)
    prompt.effect(lambda: None)
    prompt.effect(watching, [count])
    prompt.effect(lambda context: None)
    prompt.effect(watching_alone)
    assert_type(set_names, StateSetter[list[str]])

    @prompt.tool(risk="safe")
    async def more(by: int) -> int:
        return set_count(count + by)

    def keep(given: Note, answer: int) -> None:
        set_count(answer)

    assert_type(more, ToolReference)
    assert_type(prompt.agent("A", "", Note, of_a_sub_agent), ToolReference)
    prompt.agent("B", "", Note, of_a_counting_sub_agent, plugins=Counting, model="m")
    prompt.agent("C", "", {"n": int}, lambda prompt, given: None, plugins=[Counting, Noting])
    prompt.agent("E", "", Note, of_a_sub_agent, response_schema=int, on_success=keep)
    prompt.agents("All", "", [SubAgent("D", "", Note, of_a_sub_agent, limits=Limits(steps=3), on_error=print)])


def watching_alone(context: EffectContext) -> None: ...


class Setting(Prompt):
    def setting(self) -> tuple[int, StateSetter[int]]:
        return self.state("n", 0)


class Planning(TaskList, TaskGraph):
    def planned(self) -> tuple[TaskListState, StateSetter[TaskListState]]:
        return self.task_list(["draw"])

    def drawn(self) -> tuple[TaskGraphState, StateSetter[TaskGraphState]]:
        return self.task_graph()


def programming(prompt: Functions) -> None:
    assert_type(prompt.function(SubAgent("F", "", Note, of_a_sub_agent), namespace="agents"), ToolReference)


async def watching(context: EffectContext, step: StepModifier) -> None:
    assert_type(context.messages, tuple[Message, ...])
    step.messages = list(context.messages[-1:])
    step.tools = [*context.tools.named("search"), "more"]
    step.systems = ["a"]


def of_a_sub_agent(prompt: Prompt, given: Note) -> None:
    prompt.user("x")


def of_a_counting_sub_agent(prompt: Counting, given: Note) -> None:
    assert_type(prompt.counted("a"), int)


async def a_run_of_a_prompt_function() -> None:
    assert_type(run_prompt(a_prompt_function, plugins=Both, output_type=int), PromptRun[int])
    assert_type(run_prompt(lambda prompt: prompt.user("x")), PromptRun[Any])


def several_tasks(listing: TaskList, graphing: TaskGraph, titles: list[str], known: tuple[ListedTask, ...]) -> None:
    tasks, set_tasks = listing.task_list(titles)
    assert_type(tasks, TaskListState)
    assert_type(set_tasks(lambda before: before.add("test")), TaskListState)
    listing.task_list(known)
    listing.task_list(["draw", ListedTask("b", "build"), {"id": "t", "title": "test"}])
    listing.task_list(f"page {number}" for number in range(3))
    listing.task_list(dict.fromkeys(titles).keys())
    graph, _ = graphing.task_graph([NewTask(id="a", title="draw"), {"id": "b", "title": "build"}])
    assert_type(graph, TaskGraphState)
