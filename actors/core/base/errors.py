"""The exception tree of the library.

CallboardError
├── CoreError
│   ├── ActorDead            (also pykka.ActorDeadError)  the receiver has stopped, or stopped before answering
│   ├── ActorCrashed         (is an ActorDead)            the receiver's handler crashed; it may be restarting
│   ├── AskTimeout           (also pykka.Timeout, TimeoutError)  no answer within the deadline
│   ├── AskCycle             actors wait for each other; the names are in the message
│   ├── MailboxFull          a bounded mailbox has no room
│   ├── ReplyAlreadySet      (also queue.Full)            a reply was set twice
│   ├── BlockingCall         a blocking wait on the event loop's own thread
│   ├── NotMainThread        signal handlers were to be set outside of the main thread
│   ├── StartFailed          on_start, or the factory, raised
│   ├── RestartLimit         more restarts than the intensity allows
│   ├── SpecError            (also ValueError)            a child spec or a name is wrong
│   ├── NotAStream           the receiver answered a stream request with something that cannot be iterated
│   ├── StreamExpected       the receiver answers with a stream, and was asked for one answer
│   └── SystemClosed         the system has stopped, was not started, or belongs to another loop or process
├── ProviderError            (callboard.providers.errors)
├── ToolError                (callboard.tools.errors)
└── AgentError               (callboard.actors.agents.errors)
"""

from __future__ import annotations

import itertools
import queue
import reprlib
from collections import OrderedDict
from typing import Any, Final

import pykka


class CallboardError(Exception):
    """Base class of every error the library raises."""


class CoreError(CallboardError):
    """Base class of the actor core's errors."""


class ActorDead(CoreError, pykka.ActorDeadError):
    """The receiver has stopped, or stopped before it answered."""


class ActorCrashed(ActorDead):
    """The receiver failed while it handled the message; a supervisor may be restarting it."""


class AskTimeout(CoreError, pykka.Timeout, TimeoutError):
    """No answer came within the deadline."""


class AskCycle(CoreError):
    """Actors wait for each other's answers; none of them could ever go on."""


class MailboxFull(CoreError):
    """The receiver's mailbox is bounded and has no room."""


class ReplyAlreadySet(CoreError, queue.Full):
    """A reply was set a second time."""


class BlockingCall(CoreError, RuntimeError):
    """A blocking wait was tried on the event loop's own thread."""


class NotMainThread(CoreError, RuntimeError):
    """Signal handlers were to be set in another thread than the main one, which cannot be done."""


class StartFailed(CoreError):
    """An actor could not be started: its factory or its ``on_start`` raised."""


class RestartLimit(CoreError):
    """A supervisor has restarted its children more often than its intensity allows."""


class SpecError(CoreError, ValueError):
    """A child spec or an actor's name is wrong."""


class NotAStream(CoreError, TypeError):
    """A stream was asked for, and the handler's answer cannot be iterated."""


class StreamExpected(CoreError, TypeError):
    """The handler answers with a stream of items, and was asked for one answer: read it with ``ref.stream()``."""


class SystemClosed(CoreError, RuntimeError):
    """The system has stopped, was never started, or belongs to another event loop or process."""


LONGEST: Final = 200
"""Characters of an error's or a message's text that go into another text, so that nested texts cannot grow."""


class _Short(reprlib.Repr):
    """As `reprlib`, which goes by the type's name, for the subclasses of Python's collections too."""

    def repr1(self, x: Any, level: int) -> str:
        """Return the text of an object within another."""
        kind: Any = type(x)
        each: Any = x
        if kind.__module__ != "builtins":
            for base in (list, dict, tuple, set, frozenset):
                if isinstance(x, base) and kind.__repr__ in (base.__repr__, OrderedDict.__repr__):
                    few = base(itertools.islice(each.items() if base is dict else each, 7))
                    return f"{kind.__name__}({super().repr1(few, level)})"
        return super().repr1(x, level)


_SHORT: Final = _Short()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = LONGEST


def brief(thing: object) -> str:
    """Return a text of an error or a message that is never long, whatever its ``repr`` does.

    Of Python's own collections only a few items are looked at: a message may hold millions.
    """
    try:
        text = _SHORT.repr(thing)
    except Exception as error:
        return f"<{type(thing).__name__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def text_of(error: BaseException) -> str:
    """Return the text of an exception, whatever its ``str`` does."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as broken:
        return f"<{type(error).__name__}, whose str raised {type(broken).__name__}>"


def an(kind: type[Any] | str) -> str:
    """The name of a type with its article."""
    name = kind if isinstance(kind, str) else kind.__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def said(error: BaseException) -> str:
    """Return what an exception says, or the name of its type where it says nothing; whatever its ``str`` does."""
    return text_of(error) or type(error).__name__


def named(error: BaseException) -> str:
    """Return the type of an exception and what it says; whatever its ``str`` does."""
    name, text = type(error).__name__, text_of(error)
    return f"{name}: {text}" if text else name
