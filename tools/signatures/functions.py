"""What functions take, from their type hints and docstrings.

It is kept by the function's code: a function that is defined within another is made anew each time the other is called,
as tools of a prompt are before each step, and takes the same.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import types
import typing
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..context import CallContext, context_type
from ..errors import InvalidArguments, ToolDefinitionError
from .docs import Documentation, read_docstring
from .schema import Bound, explained, hints_of, name_of, read_hints, source_of, without_titles

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_MOST: Final = 4096
"""Pieces of code whose functions' shapes are kept."""

_VARIANTS: Final = 8
"""Shapes that are kept of one piece of code: its functions may have other annotations, or defaults, each time."""

_SIMPLE: Final = frozenset({str, int, float, bool, bytes, type(None)})
_MISSING: Final = object()


class FunctionSignature:
    """The signature of a function, from its type hints and its docstring.

    Args:
        function: a function, a bound method or a callable object; its parameters must be passable by keyword.
        frame: where it is defined; its string annotations may use the names there beside its module's.
        shape: what it takes, where that is known.

    Attributes:
        shape: what it takes, shared by all functions of the same code.

    Raises:
        ToolDefinitionError: it does not say what it takes, or that is ``*args`` or positional-only parameters, now; or,
            on first use, an annotation cannot be resolved or has no schema.
    """

    __slots__ = ("_function", "shape")

    def __init__(
        self, function: Callable[..., Any], frame: types.FrameType | None = None, shape: Shape | None = None
    ) -> None:
        self._function = function
        self.shape = _shape_of(function, frame) if shape is None else shape

    @property
    def documentation(self) -> Documentation:
        return self.shape.documentation

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.shape.built(self._function).schema

    @property
    def context(self) -> type[CallContext] | None:
        return (self.shape.ready or self.shape.built(self._function)).context

    @property
    def is_async(self) -> bool:
        """Whether calling the function blocks nobody."""
        return inspect.iscoroutinefunction(source_of(self._function))

    def bind(self, name: str, arguments: str | Mapping[str, Any]) -> Bound:
        built = self.shape.ready or self.shape.built(self._function)
        try:
            if isinstance(arguments, str):
                values = built.adapter.validate_json(arguments.strip() or "{}")
            else:
                values = built.adapter.validate_python(dict(arguments))
        except ValueError as error:
            from pydantic import ValidationError  # not before: each call would pay for it

            if not isinstance(error, ValidationError):
                raise
            raise InvalidArguments(explained(name, error, built.schema)) from None
        return Bound(values, functools.partial(self._function, **values))


@dataclass(frozen=True, slots=True)
class _Built:
    adapter: TypeAdapter[dict[str, Any]]
    schema: dict[str, Any]
    context: type[CallContext] | None


class Shape:
    """What functions of the same code take. It holds none of them: a closure may hold much.

    Args:
        function: one of them.
        hints: its type hints, where they are known already.

    Attributes:
        ready: see `built`; None as long as nobody has asked for it.
        made: for whoever makes something of such functions, to keep it beside, by its name.

    Raises:
        ToolDefinitionError: see `FunctionSignature`.
    """

    __slots__ = ("__weakref__", "_documentation", "_hints", "_signature", "_text", "made", "ready")

    def __init__(self, function: Callable[..., Any], hints: dict[str, Any] | None) -> None:
        self._hints = hints
        self.ready: _Built | None = None
        self._documentation: Documentation | None = None
        self.made: dict[str, Any] = {}
        try:
            self._signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise ToolDefinitionError(
                f"{name_of(function)} does not say what it takes; a tool is made of a function with type hints"
            ) from error
        for index, parameter in enumerate(self._signature.parameters.values()):
            if not index and parameter.name in ("self", "cls") and parameter.annotation is parameter.empty:
                name = getattr(function, "__name__", "…")
                raise ToolDefinitionError(
                    f"{name_of(function)} is a method, and of no object yet: make the tool where there is one, "
                    f"as in tool(risk=…)(self.{name}) in __init__"
                )
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise ToolDefinitionError(
                    f"{name_of(function)}: parameter {parameter.name!r} cannot be passed by name; "
                    "a tool's arguments come as a JSON object"
                )
        self._text = _text_of(function)

    @property
    def documentation(self) -> Documentation:
        """What the docstring says."""
        if self._documentation is None:
            self._documentation = read_docstring(self._text)
        return self._documentation

    def built(self, function: Callable[..., Any]) -> _Built:
        """What checks a call, and its schema.

        Args:
            function: any of them, to read its hints from.

        Raises:
            ToolDefinitionError: an annotation cannot be resolved or has no schema.
        """
        if self.ready is None:
            self.ready = self._build(function)
        return self.ready

    def _build(self, function: Callable[..., Any]) -> _Built:
        from pydantic import ConfigDict, PydanticUserError, TypeAdapter

        hints = self._hints if self._hints is not None else hints_of(function)
        described = self.documentation.parameters
        parameters: list[inspect.Parameter] = []
        context: type[CallContext] | None = None
        for index, parameter in enumerate(self._signature.parameters.values()):
            if (wanted := context_type(hints.get(parameter.name))) is not None:
                if index:
                    raise ToolDefinitionError(
                        f"{name_of(function)}: {parameter.name!r} is a {wanted.__name__}; make it the first parameter"
                    )
                context = wanted
                continue
            hint = _described(hints.get(parameter.name, Any), described.get(parameter.name))
            kind = parameter.kind if parameter.kind is parameter.VAR_KEYWORD else parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=kind, annotation=hint))

        def capture(**values: Any) -> dict[str, Any]:
            return values

        # pydantic validates a call against this stand-in, so that validating and calling are two steps:
        # between them come hooks, approval and the change of thread.
        capture.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        capture.__annotations__ = {p.name: p.annotation for p in parameters}
        try:
            adapter: TypeAdapter[dict[str, Any]] = TypeAdapter(
                typing.cast(Any, capture), config=ConfigDict(val_json_bytes="base64", ser_json_bytes="base64")
            )
        except (PydanticUserError, TypeError) as error:
            raise ToolDefinitionError(f"{name_of(function)}: no schema for its parameters: {error}") from error
        return _Built(adapter, without_titles(adapter.json_schema()), context)


