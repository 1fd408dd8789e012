"""Lines that mypy and pyright must refuse, each marked with mypy's codes for it, and no other line. Never run."""

from __future__ import annotations

from functools import partial

from callboard.actors import Actor, ActorRef, ChildSpec, Future, Stream, System, handles
from callboard.actors.agents.agent import Agent
from callboard.actors.agents.context import ToolContext
from callboard.actors.agents.prompt_run import run_prompt
from callboard.actors.agents.prompts.effects import EffectContext, StepModifier
from callboard.actors.agents.prompts.functions.plugin import Functions
from callboard.actors.agents.prompts.prompt import Prompt
from callboard.actors.agents.prompts.subagents import SubAgent
from callboard.actors.agents.prompts.tasks.graph_plugin import TaskGraph
from callboard.actors.agents.prompts.tasks.list_plugin import TaskList
from callboard.actors.journal import EventSourcedActor
from tests.typing.vocabulary import (
    Add,
    Added,
    Both,
    Counter,
    Counting,
    Elsewhere,
    Get,
    Handling,
    Ledger,
    Lines,
    Note,
    Plain,
)


async def a_message_that_the_actor_does_not_take(ref: ActorRef[Counter], getter: ActorRef[Actor[Get]]) -> None:
    ref.tell(Elsewhere())  # refused: arg-type
    ref.tell("text")  # refused: arg-type
    ref.tell(Get)  # refused: arg-type
    ref.ask(Elsewhere())  # refused: arg-type
    ref.ask("text")  # refused: call-overload
    ref.ask("text", block=True)  # refused: call-overload
    ref.ask(Elsewhere(), block=True)  # refused: call-overload
    ref.stream(Elsewhere())  # refused: arg-type
    await ref.put(Elsewhere())  # refused: arg-type
    getter.tell(Note())  # refused: arg-type


async def a_reply_of_another_type(ref: ActorRef[Counter]) -> None:
    future: Future[str] = ref.ask(Get())  # refused: assignment
    answer: str = await ref.ask(Get(), timeout=1.0)  # refused: assignment
    blocking: str = ref.ask(Get(), block=True)  # refused: assignment
    nothing: int = await ref.ask(Add(1))  # refused: assignment
    items: Stream[int] = ref.stream(Lines())  # refused: assignment
    print(future, answer, blocking, nothing, items)


def a_ref_that_takes_less(ref: ActorRef[Actor[Get]], counter: ActorRef[Counter]) -> None:
    more: ActorRef[Actor[Get | Add]] = ref  # refused: assignment
    other: ActorRef[Actor[Elsewhere]] = counter  # refused: assignment
    print(more, other)


class HandlesLess(Actor[Get | Add]):
    def on_receive(self, message: Get) -> int:  # refused: override
        return 3


def a_handler_that_answers_or_takes_something_else() -> None:
    def text(actor: Handling, message: Get) -> str:
        return "text"

    async def later(actor: Handling, message: Get) -> str:
        return "text"

    def adds(actor: Handling, message: Add) -> int:
        return 3

    handles(Get)(text)  # refused: arg-type
    handles(Get)(later)  # refused: arg-type
    handles(Get)(adds)  # refused: arg-type
    handles(Add)(adds)  # refused: arg-type
    handles(Note)(adds)  # refused: arg-type


class AnswersText(Actor[Get]):
    @handles(Get)  # refused: arg-type
    def get(self, message: Get) -> str:
        return "text"


class AnswersTextLater(Handling):
    async def fetch_text(self) -> str:
        return "text"

    def get(self, message: Get) -> int:
        return self.reply_with(self.fetch_text())  # refused: return-value


def arguments_of_constructors(system: System, actor: Actor) -> None:
    system.spawn(Counter)  # refused: call-overload
    system.spawn(Counter, "three")  # refused: call-overload
    system.spawn(Counter, 3, stepp=2)  # refused: call-arg
    system.spawn(Counter, 3, step="two")  # refused: arg-type
    system.spawn(Counter, 3, 2, "label")  # refused: call-overload
    system.spawn(int, 3)  # refused: call-overload
    actor.spawn(Counter)  # refused: call-overload
    actor.spawn(Counter, "three")  # refused: call-overload
    Counter.start()  # refused: call-arg
    Counter.start("three")  # refused: arg-type
    ChildSpec(Counter)  # refused: arg-type
    ChildSpec(partial(Counter, "three"))  # refused: arg-type
    ChildSpec(Plain, restart="always")  # refused: call-overload
    ChildSpec("Plain")  # refused: call-overload


def arguments_of_constructors_with_a_name(system: System, actor: Actor) -> None:
    system.spawn(Counter, "three", name="counter")  # refused: arg-type, call-arg
    system.spawn(Counter, 3, "two", name="counter")  # refused: arg-type, call-arg
    system.spawn(Counter, 3, 2, "label", name="counter")  # refused: call-arg
    system.spawn(Counter, "three", step=2, name="counter")  # refused: arg-type, call-arg
    system.spawn(Counter, 3, name=3)  # refused: call-arg
    system.spawn(int, name="number")  # refused: type-var
    system.spawn(ChildSpec(Plain), 3)  # refused: call-overload
    actor.spawn(Counter, "three", name="counter")  # refused: arg-type, call-arg


