"""LangGraph's checkpoints in a journal: what LangGraph asks of a checkpointer, and that a thread does not fork."""

from __future__ import annotations

import asyncio
import operator
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip(
    "langgraph.checkpoint.conformance",
    reason="langgraph-checkpoint-conformance is missing: pip install langgraph-checkpoint-conformance",
)

from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate

from callboard import CheckpointConflict, JournalSaver
from callboard.actors.journal import EventNotReadable, Journal, JournalClosed, MemoryJournal, StreamConflict

from .stores import STORES, Store, settled


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = STORES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def journal(store: Store) -> Journal:
    return store.journal()


@pytest.fixture
def saver(journal: Journal) -> JournalSaver:
    return JournalSaver(journal)


class Blocking(JournalSaver):
    """Its methods that are awaited are those that are not, called here and now: on a thread whose loop is running."""

    async def aget_tuple(self, *args: Any, **more: Any) -> Any:
        return self.get_tuple(*args, **more)

    async def alist(self, *args: Any, **more: Any) -> AsyncIterator[CheckpointTuple]:
        for item in self.list(*args, **more):
            yield item

    async def aput(self, *args: Any, **more: Any) -> Any:
        return self.put(*args, **more)

    async def aput_writes(self, *args: Any, **more: Any) -> None:
        self.put_writes(*args, **more)

    async def adelete_thread(self, *args: Any, **more: Any) -> None:
        self.delete_thread(*args, **more)

    async def adelete_for_runs(self, *args: Any, **more: Any) -> None:
        self.delete_for_runs(*args, **more)

    async def acopy_thread(self, *args: Any, **more: Any) -> None:
        self.copy_thread(*args, **more)

    async def aprune(self, *args: Any, **more: Any) -> None:
        self.prune(*args, **more)


class InThreads(Blocking):
    """Its methods that are awaited are those that are not, called on other threads."""

    async def aget_tuple(self, *args: Any, **more: Any) -> Any:
        return await asyncio.to_thread(self.get_tuple, *args, **more)

    async def alist(self, *args: Any, **more: Any) -> AsyncIterator[CheckpointTuple]:
        for item in await asyncio.to_thread(lambda: [*self.list(*args, **more)]):
            yield item

    async def aput(self, *args: Any, **more: Any) -> Any:
        return await asyncio.to_thread(self.put, *args, **more)

    async def aput_writes(self, *args: Any, **more: Any) -> None:
        await asyncio.to_thread(self.put_writes, *args, **more)


def config(thread: str = "t", checkpoint: str | None = None, ns: str = "") -> Any:
    names = {"thread_id": thread, "checkpoint_ns": ns}
    return {"configurable": names if checkpoint is None else {**names, "checkpoint_id": checkpoint}}


def named(saved: Any) -> str:
    """The checkpoint that a configuration or a tuple is of."""
    name: str = getattr(saved, "config", saved)["configurable"]["checkpoint_id"]
    return name


async def put(saver: JournalSaver, after: Any, step: int = 0, **more: Any) -> Any:
    """Put a checkpoint whose channels are of the versions and values given, if any. Returns its configuration."""
    values: dict[str, tuple[Any, Any]] = more.pop("values", {})
    new: list[str] = more.pop("new", list(values))
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = {channel: value for channel, (_, value) in values.items()}
    checkpoint["channel_versions"] = {channel: version for channel, (version, _) in values.items()}
    metadata: Any = {"source": "loop", "step": step, "parents": {}, **more}
    return await saver.aput(after, checkpoint, metadata, {channel: values[channel][0] for channel in new})


async def latest(saver: JournalSaver, thread: str = "t", ns: str = "") -> CheckpointTuple:
    found = await saver.aget_tuple(config(thread, ns=ns))
    assert found is not None, f"{thread} has no checkpoint"
    return found


