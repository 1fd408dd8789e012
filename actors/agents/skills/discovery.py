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
import os
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Any, Final, Protocol

from ....providers.checks import NAME
from ....tools.scopes import as_scopes
from ..errors import DefinitionError, UnknownSkill, named
from ..wishes import define
from .skill import Skill

GROUP: Final = "callboard.skills"

BUILT_IN: Final[Mapping[str, str]] = {
    "agents": ".builtin.agents:AgentsSkill",
    "crew": ".builtin.crew.skill:CrewSkill",
    "database": ".builtin.database:DatabaseSkill",
    "documents": ".builtin.documents:documents_skill",
    "files": ".builtin.files:files_skill",
    "folders": ".folders.skills:skills_from",
    "google": ".builtin.google:GoogleSkill",
    "guardrails": ".builtin.guardrails:guardrails_skill",
    "mcp": ".builtin.mcp:McpSkill",
    "memory": ".builtin.memory:memory_skill",
    "remote": ".builtin.remote:remote_skill",
    "storage": ".builtin.storage.skill:StorageSkill",
    "web": ".builtin.web:web_skill",
    "webhooks": ".builtin.webhooks:webhooks_skill",
}
"""The skills that come with the library, by name: the module, and what makes it there."""


class _Unknown(Protocol):
    """In the place of an annotation that cannot be resolved."""


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
        settings: what it is made with; checked by pydantic. Each may be given a ``scope``: who may use it.

    Raises:
        UnknownSkill: there is none of that name.
        WrongSettings: the settings do not fit.
        DefinitionError: that is no name, two packages declare one of it, or importing it fails.
    """
    define("find_skill", name=(name, NAME))
    return made_skill(maker_of(name), settings, name)


def maker_of(name: str) -> Any:
    """What makes the skill of a name; errors as of `find_skill`."""
    if name in BUILT_IN:
        module, _, maker = BUILT_IN[name].partition(":")
        return getattr(importlib.import_module(module, __package__), maker)
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
        return entry.load()
    except (Exception, SystemExit) as error:  # whatever the module does
        where = f"{entry.value}, which {_origins([entry])[0]} declares"
        raise DefinitionError(f"the skill {name!r} ({where}) cannot be imported: {named(error)}") from error


def made_skill(maker: Any, settings: Mapping[str, Any], name: str, folder: Path | None = None) -> Skill:
    """A skill, made with settings.

    Args:
        maker: a `Skill`, a class of them, or a function that is annotated to return one.
        settings: plain data.
        name: for errors.
        folder: where paths among the settings begin which do not say it: what is annotated with `Path` or `PathLike`.

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
    scope = None
    if "scope" in settings and not _takes(maker, "scope"):
        try:
            scope = as_scopes(settings["scope"], f"the skill {name}", DefinitionError)
        except DefinitionError as error:
            raise WrongSettings(str(error), "scope") from None
        settings = {key: value for key, value in settings.items() if key != "scope"}
    several, named_ones = _fitting(maker, settings, name, folder)
    try:
        made = maker(*several, **named_ones)
    except DefinitionError:
        raise
    except Exception as error:
        raise DefinitionError(f"the skill {name} cannot be made: {named(error)}") from error
    if not isinstance(made, Skill):
        raise DefinitionError(f"expected a Skill; {name} makes a value of type {type(made).__name__}")
    if scope is not None:
        made.scope = scope
    return made


def _takes(maker: Any, setting: str) -> bool:
    """Whether what makes a skill has a setting of that name itself, or a model that has."""
    from pydantic import BaseModel

    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return False
    hints = _hints(getattr(maker, "__init__", None) if isinstance(maker, type) else maker)
    models = [hint for hint in hints.values() if isinstance(hint, type) and issubclass(hint, BaseModel)]
    return setting in parameters or any(setting in model.model_fields for model in models)


def _makes_skills(maker: Any) -> bool:
    """Whether that is what it is for: nothing else is called to find out what it returns."""
    if isinstance(maker, type):
        return issubclass(maker, Skill)
    hint = _hints(maker).get("return")
    return isinstance(hint, type) and issubclass(hint, Skill)


