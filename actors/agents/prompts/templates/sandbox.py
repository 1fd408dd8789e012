"""The jinja2 environment of a folder's templates: sandboxed, bounded, nothing escaped and nothing left undefined."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
    MethodWrapperType,
)
from typing import Any, cast

from jinja2 import FunctionLoader, StrictUndefined, nodes, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from ...errors import an
from . import bounds

_LEFT_OUT = frozenset({"pprint", "random", "striptags", "urlize", "xmlattr"})
"""Filters that make a text differ from render to render, or are for HTML or debugging alone and cannot be bounded."""
_NOT_WRITTEN = frozenset(
    {
        "abs",
        "attr",
        "batch",
        "count",
        "d",
        "default",
        "dictsort",
        "first",
        "float",
        "groupby",
        "int",
        "items",
        "last",
        "length",
        "list",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "reverse",
        "round",
        "select",
        "selectattr",
        "slice",
        "sort",
        "sum",
        "unique",
    }
)
"""Filters that do not write what they are used on."""
_COMPARED = frozenset({"dictsort", "groupby", "max", "min", "sort", "unique"})
"""Filters that compare what they are used on, as deep as it goes."""


_FUNCTIONS = (FunctionType, MethodType, BuiltinFunctionType, MethodWrapperType, Macro)


class Unwritable(Exception):
    """A value that is no text and cannot be made one; the text says what it is."""


@pass_eval_context
def _write(_: Any, value: Any) -> str:
    """What stands in place of ``{{ value }}``."""
    if isinstance(value, CoroutineType | GeneratorType | AsyncGeneratorType):
        raise Unwritable(f"{an(type(value))} cannot be written: give a template what it yields")
    if isinstance(value, _FUNCTIONS):  # ``order.items`` is a method of a dict, whatever entries it has
        name = value.name if isinstance(value, Macro) else value.__name__
        raise Unwritable(f"a function cannot be written: call {name}(), or write […] for an entry of that name")
    bounds.weigh(value)
    text = str(value)
    bounds.spent.get().write(len(text))
    return text


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment for the templates of one folder.

    Args:
        pieces: texts that may be included and imported, by their names.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, pieces: Mapping[str, str]) -> None:
        self.words: set[str] = set()
        """Names that stand in the templates: only these may be named when something is undefined."""
        super().__init__(
            undefined=_undefined(self.words),
            loader=FunctionLoader(lambda name: (pieces[name], name, lambda: True) if name in pieces else None),
            autoescape=False,
            keep_trailing_newline=True,  # a piece that is included on a line of its own makes whole lines
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_write,
            optimized=False,  # nothing of a template is carried out before it is bounded
            cache_size=-1,
        )
        del self.globals["lipsum"]
        self.globals["range"] = bounds.ranged
        self.filters = {name: _bounded(name, work) for name, work in self.filters.items() if name not in _LEFT_OUT}
        self.filters["tojson"] = _tojson
        self.tests = {name: _weighed(cast(Callable[..., Any], work)) for name, work in self.tests.items()}

    tick = staticmethod(bounds.tick)

    @staticmethod
    def weighed(value: Any) -> Any:
        """The value, looked at as a whole before it is compared."""
        bounds.weigh(value, None)
        return value

    @staticmethod
    def sliced(value: Any) -> Any:
        """The value, before a part of it is copied."""
        if isinstance(value, str | list | tuple):
            bounds.spent.get().work(1 + len(value) // (1000 if isinstance(value, str) else 10))
        return value

    @staticmethod
    def joined(*parts: Any) -> str:
        """``a ~ b``."""
        bounds.weigh(list(parts))
        return "".join(map(str, parts))

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        counted = _Counting().visit(source)
        counted.set_environment(self)
        return super()._generate(counted, *args, **options)

    def call(__self, __context: Context, __called: Any, *args: Any, **options: Any) -> Any:  # noqa: N805
        if id(__called) in _OWN:
            return __called(*args)
        bounds.check_call(__called, (*args, *options.values()))
        return bounds.measure(super().call(__context, __called, *args, **options))

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, tuple):
            bounds.weigh(argument, None)  # its hash is made of all that is in it
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        bounds.check_operator(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is not None:
            raise SecurityError("str.format")
        return None


_OWN = frozenset(map(id, (bounds.tick, Sandbox.weighed, Sandbox.sliced, Sandbox.joined)))


def _undefined(words: Collection[str]) -> type[StrictUndefined]:
    class Missing(StrictUndefined):
        __slots__ = ()

        @property
        def _undefined_message(self) -> str:
            name = self._undefined_name
            # What stands in brackets may be a value, and values are never shown.
            return f"{name!r} is not there" if name in words else "a value that is not there is used"

    return Missing


class _Counting(NodeTransformer):
    """Puts the counting into a template, where it repeats or joins something."""

    def visit_Template(self, node: Any) -> Any:  # noqa: N802
        self.generic_visit(node)
        node.body.insert(
            0, nodes.ExprStmt(_call("tick", [nodes.Const(_own_text(node.body))], node), lineno=node.lineno)
        )
        return node

    visit_Macro = visit_CallBlock = visit_Template  # noqa: N815

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        self.visit_Template(node)
        if node.test is not None:
            node.test = nodes.And(_call("tick", [nodes.Const(0)], node), node.test, lineno=node.lineno)
        return node

    def visit_Operand(self, node: Any) -> Any:  # noqa: N802
        self.generic_visit(node)
        node.expr = _call("weighed", [node.expr], node)
        return node

    visit_Compare = visit_Operand  # noqa: N815

    def visit_Pair(self, node: nodes.Pair) -> nodes.Pair:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.key, nodes.Const):
            node.key = _call("weighed", [node.key], node)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _call("sliced", [node.node], node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("joined", node.nodes, node)


def _call(name: str, given: list[nodes.Expr], where: nodes.Node) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), given, [], None, None, lineno=where.lineno)


def _own_text(body: list[nodes.Node]) -> int:
    """How many characters a body writes of its own, without what its loops and macros count themselves."""
    size = 0
    for node in body:
        if isinstance(node, nodes.TemplateData):
            size += len(node.data)
        elif not isinstance(node, nodes.For | nodes.Macro | nodes.CallBlock):
            size += _own_text(list(node.iter_child_nodes()))
    return size


def _bounded(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(work)
    def bounded(*given: Any, **options: Any) -> Any:
        at = 1 if hasattr(work, "jinja_pass_arg") else 0
        value, more = given[at], (*given[at + 1 :], *options.values())
        if name in ("join", "string") and hasattr(value, "__next__"):
            value = list(value)
            given = (*given[:at], value, *given[at + 1 :])
        if name in _COMPARED:
            bounds.weigh(value, None)
        elif name not in _NOT_WRITTEN:
            bounds.weigh(value)
        elif isinstance(value, list | tuple | dict | str):
            bounds.spent.get().work(1 + len(value) // (1000 if isinstance(value, str) else 1))
        for item in more:
            bounds.weigh(item)
        bounds.check_filter(name, value, more)
        return bounds.measure(work(*given, **options))

    return bounded


def _weighed(work: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(work)
    def weighed(*given: Any, **options: Any) -> Any:
        for item in given:
            bounds.weigh(item, None)
        return work(*given, **options)

    return weighed


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON as it is: jinja2's own writes ``<`` and quotes for HTML, which models are not."""
    bounds.check_filter("tojson", value, (indent,))
    bounds.weigh(value)
    if indent is None:
        return bounds.measure(json.dumps(value, ensure_ascii=False, allow_nan=False))  # type: ignore[no-any-return]
    written, size = [], 0
    for part in json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=indent).iterencode(value):
        size += len(part)
        bounds.fits(size)
        bounds.spent.get().work(2)
        written.append(part)
    return "".join(written)