async def ids(saver: JournalSaver, thread: str = "t") -> list[str]:
    return [named(item) async for item in saver.alist(config(thread))]


async def size(journal: Journal, thread: str = "t") -> int:
    return sum(len(repr(record.event)) for record in await settled(journal.read(f"langgraph/{thread}")))


@pytest.mark.parametrize("kind", [JournalSaver, Blocking, InThreads])
async def test_it_passes_the_whole_conformance_suite(kind: type[JournalSaver], store: Store) -> None:
    async def made() -> AsyncIterator[JournalSaver]:
        yield kind(store.journal())

    report = await validate(checkpointer_test(name="JournalSaver")(made))
    assert all(result.detected for result in report.results.values())
    assert {name: result.failures for name, result in report.results.items() if result.failures} == {}
    assert report.conformance_level() == "FULL"


# -- one writer after the other ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in one process", "in two"])
async def test_of_two_who_go_on_from_a_checkpoint_the_second_is_refused(store: Store, elsewhere: bool) -> None:
    journal = store.journal()
    saver = JournalSaver(journal)
    other = JournalSaver(store.journal()) if elsewhere else saver
    first = await put(saver, config())
    await latest(other)
    second = await put(saver, first, 1)
    with pytest.raises(CheckpointConflict, match=named(second)) as refused:
        await put(other, first, 1)
    assert (refused.value.parent, refused.value.latest) == (named(first), named(second))
    assert await ids(saver) == await ids(other) == [named(second), named(first)]


