"""Who waits for what when nothing can go on: for an answer, a lock, an event, a queue, a task; and who could help."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...loop.background import Background
from ...loop.loop import NOTHING_READY, SimulationLoop
from ...loop.telling import TellingLoop
from ...trace.trace import Trace

_OURS = __name__.partition(".")[0]
_LIBRARY = (f"{_OURS}.", "asyncio.", "contextlib.", "threading.", "queue.", "concurrent.")
_RUNTIME = (f"{_OURS}.actors.core.", f"{_OURS}.actors.testing.")
_CALLS = {
    "acquire": "to acquire",
    "wait": "for",
    "wait_for": "for",
    "get": "for an item of",
    "put": "for room in",
    "join": "for the end of",
}
_KINDS: tuple[tuple[Any, str], ...] = (
    (asyncio.Lock, "lock"),
    (asyncio.Semaphore, "semaphore"),
    (asyncio.Event, "event"),
    (asyncio.Condition, "condition"),
    (asyncio.Queue, "queue"),
)


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody waits.

    Args:
        who: an actor's path, or a task's name.
        what: in words.
        on: who could end it, as far as that is known.
    """

    who: str
    what: str
    on: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.who} waits {self.what}"


def who_waits(trace: Trace, loop: SimulationLoop) -> str:
    """Say who waits for what; a cycle first, if there is one.

    Args:
        trace: says which asks are not answered.
        loop: the run's; only one that tells knows more than the trace.
    """
    waits = _asks(trace)
    asking = {wait.who for wait in waits}
    waits += _people(loop)
    other = [] if not isinstance(loop, TellingLoop) else [wait for wait in _others(loop) if wait.who not in asking]
    edges: dict[str, list[str]] = {}
    for wait in (*waits, *other):
        edges.setdefault(wait.who, []).extend(wait.on)
    waits += other
    cycle = _cycle(edges)
    head = f"{'ask cycle' if set(cycle) <= asking else 'cycle'} {' → '.join(cycle)}" if cycle else ""
    if not other:
        lines = "; ".join(map(str, waits))
        return f"{head} ({lines})" if head else f"{NOTHING_READY}: {lines}" if lines else ""
    return "\n  ".join([head or NOTHING_READY, *map(str, waits)])


def _cycle(edges: Mapping[str, list[str]]) -> list[str]:
    """The first cycle, in the order in which the waits began; by depth-first search."""
    done: set[str] = set()
    for start in edges:
        path = [start]
        left = [iter(edges[start])]
        while left:
            following = next(left[-1], None)
            if following in path:
                return [*path[path.index(following) :], following]
            if following is None:
                left.pop()
                done.add(path.pop())
            elif following in edges and following not in done:
                path.append(following)
                left.append(iter(edges[following]))
    return []


def _asks(trace: Trace) -> list[Wait]:
    waiting: dict[Any, Wait] = {}
    for _, kind, row in trace.rows:
        number = row.get("system"), row.get("id")
        if kind == "ask":
            waiting[number] = Wait(row.get("sender") or "client", f"for {row['actor']}", (row["actor"],))
        elif kind == "ask_end":
            waiting.pop(number, None)
    return list(waiting.values())


def left_to_people(loop: SimulationLoop) -> bool:
    """Whether nothing goes on any more until what a person was to decide has expired."""
    if next(_people(loop), None) is None:
        return False
    # Not at the top: few simulate agencies.
    from ....agents.runs.execution.reports import ApprovalExpired
    from ....agents.runs.runtime.clock import told_by

    for timer in loop.pending_timers():
        if isinstance(getattr(timer._callback, "__self__", None), Background):  # type: ignore[attr-defined]
            continue
        told = told_by(timer)
        if told is None or not all(isinstance(each, ApprovalExpired) for each in told):
            return False
    return True


def _people(loop: SimulationLoop) -> Iterator[Wait]:
    """What actors wait for that no actor answers, such as a run for a person's approval: those say so that know."""
    for cell in loop.actors():
        says = getattr(cell.actor, "waits_for", None)
        if getattr(cell.actor_class, "__module__", "").startswith(f"{_OURS}.") and says is not None:
            yield from (Wait(cell.path, f"for {what}") for what in says())


