"""Supervisors: actors whose only work is their children."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

from .actor import Actor
from .base.errors import SpecError, brief
from .base.restart import NO_BACKOFF, Backoff, Restart, Strategy, Supervision
from .base.spec import ChildSpec, Mailbox
from .refs.ref import ActorRef


class Supervisor(Actor):
    """Starts its children in order, stops them in reverse, restarts them by its strategy.

    Args:
        children: child specs, in start order; each has started before the next is.
        strategy: ``one_for_one`` restarts the child that ended, ``one_for_all`` all of them,
            ``rest_for_one`` it and those started after it.
        intensity: how many restarts ``period`` may see; one more stops the children and fails the supervisor.
        period: seconds.
    """

    def __init__(
        self,
        children: Sequence[ChildSpec[Any]] = (),
        *,
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period: float = 5.0,
    ) -> None:
        super().__init__()
        check_specs(children)
        self._specs = tuple(children)
        self._cell.children.supervision = Supervision(strategy, intensity, period)

    def on_start(self) -> Any:
        """Start the children, each when the one before it has started."""
        specs = iter(self._specs)
        for spec in specs:
            ref: ActorRef[Any] = self.spawn(spec)
            if not ref.has_started():
                return self._start_the_rest(ref, specs)
        return None

    async def _start_the_rest(self, ref: ActorRef[Any], specs: Iterator[ChildSpec[Any]]) -> None:
        await ref.started()
        for spec in specs:
            await self.spawn(spec).started()

    def on_receive(self, message: Any) -> Any:
        """Answer a `ChildSpec` with the ref of a child started from it; refuse anything else."""
        if isinstance(message, ChildSpec):
            return self.spawn(message)
        return super().on_receive(message)

    @classmethod
    def spec(
        cls,
        children: Sequence[ChildSpec[Any]] = (),
        *,
        name: str | None = None,
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period: float = 5.0,
        restart: Restart = "permanent",
        shutdown: float = 30.0,
        backoff: Backoff = NO_BACKOFF,
        mailbox: Mailbox | None = None,
    ) -> ChildSpec[Self]:
        """Return the child spec of a supervisor, to be supervised itself.

        Args:
            children, strategy, intensity, period: as for `Supervisor`.
            name, restart, shutdown, backoff, mailbox: as for `ChildSpec`, of the supervisor itself.

        Raises:
            SpecError: the strategy is unknown, or a number is out of range.
        """
        Supervision(strategy, intensity, period)
        check_specs(children)
        options = {"strategy": strategy, "intensity": intensity, "period": period}
        return ChildSpec(cls, (tuple(children),), options, name, restart, shutdown, backoff, mailbox)


class DynamicSupervisor(Supervisor):
    """A supervisor of many children of one kind, started while it runs: ``await ref.ask(ChildSpec(…))``.

    It begins without children, always restarts one for one, and lets the children stop all at once.

    Args:
        intensity: how many restarts ``period`` may see.
        period: seconds.
    """

    def __init__(self, *, intensity: int = 3, period: float = 5.0) -> None:
        super().__init__((), strategy="one_for_one", intensity=intensity, period=period)
        self._cell.children.together = True

    @classmethod
    def spec(  # type: ignore[override]  # it begins without children, and has one strategy
        cls,
        *,
        name: str | None = None,
        intensity: int = 3,
        period: float = 5.0,
        restart: Restart = "permanent",
        shutdown: float = 30.0,
        backoff: Backoff = NO_BACKOFF,
        mailbox: Mailbox | None = None,
    ) -> ChildSpec[Self]:
        """Return the child spec of a dynamic supervisor.

        Args:
            intensity, period: as for `DynamicSupervisor`.
            name, restart, shutdown, backoff, mailbox: as for `ChildSpec`, of the supervisor itself.

        Raises:
            SpecError: a number is out of range.
        """
        Supervision(intensity=intensity, period=period)
        return ChildSpec(cls, (), {"intensity": intensity, "period": period}, name, restart, shutdown, backoff, mailbox)


def check_specs(children: Any) -> None:
    """Refuse what are no child specs.

    Raises:
        SpecError: ``children`` is no sequence of them.
    """
    if isinstance(children, (str, ChildSpec)) or not all(isinstance(child, ChildSpec) for child in children):
        raise SpecError(f"children is {brief(children)}; it must be a sequence of ChildSpecs")
