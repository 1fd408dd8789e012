"""Tools made from functions."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping
from copy import copy
from types import FrameType, FunctionType
from typing import Any, Final, NamedTuple, Unpack, final, get_origin, overload

from ..providers.checks import FLAG, MAYBE_FUNCTION, require
from ..providers.messages import ToolSpec
from .calls.invocation import Invocation
from .context import CallContext
from .errors import ToolDefinitionError
from .signatures.functions import FunctionSignature, Shape, shapes_of
from .signatures.returned import ANYTHING, Returned
from .signatures.schema import Bound, Signature, body_of, hints_of, yields
from .tool import Tool, ToolOptions, check_options

_NO_HOOKS: Final[Mapping[str, None]] = {"_before_call": None, "_on_success": None, "_on_error": None}
_HOOKS: Final = frozenset(("preview", *(name.removeprefix("_") for name in _NO_HOOKS)))

_NONE: Final[Mapping[str, Any]] = {}

_new: Final = tuple.__new__  # 0.13 µs, and the class of a named tuple takes 0.23

_MOST_ALIKE: Final = 256
"""Tools of one piece of code that are kept, by their names: a loop may make many."""


class FunctionTool(Tool):
    """A tool made from a function; calling it calls the function."""

    def __init__(
        self, function: Callable[..., Any], signature: Signature, *, process: bool = False, **options: Any
    ) -> None:
        super().__init__(signature, **options)
        require(ToolDefinitionError, f"tool {self.name!r}", process=(process, FLAG))
        self.function = function
        self.__doc__ = function.__doc__
        self._place = None
        if process:
            if not self._sync:
                raise ToolDefinitionError(f"tool {self.name!r}: what runs in a process of its own is a plain `def`")
            from .processes import place_of  # not at the top: few need it

            self._place = place_of(function)

    @property
    def context(self) -> type[CallContext] | None:
        wanted = self._signature.context
        if wanted is not None and self._place is not None:
            raise ToolDefinitionError(
                f"tool {self.name!r} runs in a process of its own, where its call's {wanted.__name__} cannot follow"
            )
        return wanted

    def _returned(self) -> Returned:
        declared = super()._returned()
        if declared is not ANYTHING:
            return declared
        from pydantic import PydanticUserError, TypeAdapter

        try:
            hint = hints_of(self.function).get("return", Any)
            return Returned(hint, TypeAdapter(hint).json_schema(mode="serialization"))
        except (ToolDefinitionError, PydanticUserError, TypeError, ValueError, AttributeError):
            return ANYTHING  # an annotation that nobody needs for the call itself

    def _call(self, bound: Bound, context: CallContext | None, invocation: Invocation) -> Coroutine[Any, Any, Any]:
        if self._place is None:
            return super()._call(bound, context, invocation)
        from .processes import in_process

        return in_process(self._place, self.function, bound.values, invocation)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def without_function(self) -> FunctionTool:
        """A tool like this one that holds nothing of the function, to make others of."""
        made = FunctionTool.__new__(FunctionTool)
        made.__dict__ = {**self.__dict__, "function": None, "_signature": None, **_NO_HOOKS}
        made.__dict__.pop("_preview", None)
        return made

    def made_again(
        self, function: Callable[..., Any], signature: FunctionSignature, hooks: Mapping[str, Any]
    ) -> FunctionTool:
        """A tool like this one, of another function of the same shape.

        Args:
            function: it.
            signature: its signature.
            hooks: the tool's own, by the names of their options.
        """
        made = FunctionTool.__new__(FunctionTool)
        own = made.__dict__ = self.__dict__.copy()
        own["function"], own["_signature"] = function, signature
        if hooks:
            own.update((f"_{name}", hook) for name, hook in hooks.items())
        return made


@final
class Alike(NamedTuple):
    """A tool that is not made yet: of many that are offered few are called. 0.1 µs, and the tool takes 0.7.

    Args:
        like: a tool like it, of another function.
        function: its own.
        shape: what both take.
        hooks: its own, by the names of their options.
    """

    like: FunctionTool
    function: Callable[..., Any]
    shape: Shape
    hooks: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The tool's."""
        return self.like.name

    @property
    def spec(self) -> ToolSpec:
        """The tool's; see `Tool.spec`."""
        return self.like._known.spec or self.made().spec

    def made(self) -> FunctionTool:
        """The tool."""
        like, function, shape, hooks = self
        return like.made_again(function, FunctionSignature(function, shape=shape), hooks)