def _described(hint: Any, documented: str | None) -> Any:
    """Attach a description: the one in ``Annotated`` wins, as a `Field` or as a plain string, then the docstring's."""
    from pydantic import Field
    from pydantic.fields import FieldInfo

    text = documented
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, FieldInfo) and extra.description:
            return hint
        if isinstance(extra, str):
            text = extra
    return typing.Annotated[hint, Field(description=text)] if text else hint


# -- one shape for all functions of the same code ----------------------------------------------------------------------


class _Names(NamedTuple):
    """What the string annotations of a function name, and what that meant.

    Args:
        local: names that the surroundings may have.
        known: all of them, in the module; what it lacks is Python's own.
        place: the code around the function, where it is defined within another.
    """

    local: tuple[tuple[str, Any], ...]
    known: tuple[tuple[str, Any], ...]
    place: weakref.ref[types.CodeType] | None

    def still_mean(self, source: types.FunctionType, frame: types.FrameType | None) -> bool:
        """Whether they mean the same to another function of the same code."""
        local, known, place = self
        if place is not None and (frame is None or frame.f_code is not place()):
            return False
        if local:
            assert frame is not None
            there = frame.f_locals
            if any(there.get(name, _MISSING) is not meant for name, meant in local):
                return False
        there = source.__globals__
        for name, meant in known:  # noqa: SIM110 - two names take 0.2 µs so, and 0.5 by a generator
            if there.get(name, _MISSING) is not meant:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Variant:
    """A shape, and what it depends on besides the code."""

    bound: bool
    defaults: tuple[Any, ...] | None
    named_defaults: dict[str, Any] | None
    annotations: dict[str, Any]
    text: str | None
    names: _Names | None
    shape: Shape

    def fits(self, source: types.FunctionType, bound: bool, text: str | None, frame: types.FrameType | None) -> bool:
        """Whether another function of the same code has it."""
        defaults, named_defaults, names = self.defaults, self.named_defaults, self.names
        given, named = source.__defaults__, source.__kwdefaults__
        return (
            bound is self.bound
            and text == self.text
            and (given is defaults or _are_same(given or (), defaults or ()))
            and (named is named_defaults or _are_same(_items(named), _items(named_defaults)))
            and source.__annotations__ == self.annotations
            and (names is None or names.still_mean(source, frame))
        )


_kept: dict[int, tuple[weakref.ref[types.CodeType], list[Variant]]] = {}
"""By the identity of the code: its hash would be made of all that is in it."""

_by_function: weakref.WeakKeyDictionary[Any, Shape] = weakref.WeakKeyDictionary()


def shapes_of(function: types.FunctionType) -> Iterable[Variant]:
    """The shapes of functions of the same code that were looked at before.

    Args:
        function: no method, and nothing else that can be called.
    """
    entry = _kept.get(id(function.__code__))
    return () if entry is None else entry[1]