async def test_of_many_at_once_exactly_one_goes_on(store: Store) -> None:
    savers = [JournalSaver(store.journal()) for _ in range(4)]
    first = await put(savers[0], config())
    outcomes = await asyncio.gather(*[put(saver, first, 1) for saver in savers * 3], return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CheckpointConflict"] * 11 + ["dict"]
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    for saver in savers:
        assert await ids(saver) == [named(won), named(first)]


async def test_a_checkpoint_that_is_asked_for_by_its_id_may_be_gone_on_from(saver: JournalSaver) -> None:
    first = await put(saver, config())
    second = await put(saver, first, 1)
    found = await saver.aget_tuple(config(checkpoint=named(first)))
    assert found is not None
    branch = await put(saver, found.config, 1)
    assert named(await latest(saver)) == named(branch)
    assert (await latest(saver)).parent_config == first
    with pytest.raises(CheckpointConflict):  # who was on the other branch
        await put(saver, second, 2)
    with pytest.raises(CheckpointConflict):  # what was asked for by its id is but the first one's parent
        await put(saver, {"configurable": {**found.config["configurable"], **second["configurable"]}}, 2)
    assert named(await put(saver, branch, 2)) == named(await latest(saver))


async def test_a_checkpoint_from_the_history_may_be_gone_on_from(saver: JournalSaver) -> None:
    await put(saver, await put(saver, config()), 1)
    oldest = [item async for item in saver.alist(config())][-1]
    branch = await put(saver, oldest.config, 1)
    assert named(await latest(saver)) == named(branch)


async def test_what_langgraph_calls_a_fork_is_taken(saver: JournalSaver) -> None:
    first = await put(saver, config())
    await put(saver, first, 1)
    fork = await put(saver, first, 1, source="fork")
    assert named(await latest(saver)) == named(fork)


@pytest.mark.parametrize(
    ("more", "said"),
    [({}, {"source": "input", "step": -1}), ({}, {"source": "update"}), ({"__pregel_runtime": 1}, {})],
    ids=["an input", "an update", "a run"],
)
async def test_of_two_that_found_a_thread_empty_the_second_is_refused(
    saver: JournalSaver, more: dict[str, Any], said: dict[str, Any]
) -> None:
    first = await put(saver, config(), **said)
    with pytest.raises(CheckpointConflict, match="is a first one") as refused:
        await put(saver, {"configurable": {**config()["configurable"], **more}}, **said)
    assert refused.value.parent is None
    assert await ids(saver) == [named(first)]


async def test_a_checkpoint_may_be_put_once_more(saver: JournalSaver) -> None:
    first = await put(saver, config())
    checkpoint = empty_checkpoint()
    for step in (1, 2):
        await saver.aput(first, checkpoint, {"step": step}, {})
    await put(saver, config(checkpoint=checkpoint["id"]), 3)
    await saver.aput(first, checkpoint, {"step": 4}, {})
    assert [item.metadata["step"] async for item in saver.alist(config())] == [3, 4, 0]


async def test_the_latest_one_is_the_last_put_also_where_a_clock_is_behind(saver: JournalSaver) -> None:
    later, earlier = sorted((empty_checkpoint() for _ in range(2)), key=lambda made: made["id"], reverse=True)
    first = await saver.aput(config(), later, {"step": 0}, {})
    await saver.aput(first, earlier, {"step": 1}, {})
    assert named(await latest(saver)) == earlier["id"]
    assert await ids(saver) == [earlier["id"], later["id"]]


async def test_namespaces_go_on_each_for_itself(saver: JournalSaver) -> None:
    outer, inner = await asyncio.gather(put(saver, config()), put(saver, config(ns="child:1")))
    await asyncio.gather(*[put(saver, each, 1) for each in (outer, inner)])
    assert [(await latest(saver, ns=ns)).metadata["step"] for ns in ("", "child:1")] == [1, 1]


async def test_writes_are_taken_while_checkpoints_are_put(store: Store) -> None:
    savers = [JournalSaver(store.journal()) for _ in range(2)]
    first = await put(savers[0], config())

    async def step(saver: JournalSaver, number: int) -> None:
        await saver.aput_writes(first, [("channel", number)], f"task {number:02}")

    writing = [step(savers[number % 2], number) for number in range(20)]
    outcomes = await asyncio.gather(*writing, put(savers[0], first, 1))
    for saver in savers:
        found = await saver.aget_tuple(first)
        assert found is not None
        assert [value for _, _, value in found.pending_writes or ()] == list(range(20))
        assert named(await latest(saver)) == named(outcomes[-1])


async def test_writes_may_come_before_their_checkpoint(saver: JournalSaver) -> None:
    first = await put(saver, config())
    checkpoint = empty_checkpoint()
    await saver.aput_writes(config(checkpoint=checkpoint["id"]), [("channel", 1)], "task")
    await saver.aput(first, checkpoint, {"step": 1}, {})
    assert (await latest(saver)).pending_writes == [("task", "channel", 1)]


async def test_writes_come_back_in_the_order_of_their_tasks_paths(saver: JournalSaver) -> None:
    first = await put(saver, config())
    await saver.aput_writes(first, [("channel", "b")], "1", "path b")
    await saver.aput_writes(first, [("channel", "a"), ("channel", "a2")], "2", "path a")
    assert [value for _, _, value in (await latest(saver)).pending_writes or ()] == ["a", "a2", "b"]


# -- threads and loops -------------------------------------------------------------------------------------------------


def test_it_is_used_from_many_threads_without_a_loop(store: Store) -> None:
    saver = JournalSaver(store.journal())

    def conversation(number: int) -> list[int]:
        thread = f"thread {number % 3}"
        made: Any = config(f"{thread}/{number}")
        for step in range(5):
            checkpoint = empty_checkpoint()
            checkpoint["channel_values"] = {"number": number}
            checkpoint["channel_versions"] = {"number": step}
            made = saver.put(made, checkpoint, {"step": step}, {"number": step})
            saver.put_writes(made, [("channel", step)], "task")
        return [item.metadata["step"] for item in saver.list(config(f"{thread}/{number}"))]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(conversation, range(16))) == [[4, 3, 2, 1, 0]] * 16
    assert len([*saver.list(None)]) == 16 * 5
    assert len([*saver.list(None, limit=7)]) == 7