class FunctionOptions(ToolOptions, total=False):
    """The options that the declaration of a function may set."""

    process: bool


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(**options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], FunctionTool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a tool: ``@tool``, or ``@tool(name=…, risk=…)`` with any option of `Tool`.

    What it returns is shown to the model as text (JSON where it is none); an `Image`, `File`, `Audio` or `Text`, the
    bytes of a picture or a PDF, or a list or tuple with such in it, as what it is. Bytes that it takes come as base64.

    Type hints become the JSON schema; the docstring (Google, NumPy or Sphinx style) becomes the description and the
    parameters' descriptions. A plain ``def`` runs in a thread, an ``async def`` in the loop.

    With ``process=True`` a plain ``def`` at the top of a module runs in a process of its own: for what computes in
    Python, which in a thread would hold up the loop. It is killed when its time is up or its caller gives up. What it
    takes and returns is pickled; it sees no context variables, and nothing of what this process has in memory.

    Three hooks stand around each call: ``before_call(arguments)``, ``on_success(arguments, result)`` and
    ``on_error(arguments, error)``, with the arguments as a dictionary; plain functions or ``async``. Each may return a
    `ToolResult` that stands for the call's, ``before_call`` also other arguments; None leaves all as it is.
    ``preview(arguments)`` says what a call would change, for whoever is to approve it.

    Raises:
        ToolDefinitionError: the name or an option is wrong, or a parameter cannot be passed by name.
    """
    if function is None:
        check_options(options, FunctionOptions, "a tool")
        return lambda function: made_tool(function, options, sys._getframe(1))
    return made_tool(function, options, sys._getframe(1))


def as_tool(declared: Tool | type | Callable[..., Any]) -> Tool:
    """Return what is meant where a tool may be a `Tool`, a `BaseTool` class, or a function with type hints.

    Raises:
        ToolDefinitionError: it is none of them.
    """
    if isinstance(declared, Tool):
        return declared
    made = getattr(declared, "as_tool", None) if isinstance(declared, type) else None
    if made is not None:
        result: Tool = made()
        return result
    if _is_type(declared) or not callable(declared):
        raise ToolDefinitionError(f"{declared!r:.80} is no tool: use @tool, a BaseTool class, or a function")
    return tool(declared)


def _is_type(given: object) -> bool:
    """Whether something is a type, also one with arguments: ``list[int]``. Both can be called."""
    return isinstance(given, type) or get_origin(given) is not None


def made_tool(function: Callable[..., Any], options: dict[str, Any], frame: FrameType | None) -> FunctionTool:
    """Make a function a tool.

    Args:
        function: it.
        options: those of the declaration.
        frame: where it stands: string annotations of a nested function may name what is local there.

    Raises:
        ToolDefinitionError: it cannot be one, or an option is wrong.
    """
    known = known_tool(function, options, frame) if type(function) is FunctionType else None
    made = known or offered_tool(function, options, frame)
    return made.made() if isinstance(made, Alike) else made


def known_tool(function: FunctionType, options: dict[str, Any], frame: FrameType | None) -> Alike | None:
    """What makes a tool, where one of the same code and options, and that takes the same, was made before.

    Of the tools of a prompt each is, in each step but its first: by `offered_tool` it takes 1.7 µs, and so 1.0.
    """
    if function.__dict__:  # it may be a wrapper, whose code says nothing of what it takes
        return None
    name = options.get("name", function.__name__)
    for variant in shapes_of(function):
        shape = variant.shape
        kept = shape.made.get(name) if type(name) is str else None
        if (
            kept is None
            or kept[0] != options  # also where there are hooks among them
            or variant.bound
            or function.__defaults__ is not variant.defaults
            or function.__kwdefaults__ is not variant.named_defaults
            or function.__doc__ != variant.text
        ):
            continue
        names = variant.names
        try:
            if function.__annotations__ == variant.annotations and (names is None or names.still_mean(function, frame)):
                return _new(Alike, (kept[1], function, shape, _NONE))
        except Exception:  # somebody's own annotation cannot be compared
            continue
    return None


def offered_tool(
    function: Callable[..., Any], options: dict[str, Any], frame: FrameType | None
) -> FunctionTool | Alike:
    """What `made_tool` makes, or, where a tool of the same code and options was made before, what makes it when it is
    called."""
    if type(function) is not FunctionType and (not callable(function) or _is_type(function)):
        raise ToolDefinitionError(f"a tool is made of a function, not of {function!r:.80}")
    signature = FunctionSignature(function, frame)
    if (made := _alike(function, signature.shape, options)) is not None:
        return made
    check_options(options, FunctionOptions, "a tool")
    target = body_of(function)
    if yields(target):
        raise ToolDefinitionError(f"{target.__qualname__}: a tool returns its result, it does not yield")
    default = getattr(function, "__name__", "")
    name = options.get("name", default)
    fixed = _fixed(options)
    options = {"name": default or getattr(target, "__name__", ""), **options}
    first = FunctionTool(function, signature, sync=not inspect.iscoroutinefunction(target), **options)
    if not options.get("process"):
        alike = signature.shape.made
        while len(alike) >= _MOST_ALIKE:
            alike.pop(next(iter(alike)), None)
        # A list of scopes may be changed, and given again.
        as_given = {name: copy(option) if isinstance(option, list | set) else option for name, option in fixed.items()}
        alike[name] = (as_given, first.without_function())
    return first


def _alike(function: Callable[..., Any], shape: Shape, options: dict[str, Any]) -> Alike | None:
    """A tool of a function like another one that was made before, if one was.

    Raises:
        ToolDefinitionError: a hook is no function.
    """
    name = options["name"] if "name" in options else getattr(function, "__name__", "")
    kept = shape.made.get(name) if isinstance(name, str) else None
    if kept is None:
        return None
    if _HOOKS.isdisjoint(options):
        return Alike(kept[1], function, shape, _NONE) if kept[0] == options else None
    if kept[0] != _fixed(options):
        return None
    hooks = {name: option for name, option in options.items() if name in _HOOKS}
    require(ToolDefinitionError, f"tool {name!r}", **{n: (hook, MAYBE_FUNCTION) for n, hook in hooks.items()})
    return Alike(kept[1], function, shape, hooks)


def _fixed(options: dict[str, Any]) -> dict[str, Any]:
    """The options that tools of the same code share."""
    return {name: option for name, option in options.items() if name not in _HOOKS}
