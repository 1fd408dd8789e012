"""Descriptions of sub-agents: prompt functions of their own that a prompt offers as tools."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Final, TypedDict

from ....providers.checks import MAYBE_FUNCTION, TEXT, TOOL_NAME, require
from ....providers.messages import ToolSpec
from ....tools.compose import calls_schema
from ....tools.errors import InvalidArguments
from ....tools.signatures.schema import explained, without_titles, yields
from ..errors import PromptError
from ..output import Output
from ..turns.rules import Limits

if typing.TYPE_CHECKING:
    from pydantic import TypeAdapter


class AgentOptions(TypedDict, total=False):
    """What a sub-agent may have, besides plugins."""

    model: str
    system: str
    response_schema: Any
    limits: Limits | None
    before_call: Callable[..., Any] | None
    on_success: Callable[..., Any] | None
    on_error: Callable[..., Any] | None


class AllAgentOptions(AgentOptions, total=False):
    """What a sub-agent may have."""

    plugins: Any


_CALLBACKS: Final = {"before_call": ("input",), "on_success": ("input", "answer"), "on_error": ("input", "error")}
"""What each may take."""

_FENCED: Final = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class SubAgent:
    """An agent that a prompt offers as a tool.

    Args:
        name: the tool's name.
        description: when to call it, for the model.
        input: what it is given, and so the tool's parameters: a pydantic model, a dataclass, a TypedDict, or a mapping
            of names to types.
        fn: its prompt function, called with the prompt and the input.
        model: the model it uses; empty for the one of the agent that calls it.
        system: what it is told before all that its prompt function defines.
        plugins: those of its prompt.
        response_schema: the type that its answer must fit.
        limits: what one call may use, besides what is left to the run that calls it; None for what agents may use.
        before_call: called with the input; it may return another, or a `ToolResult` that stands for the call; raising
            refuses the call.
        on_success: called with the input and the answer (what it is as ``response_schema``, or its text).
        on_error: called with the input and what its run ended in, or an `InvalidAnswer` where its answer does not fit;
            it may return a `ToolResult` that stands for the call.

    The three may be ``async``, take fewer arguments, and set the state of the prompt that offers the agent.

    Raises:
        PromptError: something of it is wrong.
    """

    name: str
    description: str
    input: Any
    fn: Callable[..., object]
    _: dataclasses.KW_ONLY
    model: str = ""
    system: str = ""
    plugins: Any = ()
    response_schema: Any = None
    limits: Limits | None = None
    before_call: Callable[..., Any] | None = None
    on_success: Callable[..., Any] | None = None
    on_error: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not TOOL_NAME.fits(self.name):
            raise PromptError(f"the name of a sub-agent is {self.name!r:.80}; use {TOOL_NAME.text}")
        require(
            PromptError,
            f"sub-agent {self.name!r}",
            description=(self.description, TEXT),
            model=(self.model, TEXT),
            system=(self.system, TEXT),
            before_call=(self.before_call, MAYBE_FUNCTION),
            on_success=(self.on_success, MAYBE_FUNCTION),
            on_error=(self.on_error, MAYBE_FUNCTION),
        )
        for callback in _CALLBACKS:
            function = getattr(self, callback)
            if function is not None and yields(function):
                raise PromptError(
                    f"sub-agent {self.name!r}: {callback} yields, and nothing of it would run: return instead"
                )
            self._required(callback)
        if self.limits is not None and not isinstance(self.limits, Limits):
            raise PromptError(f"sub-agent {self.name!r}: limits are Limits, not {type(self.limits).__name__}")
        _ = self.spec, self.output  # what is wrong with them is said where they are written

    @cached_property
    def spec(self) -> ToolSpec:
        """What the model is told of it.

        Raises:
            PromptError: the input has no schema.
        """
        return ToolSpec(self.name, self.description, self._input.schema)

    @cached_property
    def output(self) -> Output | None:
        """The type that its answer must fit, where there is one.

        Raises:
            PromptError: it has no schema.
        """
        if self.response_schema is None:
            return None
        try:
            return _output(self.response_schema)
        except Exception as error:
            raise PromptError(f"sub-agent {self.name!r}: response_schema has no schema: {error!s:.300}") from error

    def read(self, arguments: str | Mapping[str, Any]) -> Any:
        """The arguments of a call as the input.

        Raises:
            InvalidArguments: they do not fit; says how, for the model.
        """
        return self._input.read(self.name, arguments)

    def checked(self, given: Any) -> Any:
        """An input that a function has made.

        Raises:
            InvalidArguments: it does not fit; says how.
        """
        return self._input.checked(self.name, given)

    def answered(self, text: str) -> tuple[Any, str]:
        """An answer as ``response_schema``, and what is wrong with it; as it is where there is none. JSON is also found
        in a Markdown fence, with or without words around it.

        Raises:
            Exception: what a validator of the type raised.
        """
        if self.output is None:
            return text, ""
        value, problem = self.output.read(text)
        if problem:
            for fenced in _FENCED.finditer(text):
                inner, wrong = self.output.read(fenced[1])
                if not wrong:
                    return inner, ""
        return value, problem

    def bound(self, callback: str, *given: Any) -> Callable[[], Any] | None:
        """One of the three functions with as many arguments as it takes; None where there is none.

        Args:
            callback: its name.
            given: what it may take.
        """
        function = getattr(self, callback)
        if function is None:
            return None
        return partial(function, *given[: self._required(callback)])

    def _required(self, callback: str) -> int:
        """How many arguments one of the three functions is called with: as many as it requires.

        Raises:
            PromptError: it requires more than there are.
        """
        function, given = getattr(self, callback), _CALLBACKS[callback]
        if function is None:
            return 0
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # some that are written in C do not say
            return 1
        if any(one.kind is one.VAR_POSITIONAL for one in parameters):
            return len(given)
        required = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
        if len(required) > len(given) or any(one.kind is one.KEYWORD_ONLY for one in required):
            names = ", ".join(one.name for one in required)
            raise PromptError(
                f"sub-agent {self.name!r}: {callback} takes ({', '.join(given)}), or less; this requires ({names})"
            )
        return len(required)

    @property
    def _input(self) -> _Input:
        kind = self.input
        if isinstance(kind, Mapping):
            kind = tuple(kind.items())
        try:
            return _input_of(kind)
        except Exception as error:
            raise PromptError(
                f"sub-agent {self.name!r}: input is {self.input!r:.80}; give a pydantic model, a dataclass, a "
                f"TypedDict or a mapping of names to types ({error!s:.200})"
            ) from error


@dataclass(frozen=True, eq=False)
class SubAgents:
    """Sub-agents that one call asks side by side.

    Args:
        name: the tool's name.
        description: when to call it, for the model.
        members: they, each under its own name.
    """

    name: str
    description: str
    members: Sequence[SubAgent]

    def __post_init__(self) -> None:
        where = f"sub-agents {self.name!r:.80}"
        if not TOOL_NAME.fits(self.name):
            raise PromptError(f"the name of sub-agents is {self.name!r:.80}; use {TOOL_NAME.text}")
        require(PromptError, where, description=(self.description, TEXT))
        members = (
            tuple(self.members) if isinstance(self.members, Iterable) and not isinstance(self.members, str) else ()
        )
        if not members or not all(isinstance(one, SubAgent) for one in members):
            raise PromptError(f"{where}: give several SubAgent(…), in a list")
        names = [one.name for one in members]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise PromptError(f"{where}: two are called {twice!r}; give one of them another name")
        object.__setattr__(self, "members", members)

    def member(self, name: str) -> SubAgent | None:
        """The one of that name."""
        return next((one for one in self.members if one.name == name), None)

    @cached_property
    def spec(self) -> ToolSpec:
        """What the model is told of them: ``{"calls": [{"name", "args"}]}``."""
        return ToolSpec(self.name, self.description, calls_schema([one.spec for one in self.members]))


class _Input:
    """A type as the parameters of a tool."""

    def __init__(self, kind: Any) -> None:
        from pydantic import ConfigDict, TypeAdapter, create_model

        self._is_mapping = isinstance(kind, tuple)
        if isinstance(kind, tuple):
            fields: dict[str, Any] = {name: (one, ...) for name, one in kind}
            kind = create_model("input", __config__=ConfigDict(extra="forbid"), **fields)
        self._adapter: TypeAdapter[Any] = TypeAdapter(kind)
        self.schema = without_titles(self._adapter.json_schema())
        if self.schema.get("type") != "object":
            raise TypeError("it is no object")
        self.schema.pop("description", None)

    def read(self, name: str, arguments: str | Mapping[str, Any]) -> Any:
        from pydantic import ValidationError

        text = arguments if isinstance(arguments, str) else json.dumps(dict(arguments))
        try:
            read = self._adapter.validate_json(text.strip() or "{}")
        except ValidationError as error:
            raise InvalidArguments(explained(name, error, self.schema)) from None
        return dict(read) if self._is_mapping else read

    def checked(self, name: str, given: Any) -> Any:
        from pydantic import ValidationError

        try:
            read = self._adapter.validate_python(given)
        except ValidationError as error:
            raise InvalidArguments(explained(name, error, self.schema)) from None
        return dict(read) if self._is_mapping else read


@lru_cache(maxsize=256)
def _input_of(kind: Any) -> _Input:
    return _Input(kind)


@lru_cache(maxsize=256)
def _output(kind: Any) -> Output:
    return Output(kind)