def test_one_saver_serves_one_loop_after_the_other_and_none(saver: JournalSaver) -> None:
    first = asyncio.run(put(saver, config()))
    second = saver.put(first, empty_checkpoint(), {"step": 1}, {})
    assert asyncio.run(ids(saver)) == [named(second), named(first)]


async def test_a_put_that_is_given_up_harms_nobody(saver: JournalSaver) -> None:
    first = await put(saver, config())
    given_up = asyncio.ensure_future(put(saver, first, 1))
    reading = asyncio.ensure_future(latest(saver))
    await asyncio.sleep(0)
    given_up.cancel()
    assert (await reading).metadata["step"] == 1
    after = config(checkpoint=named(await latest(saver)))
    assert named(await put(saver, after, 2)) == named(await latest(saver))
    assert (await latest(saver)).metadata["step"] == 2


async def test_errors_come_out_as_they_are(store: Store) -> None:
    journal = store.journal()
    saver = JournalSaver(journal)
    await put(saver, config())
    journal.close()
    with pytest.raises(JournalClosed):
        await put(saver, config("another"))
    with pytest.raises(JournalClosed):
        saver.get_tuple(config())


def test_a_blocking_call_sees_an_error_of_the_journal_on_a_running_loops_thread() -> None:
    journal = MemoryJournal()
    saver = JournalSaver(journal)
    journal.close()

    async def main() -> None:
        with pytest.raises(JournalClosed):
            saver.get_tuple(config())

    asyncio.run(main())


# -- what is kept ------------------------------------------------------------------------------------------------------


async def test_a_channels_value_is_kept_once_a_version(journal: Journal, saver: JournalSaver) -> None:
    large = "x" * 100_000
    after: Any = config()
    sizes = []
    for step in range(30):
        values = {"large": ("1.0", large), "small": (f"{step}.0", step)}
        after = await put(saver, after, step, values=values, new=["small"] if step else ["large", "small"])
        sizes.append(await size(journal))
    assert sizes[-1] - sizes[0] < 100_000
    read = JournalSaver(journal)
    for step, item in enumerate(reversed([item async for item in read.alist(config())])):
        assert item.checkpoint["channel_values"] == {"large": large, "small": step}


async def test_two_branches_keep_their_values_apart(saver: JournalSaver) -> None:
    version: Any = saver.get_next_version(None, None)
    first = await put(saver, config(), values={"channel": (version, "trunk")})
    branches = []
    for name in ("left", "right"):
        found = await saver.aget_tuple(config(checkpoint=named(first)))
        assert found is not None
        newer = saver.get_next_version(version, None)
        assert newer > version
        branches.append(await put(saver, found.config, 1, values={"channel": (newer, name)}))
    values = [found.checkpoint["channel_values"] for each in branches if (found := await saver.aget_tuple(each))]
    assert values == [{"channel": "left"}, {"channel": "right"}]


async def test_a_checkpoint_of_another_saver_brings_all_its_values(saver: JournalSaver) -> None:
    await put(saver, config(), values={"old": (3, "kept"), "new": (4, "too")}, new=["new"])
    assert (await latest(saver)).checkpoint["channel_values"] == {"old": "kept", "new": "too"}


async def test_a_thread_is_seen_to_have_been_deleted_elsewhere(store: Store) -> None:
    here, there = JournalSaver(store.journal()), JournalSaver(store.journal())
    first = await put(here, config())
    await put(here, first, 1)
    assert len(await ids(there)) == 2
    await there.adelete_thread("t")
    assert await here.aget_tuple(config()) is None
    again = await put(there, config())
    assert await ids(here) == [named(again)]
    await there.adelete_thread("t")
    anew = [await put(there, config()), await put(there, config())]
    assert await ids(here) == [named(each) for each in reversed(anew)]


