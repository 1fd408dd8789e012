"""Where the user's own code in a thread may be interrupted: before a statement, and before it stores what others see.

The second is for ``self.n += 1``, which reads and writes in one line. Interrupted is only code of the user's, called by
the user's: what the standard library or an installed package does on the way holds locks that nobody here knows of.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dis import get_instructions
from types import CodeType, FrameType
from typing import Any, Final, Protocol

from . import fence

SLICE: Final = 2_000
"""Points after which a thread lets others go first whatever the schedule: or one that waits in a circle never would."""

_STORES = {"STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE", "STORE_GLOBAL", "STORE_DEREF", "DELETE_ATTR", "DELETE_SUBSCR"}
_LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_OURS = tuple(os.path.join(_LIBRARY, room) + os.sep for room in ("actors", "providers", "tools"))
_FOREIGN = (*{os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")},)
_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
"""Code that another thread may resume. Python 3.12 crashes where a frame is traced by opcode, and its thread is not."""
_COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>"}
_user: dict[str, bool] = {}
_statements: dict[str, dict[int, int]] = {}
_stores: dict[CodeType, frozenset[int]] = {}


def is_user(filename: str) -> bool:
    """Whether a file is of the code under test: neither Python's, nor an installed package's, nor of this library."""
    known = _user.get(filename)
    if known is None:
        foreign = filename.startswith((*_FOREIGN, *_OURS, "<")) or f"{os.sep}site-packages{os.sep}" in filename
        known = _user[filename] = not foreign
    return known


def stores(code: CodeType) -> frozenset[int]:
    """Return the offsets of the instructions that change what other threads can see."""
    known = _stores.get(code)
    if known is None:
        found = (it.offset for it in get_instructions(code) if it.opname in _STORES)
        known = _stores[code] = frozenset(found)
    return known


def statements(filename: str) -> dict[int, int]:
    """Return the first line of the statement that each line is of.

    Versions of Python tell of the lines of one statement in different orders and numbers, and of statements alike.
    """
    known = _statements.get(filename)
    if known is None:
        known = _statements[filename] = {}
        with fence.lowered():  # it reads the file
            source = "".join(linecache.getlines(filename))
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return known
        for node in ast.walk(tree):  # outer ones first
            if isinstance(node, ast.stmt):
                known.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.lineno))
    return known


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
        offsets = stores(code)
        firsts = statements(code.co_filename)
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
