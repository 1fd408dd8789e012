"""Where the user's own code in a thread may be interrupted: before a statement, a call, and a store that others see.

The last two are for what reads and writes in one line: ``self.n += 1``, ``if not jobs: jobs.append(job)``. Interrupted
is only code of the user's, called by the user's: what the standard library or an installed package does on the way
holds locks that nobody here knows of.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from dis import get_instructions
from types import CodeType, FrameType
from typing import Any, Final, Protocol

from ..isolation import fence

SLICE: Final = 2_000
"""Points after which a thread lets others go first whatever the schedule: or one that waits in a circle never would."""

_STORES = {"STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE", "STORE_GLOBAL", "STORE_DEREF", "DELETE_ATTR", "DELETE_SUBSCR"}
_CALLS = {"CALL", "CALL_KW", "CALL_FUNCTION_EX"}
_LIBRARY = os.path.abspath(os.path.join(__file__, *5 * (os.pardir,)))
_OURS = tuple(os.path.join(_LIBRARY, room) + os.sep for room in ("actors", "providers", "tools"))
_FOREIGN = (*{os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")},)
_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
"""Code that another thread may resume. Python 3.12 crashes where a frame is traced by opcode, and its thread is not."""
_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>"}
_user: dict[str, bool] = {}
_sources: dict[str, _Source] = {}
_points: dict[CodeType, frozenset[int]] = {}


@dataclass
class _Source:
    """What is known of a file."""

    statements: dict[int, int] = field(default_factory=dict)
    """The first line of the statement that each line is of.

    Versions of Python tell of the lines of one statement in different orders and numbers, and of statements alike.
    """
    calls: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """Where the calls begin that are points, by where they end: there the instruction does too.

    Other instructions that call are there in some versions of Python only: those of comprehensions, ``super()``, the
    ends of ``with``.
    """


def is_user(filename: str) -> bool:
    """Whether a file is of the code under test: neither Python's, nor an installed package's, nor of this library."""
    known = _user.get(filename)
    if known is None:
        foreign = filename.startswith((*_FOREIGN, *_OURS, "<")) or f"{os.sep}site-packages{os.sep}" in filename
        known = _user[filename] = not foreign
    return known


def points(code: CodeType) -> frozenset[int]:
    """Return the offsets of the instructions that call, or change what other threads can see."""
    known = _points.get(code)
    if known is None:
        begun = source(code.co_filename).calls
        found = (
            it.offset
            for it in get_instructions(code)
            if it.opname in _STORES or (it.opname in _CALLS and _is_of_a_call(it.positions, begun))
        )
        known = _points[code] = frozenset(found)
    return known


def _is_of_a_call(at: Any, begun: dict[tuple[int, int], tuple[int, int]]) -> bool:
    start = begun.get((at.end_lineno, at.end_col_offset))
    # In a chain over several lines the instruction begins at its own link.
    return start is not None and (start == (at.lineno, at.col_offset) or start[0] != at.lineno)


def source(filename: str) -> _Source:
    """Return what is known of a file."""
    known = _sources.get(filename)
    if known is None:
        known = _sources[filename] = _Source()
        with fence.lowered():  # it reads the file
            text = "".join(linecache.getlines(filename))
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return known
        for node in ast.walk(tree):  # outer ones first
            if isinstance(node, ast.stmt):
                lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                known.statements.update(dict.fromkeys(lines, node.lineno))
        for call in _calls(tree, set()):
            end = call.end_lineno or 0, call.end_col_offset or 0
            known.calls[end] = call.lineno, call.col_offset
    return known


def _calls(tree: ast.AST, lines: set[int]) -> Iterator[ast.Call]:
    """Give the calls that are points. ``lines`` takes those on which a statement has begun."""
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            continue
        inner = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.stmt):
            first = node.lineno not in lines
            lines.add(node.lineno)
            if first and isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign | ast.Return) and _is_plain(node.value):
                continue  # the point before the statement is the same
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = [*node.body]
        elif isinstance(node, ast.withitem):
            inner = [*ast.iter_child_nodes(node.context_expr)]
        elif isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id == "super"):
            yield node
        left += reversed(inner)


def _is_plain(value: ast.AST | None) -> bool:
    """Whether it is one call, and nothing that others see is read or done before it."""
    if not isinstance(value, ast.Call):
        return False
    func = value.func.value if isinstance(value.func, ast.Attribute) else value.func
    return all(
        isinstance(it, ast.Name | ast.Constant) for it in (func, *value.args, *(k.value for k in value.keywords))
    )


class Interruptible(Protocol):
    """A thread whose lines are counted."""

    touched: bool

    def point(self) -> None:
        """Let others go first, if the schedule wants that."""
        ...

    def interrupted(self, nth: int, place: str) -> None:
        """The schedule wants it to stop before its ``nth`` point, which is at ``place``."""
        ...


def _ended_frame() -> FrameType:
    return sys._getframe()


class Tracer:
    """Counts the points of one thread, and interrupts it at those that are chosen.

    Args:
        thread: whose.
        chosen: the numbers of the points, from 1 on.
    """

    def __init__(self, thread: Interruptible, chosen: Iterable[int]) -> None:
        self._thread = thread
        self._chosen = frozenset(chosen)
        self._count = 0
        self._root: FrameType | None = None
        _ended_frame().f_trace_opcodes = True  # Python 3.12 looks, at `sys.settrace`, whether any frame wants that

    def called(self, frame: FrameType, event: str, arg: Any) -> Callable[..., Any] | None:
        """For `sys.settrace`: a function begins."""
        code = frame.f_code
        if not is_user(code.co_filename):
            return None
        if self._root is None:
            self._root = frame
        elif frame.f_back is None or frame.f_back.f_trace is None:
            return None
        if code.co_name in _COMPREHENSIONS:  # a frame of its own in Python 3.11 only
            return self._passing
        offsets = points(code)
        firsts = source(code.co_filename).statements
        line = 0

        def local(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal line
            if event == "line":
                first = firsts.get(frame.f_lineno, frame.f_lineno)
                if first != line:
                    line = first
                    self._point(frame, line)
            elif event == "opcode":
                if frame.f_lasti in offsets:
                    self._point(frame, line)
            elif event == "return" and frame is self._root:
                self._root = None
            return local

        if offsets and not code.co_flags & _RESUMED:
            frame.f_trace = local  # Python 3.13 takes the next only for a frame that is traced already
            frame.f_trace_opcodes = True
        return local

    def _passing(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._passing

    def _point(self, frame: FrameType, line: int) -> None:
        self._count = count = self._count + 1
        if count == 2:  # one statement is one step
            self._thread.touched = True
        chosen = count in self._chosen
        if not chosen and count % SLICE:
            return
        try:
            if chosen:
                self._thread.interrupted(count, f"{os.path.basename(frame.f_code.co_filename)}:{line}")
            else:
                self._thread.point()
        except BaseException:  # the run is over; what is raised here ends the tracing of this thread
            above: FrameType | None = frame
            while above is not None:
                above.f_trace_opcodes = False
                above = above.f_back
            raise