async def test_what_is_deleted_is_not_kept(journal: Journal, saver: JournalSaver) -> None:
    first = await put(saver, config(), run_id="one", values={"a": (1, "secret"), "b": (1, "shared")})
    await saver.aput_writes(first, [("a", "secret")], "task")
    await put(saver, first, 1, run_id="two", values={"a": (2, "open"), "b": (1, "shared")}, new=["a"])
    await saver.adelete_for_runs(["one"])
    (record,) = await settled(journal.read("langgraph/t"))
    assert record.event["run"] == "two"
    assert (await latest(saver)).checkpoint["channel_values"] == {"a": "open", "b": "shared"}
    assert [header.name for header in await settled(journal.headers())] == ["langgraph/t"]


async def test_pruning_keeps_what_a_delta_channel_is_made_of(saver: JournalSaver) -> None:
    counted = {"counters_since_delta_snapshot": {"delta": [1, 1]}}
    after = await put(saver, config(), values={"delta": (1, "older")})
    after = await put(saver, after, 1, values={"delta": (2, "snapshot")})
    made = [after]
    for step in (2, 3):
        checkpoint = empty_checkpoint()
        checkpoint["channel_versions"] = {"delta": step + 1}
        await saver.aput_writes(after, [("delta", step)], "task")
        metadata: Any = {"step": step, **counted}
        after = await saver.aput(after, checkpoint, metadata, {"delta": step + 1})
        made.append(after)
    await saver.aprune(["t"])
    assert await ids(saver) == [named(each) for each in reversed(made)]
    (history,) = (await saver.aget_delta_channel_history(config=config(), channels=["delta"])).values()
    assert (history.get("seed"), [value for _, _, value in history["writes"]]) == ("snapshot", [2, 3])


async def test_an_unknown_way_of_pruning_is_refused(saver: JournalSaver) -> None:
    with pytest.raises(ValueError, match="keep_latest or delete"):
        await saver.aprune(["t"], strategy="all")


async def test_a_thread_that_was_being_shortened_when_the_process_ended_is_whole(store: Store) -> None:
    journal = store.journal()
    saver = JournalSaver(journal)
    after = await put(saver, config())
    after = await put(saver, after, 1)
    for record in await settled(journal.read("langgraph/t")):
        await settled(journal.append("langgraph-aside/t", [record.event]))
    await settled(journal.delete("langgraph/t"))
    await JournalSaver(store.journal()).aput_writes(after, [("channel", 1)], "task")  # it knew nothing of it
    assert {named(item) for item in JournalSaver(store.journal()).list(None)} == {*await ids(saver)}
    assert (await latest(saver)).pending_writes == [("task", "channel", 1)]
    assert [header.name for header in await settled(journal.headers())] == ["langgraph/t"]
    assert named(await put(saver, after, 2)) == named(await latest(saver))


async def test_it_is_written_and_shortened_at_once(store: Store) -> None:
    here, there = JournalSaver(store.journal()), JournalSaver(store.journal())
    after = await put(here, config())

    async def write() -> None:
        nonlocal after
        for step in range(1, 20):
            await here.aput_writes(after, [("channel", step)], "task")
            after = await put(here, after, step)

    async def shorten(saver: JournalSaver) -> None:
        for _ in range(5):
            await saver.aprune(["t"])

    await asyncio.gather(write(), shorten(here), shorten(there), shorten(there))
    await there.aprune(["t"])
    assert await ids(here) == await ids(there) == [named(after)]
    assert (await latest(there)).metadata["step"] == 19


async def test_a_thread_is_not_copied_over_another(saver: JournalSaver) -> None:
    await put(saver, config("from"))
    kept = await put(saver, config("to"))
    with pytest.raises(StreamConflict):
        await saver.acopy_thread("from", "to")
    assert await ids(saver, "to") == [named(kept)]


