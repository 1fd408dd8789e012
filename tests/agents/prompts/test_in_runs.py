"""A prompt function makes each step of a run; what it remembers is the conversation's."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    EffectContext,
    Message,
    RunFailed,
    StepModifier,
    ToolContext,
    ToolResult,
    composite,
    tool,
)
from callboard.actors.agents.errors import PromptError
from callboard.actors.agents.events import RunEvent, ToolFinished
from callboard.actors.agents.prompts.prompt import Prompt
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request, ToolCall
from tests.agents.support import function, results


def calling(*calls: ToolCall) -> Callable[[Request], Any]:
    """A model that makes these calls one after the other, and then says what it was told in the system prompt."""

    def model(request: Request) -> Any:
        done = len(results(request))
        if done < len(calls):
            return calls[done]
        told = request.messages[0]
        return told.text if told.role == "system" else ""

    return model


def counter(prompt: Prompt) -> None:
    """Counts how often the model called ``more``."""
    count, set_count = prompt.state("count", 0)
    prompt.system("count", f"{count}")

    @prompt.tool(risk="safe")
    async def more() -> int:
        """Count on."""
        return set_count(lambda before: before + 1)


COUNTED = "<count>\n{}\n</count>"
MORE = call("more")


def agency(prompt: Callable[[Any], object], model: Callable[[Request], Any], **options: Any) -> Agency:
    """An agency of one agent, whose steps are made by a prompt function."""
    kept = {name: options.pop(name) for name in ("journal", "retention") if name in options}
    return Agency(Agent("A", prompt=prompt, **options), model=function(model), **kept)


# -- rendering ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_it_is_called_once_before_each_completion(kind: str) -> None:
    rendered: list[int] = []
    asked: list[int] = []

    def plain(prompt: Prompt) -> None:
        rendered.append(len(asked))
        counter(prompt)

    async def coroutine(prompt: Prompt) -> None:
        await asyncio.sleep(0)
        plain(prompt)

    def model(request: Request) -> Any:
        asked.append(1)
        return calling(MORE, MORE)(request)

    async with agency(plain if kind == "def" else coroutine, model) as made:
        answer = await made.run("go")
    assert answer.text == COUNTED.format(2)
    assert rendered == [0, 1, 2]
    assert len(asked) == 3


async def test_what_it_defines_stands_behind_the_instructions_and_around_the_conversation() -> None:
    seen: list[Request] = []

    def prompt(prompt: Prompt) -> None:
        prompt.system("style", "Be brief.")
        prompt.define("fact", "Water is wet.").remind()
        prompt.user("Hello.")
        prompt.message("assistant", "Hello to you.")

    def model(request: Request) -> str:
        seen.append(request)
        return "ok"

    async with agency(prompt, model, instructions="You are A.") as made:
        await made.run("go")
    system, *others = seen[0].messages
    assert system.text == "You are A.\n\n<style>\nBe brief.\n</style>\n\n<fact>\nWater is wet.\n</fact>"
    assert [(one.role, one.text) for one in others] == [
        ("user", "Hello."),
        ("assistant", "Hello to you."),
        ("user", "go"),
        ("user", "<reminder>Keep to: <fact></reminder>"),
    ]


async def test_what_stands_around_the_conversation_is_no_part_of_it() -> None:
    def prompt(prompt: Prompt) -> None:
        prompt.user("Hello.")

    async with agency(prompt, lambda request: "ok") as made:
        answer = await made.run("go", conversation="c")
        assert [one.text for one in answer.messages] == ["go", "ok"]


async def test_a_run_may_be_asked_nothing_where_the_function_says_it_all() -> None:
    def prompt(prompt: Prompt) -> None:
        prompt.user("Say hello.")

    async with agency(prompt, lambda request: f"to {request.messages[-1].text}") as made:
        answer = await made.run(())
    assert answer.text == "to Say hello."


async def test_where_nobody_says_anything_the_run_ends_by_name() -> None:
    def silent(prompt: Prompt) -> None:
        prompt.system("style", "Be brief.")

    async with agency(silent, lambda request: "ok") as made:
        with pytest.raises(RunFailed, match=r"silent.*call prompt\.user"):
            await made.run(())


@pytest.mark.parametrize("left", [(), (Message("tool", "4", tool_call_id="c", name="add"),)], ids=["none", "a result"])
async def test_where_an_effect_leaves_nothing_to_say_the_run_ends_by_name(left: tuple[Message, ...]) -> None:
    def silent(prompt: Prompt) -> None:
        def cut(context: EffectContext, step: StepModifier) -> None:
            step.messages = left

        prompt.effect(cut)

    async with agency(silent, lambda request: "ok") as made:
        with pytest.raises(RunFailed, match=r"silent.*call prompt\.user"):
            await made.run("hello")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Message("system", "Be brief."), r"no system message: assign step\.systems"),
        (Message("user", 5), "a wrong message; message.content"),  # type: ignore[arg-type]
        (Message("user", None), "a wrong message; message.content"),  # type: ignore[arg-type]
        (Message("user", ["a"]), "a wrong message; message.content"),  # type: ignore[arg-type]
    ],
)
async def test_what_an_effect_puts_in_place_of_the_conversation_is_looked_at(message: Message, said: str) -> None:
    def prompt(prompt: Prompt) -> None:
        def put(context: EffectContext, step: StepModifier) -> None:
            step.messages = (message,)

        prompt.effect(put)

    async with agency(prompt, lambda request: "ok") as made:
        with pytest.raises(RunFailed, match=said):
            await made.run("hello")


async def test_what_a_later_step_does_not_define_is_gone() -> None:
    offered: list[list[str]] = []

    def prompt(prompt: Prompt) -> None:
        step, set_step = prompt.state("step", 1)
        if step == 1:
            prompt.tool(lambda: set_step(2), name="first", risk="safe")

    def model(request: Request) -> Any:
        offered.append([spec.name for spec in request.tools])
        return call("first")

    async with agency(prompt, model, stop_when=lambda run: len(run.steps) == 2) as made:
        answer = await made.run("go")
    assert offered == [["first"], []]
    assert answer.steps[1].calls[0].output == "no tool is called 'first'; there are: none"


@pytest.mark.parametrize("where", ["function", "async function", "effect", "async effect"])
async def test_an_error_in_it_ends_the_run_by_name_with_its_cause(where: str) -> None:
    def broken(prompt: Prompt) -> Any:
        def fails() -> None:
            raise KeyError("the database")

        async def fails_later() -> None:
            await asyncio.sleep(0)
            fails()

        if where == "function":
            fails()
        elif where == "async function":
            return fails_later()
        prompt.effect(fails if where == "effect" else fails_later)
        return None

    async with agency(broken, lambda request: "ok") as made:
        with pytest.raises(RunFailed, match=r"the prompt function .*broken raised KeyError") as raised:
            await made.run("go")
        assert isinstance(raised.value.__cause__, KeyError)
        with pytest.raises(RunFailed):  # the conversation can be gone on with
            await made.run("go", conversation="c")


async def test_wrong_use_ends_the_run_by_name() -> None:
    def twice(prompt: Prompt) -> None:
        prompt.system("a", "x")
        prompt.system("a", "y")

    async with agency(twice, lambda request: "ok") as made:
        with pytest.raises(RunFailed, match="twice") as raised:
            await made.run("go")
    assert isinstance(raised.value.__cause__, PromptError)


async def test_nothing_of_a_step_that_could_not_be_made_is_kept() -> None:
    def broken(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")
        prompt.effect(lambda: set_count(count + 1))

        def fails() -> None:
            raise KeyError("no")

        if count == 1 and len(failing) == 0:
            failing.append(1)
            prompt.effect(fails)

    failing: list[int] = []
    async with agency(broken, calling()) as made:
        assert (await made.run("go", conversation="c")).text == COUNTED.format(0)
        with pytest.raises(RunFailed):
            await made.run("go", conversation="c")
        assert (await made.run("go", conversation="c")).text == COUNTED.format(1)


# -- what is remembered ------------------------------------------------------------------------------------------------


async def test_state_lasts_over_steps_and_turns_and_belongs_to_one_conversation() -> None:
    async with agency(counter, calling(MORE, MORE)) as made:
        assert (await made.run("go", conversation="c")).text == COUNTED.format(2)
        assert (await made.run("go", conversation="c")).text == COUNTED.format(4)
        assert (await made.run("go", conversation="other")).text == COUNTED.format(2)
        assert (await made.run("go")).text == COUNTED.format(2)


async def test_state_outlives_the_process(tmp_path: Path) -> None:
    for count in (2, 4, 6):
        async with agency(counter, calling(MORE, MORE), journal=tmp_path / "j.db") as made:
            assert (await made.run("go", conversation="c")).text == COUNTED.format(count)


async def test_a_fork_and_a_rewound_conversation_remember_what_was_true_at_that_step() -> None:
    async with agency(counter, calling(MORE, MORE)) as made:
        await made.run("go", conversation="c")
        for step, count in enumerate((0, 1, 2, 2)):
            forked = await made.fork("c", at=step)
            assert (await made.run("go", conversation=forked)).text == COUNTED.format(count + 2)
        await made.rewind("c", to=1)
        assert (await made.run("go", conversation="c")).text == COUNTED.format(3)


async def test_what_a_run_has_set_that_is_taken_back_is_not_remembered() -> None:
    waiting, go = asyncio.Event(), asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        counter(prompt)

        @prompt.tool(risk="safe")
        async def wait() -> str:
            """Wait."""
            waiting.set()
            await go.wait()
            return "waited"

    def model(request: Request) -> Any:
        if request.messages[-1].text == "wait":
            return MORE
        return call("wait") if results(request) else calling()(request)

    async with agency(prompt, model) as made:
        first = asyncio.ensure_future(made.run("wait", conversation="c"))
        await waiting.wait()
        assert (await made.run("go", conversation="c", when_busy="rollback")).text == COUNTED.format(0)
        assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], Exception)


async def test_what_a_run_has_set_that_is_interrupted_stays() -> None:
    waiting = asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        counter(prompt)

        @prompt.tool(risk="safe")
        async def wait() -> str:
            """Wait."""
            waiting.set()
            await asyncio.Event().wait()
            return "waited"

    def model(request: Request) -> Any:
        if request.messages[-1].text == "wait":
            return MORE
        return call("wait") if results(request) else calling()(request)

    async with agency(prompt, model) as made:
        first = asyncio.ensure_future(made.run("wait", conversation="c"))
        await waiting.wait()
        assert (await made.run("go", conversation="c", when_busy="interrupt")).text == COUNTED.format(1)
        await asyncio.gather(first, return_exceptions=True)


async def test_an_effect_with_dependencies_is_not_run_again_after_a_restart(tmp_path: Path) -> None:
    ran: list[int] = []

    def prompt(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.effect(lambda: ran.append(count), [count])
        prompt.tool(lambda: set_count(count + 1), name="more", risk="safe")

    for _ in range(2):
        async with agency(prompt, calling(MORE), journal=tmp_path / "j.db") as made:
            await made.run("go", conversation="c")
    assert ran == [0, 1, 2]


# -- calls -------------------------------------------------------------------------------------------------------------


def ticket_office(prompt: Prompt) -> None:
    """Sells numbered tickets, with everything that a seller may try."""
    sold, set_sold = prompt.state("sold", [], list[str])
    prompt.system("sold", ", ".join(sorted(sold)))

    async def numbered() -> str:
        return f"number {len(set_sold(lambda before: [*before, str(len(before) + 1)]))}"

    async def named(context: ToolContext) -> str:
        set_sold(lambda before: [*before, context.call_id])
        return context.call_id

    prompt.tool(numbered, risk="safe", max_concurrency=1)
    prompt.tool(named, risk="safe")
    prompt.tool(composite([tool(risk="safe")(numbered)], name="several"))


async def sell(*calls: ToolCall) -> tuple[list[str], str]:
    """What calls of one step are told, and what the next step is."""
    told: list[str] = []

    def model(request: Request) -> Any:
        told[:] = results(request)
        return request.messages[0].text if told else list(calls)

    async with agency(ticket_office, model) as made:
        return told, (await made.run("Sell.")).text


async def test_calls_of_one_step_do_not_see_what_the_others_set_but_the_next_step_sees_all() -> None:
    gate: list[asyncio.Event] = []

    def counting(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")

        @prompt.tool(risk="safe")
        async def more() -> int:
            new = set_count(lambda before: before + 1)
            gate.append(asyncio.Event())
            if len(gate) == 3:
                for event in gate:
                    event.set()
            await gate[-1].wait()
            return new

    told: list[str] = []

    def model(request: Request) -> Any:
        told[:] = results(request)
        return request.messages[0].text if told else [call("more", str(number)) for number in range(3)]

    async with agency(counting, model) as made:
        answer = await made.run("Count.")
    assert told == ["1", "1", "1"]
    assert answer.text == COUNTED.format(3)


async def test_one_call_at_a_time_may_still_not_see_what_the_one_before_has_set() -> None:
    told, shown = await sell(*(call("numbered", str(number)) for number in range(3)))
    assert len(set(told)) < 3
    assert shown.count(",") == 2  # each of them counts


async def test_what_is_made_of_a_calls_id_is_unique() -> None:
    told, shown = await sell(*(call("named", f"c{number}") for number in range(3)))
    assert told == ["c0", "c1", "c2"]
    assert shown == "<sold>\nc0, c1, c2\n</sold>"


async def test_calls_within_one_call_see_what_the_ones_before_have_set() -> None:
    told, shown = await sell(call("several", calls=[{"name": "numbered", "args": {}}] * 3))
    assert [one["result"] for one in json.loads(told[0])["results"]] == ["number 1", "number 2", "number 3"]
    assert shown == "<sold>\n1, 2, 3\n</sold>"


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_tool_sets_state_from_a_thread_and_from_the_loop(kind: str) -> None:
    def prompt(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")

        def more() -> int:
            """Count on."""
            return set_count(lambda before: before + 1)

        async def more_later() -> int:
            """Count on."""
            return await asyncio.to_thread(more)

        prompt.tool(more if kind == "def" else more_later, name="more", risk="safe")

    async with agency(prompt, calling(MORE)) as made:
        assert (await made.run("go")).text == COUNTED.format(1)


async def test_a_call_that_fails_has_set_nothing() -> None:
    def prompt(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")

        @prompt.tool(risk="safe")
        async def more() -> None:
            """Count on."""
            set_count(5)
            raise ValueError("no")

    async with agency(prompt, calling(MORE)) as made:
        answer = await made.run("go")
    assert answer.text == COUNTED.format(0)
    assert "ValueError" in answer.steps[0].calls[0].output


async def test_what_is_used_wrongly_in_a_tool_is_the_calls_error_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def wrong(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0, int)
        prompt.system("count", f"{count}")
        given: Any = "text"

        @prompt.tool(risk="safe")
        async def more() -> int:
            """Set what is no number."""
            return set_count(given)

    async with agency(wrong, calling(MORE)) as made:
        answer = await made.run("go")
    assert answer.text == COUNTED.format(0)
    assert "wrong: state 'count'" in answer.steps[0].calls[0].output
    assert "wrong: state 'count'" in caplog.text


async def test_of_a_call_that_on_error_saves_what_the_function_set_is_gone_and_what_on_error_sets_counts() -> None:
    threads: list[asyncio.Task[int]] = []
    late = threading.Event()

    def prompt(prompt: Prompt) -> None:
        names, set_names = prompt.state("names", [""])
        prompt.system("names", " ".join(names))

        def add(name: str) -> int:
            return len(set_names(lambda before: [*before, name]))

        def add_late() -> int:
            late.wait(10)
            return add("late")

        def saved(arguments: Any, error: Exception) -> ToolResult:
            add("saved")
            return ToolResult("saved")

        def failed(arguments: Any, error: Exception) -> ToolResult:
            add("failed")
            return ToolResult("it failed", True)

        @prompt.tool(risk="safe", before_call=lambda arguments: None if add("before") else {}, on_error=saved)
        async def breaks() -> None:
            """Fails after it has set something."""
            add("half")
            threads.append(asyncio.create_task(asyncio.to_thread(add_late)))
            raise ValueError("no")

        @prompt.tool(risk="safe", on_error=failed)
        async def breaks_too() -> None:
            """Fails, and is not saved."""
            add("half")
            raise ValueError("no")

    async with agency(prompt, calling(call("breaks", "1"), call("breaks_too", "2"))) as made:
        answer = await made.run("go")
        late.set()
        with pytest.raises(PromptError, match="after its call had ended"):
            await threads[0]
    assert [one.output for step in answer.steps for one in step.calls] == ["saved", "it failed"]
    assert answer.text == "<names>\n saved\n</names>"


@pytest.mark.parametrize("parallel", [False, True])
async def test_of_calls_within_a_call_those_that_fail_have_set_nothing(parallel: bool) -> None:
    def prompt(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")

        async def more(by: int) -> int:
            after = set_count(lambda before: before + by)
            await asyncio.sleep(0)  # side by side each has set before any has ended
            if by < 0:
                raise ValueError("no")
            return after

        def at_most(before: int, most: int) -> int:
            if before >= most:
                raise ValueError("there is enough")
            return before + 1

        async def one_more() -> None:
            set_count(lambda before: at_most(before, 101))
            await asyncio.sleep(0)

        safe = tool(risk="safe")
        prompt.tool(composite([safe(more), safe(one_more)], parallel=parallel))

    entries = [{"name": "more", "args": {"by": by}} for by in (1, -10, 100)]
    entries += [{"name": "one_more", "args": {}}]
    async with agency(prompt, calling(call("batch", calls=entries))) as made:
        answer = await made.run("go")
    results = json.loads(answer.steps[0].calls[0].output)["results"]
    assert ["error" in result for result in results] == [False, True, False, True]
    assert "there is enough" in results[3]["error"]
    assert answer.text == COUNTED.format(101)


async def test_calls_of_one_step_that_add_to_a_state_all_count() -> None:
    def prompt(prompt: Prompt) -> None:
        names, set_names = prompt.state("names", [""])
        prompt.system("names", " ".join(sorted(names)))

        @prompt.tool(risk="safe")
        async def add(name: str, turns: int) -> None:
            """Add a name."""
            set_names(lambda before: [*before, name])
            for _ in range(turns):
                await asyncio.sleep(0)

    def model(request: Request) -> Any:
        if results(request):
            return calling()(request)
        return [call("add", name=name, turns=turns) for name, turns in (("x", 9), ("y", 0), ("z", 4))]

    async with agency(prompt, model) as made:
        assert (await made.run("go")).text == "<names>\n x y z\n</names>"


async def test_a_function_that_fails_on_what_another_call_has_set_meanwhile_is_that_calls_error() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        left, set_left = prompt.state("left", 1)
        prompt.system("left", f"{left}")

        def one_less(before: int) -> int:
            if not before:
                raise ValueError("nothing is left")
            return before - 1

        @prompt.tool(risk="safe")
        async def take(wait: bool) -> str:
            """Take one."""
            set_left(one_less)
            if wait:
                first.set()
                await second.wait()
            else:
                await first.wait()
                second.set()
            return "taken"

    def model(request: Request) -> Any:
        if results(request):
            return calling()(request)
        return [call("take", wait=True), call("take", wait=False)]

    async with agency(prompt, model) as made:
        answer = await made.run("go")
    assert answer.text == "<left>\n0\n</left>"
    said = [one.output for one in answer.steps[0].calls]
    assert sorted(said) == ["take set nothing, since what it sets with raised ValueError: nothing is left", "taken"]


async def test_a_tool_of_a_step_is_told_of_its_call() -> None:
    told: list[tuple[str, int, list[Message]]] = []

    def prompt(prompt: Prompt) -> None:
        @prompt.tool(risk="safe")
        async def look(context: ToolContext, at: str) -> str:
            """Look at something."""
            told.append((context.call_id, context.step, list(context.messages)))
            return at

    async with agency(prompt, calling(call("look", "one", at="x"))) as made:
        await made.run("go")
    assert [(call_id, step, [one.text for one in messages]) for call_id, step, messages in told] == [("one", 1, ["go"])]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_call_within_a_call_counts_when_it_ends_and_the_outer_one_when_that_does(fails: bool) -> None:
    begun, go, other = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        names, set_names = prompt.state("names", [""])
        prompt.system("names", " ".join(names))

        def add(name: str) -> int:
            return len(set_names(lambda before: [*before, name]))

        @tool(risk="safe")
        async def inner() -> None:
            add("inner")
            begun.set()
            await go.wait()
            if fails:
                raise ValueError("no")

        @prompt.tool(risk="safe")
        async def outer(context: ToolContext) -> int:
            """Make a call, and set something before, during and after it."""
            add("before")
            asked = asyncio.ensure_future(context.call(inner, {}))
            await begun.wait()
            add("during")
            await other.wait()
            go.set()
            assert (await asked).is_error == fails
            return add("after")

        @prompt.tool(risk="safe")
        async def quick() -> None:
            """Set something while the other call is under way."""
            await begun.wait()
            add("quick")
            other.set()

    def model(request: Request) -> Any:
        return calling()(request) if results(request) else [call("outer", "o"), call("quick", "q")]

    async with agency(prompt, model) as made:
        answer = await made.run("go")
    inside, outer = [] if fails else ["inner"], ["before", "during", "after"]
    assert answer.text.split()[1:-1] in (["quick", *inside, *outer], [*inside, "quick", *outer])
    assert answer.steps[0].calls[0].output == "4", "a call sees what it has set itself"


async def test_what_the_functions_around_a_call_set_counts_with_what_it_sets_itself_in_their_order() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        names, set_names = prompt.state("names", [""])
        prompt.system("names", " ".join(names))

        def add(name: str) -> int:
            return len(set_names(lambda before: [*before, name]))

        def before(arguments: Any) -> None:
            add("before")

        def after(arguments: Any, value: Any) -> None:
            add("after")

        @prompt.tool(risk="safe", before_call=before, on_success=after, on_error=lambda arguments, error: None)
        async def slow() -> int:
            """Set something, and end last."""
            made = add("inside")
            begun.set()
            await go.wait()
            return made

        @prompt.tool(risk="safe")
        async def quick() -> None:
            """Set something while the other call is under way."""
            await begun.wait()
            add("quick")

    def look(event: RunEvent) -> None:
        if isinstance(event, ToolFinished) and event.tool == "quick":
            go.set()

    def model(request: Request) -> Any:
        return calling()(request) if results(request) else [call("slow", "s"), call("quick", "q")]

    async with agency(prompt, model) as made:
        made.subscribe(look)
        answer = await made.run("go")
    assert answer.text == "<names>\n quick before inside after\n</names>"
    assert answer.steps[0].calls[0].output == "3"
