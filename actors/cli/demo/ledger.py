"""Counts the messages of a system from what the runtime reports, and says in the end what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ...core.runtime.parts import MESSAGE_FIELDS

AT_ONCE = (0.0,)


@dataclass
class Ledger:
    """A probe: the runtime tells it each message that is sent, taken up, answered, or ends as a dead letter.

    Args:
        watcher: is told each fact as well: its kind and fields.

    Attributes:
        facts: how often each kind of fact was reported.
        ends: how asks ended: ``reply``, ``error``, ``timeout`` or ``cancel``.
        processed: messages that an actor took up.
        unheard: messages that became dead letters and were no asks, so that nobody told their sender.
    """

    watcher: Callable[[str, dict[str, Any]], None] = lambda kind, fields: None
    facts: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    processed: int = 0
    unheard: int = 0
    _under_way: dict[int, str] = field(default_factory=dict)
    _unanswered: dict[int, str] = field(default_factory=dict)
    _striking: dict[str, BaseException] = field(default_factory=dict)

    @contextmanager
    def installed(self) -> Iterator[Ledger]:
        """Report to this ledger whatever happens in systems that start, inside this block, in the running loop."""
        loop: Any = asyncio.get_running_loop()
        loop.callboard_probe = self
        try:
            yield self
        finally:
            del loop.callboard_probe

    def crash_at_next_message(self, path: str, error: BaseException) -> None:
        """Have an actor fail with ``error`` in place of handling its next message."""
        self._striking[path] = error

    # -- what the closing table says -------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """Messages sent, asks among them."""
        return self.facts["send"] + self.facts["ask"]

    @property
    def asked(self) -> int:
        """Messages that wanted an answer."""
        return self.facts["ask"]

    @property
    def answered(self) -> int:
        """Asks that ended with a value."""
        return self.ends["reply"]

    @property
    def refused(self) -> int:
        """Asks that ended with a named error, a timeout, or because the asker gave up: the asker knows."""
        return self.ends.total() - self.ends["reply"]

    @property
    def lost(self) -> int:
        """Messages that vanished, asks that never ended, and messages that became dead letters unknown to the sender.

        A dead letter that was an ask is not lost: its asker was given an error and could repeat it.
        """
        return len(self._under_way.keys() | self._unanswered.keys()) + self.unheard

    # -- the probe -------------------------------------------------------------------------------------------------

    on_look = None
    on_full = None
    on_view = None

    def event(self, kind: str, **fields: Any) -> None:
        """Take down a fact. Called by the runtime."""
        self.facts[kind] += 1
        number = fields.get("id", 0)
        if kind in ("send", "ask"):
            self._under_way[number] = "ask" if kind == "ask" else "tell"
            if kind == "ask":
                self._unanswered[number] = fields["actor"]
        elif kind in ("recv", "dead_letter", "not_sent"):
            how = self._under_way.pop(number, "")
            self.processed += kind == "recv" and how != ""
            self.unheard += kind == "dead_letter" and how == "tell"
        elif kind == "ask_end":
            self.ends[fields["how"]] += 1
            self._unanswered.pop(number, None)
        self.watcher(kind, fields)

    def unheard_failure(self, what: str, failure: Any) -> None:
        """Do nothing: that it has failed is counted."""

    def message(self, kind: str, *values: Any) -> None:
        """Take down what happened to a message. Called by the runtime."""
        self.event(kind, **dict(zip(MESSAGE_FIELDS[kind], values, strict=True)))

    def on_send(self, envelope: Any, path: str) -> Sequence[float]:
        """Deliver each message once and at once."""
        return AT_ONCE

    def on_reply(self, ask: Any, path: str) -> float:
        """Let each reply arrive at once."""
        return 0.0

    def on_process(self, path: str, nth: int, when: str) -> None:
        """Before and after an actor handles a message; raises what `crash_at_next_message` was given."""
        if when == "before":
            error = self._striking.pop(path, None)
            if error is not None:
                raise error
