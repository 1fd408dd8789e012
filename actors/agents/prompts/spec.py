"""A prompt function, checked: what it takes, and the class of what it is given."""

from __future__ import annotations

import inspect
import types
import typing
import weakref
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from ....tools.signatures.schema import body_of, name_of, yields
from ..errors import PromptError, an

_MOST_TAKEN: Final = 4096


class PromptSpec(NamedTuple):
    """A prompt function that fits what it is given.

    Args:
        fn: it.
        kind: the class of its prompt: `Prompt`, or what its plugins give.
        name: its name, for errors.
        file, line: where it stands.
    """

    fn: Callable[..., Any]
    kind: type[Any]
    name: str
    file: str
    line: int


def specified(fn: object, plugins: object, whose: str, base: type[Any], takes: int) -> PromptSpec:
    """Look at a prompt function.

    Args:
        fn: it.
        plugins: a subclass of ``base``, or several.
        whose: it is, for errors.
        base: the class of a prompt without plugins.
        takes: how many arguments it is called with; the first is the prompt.

    Raises:
        PromptError: it cannot be called so, or does not fit the plugins.
    """
    if not callable(fn) or isinstance(fn, type):
        raise PromptError(f"{whose}: a prompt function is a function that takes the prompt, not {fn!r:.80}")
    name = name_of(fn)
    where = f"{whose}: {name}"
    body = body_of(fn)
    if yields(body):
        raise PromptError(f"{where} yields; a prompt function returns, and defines with the methods of its prompt")
    given = _given(plugins, whose, base)
    kind = _combined(given, whose, base)
    first = _first_parameter(fn, where, takes)
    wanted = typing.get_origin(first) or first
    if isinstance(wanted, type) and wanted is not types.UnionType and not issubclass(kind, wanted):
        if not issubclass(wanted, base):
            raise PromptError(f"{where} takes {an(wanted)}; its first parameter is the prompt: {base.__name__}")
        if not set(wanted.__bases__) <= set(given):
            raise PromptError(
                f"{where} takes {an(wanted)}, and its plugins give {an(kind)}: give plugins={wanted.__name__}"
            )
        # A class made of the plugins, for the annotation: it is the one that is made, with what else is given.
        more = [one for one in given if not issubclass(wanted, one)]
        kind = _combined(_given([wanted, *more], whose, base), whose, base)
    code = getattr(getattr(body, "__func__", body), "__code__", None)
    return PromptSpec(fn, kind, name, code.co_filename if code else "", code.co_firstlineno if code else 0)


def _given(plugins: object, whose: str, base: type[Any]) -> tuple[type[Any], ...]:
    alone = isinstance(plugins, type | str) or not isinstance(plugins, Iterable) or typing.get_origin(plugins)
    several: tuple[Any, ...] = (plugins,) if alone else tuple(cast(Iterable[Any], plugins))
    given = tuple(typing.get_origin(plugin) or plugin for plugin in several)  # of a generic one what it is made of
    for plugin in given:
        if not isinstance(plugin, type) or not issubclass(plugin, base):
            raise PromptError(f"{whose}: a plugin is a subclass of {base.__name__}, not {plugin!r:.80}")
        if any("__init__" in vars(one) for one in plugin.__mro__[: plugin.__mro__.index(base)]):
            raise PromptError(
                f"{whose}: the plugin {plugin.__name__} has an __init__; write methods, and keep what must be kept in "
                "self.state(…)"
            )
    return given


def _combined(given: tuple[type[Any], ...], whose: str, base: type[Any]) -> type[Any]:
    if len(given) < 2:
        return given[0] if given else base
    try:
        return _joined(given)
    except TypeError as error:
        names = ", ".join(plugin.__name__ for plugin in given)
        raise PromptError(f"{whose}: the plugins {names} do not fit together in this order: {error}") from error


@lru_cache(maxsize=256)
def _joined(plugins: tuple[type[Any], ...]) -> type[Any]:
    return type("+".join(plugin.__name__ for plugin in plugins), plugins, {"__slots__": ()})


class _Taken(NamedTuple):
    """What was found out about functions of one code: a sub-agent's is made anew in each step."""

    code: weakref.ref[types.CodeType]
    annotations: dict[str, Any]
    defaults: int
    takes: int
    first: Any


_taken: dict[int, _Taken] = {}


def _first_parameter(fn: Callable[..., Any], where: str, takes: int) -> Any:
    """What a function's first parameter is annotated with, as far as that can be known."""
    if type(fn) is not types.FunctionType or fn.__dict__:
        return _read(fn, where, takes)
    key, annotations, defaults = id(fn.__code__), fn.__annotations__, len(fn.__defaults__ or ())
    known = _taken.get(key)
    if known is not None and known[1:4] == (annotations, defaults, takes) and not fn.__kwdefaults__:
        return known.first
    first = _read(fn, where, takes)
    if len(_taken) < _MOST_TAKEN and not fn.__kwdefaults__:
        code = weakref.ref(fn.__code__, lambda _: _taken.pop(key, None))
        _taken[key] = _Taken(code, dict(annotations), defaults, takes, first)
    return first


def _read(fn: Callable[..., Any], where: str, takes: int) -> Any:
    wanted = "(prompt)" if takes == 1 else "(prompt, input)"
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError) as error:
        raise PromptError(f"{where} does not say what it takes; a prompt function takes {wanted}") from error
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = [
        one for one in parameters if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    several = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    if (
        len(required) > takes
        or any(one not in positional for one in required)
        or (len(positional) < takes and not several)
    ):
        names = ", ".join(one.name for one in parameters)
        method = "; in a class it is a method with self before it, or a staticmethod" if inspect.ismethod(fn) else ""
        raise PromptError(f"{where} takes ({names}); a prompt function takes {wanted}{method}")
    if not positional:
        return None
    hint = positional[0].annotation
    if isinstance(hint, str):
        source = body_of(inspect.unwrap(fn))
        try:
            hint = typing.get_type_hints(getattr(source, "__func__", source)).get(positional[0].name)
        except Exception:  # it names what is local where it was defined: mypy has looked at that
            return None
    return None if hint is Any or hint is inspect.Parameter.empty else hint  # both are classes
