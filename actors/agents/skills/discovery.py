"""Skills by their names: those that come with the library, and those that installed packages declare.

A package declares what makes a skill in its ``pyproject.toml``::

    [project.entry-points."callboard.skills"]
    weather = "my_package.weather:Weather"

What is named there is a `Skill`, a class of them, or a function that is annotated to return one. What it takes are the
skill's settings: pydantic checks them against its annotations, or against the one pydantic model that it takes.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from ..errors import DefinitionError, UnknownSkill, named
from .skill import Skill

GROUP: Final = "callboard.skills"

BUILT_IN: Final[Mapping[str, str]] = {}
"""The skills that come with the library, by name: module in `builtin`, and what makes it there."""


class WrongSettings(DefinitionError):
    """What a skill was to be made with does not fit.

    Args:
        text: what was expected.
        at: the way to it in the settings.
    """

    def __init__(self, text: str, *at: str | int) -> None:
        super().__init__(text)
        self.at = at


def known_skills() -> dict[str, str]:
    """The names of the skills that `find_skill` finds, each with what it comes from: ``callboard``, or the package that
    declares it."""
    declared = {name: ", ".join(_origins(found)) for name, found in _declared().items()}
    return {**declared, **dict.fromkeys(BUILT_IN, "callboard")}


def find_skill(name: str, /, **settings: Any) -> Skill:
    """A skill by its name: one that comes with the library, or that an installed package declares.

    Args:
        name: its.
        settings: what it is made with; checked by pydantic.

    Raises:
        UnknownSkill: there is none of that name.
        DefinitionError: two packages declare one of that name, importing it fails, or the settings do not fit.
    """
    if name in BUILT_IN:
        module, _, maker = BUILT_IN[name].partition(":")
        found = importlib.import_module(f".builtin.{module}", __package__)
        return made_skill(getattr(found, maker), settings, name)
    declared = _declared()
    if name not in declared:
        near = difflib.get_close_matches(name, {*declared, *BUILT_IN}, 1)
        there = ", ".join(sorted({*declared, *BUILT_IN})) or "none"
        raise UnknownSkill(
            f"no skill is called {name!r:.80}" + (f"; did you mean {near[0]!r}?" if near else f"; there are: {there}")
        )
    if len(declared[name]) > 1:
        raise DefinitionError(f"the skill {name!r} is declared by {' and by '.join(_origins(declared[name]))}")
    (entry,) = declared[name]
    try:
        maker = entry.load()
    except (Exception, SystemExit) as error:  # whatever the module does
        where = f"{entry.value}, which {_origins([entry])[0]} declares"
        raise DefinitionError(f"the skill {name!r} ({where}) cannot be imported: {named(error)}") from error
    return made_skill(maker, settings, name)


def made_skill(maker: Any, settings: Mapping[str, Any], name: str) -> Skill:
    """A skill, made with settings.

    Args:
        maker: a `Skill`, a class of them, or a function that is annotated to return one.
        settings: plain data.
        name: for errors.

    Raises:
        WrongSettings: they do not fit what it takes.
        DefinitionError: it makes no skill, or raises.
    """
    if isinstance(maker, Skill):
        if settings:
            raise WrongSettings(f"the skill {name} takes no settings", next(iter(settings)))
        return maker
    if not _makes_skills(maker):
        kind = "a class" if isinstance(maker, type) else f"a value of type {type(maker).__name__}"
        also = "a class of skills will do, and a function that is annotated to return one"
        raise DefinitionError(f"expected a Skill; {name} is {kind}; {also}")
    given = _fitting(maker, settings, name)
    try:
        made = maker(*given) if isinstance(given, tuple) else maker(**given)
    except DefinitionError:
        raise
    except Exception as error:
        raise DefinitionError(f"the skill {name} cannot be made: {named(error)}") from error
    if not isinstance(made, Skill):
        raise DefinitionError(f"expected a Skill; {name} makes a value of type {type(made).__name__}")
    return made


def _makes_skills(maker: Any) -> bool:
    """Whether that is what it is for: nothing else is called to find out what it returns."""
    if isinstance(maker, type):
        return issubclass(maker, Skill)
    try:
        hint = typing.get_type_hints(maker).get("return")
    except (TypeError, NameError, AttributeError):
        return False
    return isinstance(hint, type) and issubclass(hint, Skill)


def _fitting(maker: Callable[..., Any], settings: Mapping[str, Any], name: str) -> tuple[Any] | dict[str, Any]:
    """Settings as what makes a skill takes them: one model, or arguments by name."""
    from pydantic import BaseModel, ConfigDict, PydanticUserError, ValidationError, create_model

    body = maker.__init__ if isinstance(maker, type) else maker
    try:
        hints = typing.get_type_hints(body)
        parameters = [
            each
            for each in inspect.signature(maker).parameters.values()
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        ]
        kinds = [hints.get(each.name, Any) for each in parameters]
        alone = len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel)
        model: type[BaseModel] = (
            kinds[0]
            if alone
            else create_model(
                f"{name} settings",
                __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=()),
                **{
                    each.name: (kind, ... if each.default is each.empty else each.default)
                    for each, kind in zip(parameters, kinds, strict=True)
                },
            )
        )
    except (TypeError, ValueError, NameError, PydanticUserError) as error:
        raise DefinitionError(f"the skill {name} does not say what it takes: {named(error)}") from error
    try:
        read = model.model_validate(dict(settings))
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _wrong(name, problem, model.model_fields) from None
    return (read,) if alone else {each: getattr(read, each) for each in read.model_fields_set}


def _wrong(name: str, problem: Any, there: Iterable[str]) -> WrongSettings:
    """What pydantic found, without what was given: that may be a secret."""
    at = tuple(problem["loc"])
    where = ".".join(map(str, at))
    if problem["type"] == "missing":
        return WrongSettings(f"the skill {name} needs the setting {where!r}", *at[:-1])
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(at[-1]), list(there), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(there) or 'none'}"
        return WrongSettings(f"the skill {name} has no setting {where!r}; {hint}", *at)
    text = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
    return WrongSettings(f"the skill {name}, {where}: {text}" if where else f"the skill {name}: {text}", *at)


def _declared() -> dict[str, list[EntryPoint]]:
    """What installed packages declare, by name; one that is found twice on the path counts once."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, {}).setdefault((entry.value, _origins([entry])[0]), entry)
    return {name: list(entries.values()) for name, entries in found.items()}


def _origins(entries: Iterable[EntryPoint]) -> list[str]:
    return [entry.dist.name if entry.dist is not None else entry.module for entry in entries]
