"""Coroutines that were made and never awaited: Python only warns of them, as they vanish; in a run they count."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from .isolation.by_thread import set_here

_noting: dict[int, Callable[[str], object]] = {}
_installed = False


def _install() -> None:
    module: Any = warnings
    real = module._warn_unawaited_coroutine  # what the interpreter calls as such a coroutine is deallocated

    def warn(coro: Any) -> None:
        note = _noting.get(get_ident())
        if note is None:
            real(coro)
        else:  # in words: the coroutine itself must not be kept
            code = coro.cr_code
            note(f"{coro.__qualname__} ({code.co_filename}:{code.co_firstlineno})")

    module._warn_unawaited_coroutine = warn


@contextmanager
def noting(note: Callable[[str], object]) -> Iterator[None]:
    """Be told of coroutines that vanish in this thread without having been awaited, for as long as this lasts.

    Args:
        note: given the coroutine's name and the place of its function.
    """
    global _installed
    if not _installed:
        _installed = True
        _install()
    with set_here(_noting, note):
        yield
