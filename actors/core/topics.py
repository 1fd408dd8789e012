"""Publish and subscribe by topic, within a system: one actor that knows who wants what.

A topic is words joined by dots, ``orders.eu.created``. A subscription may be a pattern: ``*`` stands for one word,
``**`` for any number of words, none among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from .actor import Actor
from .base.errors import ActorDead, MailboxFull, SpecError
from .base.events import DeadLetter
from .base.restart import NO_BACKOFF, Backoff, Restart
from .base.spec import ChildSpec, Mailbox
from .base.typed import Returns
from .refs.ref import ActorRef
from .refs.watching import Terminated


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Tells `Topics` to send an actor what is published on a topic, or on all topics that match a pattern.

    Asked, it answers when the subscription holds: what is published after that arrives. Subscribing again changes
    nothing, and a message that several patterns match arrives once.

    Raises:
        SpecError: the topic is malformed, or the subscriber is no actor of this library.
    """

    topic: str
    ref: ActorRef[Any]

    def __post_init__(self) -> None:
        _check_topic(self.topic, pattern=True)
        _check_ref(self.ref)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Takes a subscription back, or with None for the topic all of an actor's; nothing happens if there is none.

    A pattern takes back what was subscribed with the same pattern, not the topics that match it.

    Raises:
        SpecError: the topic is malformed, or the subscriber is no actor of this library.
    """

    topic: str | None
    ref: ActorRef[Any]

    def __post_init__(self) -> None:
        if self.topic is not None:
            _check_topic(self.topic, pattern=True)
        _check_ref(self.ref)


@dataclass(frozen=True, slots=True)
class Publish(Returns[int]):
    """Tells `Topics` to send a message to all who have subscribed to a topic.

    Asked, it answers with the number of actors it was sent to; that does not say that they have processed it.

    Raises:
        SpecError: the topic is malformed, or a pattern.
    """

    topic: str
    message: Any

    def __post_init__(self) -> None:
        _check_topic(self.topic, pattern=False)


class Subscriptions:
    """Who wants what, in the order in which they first subscribed. Plain data, without actors' lives."""

    def __init__(self) -> None:
        self._topics: dict[ActorRef[Any], dict[str, None]] = {}
        self._exact: dict[str, dict[ActorRef[Any], None]] = {}
        self._patterns: dict[str, dict[ActorRef[Any], None]] = {}

    def _table(self, topic: str) -> dict[str, dict[ActorRef[Any], None]]:
        return self._patterns if "*" in topic else self._exact

    def add(self, topic: str, ref: ActorRef[Any]) -> None:
        """Take a subscription in."""
        self._topics.setdefault(ref, {})[topic] = None
        self._table(topic).setdefault(topic, {})[ref] = None

    def remove(self, topic: str | None, ref: ActorRef[Any]) -> None:
        """Take one subscription of an actor out, or with None all."""
        topics = self._topics.get(ref, {})
        for name in list(topics) if topic is None else [topic]:
            if name in topics:
                del topics[name]
                table = self._table(name)
                del table[name][ref]
                if not table[name]:
                    del table[name]
        if not topics:
            self._topics.pop(ref, None)

    def __contains__(self, ref: object) -> bool:
        return ref in self._topics

    def __iter__(self) -> Iterator[ActorRef[Any]]:
        return iter(self._topics)

    def of(self, topic: str) -> list[ActorRef[Any]]:
        """Return who wants what is published on a topic, each once."""
        found = dict(self._exact.get(topic, {}))
        for pattern, refs in self._patterns.items():
            if _matcher(pattern).fullmatch(f".{topic}"):
                found.update(refs)
        return list(found)


class Topics(Actor):
    """Sends what is published to who has subscribed: see `Subscribe`, `Unsubscribe` and `Publish`.

    Messages of one publisher reach each subscriber in the order published, with the context they were published in. A
    subscriber whose mailbox is full holds nobody up: for it the message becomes a dead letter. One that is dead is
    forgotten.

    Args:
        subscriptions: kept elsewhere, so that they outlive a crash of this actor; `spec` sees to it.
    """

    def __init__(self, subscriptions: Subscriptions | None = None) -> None:
        super().__init__()
        self._subscriptions = Subscriptions() if subscriptions is None else subscriptions

    @classmethod
    def spec(
        cls,
        *,
        name: str | None = None,
        restart: Restart = "permanent",
        shutdown: float = 5.0,
        backoff: Backoff = NO_BACKOFF,
        mailbox: Mailbox | None = None,
    ) -> ChildSpec[Self]:
        """Return the child spec of a `Topics` that keeps its subscriptions when it is restarted.

        Args:
            name, restart, shutdown, backoff, mailbox: as for `ChildSpec`.

        Raises:
            SpecError: a number is out of range, or a name malformed.
        """
        return ChildSpec(cls, (Subscriptions(),), {}, name, restart, shutdown, backoff, mailbox)

    def on_start(self) -> None:
        """Watch those who had subscribed before a restart."""
        for ref in self._subscriptions:
            self.watch(ref)

    def on_receive(self, message: Any) -> Any:
        """Do what one of this module's messages asks for; of others a warning is logged."""
        match message:
            case Publish():
                return self._publish(message.topic, message.message)
            case Subscribe():
                self._subscriptions.add(message.topic, message.ref)
                self.watch(message.ref)
            case Unsubscribe():
                self._subscriptions.remove(message.topic, message.ref)
                if message.ref not in self._subscriptions:
                    self.unwatch(message.ref)
            case Terminated():
                self._subscriptions.remove(None, message.ref)
            case _:
                return super().on_receive(message)
        return None

    def _publish(self, topic: str, message: Any) -> int:
        sent = 0
        for ref in self._subscriptions.of(topic):
            try:
                ref.tell(message)
            except MailboxFull:
                why = f"the mailbox was full when it was published on {topic!r}"
                self._cell.runtime.dead_letter(ref.path, None, DeadLetter(message, ref.path, why))
            except ActorDead:
                self._subscriptions.remove(None, ref)
            else:
                sent += 1
        return sent


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> re.Pattern[str]:
    """Return what matches a topic with a dot before it."""
    parts = {"*": r"\.[^.]+", "**": r"(?:\.[^.]+)*"}
    return re.compile("".join(parts.get(word) or re.escape(f".{word}") for word in pattern.split(".")))


def _check_topic(topic: Any, *, pattern: bool) -> None:
    if not isinstance(topic, str) or not all(topic.split(".")):
        raise SpecError(f"{topic!r} is no topic: a topic is words joined by dots, none of them empty")
    for word in topic.split("."):
        if "*" in word and (not pattern or word not in ("*", "**")):
            what = "in a pattern * and ** stand for whole words" if pattern else "one publishes on one topic"
            raise SpecError(f"{topic!r} is no topic: {what}")


def _check_ref(ref: Any) -> None:
    if not isinstance(ref, ActorRef):
        raise SpecError(f"{ref!r} cannot subscribe: it is no ref of an actor of this library")