def _hints(function: Any) -> dict[str, Any]:
    """What a function is annotated with; without what cannot be resolved, such as names for type checkers only."""
    found: dict[str, Any] = {}
    body = inspect.unwrap(function)
    for name, written in getattr(body, "__annotations__", {}).items():
        alone = SimpleNamespace(__annotations__={name: written})
        with suppress(Exception):  # whatever an annotation's code raises
            found |= typing.get_type_hints(alone, getattr(body, "__globals__", {}))
    return found


def _fitting(
    maker: Callable[..., Any], settings: Mapping[str, Any], name: str, folder: Path | None
) -> tuple[Iterable[Any], dict[str, Any]]:
    """Settings as what makes a skill takes them: by position the one model, or those of which it takes any number; and
    by name."""
    from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model

    body: Any = getattr(maker, "__init__", None) if isinstance(maker, type) else maker
    try:
        hints = _hints(body)
        parameters = {
            each.name: each
            for each in inspect.signature(maker).parameters.values()
            if each.kind is not each.VAR_KEYWORD and each.kind is not each.POSITIONAL_ONLY
        }
        kinds = {
            name: _as_read(hints.get(name, Any if given.annotation is given.empty else _Unknown), settings.get(name))
            for name, given in parameters.items()
        }
        rest = next((each.name for each in parameters.values() if each.kind is each.VAR_POSITIONAL), "")
        (alone, *others) = kinds.values() or (None,)
        if isinstance(alone, type) and issubclass(alone, BaseModel) and not others:
            model: type[BaseModel] = alone
        else:
            alone = None
            fields: dict[str, Any] = {
                each: (kinds[each], Field() if given.default is given.empty else _otherwise(given.default))
                for each, given in parameters.items()
                if given.default is given.empty or _can_be_said(kinds[each])
            }
            if rest:
                fields[rest] = (list[kinds[rest]], ())  # type: ignore[valid-type]
            config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
            model = create_model(f"{name} settings", __config__=config, **fields)
            model.model_rebuild()  # raises where it names what is not there
    except (TypeError, ValueError, NameError, PydanticUserError) as error:
        raise DefinitionError(f"the skill {name} does not say what it takes: {named(error)}") from error
    try:
        read = model.model_validate(dict(settings), extra=None if "extra" in model.model_config else "forbid")
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        # A setting under a wrong name is missing, too: what was written says more.
        problem = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        raise _wrong(name, problem, model.model_fields) from None
    if alone is not None:
        return (read,), {}
    said = {each: getattr(read, each) for each in read.model_fields_set}
    if folder is not None:
        said = {each: _below(folder, value) if _is_path(kinds[each]) else value for each, value in said.items()}
    if not rest:
        return (), said
    first = [each for each in fields if parameters[each].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    return [*(said.pop(each, getattr(read, each)) for each in first), *said.pop(rest, ())], said


def _as_read(kind: Any, given: Any) -> Any:
    """A type as a setting is read by it: what can be iterated over as a list, which pydantic would look at only as that
    is done; and without functions, where none is given, so that an error says of what is left what is wrong."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Iterable:
        return list[parts]  # type: ignore[valid-type]
    if origin in (typing.Union, UnionType) and not callable(given):
        return typing.Union[tuple(one for one in parts if typing.get_origin(one) is not Callable)]  # noqa: UP007
    return kind


def _otherwise(value: Any) -> Any:
    """A field with a default, which pydantic would copy, and not everything can be copied."""
    from pydantic import Field

    return Field(default_factory=lambda: value)


def _can_be_said(kind: Any) -> bool:
    """Whether plain data can be a value of a type: of a protocol it cannot, nor of one that names what is not there;
    then it is no setting."""
    from pydantic import ConfigDict, TypeAdapter

    try:
        return TypeAdapter(list[kind], config=ConfigDict(arbitrary_types_allowed=True)).pydantic_complete
    except Exception:  # pydantic's own, and its core's
        return False


def _is_path(kind: Any) -> bool:
    """Whether a setting that is annotated so names a file."""
    return kind in (Path, os.PathLike) or any(
        _is_path(each) for each in (typing.get_origin(kind), *typing.get_args(kind)) if each is not None
    )


def _below(folder: Path, value: Any) -> Any:
    if isinstance(value, list):
        return [_below(folder, each) for each in value]
    if isinstance(value, str) and "://" in value:
        return value  # an address
    return folder / Path(value).expanduser() if isinstance(value, str | os.PathLike) else value


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
