"""The value of an answer has the requested type, wherever it comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from callboard import Agency, Agent, Answer
from callboard.actors.agents.errors import AgencyClosed, InvalidAnswer
from callboard.actors.agents.hooks import HookContext, hook
from callboard.providers.messages import Completion, Message, Request, VendorState

from .support import function

T = TypeVar("T")


class Reply(BaseModel):
    text: str


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date
    pair: tuple[int, int]
    named: str = Field(alias="Named")


class Box(BaseModel, Generic[T]):
    item: T


@dataclass
class Plain:
    text: str


class Colour(StrEnum):
    RED = "red"


def doubled(text: str) -> str:
    return text * 2


KINDS: list[tuple[Any, str, Any]] = [
    (Reply, '{"text": "x"}', Reply(text="x")),
    (list[Reply], '[{"text": "x"}]', [Reply(text="x")]),
    (Reply | None, "null", None),
    (Reply | Plain, '{"text": "x"}', Reply(text="x")),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (set[int], "[1]", {1}),
    (Literal["a", "b"], '"a"', "a"),
    (Annotated[int, Field(gt=0)], "3", 3),
    (Box[Reply], '{"item": {"text": "x"}}', Box[Reply](item=Reply(text="x"))),
    (Plain, '{"text": "x"}', Plain("x")),
    (Colour, '"red"', Colour.RED),
    (
        Strict,
        '{"day": "2026-01-02", "pair": [1, 2], "Named": "n"}',
        Strict(day=date(2026, 1, 2), pair=(1, 2), Named="n"),
    ),
]


def same(value: Any, expected: Any) -> bool:
    return type(value) is type(expected) and value == expected


class Answering:
    """A model that answers with a text once it is let go."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def answer(self, request: Request) -> str:
        self.asked.set()
        await self.go.wait()
        return self.text

    def agency(self, journal: Any, **options: Any) -> Agency:
        return Agency(Agent("A", **options), model=function(self.answer), journal=journal)


async def asked_and_resumed(path: Path, kind: Any, text: str, between: Callable[[], object] = int) -> Answer:
    """The answer to a run that was under way when the agency stopped, as the next one gives it."""
    model = Answering(text)
    async with model.agency(path) as agency:
        await agency.start_run("?", run_id="r", output_type=kind)
        await model.asked.wait()
    between()
    model.go.set()
    async with model.agency(path) as agency:
        return await (await agency.handle("r")).answer()


@pytest.mark.parametrize(("kind", "text", "value"), KINDS, ids=lambda one: repr(one)[:40])
async def test_a_run_that_is_gone_on_with_answers_in_the_type_it_was_asked_for(
    kind: Any, text: str, value: Any, tmp_path: Path
) -> None:
    assert same((await asked_and_resumed(tmp_path / "j.db", kind, text)).value, value)


async def test_a_type_that_cannot_be_made_again_ends_the_run_by_name(tmp_path: Path) -> None:
    kind = Annotated[str, AfterValidator(doubled)]
    with pytest.raises(InvalidAnswer, match="which cannot be made here: it has no name; give it one"):
        await asked_and_resumed(tmp_path / "j.db", kind, '"x"')


async def test_a_type_that_has_changed_meanwhile_ends_the_run_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changed(BaseModel):
        text: int

    def change() -> None:
        monkeypatch.setitem(globals(), "Reply", Changed)

    with pytest.raises(
        InvalidAnswer, match=r"list\[.*Reply\], which has changed since: its JSON schema is another one"
    ):
        await asked_and_resumed(tmp_path / "j.db", list[Reply], "[]", change)


@pytest.mark.parametrize(("kind", "text", "value"), KINDS, ids=lambda one: repr(one)[:40])
@pytest.mark.parametrize("own", [True, False], ids=["the run's", "the agent's"])
async def test_whoever_asks_again_gets_the_same_value(
    own: bool, kind: Any, text: str, value: Any, tmp_path: Path
) -> None:
    model = Answering(text)
    model.go.set()
    agents = {} if own else {"output_type": kind}
    runs = {"output_type": kind} if own else {}
    for _ in range(2):
        async with model.agency(tmp_path / "j.db", **agents) as agency:
            first = await agency.run("?", conversation="c", run_id="r", **runs)
            again = await agency.run("?", conversation="c", run_id="r")
            started = await agency.start_run("?", conversation="c", run_id="r", **runs)
            found = await agency.handle("r")
            for answer in (first, again, await started, await found, await (await agency.handle("r"))):
                assert same(answer.value, value)


async def test_whoever_asks_again_may_bring_the_type_that_a_journal_cannot_have(tmp_path: Path) -> None:
    kind = Annotated[str, AfterValidator(doubled)]
    model = Answering('"x"')
    model.go.set()
    for _ in range(2):
        async with model.agency(tmp_path / "j.db") as agency:
            assert (await agency.run("?", run_id="r", output_type=kind)).value == "xx"
            assert (await (await agency.start_run("?", run_id="r", output_type=kind))).value == "xx"
            assert (await (await agency.handle("r"))).value == "xx"


async def test_of_a_type_that_is_not_known_any_more_the_value_is_plain_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Answering('{"text": "x"}')
    model.go.set()
    async with model.agency(tmp_path / "j.db") as agency:
        await agency.run("?", run_id="r", output_type=Reply)
    monkeypatch.delitem(globals(), "Reply")
    async with model.agency(tmp_path / "j.db") as agency:
        assert (await (await agency.handle("r"))).value == {"text": "x"}
        assert (await agency.run("?", run_id="r")).value == {"text": "x"}


async def test_a_value_that_a_hook_has_changed_is_the_changed_one(tmp_path: Path) -> None:
    @hook("finalize")
    def change(context: HookContext) -> HookContext:
        assert context.answer is not None
        context.answer = replace(context.answer, value=Reply(text="changed"))
        return context

    model = Answering('{"text": "x"}')
    model.go.set()
    for _ in range(2):
        async with model.agency(tmp_path / "j.db", hooks=[change], output_type=Reply) as agency:
            assert (await agency.run("?", run_id="r")).value == Reply(text="changed")


async def test_the_answer_of_a_resumed_run_has_its_type(tmp_path: Path) -> None:
    model = Answering('[{"text": "x"}]')
    async with model.agency(tmp_path / "j.db", output_type=list[Reply]) as agency:
        asking = asyncio.create_task(agency.run("?", run_id="r"))
        await model.asked.wait()
    with pytest.raises(AgencyClosed):
        await asking
    model.go.set()
    async with model.agency(tmp_path / "j.db", output_type=list[Reply]) as agency:
        assert (await agency.resumed["r"]).value == [Reply(text="x")]


async def test_what_was_said_before_the_vendor_paused_is_not_looked_at_as_the_answer() -> None:
    asked: list[Request] = []

    def model(request: Request) -> Completion:
        asked.append(request)
        if len(asked) == 1:
            return Completion(Message("assistant", "", state=VendorState("anthropic", "{}")), "pause")
        return Completion(Message("assistant", "7"), "stop")

    async with Agency(Agent("A"), model=function(model)) as agency:
        answer = await agency.run("?", output_type=int)
    assert (answer.value, len(asked)) == (7, 2)
    assert asked[1].messages[-1].state == VendorState("anthropic", "{}"), "asked again with what came"
