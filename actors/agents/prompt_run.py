"""A prompt function run by itself: an agency of its own, with the one agent that it makes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Generic, TypedDict, TypeVar, overload

from ...providers.checks import MAYBE_FUNCTION, Wish
from ...providers.messages import Message, ToolCall, Usage
from ...tools import Tool
from ...tools.signatures.schema import yields
from ..core.base.foreign import awaited, is_ours
from ..core.base.ids import uuid7
from ..core.base.log import logger_of
from ..core.base.spec import ChildSpec
from ..core.refs.ref import ActorRef
from .agency import Agency
from .agent import Agent
from .answer import NO_USAGE, Answer, Step, V_co
from .errors import AgentError, DefinitionError, PromptError, RunCancelled, named
from .events import CompletionFinished, CompletionStarted, ReasoningDelta, Retried, RunEvent, TextDelta
from .prompts.prompt import Prompt, as_prompt
from .runs.runtime.runtime import CANCEL_GRACE
from .turns.loop.stopping import Condition, PrepareStep, RunSoFar, StepPlan, StopWhen, check_condition
from .turns.questions import Question
from .turns.rules import Limits
from .wishes import AGENT_NAME, define

if TYPE_CHECKING:
    from typing import Unpack

logger = logger_of()

P = TypeVar("P", bound=Prompt)
T = TypeVar("T")

ABORTED: Final = "the prompt was aborted"
_NAMES = Wish(
    "names of tools, or None",
    lambda given: (
        given is None
        or (isinstance(given, Sequence) and not isinstance(given, str) and all(isinstance(name, str) for name in given))
    ),
)
_CALLBACKS: Final = ("on_chunk", "on_step_finish", "on_finish", "on_error", "on_abort")
_tasks: set[asyncio.Task[Any]] = set()  # strong references, or the collector could end them midway


class PromptOptions(TypedDict, total=False):
    """What `run_prompt` takes besides the function, its plugins and the type of the answer; see there."""

    model: ActorRef[Any] | ChildSpec | str | None
    messages: Question
    instructions: str
    tools: Sequence[Tool | Callable[..., Any]]
    active_tools: Sequence[str] | None
    limits: Limits
    settings: Mapping[str, Any]
    max_retries: int | None
    stop_when: StopWhen | None
    prepare_step: PrepareStep | None
    deps: Any
    on_chunk: Callable[[TextDelta | ReasoningDelta], object] | None
    on_step_finish: Callable[[Step], object] | None
    on_finish: Callable[[Answer], object] | None
    on_error: Callable[[Exception], object] | None
    on_abort: Callable[[Sequence[Step]], object] | None


class PromptRun(Generic[V_co]):
    """A prompt function at work; made by `run_prompt`, and under way from then on.

    Awaiting it gives the `Answer`, or raises what the run ended in; cancelling whoever awaits it aborts it. What it has
    done so far can be read at any time.

    Attributes:
        text: what the model has said in the step under way; once the run is over, the answer's text.
        usage: tokens used so far, also by those that work for it.
        steps: the steps that are over; see `Step`.
    """

    def __init__(self, agency: Agency, agent: Agent, messages: Question, options: PromptOptions) -> None:
        self.text = ""
        self.usage: Usage = NO_USAGE
        self.steps: Sequence[Step] = ()
        self._agency = agency
        self._agent = agent
        self._messages = messages
        self._options = options
        self._id = ""
        self._started = False
        self._events: list[RunEvent] = []
        self._done: Sequence[Step] = ()
        self._aborted = ""
        self._until: float | None = None  # when callbacks must be over
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Answer[V_co]] = self._loop.create_future()
        self._callback: tuple[str, asyncio.Timeout] | None = None
        self._task = _kept(self._go(), f"prompt {agent.name}")

    def __repr__(self) -> str:
        return f"<PromptRun of {self._agent.name}, {'over' if self._answer.done() else 'under way'}>"

    def __await__(self) -> Generator[Any, None, Answer[V_co]]:
        return self._awaited().__await__()

    async def _awaited(self) -> Answer[V_co]:
        self._check_waiting()
        try:
            return await asyncio.shield(self._answer)
        except asyncio.CancelledError:
            self.abort()
            await asyncio.wait({self._answer})
            raise

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls of the steps that are over."""
        return tuple(call.call for step in self.steps for call in step.calls)

    @property
    def tool_results(self) -> tuple[Message, ...]:
        """The results of these calls."""
        return tuple(call.result for step in self.steps for call in step.calls if call.result is not None)

    @property
    def events(self) -> AsyncGenerator[RunEvent]:
        """All that happens, from the beginning, also in agents that work for it; each time a new iterator. It ends
        after the run's `RunFinished`, and raises then what awaiting the run raises."""
        return self._followed()

    @property
    def text_stream(self) -> AsyncGenerator[str]:
        """The text as it comes, of all steps, from the beginning; each time a new iterator. It ends as `events`."""
        return self._texts()

    def abort(self, reason: str = ABORTED) -> None:
        """End the run in `RunCancelled`; nothing happens where it is over. From any thread.

        Args:
            reason: told to whoever awaits it.
        """
        if self._answer.done():
            return
        if not _runs_here(self._loop):
            self._loop.call_soon_threadsafe(self.abort, reason)
        elif not self._aborted:
            self._aborted, self._until = reason, self._loop.time() + CANCEL_GRACE
            if self._callback is not None:
                self._callback[1].reschedule(self._until)
            if self._started:
                _kept(self._cancel(), f"abort of {self._agent.name}")

    # -- within --------------------------------------------------------------------------------------------------------

    async def _followed(self) -> AsyncGenerator[RunEvent]:
        at = 0
        while True:
            while at < len(self._events):
                at += 1
                yield self._events[at - 1]
            if self._answer.done():
                self._answer.result()
                return
            self._check_waiting()
            await self._news.wait()

    async def _texts(self) -> AsyncGenerator[str]:
        async for event in self._followed():
            if isinstance(event, TextDelta) and event.run == self._id:
                yield event.text

    async def _go(self) -> None:
        """Make the run, and tell of it."""
        answer: Answer[Any] | None = None
        error: Exception | None = None
        try:
            async with self._agency:
                assert self._agency.system is not None
                self._id = uuid7(time.time(), self._agency.system.rng)
                if self._aborted:
                    raise RunCancelled(self._aborted)
                deps = self._options.get("deps")
                async for event in self._agency.run_streaming(self._messages, run_id=self._id, deps=deps):
                    answer = getattr(event, "answer", answer) if event.run == self._id else answer
                    await self._take(event)
        except Exception as failed:  # also of an agency that could not be started
            error = failed
        if answer is not None:
            self.text, self.usage = answer.text, answer.usage
            self._done = answer.steps if error is None else tuple(takewhile(_is_over, answer.steps))
        await self._tell_of_steps(len(self._done))
        if error is None:
            assert answer is not None
            await self._tell("on_finish", answer)
            self._answer.set_result(answer)
        else:
            if isinstance(error, RunCancelled):
                await self._tell("on_abort", self.steps)
            else:
                await self._tell("on_error", error)
            self._answer.set_exception(error)
            self._answer.exception()  # nobody may be left to be told that it failed
        self._news.set()

    async def _take(self, event: RunEvent) -> None:
        if not self._started:
            self._started = True
            if self._aborted:
                _kept(self._cancel(), f"abort of {self._agent.name}")
        if isinstance(event, CompletionFinished):
            self.usage += event.usage
        if event.run == self._id:
            if isinstance(event, CompletionStarted):
                await self._tell_of_steps(event.step - 1)
                self.text = ""
            elif isinstance(event, Retried):
                self.text = ""
            elif isinstance(event, TextDelta):
                self.text += event.text
        self._events.append(event)
        self._news.set()
        self._news.clear()
        if isinstance(event, TextDelta | ReasoningDelta):
            await self._tell("on_chunk", event)

    async def _tell_of_steps(self, until: int) -> None:
        """Tell of the steps that are over, in order and each once."""
        for step in self._done[len(self.steps) : until]:
            self.steps = self._done[: step.number]
            await self._tell("on_step_finish", step)

    async def _tell(self, name: str, what: object) -> None:
        """Call back; one that raises, or does not return where the run is aborted, disturbs nothing but itself."""
        callback: Any = self._options.get(name)
        if callback is None:
            return
        bound = asyncio.timeout_at(self._until)
        try:
            async with bound:
                self._callback = name, bound
                await awaited(name, callback, what)
        except BaseException as error:
            if is_ours(error, self._task):
                raise
            if bound.expired():
                logger.warning("%s of %r was cancelled: it took more than 5 seconds after the abort", name, self)
            else:
                logger.warning("%s of %r raised %s", name, self, named(error), exc_info=error)
        finally:
            self._callback = None

    def _check_waiting(self) -> None:
        """Nothing waits for the run that the run waits for."""
        if self._callback is not None and asyncio.current_task() is self._task:
            raise PromptError(
                f"{self._callback[0]} waits for {self!r}, which waits for {self._callback[0]}: use what it is given"
            )

    def _seen(self, run: RunSoFar) -> None:
        self._done = run.steps

    async def _cancel(self) -> None:
        with suppress(AgentError):  # it has ended meanwhile
            handle = await self._agency.handle(self._id)
            await handle.cancel(self._aborted)


