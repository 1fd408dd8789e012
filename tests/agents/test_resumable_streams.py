"""A run as a stream that can be gone on with: `RunHandle.stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Agency, Agent, Caller, RunText
from callboard.actors import Actor, ChildSpec
from callboard.actors.agents.errors import DefinitionError, NotAllowed, RunFailed, UnknownRun
from callboard.actors.agents.runs.reading.cursor import Cursor
from callboard.actors.agents.runs.reading.progress import RunRecord
from callboard.actors.journal import MemoryJournal
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall

from .journals import journal
from .support import add

__all__ = ["journal"]

Item = RunRecord | RunText


class Talker(Actor):
    """Says what it is told to, completion by completion, in pieces; it can be held before any of them.

    Args:
        script: for each completion what it says: texts, and at the end calls if it has any.
        gates: the event to wait for before a piece, by completion and piece.
    """

    def __init__(
        self, script: Sequence[Sequence[Any]], gates: dict[tuple[int, int], asyncio.Event] | None = None
    ) -> None:
        super().__init__()
        self.script = script
        self.gates = gates or {}

    def on_receive(self, message: Request) -> Any:
        return self._pieces(sum(one.role == "assistant" for one in message.messages))

    async def _pieces(self, turn: int) -> AsyncGenerator[Delta, None]:
        said = ""
        calls: tuple[ToolCall, ...] = ()
        for index, piece in enumerate(self.script[turn]):
            if gate := self.gates.get((turn, index)):
                await gate.wait()
            if isinstance(piece, ToolCall):
                calls = (*calls, piece)
            elif isinstance(piece, Delta):
                yield piece
            else:
                said += piece
                yield Delta(piece)
        reason: Any = "tool_calls" if calls else "stop"
        yield Delta(completion=Completion(Message("assistant", said, calls), reason))


ADD = ToolCall("call-1", "add", '{"a": 1, "b": 2}')
TWO_STEPS = (("Let ", "me ", "see.", ADD), ("It ", "is ", "3."))


def agency_of(script: Sequence[Sequence[Any]], journal: Any, gates: Any = None) -> Agency:
    return Agency(Agent("A", tools=[add]), model=ChildSpec(Talker, (script, gates)), journal=journal)


def said(items: Sequence[Item]) -> list[str]:
    """The texts of the completions, as whoever puts the pieces together has them."""
    texts = [""]
    for item in items:
        if isinstance(item, RunText):
            texts[-1] = item.text if item.restarted else texts[-1] + item.text
        elif item.type == "completed":
            texts.append("")
    return texts[:-1]


COMPLETED = RunRecord(0, "completed", "", "", "", 0.0, {})


async def read(handle: Any, after: str = "", until: str | None = None) -> list[Item]:
    """What is given behind a place, up to its end, or until its last text is this one."""
    items: list[Item] = []
    async with aclosing(handle.stream(after=after)) as stream:
        async for item in stream:
            items.append(item)
            if until is not None and said([*items, COMPLETED])[-1] == until:
                break
    return items


async def test_text_comes_in_pieces_before_the_record_of_its_completion(journal: Any) -> None:
    held = {"Let ": (0, 1), "me ": (0, 2), "It ": (1, 1), "is ": (1, 2)}
    gates = {place: asyncio.Event() for place in held.values()}
    async with agency_of(TWO_STEPS, journal, gates) as agency:
        handle = await agency.start_run("1 + 2?", stream=True)
        items: list[Item] = []
        async for item in handle.stream():
            items.append(item)
            if isinstance(item, RunText) and item.text in held:  # the next piece is said once this one was read
                gates[held[item.text]].set()
        shown = [item.text if isinstance(item, RunText) else item.type for item in items]
        assert shown == [
            *("accepted", "started", "Let ", "me ", "see.", "completed", "tools_started", "tool_returned"),
            *("It ", "is ", "3.", "completed", "ended"),
        ]
        assert [item for item in items if isinstance(item, RunRecord)] == [one async for one in handle.events()]


async def test_whoever_begins_behind_any_item_is_given_the_rest_once(journal: Any) -> None:
    async with agency_of(TWO_STEPS, journal) as agency:
        handle = await agency.start_run("1 + 2?", stream=True)
        first = await read(handle)
        assert said(first) == ["Let me see.", "It is 3."]
        for index, item in enumerate(first):
            rest = await read(handle, item.cursor)
            assert said([*first[: index + 1], *rest]) == said(first)
            records = [one for one in first[index + 1 :] if isinstance(one, RunRecord)]
            assert [one for one in rest if isinstance(one, RunRecord)] == records
            assert not any(isinstance(one, RunText) and one.restarted for one in rest)


async def test_a_run_without_pieces_is_the_same_stream_with_texts_in_one_piece(journal: Any) -> None:
    async with Agency(Agent("A"), model=ChildSpec(Talker, ((("one ", "two"),),)), journal=journal) as agency:
        handle = await agency.start_run("?", stream=True)
        await handle
        texts = [item for item in await read(handle) if isinstance(item, RunText)]
        assert [(item.text, item.kind, item.restarted) for item in texts] == [("one two", "text", False)]


async def test_who_comes_in_the_middle_is_given_what_was_said_before() -> None:
    gates = {(0, 2): asyncio.Event()}
    async with agency_of(((("one ", "two ", "three")),), MemoryJournal(), gates) as agency:
        handle = await agency.start_run("?", stream=True)
        early = await read(handle, until="one two ")
        late = await read(handle, until="one two ")
        assert [item.text for item in late if isinstance(item, RunText)] == ["one two "]
        behind = asyncio.create_task(read(handle, early[-1].cursor))
        gates[(0, 2)].set()
        assert [item.text for item in await behind if isinstance(item, RunText)] == ["three"]


async def test_reasoning_is_a_text_of_its_own(journal: Any) -> None:
    class Thinker(Actor):
        def on_receive(self, message: Request) -> Any:
            return self._pieces()

        async def _pieces(self) -> AsyncGenerator[Delta, None]:
            yield Delta(reasoning="hmm, ")
            yield Delta(reasoning="so ")
            yield Delta("yes")
            yield Delta(completion=Completion(Message("assistant", "yes", reasoning="hmm, so "), "stop"))

    async with Agency(Agent("A"), model=ChildSpec(Thinker), journal=journal) as agency:
        handle = await agency.start_run("?", stream=True)
        items = await read(handle)
        texts = [item for item in items if isinstance(item, RunText)]
        assert "".join(item.text for item in texts if item.kind == "reasoning") == "hmm, so "
        assert "".join(item.text for item in texts if item.kind == "text") == "yes"
        for index, item in enumerate(items):
            rest = [one for one in await read(handle, item.cursor) if isinstance(one, RunText)]
            given = [one for one in items[: index + 1] if isinstance(one, RunText)]
            for kind, whole in (("reasoning", "hmm, so "), ("text", "yes")):
                assert "".join(one.text for one in (*given, *rest) if one.kind == kind) == whole


@pytest.mark.parametrize(
    ("anew", "expected", "restarted"),
    [
        (("one ", "two ", "three"), ["one two three"], False),
        (("one two three",), ["one two three"], False),
        (("something else", " again"), ["something else again"], True),
        (("one",), ["one"], True),
        (("",), [""], True),
    ],
)
async def test_a_text_that_is_said_anew_after_a_crash_goes_on_or_begins_anew(
    tmp_path: Path, anew: Sequence[str], expected: list[str], restarted: bool
) -> None:
    path = tmp_path / "j.db"
    async with agency_of(((("one ", "two ", "three")),), path, {(0, 2): asyncio.Event()}) as agency:
        handle = await agency.start_run("?", run_id="r", conversation="c", stream=True)
        first = await read(handle, until="one two ")
    async with agency_of((anew,), path) as agency:
        rest = await read(await agency.handle("r"), first[-1].cursor)
        assert said([*first, *rest]) == expected
        assert any(isinstance(item, RunText) and item.restarted for item in rest) is restarted
        assert [item.type for item in rest if isinstance(item, RunRecord)][-2:] == ["completed", "ended"]


async def test_another_process_gives_the_same_stream(tmp_path: Path) -> None:
    gate = {(1, 1): asyncio.Event()}
    async with agency_of(TWO_STEPS, tmp_path / "j.db", gate) as one, agency_of(TWO_STEPS, tmp_path / "j.db") as two:
        handle = await one.start_run("1 + 2?", run_id="r", stream=True)
        begun = await read(handle, until="It ")
        there = asyncio.create_task(read(await two.handle("r"), begun[-1].cursor))
        gate[(1, 1)].set()
        assert said([*begun, *await there]) == ["Let me see.", "It is 3."]


@pytest.mark.parametrize(
    "after", ["x", "-", "1-2", "1-2.3-4.5", "12345678901234567890123", "1 ", "٣", "1-1.0000000g-0.00000000"]
)
async def test_what_is_no_place_is_refused(after: str) -> None:
    async with agency_of((("hi",),), None) as agency:
        handle = await agency.start_run("?", stream=True)
        with pytest.raises(DefinitionError, match="is no place"):
            await read(handle, after)


@pytest.mark.parametrize("after", ["x", "1-2", None, 3])
async def test_it_is_refused_by_the_call_and_not_only_by_the_iteration(after: Any) -> None:
    async with agency_of((("hi",),), None) as agency:
        handle = await agency.start_run("?", stream=True)
        with pytest.raises(DefinitionError, match="place"):
            handle.stream(after=after)
        with pytest.raises(DefinitionError, match="a whole number, 0 for the beginning"):
            handle.events(after=str(after))  # type: ignore[arg-type]
        await handle


async def test_a_place_in_another_run_is_refused(journal: Any) -> None:
    async with agency_of((("hi",),), journal) as agency:
        one, two = [await agency.start_run("?", stream=True) for _ in range(2)]
        items = [await read(one), await read(two)]
        for handle, others in ((one, items[1]), (two, items[0])):
            for item in others:
                with pytest.raises(DefinitionError, match="is no place in the stream of run"):
                    await read(handle, item.cursor)


async def test_behind_the_end_there_is_nothing(journal: Any) -> None:
    async with agency_of((("hi",),), journal) as agency:
        handle = await agency.start_run("?", stream=True)
        end = (await read(handle))[-1]
        assert await read(handle, end.cursor) == []


async def test_a_run_that_fails_ends_its_stream() -> None:
    class Broken(Actor):
        def on_receive(self, message: Request) -> Any:
            raise ValueError("no")

    async with Agency(Agent("A"), model=ChildSpec(Broken)) as agency:
        handle = await agency.start_run("?", stream=True)
        items = await read(handle)
        assert isinstance(items[-1], RunRecord)
        assert items[-1].type == "ended"
        assert items[-1].data["error"]
        with pytest.raises(RunFailed):
            await handle


async def test_a_released_run_has_no_stream(journal: Any) -> None:
    async with agency_of((("hi",),), journal) as agency:
        handle = await agency.start_run("?", conversation="c", stream=True)
        await handle
        await agency.release("c")
        with pytest.raises(UnknownRun):
            await read(handle)


async def test_a_stranger_gets_no_handle(journal: Any) -> None:
    ann, bob, colleague = Caller("ann", "acme"), Caller("bob", "acme"), Caller("eve", "acme", frozenset({"admin"}))
    gate = asyncio.Event()
    async with agency_of((("hi",),), journal, {(0, 0): gate}) as agency:
        handle = await agency.start_run("?", run_id="r", conversation="c", caller=ann, stream=True)
        for _ in ("under way", "ended"):
            assert (await agency.handle("r", caller=ann)).id == "r"
            assert (await agency.handle("r", caller=colleague)).id == "r"
            assert (await agency.handle("r")).id == "r"
            for stranger in (bob, Caller("ann"), Caller("ann", "other"), Caller()):
                with pytest.raises(NotAllowed):
                    await agency.handle("r", caller=stranger)
            gate.set()
            await handle


@given(st.lists(st.text(st.characters(), max_size=5), max_size=6), st.data())
def test_a_cursor_reads_what_it_writes(pieces: list[str], data: st.DataObject) -> None:
    cursor = Cursor(data.draw(st.integers(0, 10**18 - 1)))
    for piece in pieces:
        cursor.grown(data.draw(st.sampled_from(("text", "reasoning"))), piece)
    assert str(Cursor.read(str(cursor))) == str(cursor) or not cursor.position


@given(st.text(st.characters(), max_size=30), st.integers(0, 30), st.text(st.characters(), max_size=30))
def test_the_rest_of_a_text_is_what_was_not_given_or_all_of_another(text: str, length: int, other: str) -> None:
    beginning = text[:length]
    cursor = Cursor(1)
    given = cursor.grown("text", beginning).cursor if beginning else "1"
    for whole in (text, other):
        rest = Cursor.read(given).rest("text", whole)
        if whole.startswith(beginning):
            assert (rest.text if rest else "") == whole[len(beginning) :]
            assert rest is None or not rest.restarted
        else:
            assert rest is not None
            assert (rest.restarted, rest.text) == (True, whole)
