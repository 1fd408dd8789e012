"""A target that asks several providers the same at once, and combines what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

from ....providers.checks import LIST, TEXT, made_as
from ....providers.messages import Completion, Message, Request
from ...core.refs.ref import ActorRef
from ..answer import NO_USAGE, Answer, step_of
from ..context import model_at_work
from ..errors import AgentUnavailable, DefinitionError, RunFailed, named
from ..wishes import AGENT_NAME, define
from .target import AgentRequest


class FanOutTarget:
    """Several models at once, as one that a task may be handed to.

    Args:
        name: as the model that hands off knows it.
        providers: names of the pool's endpoints; empty for all that serve the model.
        model: which model they are asked for; empty for each one's default.
        combine: as in `FanOut`: ``first``, ``majority``, ``all`` (the answer lists what each said), or a function of
            the completions and errors by name that returns a completion or a text.
        concurrency: how many are asked at the same time; None for all.
        instructions: the system message they get.
        description: when to use it.
        pool: the pool to ask; by default the agency's.

    Raises:
        DefinitionError: an argument is of the wrong type, or `FanOut` refuses the rest.
    """

    def __init__(
        self,
        name: str,
        *,
        providers: Sequence[str] = (),
        model: str = "",
        combine: Literal["first", "majority", "all"] | Callable[[dict[str, Completion | Exception]], Any] = "majority",
        concurrency: int | None = None,
        instructions: str = "You are asked by another agent.",
        description: str = "",
        pool: ActorRef[Any] | None = None,
    ) -> None:
        define("a fan-out", name=(name, AGENT_NAME))
        define(
            f"fan-out {name}",
            providers=(providers, LIST),
            model=(model, TEXT),
            instructions=(instructions, TEXT),
            description=(description, TEXT),
            pool=(pool, made_as(ActorRef).or_none()),
        )
        from ....providers.pool import FanOut

        try:
            FanOut(Request(()), cast("tuple[str, ...]", providers), combine, concurrency=concurrency)
        except ValueError as error:
            raise DefinitionError(f"fan-out {name}: {error}") from None
        self.name = name
        self.description = description or "Several models, which are asked the same at once."
        self._providers = tuple(providers)
        self._model = model
        self._combine = combine
        self._concurrency = concurrency
        self._instructions = instructions
        self._pool = pool

    def __repr__(self) -> str:
        return f"<FanOutTarget {self.name} of {', '.join(self._providers) or 'all'}>"

    async def answer(self, request: AgentRequest) -> Answer:
        """Have the task done by all of them.

        Raises:
            AgentUnavailable: there is no pool to ask, or all of them failed.
            RunFailed: the function that combines returned neither a completion nor a text.
        """
        from ....providers.errors import NoProvider
        from ....providers.pool import FanOut

        pool = self._pool or model_at_work()
        if pool is None:
            raise AgentUnavailable(f"{self.name} has no pool to ask: give it one, or the agency")
        asked = Request((Message("system", self._instructions), *request.messages), self._model)
        given: list[Mapping[str, Completion | Exception]] = []

        def combine(outcomes: dict[str, Completion | Exception]) -> Any:
            given.append(outcomes)
            assert callable(self._combine)
            return self._combine(outcomes)

        how = combine if callable(self._combine) else self._combine
        try:
            said = await pool.ask(FanOut(asked, self._providers, how, concurrency=self._concurrency))
        except NoProvider as error:
            raise AgentUnavailable(f"{self.name}: {error}") from error
        if isinstance(said, Mapping):
            given.append(said)
            said = _listed(self.name, said)
        if isinstance(said, Completion):
            steps = (step_of(said, self.name),)
            cost = said.cost or 0.0
            return Answer(said.message.text, self.name, usage=said.usage, cost=cost, steps=steps, notes=said.notes)
        if not isinstance(said, str):
            raise RunFailed(f"{self.name}: what combines the answers returned {type(said).__name__}, not a completion")
        answers = [one for one in given[0].values() if isinstance(one, Completion)]
        usage = sum((one.usage for one in answers), NO_USAGE)
        every = tuple(step_of(one, self.name, number) for number, one in enumerate(answers, 1))
        cost = sum(one.cost or 0.0 for one in answers)
        return Answer(said, self.name, usage=usage, cost=cost, steps=every)


def _listed(name: str, outcomes: Mapping[str, Completion | Exception]) -> str:
    if not any(isinstance(one, Completion) for one in outcomes.values()):
        failed = "; ".join(
            f"{each}: {named(error)}" for each, error in outcomes.items() if isinstance(error, Exception)
        )
        raise AgentUnavailable(f"{name}: all failed: {failed}")
    return "\n\n".join(
        f"{each} said:\n{one.message.text}"
        if isinstance(one, Completion)
        else f"{each} could not answer ({type(one).__name__})."
        for each, one in outcomes.items()
    )
