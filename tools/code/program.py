"""Running one program in a sandbox: it is checked first, its calls go out one by one, and all it uses is bounded.

What the program does follows from its code and from what its calls return, in the order in which they do: its clock
stands still, its random numbers have a seed, and results are given to it one at a time. A pause beside other calls is a
call itself, so that its end has its place in that order, and `asyncio.sleep(0)` ends before whatever else does. So a
program that is run again with the results that were recorded goes the same way.

Whatever a program waits for, it has its sandbox for a moment of that only. Then its state is taken out of the sandbox,
and goes on in another one: the state holds all that was said of the first, and how much of its bounds is used.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ...providers.checks import COUNT, SOME_SECONDS, require
from ..errors import CodeFailed, ToolDefinitionError
from ..result import ToolResult
from ..threads import in_thread
from ..tool import settled
from .beyond import uses_of
from .exchanged import arguments_of, for_program
from .library import Library, Stubs
from .sandboxes import sandboxes

SHOWN: Final = 3_500
"""Characters of what is wrong with a program."""

SLEEP: Final = "asyncio.sleep"
"""By what name a program pauses while other calls of it are under way."""

_TURNS: Final = 10_000  # times that a program may turn to us: for calls, names, pauses, dictionaries
_KNOWN: Final = 10_000  # things of Python's library that are remembered to be in the sandbox
_MOMENT: Final = 0.25  # seconds that a program may wait for a call in its sandbox; a new one takes some milliseconds

Call = Callable[[str, str], Awaitable[ToolResult]]
"""Makes a call: of the function of that name, or of `SLEEP`, with the arguments as JSON text."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one program may use.

    Args:
        timeout: how long its own code may run; waiting for what it calls does not count.
        max_memory: bytes it may hold.
        max_calls: how many calls of functions it may make.
        max_output: characters it may print.
        max_sleep: seconds it may sleep in all.
        max_depth: how deep its calls of its own functions may be.
    """

    timeout: float = 10.0
    max_memory: int = 100_000_000
    max_calls: int = 100
    max_output: int = 1_000_000
    max_sleep: float = 5.0
    max_depth: int = 1000

    def __post_init__(self) -> None:
        """Raises `ToolDefinitionError` where one is no such number."""
        amounts = {name: (getattr(self, name), SOME_SECONDS) for name in ("timeout", "max_sleep")}
        counts = {name: (getattr(self, name), COUNT) for name in ("max_memory", "max_calls", "max_output", "max_depth")}
        require(ToolDefinitionError, "what a program may use", **amounts, **counts)


class Ran(NamedTuple):
    """What a program came to: what it printed, and the value of its last expression."""

    printed: str
    value: Any


async def run_program(
    code: str, library: Library, call: Call, bounds: Bounds, *, seed: str = "", now: float = 0.0
) -> Ran:
    """Check a program and run it.

    Args:
        code: Python.
        library: what it may call.
        call: makes a call.
        bounds: what it may use.
        seed: of its random numbers.
        now: what its clock shows, seconds since 1970.

    Raises:
        CodeFailed: it did not pass the check, raised, or went over a bound; the text says at which line.
        MissingExtra: pydantic-monty is not installed.
        asyncio.CancelledError: the caller was cancelled; the program has been ended, and the calls it had made.
    """
    monty, pool = await in_thread(sandboxes)
    stubs = await in_thread(lambda: library.stubs)
    program = _Program(monty, code, library, stubs, call, bounds)
    limits = {
        "max_feed_duration_secs": bounds.timeout,
        "max_memory": bounds.max_memory,
        "max_recursion_depth": bounds.max_depth,
        "max_suspensions": _TURNS,
    }
    policy = {
        "sleep": "call_host",
        "datetime": datetime.datetime.fromtimestamp(now, datetime.UTC),
        "random_start": {"seed": seed},
    }
    first = pool.checkout(type_check=True, type_check_stubs=stubs.text, limits=limits, os_policy=policy)
    try:
        if missing := await _beyond(code, pool, monty):
            raise CodeFailed(f"the code does not pass its check:\n{missing}")
        async with _opened(first) as session:
            done = await program.begin(session)
        while isinstance(done, _Suspended):
            result = await program.next_result()
            async with _opened(pool.checkout()) as session:
                done = await program.go_on(session, done, result)
        await program.end_of_calls()
        return Ran(program.printed, done.output)
    except (monty.MontyTypingError, monty.MontySyntaxError) as error:
        raise CodeFailed(f"the code does not pass its check:\n{_repair(str(error))}") from None
    except monty.MontyRuntimeError as error:
        raise CodeFailed(f"{program.printed}{program.why or _shortened(error.display())}") from None
    except monty.MontyError as error:
        raise CodeFailed(f"{program.printed}{program.why or error}") from None
    except (
        GeneratorExit
    ):  # thrown away with its loop, as in a simulated process that was killed: it awaits nothing more
        program.leave()
        raise
    finally:
        await program.end()


_there: set[str] = set()
"""What sandboxes are known to have; they all have the same."""


async def _beyond(code: str, pool: Any, monty: Any) -> str:
    """What a program uses that the sandbox has not, with the line; nothing if it has all."""
    uses = uses_of(code)
    unknown = [use for use in uses.known if use.code not in _there]
    if uses.beyond or not unknown:
        return uses.beyond
    try:
        async with _opened(pool.checkout(limits={"max_feed_duration_secs": 1.0})) as session:
            await settled(session.feed_run("\n".join(use.code for use in unknown)))
    except monty.MontyRuntimeError as error:
        use = unknown[error.traceback()[0].line - 1]
        return f"main.py:{use.line}: the sandbox has not all of Python's library: {error.display('msg')}"
    if len(_there) < _KNOWN:
        _there.update(use.code for use in unknown)
    return ""


@asynccontextmanager
async def _opened(checkout: Any) -> AsyncIterator[Any]:
    """A session: one of coroutines, or, under a simulated loop, one that blocks."""
    if hasattr(checkout, "__aenter__"):
        async with checkout as session:
            yield session
    else:
        with checkout as session:
            yield session


class _Suspended(NamedTuple):
    """A program without a sandbox: its state."""

    state: bytes


class _Space:
    """Stands for a namespace; the sandbox sees nothing of it but its identity."""


def _id(space: str) -> uuid.UUID:
    """An id of our own: random ones come again in simulations, where one and the same is kept for the class."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"callboard {space}")


