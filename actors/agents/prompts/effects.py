"""Effects: what runs between a prompt function and the completion it was called for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR, CO_VARARGS
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeAlias

from ....providers.messages import Message, ToolSpec
from ....providers.shapes import wrong_message
from ....tools.signatures.schema import body_of, name_of, yields
from ..errors import PromptError
from .attributes import no_attribute
from .items import Items
from .references import Reference
from .state.serializing import NotPlain, canonical

if TYPE_CHECKING:
    from ..context import RequestContext


_UNUSUAL: Final = CO_VARARGS | CO_GENERATOR | CO_ASYNC_GENERATOR


class Effect(NamedTuple):
    """An effect of one render.

    Args:
        callback: what runs.
        identity: the same in each render of one prompt function.
        dependencies: what it depends on, as JSON; None where it runs each step.
        takes: how many of context and step it is called with.
    """

    callback: Callable[..., Any]
    identity: str
    dependencies: str | None
    takes: int


class Looked(NamedTuple):
    """What was found out about a callback; it is the same for another one of the same code, name and defaults.

    Args:
        code: its code; None where it does not say all: each is looked at then.
        name: its qualified name.
        defaults: how many.
        identity: the effect's, by which it is known from one render to the next.
        takes: how many of context and step it is called with.
    """

    code: CodeType | None
    name: str
    defaults: int
    identity: str
    takes: int


class EffectContext:
    """What an effect sees of the step.

    Attributes:
        messages: the conversation before the step; valid for every vendor.
        step: which completion of the run it is, counted from 1.
        last_tool: whose result came last before this step, in this run; empty if none did.
        request: the request context of the run.
        systems: the parts that `Prompt.system` defined.
        variables: those that `Prompt.define` and `Prompt.define_data` defined.
    """

    __slots__ = ("_tools", "last_tool", "messages", "request", "step", "systems", "variables")

    def __init__(
        self,
        messages: tuple[Message, ...],
        step: int,
        last_tool: str,
        request: RequestContext,
        systems: Items[Reference],
        variables: Items[Reference],
        tools: Callable[[], Items[ToolSpec]],
    ) -> None:
        self.messages = messages
        self.step = step
        self.last_tool = last_tool
        self.request = request
        self.systems = systems
        self.variables = variables
        self._tools = tools

    if not TYPE_CHECKING:  # to which it would say that there is every attribute

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name)

    @property
    def tools(self) -> Items[ToolSpec]:
        """The tools and sub-agents that the model may call in this step."""
        return self._tools()


class StepModifier:
    """Changes one step alone: what is assigned here stands in place of what there is, and the next step begins anew.

    Args:
        context: what there is.
        name: the prompt function's, for errors.
    """

    __slots__ = ("_context", "_messages", "_name", "_over", "_systems", "_tools", "_variables")

    def __init__(self, context: EffectContext, name: str) -> None:
        self._context = context
        self._name = name
        self._over = False
        self._messages: tuple[Message, ...] | None = None
        self._tools: tuple[str, ...] | None = None
        self._systems: tuple[str, ...] | None = None
        self._variables: tuple[str, ...] | None = None

    if not TYPE_CHECKING:  # to which it would say that there is every attribute

        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute(self, name, "" if name.startswith("_") else self._name)

        def __setattr__(self, name: str, value: Any) -> None:
            if not hasattr(type(self), name):
                raise no_attribute(self, name, self._name)
            object.__setattr__(self, name, value)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as the model is shown it."""
        return self._context.messages if self._messages is None else self._messages

    @messages.setter
    def messages(self, given: Sequence[Message]) -> None:
        self._check_time("messages")
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise PromptError(f"{self._name}: step.messages is a sequence of Message, not {type(given).__name__}")
        messages = tuple(given)
        for message in messages:
            if not isinstance(message, Message):
                raise PromptError(f"{self._name}: step.messages are Message, not {type(message).__name__}")
            if message.role == "system":
                raise PromptError(f"{self._name}: step.messages takes no system message: assign step.systems")
            if wrong := wrong_message(message, "message"):
                raise PromptError(f"{self._name}: step.messages has a wrong message; {wrong}")
        self._messages = messages

    @property
    def tools(self) -> Items[ToolSpec]:
        """The tools and sub-agents that the model may call."""
        tools = self._context.tools
        return tools if self._tools is None else tools.named(*self._tools)

    @tools.setter
    def tools(self, given: Iterable[str | ToolSpec]) -> None:
        self._check_time("tools")
        self._tools = self._context.tools.chosen(given, f"{self._name}: step.tools")

    @property
    def systems(self) -> Items[Reference]:
        """The parts made by `Prompt.system` that it is shown."""
        systems = self._context.systems
        return systems if self._systems is None else systems.named(*self._systems)

    @systems.setter
    def systems(self, given: Iterable[str | Reference]) -> None:
        self._check_time("systems")
        self._systems = self._context.systems.chosen(given, f"{self._name}: step.systems")

    @property
    def variables(self) -> Items[Reference]:
        """The parts made by `Prompt.define` and `Prompt.define_data` that it is shown."""
        variables = self._context.variables
        return variables if self._variables is None else variables.named(*self._variables)

    @variables.setter
    def variables(self, given: Iterable[str | Reference]) -> None:
        self._check_time("variables")
        self._variables = self._context.variables.chosen(given, f"{self._name}: step.variables")

    def close(self) -> None:
        """The step's request is made."""
        self._over = True

    def _check_time(self, what: str) -> None:
        if self._over:
            raise PromptError(
                f"{self._name}: step.{what} was assigned after the step's request had been made: assign it before the "
                "effect returns"
            )

    @property
    def changed(self) -> tuple[tuple[Message, ...] | None, frozenset[str] | None]:
        """The messages and the names of the tools that were assigned; None for what was not."""
        return self._messages, None if self._tools is None else frozenset(self._tools)


