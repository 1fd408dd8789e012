"""Small actors that several tests of the simulator put into their scenarios."""

from __future__ import annotations

from typing import Any

from callboard.actors import Actor, ActorRef


class Collector(Actor):
    """Keeps what it is told, and answers with how much that is; ``"seen"`` asks for all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_receive(self, message: Any) -> Any:
        if message == "seen":
            return list(self.seen)
        self.seen.append(message)
        return len(self.seen)


class Forwarder(Actor):
    """Tells others what it is told."""

    def __init__(self, *targets: ActorRef[Any]) -> None:
        super().__init__()
        self.targets = targets

    def on_receive(self, message: Any) -> None:
        for target in self.targets:
            target.tell(message)