async def test_a_stream_of_something_else_is_named(journal: Journal, saver: JournalSaver) -> None:
    await settled(journal.append("langgraph/t", [{"langgraph": "something new"}]))
    with pytest.raises(EventNotReadable, match="langgraph/t") as refused:
        await saver.aget_tuple(config())
    assert refused.value.stream == "langgraph/t"


def test_the_command_that_installs_what_is_missing_is_named() -> None:
    code = "import sys\nsys.modules['langgraph'] = None\nfrom callboard import JournalSaver"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].endswith("pip install 'callboard[langgraph]'")


# -- graphs ------------------------------------------------------------------------------------------------------------


class State(TypedDict):
    log: Annotated[list[str], operator.add]


@pytest.fixture
def graph() -> Callable[[JournalSaver], Any]:
    """Makes a graph of two nodes that adds to a list; the first one is a graph of its own, and asks what to add."""
    pytest.importorskip("langgraph.graph", reason="langgraph is missing: pip install langgraph")
    from langgraph.graph import START, StateGraph
    from langgraph.types import interrupt

    def make(saver: JournalSaver) -> Any:
        inner: Any = StateGraph(State)
        inner.add_node("ask", lambda seen: {"log": [interrupt("what?")]})
        inner.add_edge(START, "ask")
        outer: Any = StateGraph(State)
        compiled = inner.compile()
        outer.add_node("inner", lambda seen: {"log": compiled.invoke(seen)["log"][-1:]})
        outer.add_node("end", lambda seen: {"log": ["end"]})
        outer.add_edge(START, "inner")
        outer.add_edge("inner", "end")
        return outer.compile(checkpointer=saver)

    return make


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_graph_goes_on_in_another_process_where_it_was_interrupted(
    graph: Callable[[JournalSaver], Any], store: Store, durability: str
) -> None:
    from langgraph.types import Command

    here = graph(JournalSaver(store.journal()))
    asked = here.invoke({"log": ["start"]}, config(), durability=durability)
    assert asked["__interrupt__"][0].value == "what?"
    there = graph(JournalSaver(store.journal()))
    answer: Command[Any] = Command(resume="this")
    assert there.invoke(answer, config(), durability=durability) == {"log": ["start", "this", "end"]}
    assert here.get_state(config()).values == {"log": ["start", "this", "end"]}


async def test_of_two_runs_at_once_on_a_thread_one_is_refused(
    graph: Callable[[JournalSaver], Any], store: Store
) -> None:
    both = asyncio.Barrier(2)

    class Meets(JournalSaver):
        """Both have read before one of them writes."""

        met = False

        async def aget_tuple(self, config: Any) -> Any:
            found = await super().aget_tuple(config)
            if not self.met:
                self.met = True
                await both.wait()
            return found

    here, there = graph(Meets(store.journal())), graph(Meets(store.journal()))
    runs = [made.ainvoke({"log": [name]}, config()) for made, name in ((here, "here"), (there, "there"))]
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert [type(outcome) for outcome in outcomes if outcome is not won] == [CheckpointConflict]
    assert (await here.aget_state(config())).values["log"] == won["log"]


def test_a_graph_travels_in_time(graph: Callable[[JournalSaver], Any], saver: JournalSaver) -> None:
    from langgraph.types import Command

    made = graph(saver)
    for answer in ("one", "two"):
        made.invoke({"log": ["start"]}, config())
        made.invoke(Command(resume=answer), config())
    asked = [state for state in made.get_state_history(config()) if state.next == ("inner",)]
    assert [state.values["log"] for state in asked] == [["start", "one", "end", "start"], ["start"]]
    made.invoke(None, asked[-1].config)
    assert made.invoke(Command(resume="another"), config())["log"] == ["start", "another", "end"]
    edited = made.update_state(asked[0].config, {"log": ["edited"]}, as_node="inner")
    assert made.invoke(None, edited)["log"] == ["start", "one", "end", "start", "edited", "end"]
    assert made.get_state(config()).values["log"][-2:] == ["edited", "end"]
