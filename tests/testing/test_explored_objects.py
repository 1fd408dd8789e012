"""`explore` sees what tasks and actors share, of whatever kind it is and wherever it hangs."""

from __future__ import annotations

import array
import asyncio
import collections
import contextvars
import io
import itertools
import sqlite3
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from callboard.actors import Actor
from callboard.actors.testing import Simulation, explore

KEPT = contextvars.ContextVar[list[str]]("KEPT")


class Attributed(dict[str, str]):
    text = ""


class Slotted:
    __slots__ = ("__text",)

    def __init__(self) -> None:
        self.__text = ""

    def add(self, name: str) -> None:
        self.__text += name

    def __str__(self) -> str:
        return self.__text


class Box:
    def __init__(self) -> None:
        self.text = ""


def extend(box: Any, name: str) -> None:
    box.text = getattr(box, "text", "") + name


def numbers() -> Iterator[str]:
    yield "1"
    yield "2"


def function_with_attributes() -> Any:
    def fn() -> None:
        pass

    return fn


def table() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("create table names (name)")
    return db


def listed(db: sqlite3.Connection) -> str:
    names = "".join(name for (name,) in db.execute("select name from names order by rowid"))
    db.close()
    return names


Kind = tuple[Callable[[], Any], Callable[[Any, str], object], Callable[[Any], str]]
KINDS: dict[str, Kind] = {
    "a list": (list, lambda it, name: it.append(name), "".join),
    "the method of a list": (lambda: [].append, lambda it, name: it(name), lambda it: "".join(it.__self__)),
    "a view of a dict's values": (
        lambda: {0: []}.values(),
        lambda it, name: next(iter(it)).append(name),
        lambda it: "".join(*it),
    ),
    "a mapping that only reads": (
        lambda: types.MappingProxyType({0: []}),
        lambda it, name: it[0].append(name),
        lambda it: "".join(it[0]),
    ),
    "private slots": (Slotted, lambda it, name: it.add(name), str),
    "an attribute of a dict's subclass": (Attributed, extend, lambda it: it.text),
    "an attribute of an exception": (ValueError, extend, lambda it: it.text),
    "an attribute of a function": (function_with_attributes, extend, lambda it: it.text),
    "a namespace": (types.SimpleNamespace, extend, lambda it: it.text),
    "a bytearray": (bytearray, lambda it, name: it.extend(name.encode()), lambda it: it.decode()),
    "an array": (lambda: array.array("b"), lambda it, name: it.append(ord(name)), lambda it: it.tobytes().decode()),
    "a text in memory": (io.StringIO, lambda it, name: it.write(name), lambda it: it.getvalue()),
    "a database": (table, lambda it, name: it.execute("insert into names values (?)", name), listed),
}
BOTH = {"ab", "ba"}