class _TooMuch(Exception):
    """More was printed than may be."""


class _Program:
    def __init__(self, monty: Any, code: str, library: Library, stubs: Stubs, call: Call, bounds: Bounds) -> None:
        self._monty = monty
        self._code = code
        self._library = library
        self._stubs = stubs
        self._call = call
        self._bounds = bounds
        self._text: list[str] = []
        self._length = 0
        kind = monty.ClassType(_Space, id=_id(""))
        self._spaces = {
            space: monty.ClassInstance(_Space(), id=_id(space), class_type=kind) for space in library.namespaces
        }
        self._space_of = {instance.id: space for space, instance in self._spaces.items()}
        self._open: dict[int, asyncio.Task[Any]] = {}
        self._lines: dict[int, str] = {}
        self._pauses: dict[int, float] = {}
        self._settled: deque[int] = deque()
        self._wake = asyncio.Event()
        self._made = 0
        self._slept = 0.0
        self.why = ""
        """What it went over, where the sandbox cannot know that."""

    @property
    def printed(self) -> str:
        return "".join(self._text)

    def _print(self, stream: str, text: str) -> None:
        left = self._bounds.max_output - self._length
        self._length += len(text)
        self._text.append(text[: max(left, 0)])
        if self._length > self._bounds.max_output:
            self.why = f"\nthe code printed more than {self._bounds.max_output} characters; print less"
            raise _TooMuch

    async def begin(self, session: Any) -> Any:
        """Run until the end, or until it has waited for a moment: see `_driven`."""
        return await self._driven(await settled(session.feed_start(self._code, print_callback=self._print)))

    async def go_on(self, session: Any, suspended: _Suspended, result: tuple[int, dict[str, Any]]) -> Any:
        """Go on in another sandbox with the result that it waited for."""
        now = await settled(session.load_snapshot(suspended.state, print_callback=self._print))
        return await self._driven(await settled(now.resume(dict([result]))))

    async def _driven(self, now: Any) -> Any:
        """Its end, as the sandbox tells it, or its state, if nothing it waits for has come for a moment."""
        monty = self._monty
        while not isinstance(now, monty.MontyComplete):
            if isinstance(now, monty.AsyncFunctionSnapshot | monty.FunctionSnapshot):
                now = await settled(await self._called(now))
            elif isinstance(now, monty.AsyncNameLookupSnapshot | monty.NameLookupSnapshot):
                now = await settled(self._looked_up(now))
            else:
                try:
                    async with asyncio.timeout(_MOMENT):
                        number, result = await self.next_result()
                except TimeoutError:
                    return _Suspended(now.dump())
                now = await settled(now.resume({number: result}))
        return now

    async def end_of_calls(self) -> None:
        """Wait for what it has begun: that is not dropped because it did not wait for it.

        Raises:
            CodeFailed: one of these calls failed, or it has printed too much.
        """
        while self._open or self._pauses:
            number, result = await self.next_result()
            if "return_value" not in result and number in self._lines:
                raise CodeFailed(f"{self.printed}{self._lines[number]}, not awaited, failed: {result['message']}")
        if self.why:
            raise CodeFailed(f"{self.printed}{self.why}")

    def leave(self) -> None:
        """Leave the calls to whoever made their loop."""
        self._open.clear()

    async def end(self) -> None:
        """End the calls that nobody waits for."""
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def next_result(self) -> tuple[int, dict[str, Any]]:
        """The call that ended next, and what the program is told of it."""
        for number, seconds in self._pauses.items():
            if seconds <= 0:
                del self._pauses[number]
                return number, {"return_value": None}
        alone = len(self._pauses) == 1 and not self._open  # nothing can come before its end
        for number, seconds in self._pauses.items():
            self._begin(number, _slept(seconds) if alone else self._paused(seconds))
        self._pauses.clear()
        while not self._settled:
            self._wake.clear()
            await self._wake.wait()
        number = self._settled.popleft()
        return number, self._open.pop(number).result()

    def _begin(self, number: int, work: Coroutine[Any, Any, dict[str, Any]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._open[number] = task

        def ended(task: asyncio.Task[Any]) -> None:
            self._settled.append(number)
            self._wake.set()

        task.add_done_callback(ended)

    def _looked_up(self, now: Any) -> Any:
        name, space = now.variable_name, self._space_of.get(now.object_id)
        if space is not None:
            name = f"{space}.{name}"
        elif now.object_id is None and name in self._spaces:
            return now.resume(value=self._spaces[name])
        if name not in self._library and name not in self._stubs.classes:
            return now.resume()

        def named() -> None:
            """Stands for a function; it is called by its name."""

        named.__name__ = name
        return now.resume(value=named)

    async def _called(self, now: Any) -> Any:
        name, number = now.function_name, now.call_id
        if now.is_os_function:
            return await self._system(now)
        if now.object_id is not None:
            name = f"{self._space_of.get(now.object_id, '')}.{name}"
        if name in self._stubs.classes:
            return now.resume({"return_value": dict(now.kwargs)})
        if name not in self._library:
            there = ", ".join([*self._library, "and what Python itself has"])
            return now.resume(_raised(f"there is no {name!r}; there are {there}", "NameError"))
        self._made += 1
        line = self._line_of(now)
        if self._made > self._bounds.max_calls:
            raise CodeFailed(
                f"{self.printed}line {line}: {name} would be one call more than the {self._bounds.max_calls} that the "
                "code may make; make fewer, or do it in several programs"
            )
        try:
            arguments = arguments_of(name, self._stubs.parameters[name], now.args, now.kwargs)
        except TypeError as error:
            return now.resume(_raised(str(error), "TypeError"))
        self._lines[number] = f"line {line}: {name}(…)"
        self._begin(number, self._answered(name, arguments))
        return now.resume({"future": ...})

    def _line_of(self, now: Any) -> int:
        return self._code[: now.position.start].count("\n") + 1

    async def _answered(self, name: str, arguments: str) -> dict[str, Any]:
        result = await self._call(name, arguments)
        if result.is_error:
            return _raised(result.text)
        try:
            return {"return_value": for_program(name, result, self._library[name].returned)}
        except ValueError as error:
            return _raised(str(error))

    async def _paused(self, seconds: float) -> dict[str, Any]:
        result = await self._call(SLEEP, json.dumps({"seconds": seconds}))
        return _raised(result.text) if result.is_error else {"return_value": None}

    async def _system(self, now: Any) -> Any:
        if now.function_name not in (SLEEP, "time.sleep"):
            return now.resume_not_handled()
        seconds = float(now.args[0]) if now.args else 0.0
        self._slept += max(seconds, 0.0)
        if self._slept > self._bounds.max_sleep:
            raise CodeFailed(
                f"{self.printed}line {self._line_of(now)}: the sleep limit was exceeded: the code may sleep "
                f"{self._bounds.max_sleep:g} seconds in all"
            )
        if now.function_name == "time.sleep":
            return now.resume(await _slept(seconds))
        self._pauses[now.call_id] = seconds
        return now.resume({"future": ...})


def _raised(message: str, kind: str = "RuntimeError") -> dict[str, Any]:
    """What a program is told of a call that failed: what the call raises there."""
    return {"exc_type": kind, "message": message}


async def _slept(seconds: float) -> dict[str, Any]:
    await asyncio.sleep(seconds)
    return {"return_value": None}


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}\n…\n{text[-SHOWN // 2 :]}"


def _repair(found: str) -> str:
    """What the check found, and how what it finds most is mended."""
    found = _shortened(found.strip())
    if "unused-awaitable" in found or "CoroutineType" in found:
        found += "\nEvery function is awaited: `result = await name(…)`."
    if "found `dict[" in found:
        found += "\nA dictionary that is kept in a variable needs its type: `row: Row = {…}`, or is made as `Row(…)`."
    return found