def _shape_of(function: Callable[..., Any], frame: types.FrameType | None) -> Shape:
    source = function if type(function) is types.FunctionType else source_of(function)
    if type(source) is not types.FunctionType:
        return Shape(function, None)
    if (own := source.__dict__) and ("__wrapped__" in own or "__signature__" in own):
        return _shape_by_function(function, source, frame)  # the code of a wrapper says nothing of what it takes
    code, bound = source.__code__, source is not function
    text = _text_of(function) if bound else source.__doc__
    entry = _kept.get(id(code))
    for variant in entry[1] if entry is not None else ():
        try:
            if variant.fits(source, bound, text, frame):
                return variant.shape
        except Exception:  # somebody's own annotation cannot be compared
            continue
    is_written = any(isinstance(hint, str) for hint in source.__annotations__.values())
    names = _names_of(source, frame) if is_written else None
    if is_written and names is None:
        return _shape_by_function(function, source, frame)
    shape = Shape(function, _local_hints(source, frame))
    if entry is None:
        key = id(code)
        while len(_kept) >= _MOST:
            _kept.pop(next(iter(_kept)), None)
        entry = _kept[key] = (weakref.ref(code, lambda _: _kept.pop(key, None)), [])
    variant = Variant(
        bound, source.__defaults__, source.__kwdefaults__, dict(source.__annotations__), text, names, shape
    )
    entry[1][_VARIANTS - 1 :] = ()
    entry[1].insert(0, variant)
    return shape


def _shape_by_function(
    function: Callable[..., Any], source: types.FunctionType, frame: types.FrameType | None
) -> Shape:
    shape = _by_function.get(source) if source is function else None
    if shape is None:
        shape = Shape(function, _local_hints(source, frame))
        if source is function:
            _by_function[source] = shape
    return shape


def _is_local(source: types.FunctionType) -> bool:
    return "<locals>" in source.__qualname__


def _local_hints(source: types.FunctionType, frame: types.FrameType | None) -> dict[str, Any] | None:
    """The hints of a function whose string annotations may name what is local where it is defined: seen only now."""
    if frame is None or not _is_local(source):
        return None
    if not any(isinstance(hint, str) for hint in source.__annotations__.values()):
        return None
    return read_hints(source, frame.f_locals, tolerant=True)


def _names_of(source: types.FunctionType, frame: types.FrameType | None) -> _Names | None:
    """What string annotations name; None where that cannot be told, or something is not there yet."""
    found: set[str] = set()
    for hint in source.__annotations__.values():
        if isinstance(hint, str):
            try:
                _collect(ast.parse(hint, mode="eval").body, found)
            except (SyntaxError, LookupError):
                return None
    there = source.__globals__
    known = tuple((name, there.get(name, _MISSING)) for name in sorted(found))
    local: tuple[tuple[str, Any], ...] = ()
    place = None
    if frame is not None and _is_local(source):
        code, around = frame.f_code, frame.f_locals
        place = weakref.ref(code)
        if code.co_flags & inspect.CO_OPTIMIZED:  # a function: its names are known, and looking at them all is slow
            found &= {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
        local = tuple((name, around.get(name, _MISSING)) for name in sorted(found))
    meant = {name for name, value in (*known, *local) if value is not _MISSING}
    return _Names(local, known, place) if all(name in meant or hasattr(builtins, name) for name, _ in known) else None


def _collect(node: ast.expr, found: set[str]) -> None:
    """The names in an annotation.

    Raises:
        LookupError: there is an annotation in it that is a string again.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        raise LookupError(node.value)
    if isinstance(node, ast.Subscript):
        _collect(node.value, found)
        name = getattr(node.value, "id", getattr(node.value, "attr", ""))
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for index, item in enumerate(items):
            if name == "Literal" or (name == "Annotated" and index):
                found.update(inner.id for inner in ast.walk(item) if isinstance(inner, ast.Name))
            else:
                _collect(item, found)
        return
    if isinstance(node, ast.Name):
        found.add(node.id)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _collect(child, found)


def _items(named: Mapping[str, Any] | None) -> tuple[Any, ...]:
    return tuple(part for item in named.items() for part in item) if named else ()


def _are_same(ones: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Whether defaults are the same: identical, or equal where nothing but the value counts."""
    if len(ones) != len(others):
        return False
    for one, other in zip(ones, others, strict=True):
        if one is not other and (type(one) is not type(other) or not _is_equal(one, other)):
            return False
    return True


def _is_equal(one: Any, other: Any) -> bool:
    kind = type(one)
    if kind in _SIMPLE:
        return bool(one == other)
    if kind is tuple or kind is list:
        return _are_same(tuple(one), tuple(other))
    return kind is dict and _are_same(_items(one), _items(other))


def _text_of(function: Callable[..., Any]) -> str | None:
    described: Any = function.func if isinstance(function, functools.partial) else function
    return (described if inspect.isroutine(described) else type(described)).__doc__