async def both(job: Callable[[str], Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for name in "ab":
            group.create_task(job(name), name=name)


@pytest.mark.parametrize("kind", KINDS)
def test_two_tasks_change_an_object_in_either_order(kind: str) -> None:
    make, use, read = KINDS[kind]
    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        shared = make()

        async def job(name: str) -> None:
            await asyncio.sleep(0)
            use(shared, name)

        await both(job)
        ends.add(read(shared))

    assert explore(scenario).complete
    assert ends == BOTH


@pytest.mark.parametrize("names", [numbers, lambda: iter("12"), lambda: map(str, itertools.count(1))])
def test_two_tasks_take_from_an_iterator_in_either_order(names: Callable[[], Iterator[str]]) -> None:
    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        shared = names()
        taken: dict[str, dict[str, str]] = {"a": {}, "b": {}}

        async def job(mine: dict[str, str]) -> None:
            await asyncio.sleep(0)
            mine["taken"] = next(shared)

        async with asyncio.TaskGroup() as group:
            for name, mine in taken.items():
                group.create_task(job(mine), name=name)
        ends.add(taken["a"]["taken"])

    assert explore(scenario).complete
    assert ends == {"1", "2"}


def test_two_tasks_change_what_only_a_weak_reference_leads_to() -> None:
    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        box = Box()
        weak = weakref.ref(box)

        async def job(name: str) -> None:
            await asyncio.sleep(0)
            extend(weak(), name)

        await both(job)
        ends.add(box.text)

    assert explore(scenario).complete
    assert ends == BOTH


def test_two_tasks_change_what_a_context_variable_holds() -> None:
    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        KEPT.set([])

        async def job(name: str) -> None:
            await asyncio.sleep(0)
            KEPT.get().append(name)

        await both(job)
        ends.add("".join(KEPT.get()))

    assert explore(scenario).complete
    assert ends == BOTH


@pytest.mark.parametrize("where", ["task", "future"])
def test_who_is_given_an_object_as_a_result_shares_it_with_who_made_it(where: str) -> None:
    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        made: list[list[str]] = []
        future = asyncio.get_running_loop().create_future()

        async def load() -> list[str]:
            kept: list[str] = []
            made.append(kept)
            future.set_result(kept)
            return kept

        async def maker(kept: Any) -> None:
            mine = await kept
            await asyncio.sleep(0)
            mine.append("a")

        async def user(kept: Any) -> None:
            (await kept).append("b")

        task = asyncio.create_task(load(), name="load")
        kept = task if where == "task" else future
        async with asyncio.TaskGroup() as group:
            group.create_task(maker(kept), name="maker")
            group.create_task(user(kept), name="user")
        ends.add("".join(made[0]))

    assert explore(scenario).complete
    assert ends == BOTH


# -- what is made on the way -------------------------------------------------------------------------------------------


class Keeper(Actor):
    """Opens a list in what it has in common with others, and puts its name into one."""

    def __init__(self, name: str, shelf: dict[str, list[str]]) -> None:
        super().__init__()
        self.name = name
        self.shelf = shelf

    def on_receive(self, message: str) -> None:
        if message == "open":
            self.shelf["kept"] = []
        else:
            self.shelf["kept"].append(self.name)


@pytest.mark.parametrize("opened", ["by an actor", "by the scenario"])
@pytest.mark.parametrize("shelf", [dict, lambda: collections.defaultdict(list)])
def test_actors_share_what_was_put_into_what_they_share(shelf: Callable[[], Any], opened: str) -> None:
    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        kept = shelf()
        keepers = [sim.system.spawn(Keeper, name, kept, name=name) for name in "ab"]
        await asyncio.sleep(1)
        if opened == "by an actor":
            await keepers[0].ask("open")
        else:
            kept["kept"] = []
        for keeper in keepers:
            keeper.tell("add")
        await asyncio.sleep(1)
        ends.add("".join(kept["kept"]))

    assert explore(scenario).complete
    assert ends == BOTH


def test_actors_share_what_a_box_of_both_is_given_anew() -> None:
    class Changer(Actor):
        def __init__(self, name: str, box: Box) -> None:
            super().__init__()
            self.name = name
            self.box = box

        def on_receive(self, message: str) -> None:
            if message == "anew":
                self.box.inner = Box()  # type: ignore[attr-defined]
            else:
                extend(self.box.inner, self.name)  # type: ignore[attr-defined]

    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        box = Box()
        changers = [sim.system.spawn(Changer, name, box, name=name) for name in "ab"]
        await changers[1].ask("anew")
        for changer in changers:
            changer.tell("add")
        await asyncio.sleep(1)
        ends.add(box.inner.text)  # type: ignore[attr-defined]

    assert explore(scenario).complete
    assert ends == BOTH


# -- actors as objects -------------------------------------------------------------------------------------------------


class Sum(Actor):
    def __init__(self, made: list[Sum]) -> None:
        super().__init__()
        self.total = 0
        made.append(self)

    def on_receive(self, message: int) -> None:
        self.total += message

    def add(self, number: int) -> None:
        self.total = self.total * 2 + number


def test_a_task_reads_an_attribute_of_an_actor_before_and_after_it_changes() -> None:
    seen: set[int] = set()

    async def scenario(sim: Simulation) -> None:
        made: list[Sum] = []
        ref = sim.system.spawn(Sum, made, name="sum")
        await asyncio.sleep(1)

        async def tell() -> None:
            await asyncio.sleep(0)
            ref.tell(1)

        async def look() -> None:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.add(made[0].total)

        async with asyncio.TaskGroup() as group:
            group.create_task(tell(), name="tell")
            group.create_task(look(), name="look")

    assert explore(scenario).complete
    assert seen == {0, 1}


def test_two_actors_call_a_method_of_a_third_in_either_order() -> None:
    class Caller(Actor):
        def __init__(self, call: Callable[[int], None]) -> None:
            super().__init__()
            self.call = call

        def on_receive(self, message: int) -> None:
            self.call(message)

    seen: set[int] = set()

    async def scenario(sim: Simulation) -> None:
        made: list[Sum] = []
        sim.system.spawn(Sum, made, name="sum")
        await asyncio.sleep(1)
        for number in (1, 2):
            sim.system.spawn(Caller, made[0].add, name=f"caller{number}").tell(number)
        await asyncio.sleep(1)
        seen.add(made[0].total)

    assert explore(scenario).complete
    assert seen == {4, 5}


# -- odd objects -------------------------------------------------------------------------------------------------------


class Unwilling:
    """Raises whatever it is asked for, as a proxy for nothing does."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("not within a request")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not within a request")

    __hash__ = object.__hash__


class OfProxies:
    proxy = Unwilling()
    __slots__ = ("never", "text")

    def __init__(self) -> None:
        self.text = ""


def test_objects_that_raise_at_a_look_are_looked_at_without_one() -> None:
    ends: set[str] = set()

    async def scenario(sim: Simulation) -> None:
        shared = {"proxy": Unwilling(), "box": OfProxies(), "gone": weakref.ref(Box())}

        async def job(name: str) -> None:
            await asyncio.sleep(0)
            extend(shared["box"], name)

        await both(job)
        ends.add(shared["box"].text)  # type: ignore[attr-defined]

    assert explore(scenario).complete
    assert ends == BOTH