def _others(loop: TellingLoop) -> Iterator[Wait]:
    """What tasks wait for that is no ask: found in the frames that they have stopped in."""
    stacks = {task: list(_frames(task)) for task in loop.unfinished()}
    everywhere = [frame for frames in stacks.values() for frame in frames]
    for task, frames in stacks.items():
        if all(_within_packages(frame, _RUNTIME) for frame in frames):
            continue
        who = loop.node(task)
        own = [frame for frame in frames if not _within_packages(frame, _LIBRARY)]
        place = f" ({os.path.relpath(own[-1].f_code.co_filename)}:{own[-1].f_lineno})" if own else ""
        for frame in reversed(frames):
            primitive = frame.f_locals.get("self")
            kind = next((name for kind, name in _KINDS if isinstance(primitive, kind)), None)
            if kind is not None and frame.f_code.co_name in _CALLS:
                holders = tuple(dict.fromkeys(loop.holders.of(primitive)))
                name = _name(primitive, [*reversed(frames), *everywhere])
                held = f", held by {', '.join(holders)}" if holders else ""
                called = f"{kind} {name}" if name else f"a {kind}"
                yield Wait(who, f"{_CALLS[frame.f_code.co_name]} {called}{held}{place}", holders)
                break
        else:
            on = tuple(loop.node(other) for other in _awaited(task, frames))
            yield Wait(who, f"for {', '.join(on) if on else 'a future'}{place}", on)


def _awaited(task: Any, frames: list[Any]) -> Iterable[asyncio.Task[Any]]:
    """The tasks that a task waits for: one, those of a group, or those it has gathered."""
    for frame in reversed(frames):
        group = frame.f_locals.get("self")
        if isinstance(group, asyncio.TaskGroup):
            return sorted((each for each in group._tasks if not each.done()), key=hash)
    waiter = task._fut_waiter
    children = getattr(waiter, "_children", [waiter])
    return [each for each in children if isinstance(each, asyncio.Task) and not each.done()]


def _frames(task: asyncio.Task[Any]) -> Iterator[Any]:
    """The frames in which a task has stopped, outermost first; through coroutines, generators and drivers."""
    at: Any = task.get_coro()
    at = getattr(at, "coro", None) if not hasattr(at, "cr_frame") and hasattr(at, "coro") else at
    while at is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(at, f"{prefix}_frame", None)
            if frame is not None:
                yield frame
                at = getattr(at, f"{prefix}_await", None) or getattr(at, f"{prefix}_yieldfrom", None)
                break
        else:
            return


def _within_packages(frame: Any, packages: tuple[str, ...]) -> bool:
    return f"{frame.f_globals.get('__name__', '')}.".startswith(packages)


def lock_of_a_thread(lock: Any, frame: Any) -> str:
    """Return what a thread waits for: "Lock bank.lock"; "" where no name is found.

    Args:
        lock: what it waits for itself.
        frame: where it waits, innermost; a lock of a condition, an event or a queue goes by the name of that.
    """
    frames = []
    while frame is not None:
        owner = frame.f_locals.get("self")
        if not _within_packages(frame, _LIBRARY):
            frames.append(frame)
        elif not frames and type(owner).__module__ in ("threading", "queue"):
            lock = owner
        frame = frame.f_back
    name = _name(lock, frames)
    return f"{type(lock).__name__} {name}" if name else ""


def _name(wanted: Any, frames: Iterable[Any]) -> str:
    """By which variable or attribute somebody holds an object; "" where none is found."""
    own = [frame for frame in frames if not _within_packages(frame, _LIBRARY)]
    for frame in own:
        for name, value in frame.f_locals.items():
            if value is wanted:
                return str(name)
    for frame in own:
        for name, value in frame.f_locals.items():
            if found := _within(name, value, wanted):
                return found
    for frame in own:
        for name, value in frame.f_globals.items():
            if value is wanted:
                return str(name)
            if found := _within(name, value, wanted):
                return found
    return ""


def _within(name: str, holder: Any, wanted: Any) -> str:
    """Where in a container, or in which attribute of an object, something is held; "" where it is not."""
    if isinstance(holder, dict):
        return next((f"{name}[{key!r:.40}]" for key, value in [*holder.items()] if value is wanted), "")
    if isinstance(holder, list | tuple):
        return next((f"{name}[{index}]" for index, value in enumerate(holder) if value is wanted), "")
    attributes = getattr(holder, "__dict__", None)
    if not isinstance(attributes, dict) or isinstance(holder, type | type(os)):
        return ""
    owner = getattr(holder, "actor_ref", None)
    owner = getattr(owner, "path", None) or (type(holder).__name__ if name == "self" else name)
    for attribute, value in [*attributes.items()]:
        if value is wanted:
            return f"{owner}.{attribute}"
        if isinstance(value, dict | list | tuple) and (found := _within(f"{owner}.{attribute}", value, wanted)):
            return found
    for kind in type(holder).__mro__[:-1]:
        for attribute, value in vars(kind).items():
            if value is wanted:
                return f"{kind.__name__}.{attribute}"
    return ""