def _is_over(step: Step) -> bool:
    return all(call.result is not None for call in step.calls)


class _Watched(Condition):
    """A condition, if there is one, that shows somebody the run so far."""

    def __init__(self, condition: StopWhen | None) -> None:
        self._condition = condition
        self.seen: Callable[[RunSoFar], object] = id

    def __repr__(self) -> str:
        return getattr(self._condition, "__name__", "") or repr(self._condition)

    def __call__(self, run: RunSoFar) -> bool:
        self.seen(run)
        return self._condition is not None and self._condition(run)


def _planned(active: Sequence[str], prepare: PrepareStep | None) -> PrepareStep:
    """What offers these tools alone, of those that there are in the step."""

    def plan_of(run: RunSoFar) -> StepPlan | None:
        plan = prepare(run) if prepare is not None else None
        if plan is None:
            return StepPlan(tools=active)
        if not isinstance(plan, StepPlan):
            return plan
        return replace(plan, tools=active if plan.tools is None else [name for name in plan.tools if name in active])

    return plan_of


@overload
def run_prompt(
    fn: Callable[[P], object], *, plugins: type[P], output_type: type[T], **options: Unpack[PromptOptions]
) -> PromptRun[T]: ...
@overload
def run_prompt(
    fn: Callable[[P], object], *, plugins: type[P], output_type: Any = None, **options: Unpack[PromptOptions]
) -> PromptRun[Any]: ...
@overload
def run_prompt(
    fn: Callable[[Prompt], object], *, output_type: type[T], **options: Unpack[PromptOptions]
) -> PromptRun[T]: ...
@overload
def run_prompt(
    fn: Callable[[Prompt], object], *, output_type: Any = None, **options: Unpack[PromptOptions]
) -> PromptRun[Any]: ...
@overload
def run_prompt(
    fn: Callable[[Any], object],
    *,
    plugins: Sequence[type[Prompt]],
    output_type: Any = None,
    **options: Unpack[PromptOptions],
) -> PromptRun[Any]: ...
def run_prompt(fn: Any, *, plugins: Any = (), output_type: Any = None, **options: Unpack[PromptOptions]) -> PromptRun:
    """Run a prompt function by itself, in an agency of its own that ends with the run.

    It is under way when this returns. Its state is that of this one run; a state that outlives it is an
    `Agent(prompt=fn)`'s, in an agency with a journal.

    Args:
        fn: the prompt function, called with a `Prompt` before each completion.
        plugins: a subclass of `Prompt` whose methods it uses, or several.
        output_type: the type that the answer must fit.
        model: an actor that answers `Request`, a `ChildSpec` to start one from, or a model's name; by default a pool
            from the environment, as in `Agency`.
        messages: what is said to begin with; nothing where the function says it all itself (``prompt.user``).
        instructions: what stands in the system prompt before all that the function defines.
        tools: what may be called in each step, besides the function's own.
        active_tools: the names of those that are offered; None for all. Names that a step does not have are passed
            over.
        limits: what the run may use.
        settings: fields of `Request` to set.
        max_retries: how often a completion may be asked for again after a failure.
        stop_when: ends the run with what there is, looked at after each step.
        prepare_step: called before each completion with the `RunSoFar`; returns a `StepPlan`, or None.
        deps: what its tools depend on.
        on_chunk: called with each piece of text or of reasoning.
        on_step_finish: called with each `Step` once its calls have their results.
        on_finish: called with the answer.
        on_error: called with what the run ended in.
        on_abort: called with the steps that were done, where the run was aborted.

    Callbacks may be ``async``; they are called one at a time, in order. What one raises is logged. One that is at work
    5 seconds after the run was aborted is cancelled.

    Raises:
        PromptError: the function does not fit its plugins, or cannot be called with a prompt.
        DefinitionError: an option is wrong, or no event loop is running.
        TypeError: there is no such option.
    """
    unknown = options.keys() - PromptOptions.__annotations__.keys()
    if unknown:
        there = sorted({*PromptOptions.__annotations__, "output_type", "plugins"})
        near = get_close_matches(min(unknown), there, 1)
        told = f"did you mean {near[0]!r}? There are " if near else "there are "
        raise TypeError(f"run_prompt has no option {min(unknown)!r}; {told}{', '.join(there)}")
    callbacks = {name: (options.get(name), MAYBE_FUNCTION) for name in _CALLBACKS}
    define("run_prompt", active_tools=(options.get("active_tools"), _NAMES), **callbacks)
    as_prompt(fn, plugins, "run_prompt")  # for an agent None is none
    for name in _CALLBACKS:
        if yields(options.get(name)):
            raise DefinitionError(f"run_prompt: {name} yields, and nothing of it would run: return instead")
    check_condition(options.get("stop_when"))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise DefinitionError("run_prompt was called where no event loop runs: call it in a coroutine") from None
    given: dict[str, Any] = {name: options[name] for name in _OF_AGENT if name in options}
    if options.get("max_retries") is not None:
        given["settings"] = {**given.get("settings", {}), "max_retries": options["max_retries"]}
    watched = _Watched(options.get("stop_when"))
    active, prepare = options.get("active_tools"), options.get("prepare_step")
    name = getattr(fn, "__name__", "")
    agent: Agent[Any, Any] = Agent(
        name if AGENT_NAME.fits(name) else "prompt",
        prompt=fn,
        plugins=plugins,
        output_type=output_type,
        stop_when=watched,
        prepare_step=prepare if active is None else _planned(active, prepare),
        **given,
    )
    run: PromptRun[Any] = PromptRun(
        Agency(agent, model=options.get("model")), agent, options.get("messages", ()), options
    )
    watched.seen = run._seen
    return run


_OF_AGENT: Final = ("instructions", "tools", "limits", "settings")


def _kept(work: Any, name: str) -> asyncio.Task[Any]:
    task = asyncio.get_running_loop().create_task(work, name=name)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