EffectCallback: TypeAlias = (
    Callable[[], object] | Callable[[EffectContext], object] | Callable[[EffectContext, StepModifier], object]
)
"""What an effect runs."""


def looked_at(callback: Callable[..., Any], file: str, line: int, seen: dict[str, int], whose: str) -> Looked:
    """Look at a callback.

    Args:
        callback: what runs.
        file, line: where the prompt function stands.
        seen: how many effects of each kind this render has made so far; counted on.
        whose: the prompt function's name, for errors.

    Raises:
        PromptError: it takes something else than an effect's.
    """
    identity = identity_of(callback, file, line, seen)
    taken = takes(callback, whose)
    if type(callback) is not FunctionType or not _says_what_it_takes(callback.__code__):
        return Looked(None, "", 0, identity, taken)
    return Looked(callback.__code__, callback.__qualname__, len(callback.__defaults__ or ()), identity, taken)


def identity_of(callback: Callable[..., Any], file: str, line: int, seen: dict[str, int]) -> str:
    """What an effect is known by from one render to the next: its callback's qualified name, its line relative to the
    prompt function, and its count among equal ones.

    Args:
        callback: what runs.
        file, line: where the prompt function stands.
        seen: how many effects of each kind this render has made so far; counted on.
    """
    code: CodeType | None
    if type(callback) is FunctionType:
        name, code = callback.__qualname__, callback.__code__
    else:
        body = body_of(callback)
        name, code = name_of(body), getattr(getattr(body, "__func__", body), "__code__", None)
    known = f"{name}:{code.co_firstlineno - line}" if code is not None and code.co_filename == file else f"{name}:"
    count = seen[known] = seen.get(known, 0) + 1
    return f"{known}:{count}"


def dependencies_of(given: object, callback: Callable[..., Any], whose: str) -> str | None:
    """What an effect depends on, as JSON.

    Args:
        given: a list of it, or None.
        callback: the effect's.
        whose: the prompt function's name, for errors.

    Raises:
        PromptError: it is no list, or something in it is no plain data.
    """
    if given is None:
        return None
    if not isinstance(given, (list, tuple)):  # half of what `list | tuple` takes, which is made each time
        where = _where(whose, callback)
        raise PromptError(
            f"{where}: dependencies is {given!r:.80}; give a list of what it depends on, [] to run once, or nothing to "
            "run each step"
        )
    try:
        return f"[{','.join(map(canonical, given))}]"
    except NotPlain as wrong:
        where = f"{_where(whose, callback)}: dependencies[{_wrong_of(given)}]"
        raise PromptError(f"{where} cannot be compared after a restart: {wrong}; give plain data") from wrong


def _wrong_of(given: Sequence[Any]) -> int:
    """Which of some dependencies is no plain data."""
    for index, one in enumerate(given):
        try:
            canonical(one)
        except NotPlain:
            return index
    return len(given)


def takes(callback: Callable[..., Any], whose: str) -> int:
    """How many of context and step a callback takes: as many as it requires.

    Args:
        callback: it.
        whose: the prompt function's name, for errors.

    Raises:
        PromptError: it requires something else.
    """
    code = callback.__code__ if type(callback) is FunctionType else None
    if code is not None and _says_what_it_takes(code):
        required = code.co_argcount - len(callback.__defaults__ or ())
    else:
        if yields(callback):
            raise PromptError(f"{_where(whose, callback)} yields, and nothing of it would run: an effect returns")
        required = _required(callback, _where(whose, callback))
    if required > 2:
        where = _where(whose, callback)
        raise PromptError(f"{where}: an effect takes (context, step), (context) or nothing; this requires {required}")
    return required


def _says_what_it_takes(code: CodeType) -> bool:
    return not code.co_kwonlyargcount and not code.co_flags & _UNUSUAL


def _where(whose: str, callback: Callable[..., Any]) -> str:
    return f"{whose}: effect {name_of(body_of(callback))}"


def _required(callback: Callable[..., Any], where: str) -> int:
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError) as error:
        raise PromptError(f"{where}: this callback does not say what it takes: {error}") from error
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return 2
    required = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    if named := [one.name for one in required if one.kind is one.KEYWORD_ONLY]:
        raise PromptError(f"{where}: an effect takes (context, step) by position; {named[0]!r} needs a name")
    return len(required)