def another_actor(system: System) -> None:
    counter: ActorRef[Counter] = system.spawn(Plain)  # refused: call-overload
    plain: ActorRef[Plain] = system.supervise(ChildSpec(Counter, (3,)))  # refused: arg-type
    print(counter, plain)


async def methods(ref: ActorRef[Counter]) -> None:
    ref.call(Counter.incraese, 3)  # refused: attr-defined, call-overload
    ref.call(Counter.increase)  # refused: call-overload
    ref.call(Counter.increase, "three")  # refused: call-overload
    ref.call(Counter.increase, 3, time=2)  # refused: call-arg
    ref.call(Counter.double, 3)  # refused: call-overload
    ref.call(Handling.get, Get())  # refused: call-overload
    answer: str = await ref.call(Counter.increase, 3)  # refused: call-overload
    print(answer)


class AppliesAnother(EventSourcedActor[Added]):
    def apply(self, event: Note) -> None:  # refused: override
        pass


class KeepsAnother(EventSourcedActor[Added, Get]):
    def apply(self, event: Added) -> None:
        pass

    async def on_receive(self, message: Get) -> None:
        await self.persist("text")  # refused: arg-type


def an_event_sourced_actor_that_does_not_take_this(ref: ActorRef[Ledger]) -> None:
    ref.tell(Added(1))  # refused: arg-type
    ref.tell("text")  # refused: arg-type


def a_tool_that_depends_on_something_else(context: ToolContext[Note], agent: Agent[Note, str]) -> None:
    number: int = context.deps  # refused: assignment
    other: Agent[Added, str] = agent  # refused: assignment
    context.track_usage("a dollar")  # refused: arg-type
    context.progress(0.5)  # refused: arg-type
    print(number, other)


def a_prompt_function_without_its_plugin(prompt: Prompt, counting: Counting, both: Both) -> None:
    prompt.counted("a")  # refused: attr-defined
    counting.noted()  # refused: attr-defined
    both.counted(3)  # refused: arg-type
    number: str = both.counted("a")  # refused: assignment
    print(number)


def takes_both(prompt: Both) -> None: ...


def takes_both_and_a_note(prompt: Both, given: Note) -> None: ...


def takes_a_note(prompt: Prompt, given: Note) -> None: ...


def a_run_with_other_plugins() -> None:
    run_prompt(takes_both)  # refused: arg-type
    run_prompt(takes_both, plugins=Counting)  # refused: arg-type
    run_prompt(takes_a_note)  # refused: arg-type


def takes_three(context: EffectContext, step: StepModifier, more: int) -> None: ...


def takes_them_swapped(step: StepModifier, context: EffectContext) -> None: ...


def what_a_prompt_does_not_take(prompt: Prompt) -> None:
    count, set_count = prompt.state("count", 0)
    set_count("text")  # refused: arg-type
    set_count(lambda before: "text")  # refused: arg-type, return-value
    text: str = count  # refused: assignment
    prompt.system("a", 3)  # refused: arg-type
    prompt.message("system", "x")  # refused: arg-type
    prompt.agent("A", "", Added, takes_a_note)  # refused: arg-type
    prompt.agent("A", "", Note, takes_both_and_a_note)  # refused: arg-type
    prompt.agent("A", "", Note, takes_both_and_a_note, plugins=Counting)  # refused: arg-type
    prompt.agent("A", "", Note, takes_a_note, limits=3)  # refused: call-overload
    prompt.agents("A", "", ["A"])  # refused: list-item
    SubAgent("A", "", Note, 3)  # refused: arg-type
    prompt.tool(len, risk="none")  # refused: call-overload
    Functions.function(prompt, len)  # refused: call-overload
    prompt.effect(3)  # refused: arg-type
    prompt.effect(takes_three)  # refused: arg-type
    prompt.effect(takes_them_swapped)  # refused: arg-type
    print(text)


def tasks_that_are_none(listing: TaskList, graphing: TaskGraph) -> None:
    listing.task_list("read the ticket")  # refused: arg-type
    listing.task_list([5])  # refused: list-item
    graphing.task_graph(["a"])  # refused: list-item
    graphing.task_graph(workers=[{"name": "a"}])  # refused: list-item
    graphing.task_graph("abc")  # refused: arg-type


def what_an_effect_does_not_change(context: EffectContext, step: StepModifier) -> None:
    step.messages = "text"  # refused: assignment
    step.tools = [3]  # refused: list-item
    print(context.message)  # refused: attr-defined


def names_that_there_are_not() -> None:
    from callboard import Agnet  # refused: attr-defined
    from callboard.actors import Actr  # refused: attr-defined
    from callboard.testing import FunctionModle  # refused: attr-defined
    from callboard.tools import BaseTol  # refused: attr-defined

    print(Agnet, Actr, FunctionModle, BaseTol)
