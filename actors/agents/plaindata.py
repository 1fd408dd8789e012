"""An agent as plain data says it: what is named there is looked up, and what is written ``module:name`` imported."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias

from ...providers.checks import LIST
from ...tools import Tool, tool
from .caller import Caller
from .errors import DefinitionError
from .guardrails.labels import LabelPolicy
from .hooks import Hook, HookSource
from .memory.context.strategy import ContextStrategy
from .output import Output
from .prompts.markdown.instructions import instructions_for
from .prompts.prompt import Prompt
from .skills.discovery import find_skill, known_skills, made_skill
from .skills.skill import Skill
from .turns.rules import Limits
from .wishes import Misread as Misread

Known: TypeAlias = "Mapping[str, Any] | Iterable[Any]"
"""What names stand for: a mapping, or things that have a name."""

_LONGEST = 200
"""Characters of a cause in an error."""


def read_fields(
    data: Mapping[str, Any], there: Iterable[str], tools: Known, hooks: Known, skills: Known
) -> dict[str, Any]:
    """The fields of an agent, as its constructor takes them.

    Args:
        data: the fields; ``role`` stands for instructions where there are none.
        there: the fields that there are.
        tools, hooks, skills: what names stand for.

    Raises:
        Misread: a field or what one names is not there, or of the wrong kind.
    """
    if not isinstance(data, Mapping):
        raise Misread(f"expected a mapping of an agent's fields, not {data!r:.80}")
    known = {*there, "role"}
    for name in data:
        if name not in known:
            raise Misread(f"an agent has no {name!r:.80}{_hint(str(name), known)}", str(name))
    said = {name: value for name, value in data.items() if name != "role"}
    if not said.get("instructions") and data.get("role"):
        said["instructions"] = instructions_for(str(data["role"]), str(data.get("model", "")))
    lists: tuple[tuple[str, Callable[[str], Any], Known], ...] = (
        ("tool", tool_of, tools),
        ("hook", hook_of, hooks),
        ("skill", skill_of, skills),
        ("plugin", plugin_of, ()),
    )
    for field, kind, named in lists:
        given = said.get(f"{field}s", ())
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise Misread(f"expected a list of {field}s, not {given!r:.80}", f"{field}s")
        by_name = _by_name(named, f"{field}s")
        for index, written in enumerate(given):
            try:
                found = _found(field, written, by_name)
                given = [*given[:index], kind(found) if isinstance(found, str) else found, *given[index + 1 :]]
            except Misread as wrong:
                raise Misread(str(wrong), f"{field}s", index) from wrong.__cause__
        said[f"{field}s"] = given
    if isinstance(said.get("limits"), Mapping):
        said["limits"] = _limits(said["limits"])
    if isinstance(said.get("label_policy"), Mapping):
        said["label_policy"] = label_policy_of(said["label_policy"], "label_policy")
    if isinstance(said.get("owner"), Mapping):
        said["owner"] = _owner(said["owner"])
    if said.get("owner") == "":
        said["owner"] = None
    for field, found_by in _IMPORTED.items():
        if isinstance(said.get(field), str):
            try:
                said[field] = found_by(said[field]) if said[field] else None
            except Misread as wrong:
                raise Misread(str(wrong), field) from wrong.__cause__
    return said


def tool_of(written: str) -> Tool:
    """A tool, or a function made one. Raises `Misread`."""
    found = imported(written)
    if isinstance(found, Tool):
        return found
    if not callable(found) or isinstance(found, type):
        raise wrong_kind(written, "a function or a tool", found)
    try:
        return tool(found)
    except Exception as error:  # a signature of the user's can break in many ways
        raise Misread(f"{written} cannot be made a tool: {cause_of(error)}") from error


def hook_of(written: str) -> Hook | HookSource:
    """A hook or a guardrail. Raises `Misread`."""
    found = imported(written)
    if not isinstance(found, Hook | HookSource):
        raise wrong_kind(written, "a Guardrail, or a hook, made with @hook(event) or @guardrail(event)", found)
    return found


def skill_of(written: str) -> Skill:
    """A skill, or what is made by a class or function that takes no settings. Raises `Misread`."""
    try:
        return made_skill(imported(written), {}, written)
    except Misread:
        raise
    except DefinitionError as error:
        raise Misread(str(error)) from error


def plugin_of(written: str) -> type[Prompt]:
    """A class of prompts. Raises `Misread`."""
    found = imported(written)
    if not (isinstance(found, type) and issubclass(found, Prompt)):
        raise wrong_kind(written, "a subclass of Prompt", found)
    return found


def type_of(written: str) -> Any:
    """A type that an answer can fit. Raises `Misread`."""
    found = imported(written)
    try:
        Output(found)
    except Exception as error:  # pydantic has many errors for what is no type
        raise wrong_kind(written, "a type that pydantic knows, such as a model or a dataclass", found) from error
    return found


def function_of(written: str) -> Any:
    """A function, or what can be called like one. Raises `Misread`."""
    found = imported(written)
    if not callable(found) or isinstance(found, type):
        raise wrong_kind(written, "a function", found)
    return found


def context_of(written: str) -> ContextStrategy:
    """A context strategy. Raises `Misread`."""
    found = imported(written)
    if not isinstance(found, ContextStrategy):
        raise wrong_kind(written, "a context strategy, such as Window(tokens=8000)", found)
    return found


_IMPORTED: Mapping[str, Callable[[str], Any]] = {
    "context": context_of,
    "output_type": type_of,
    "stop_when": function_of,
    "prepare_step": function_of,
    "prompt": function_of,
}


def imported(written: str) -> Any:
    """What is written as ``module:name``.

    Raises:
        Misread: it is not written so, or not there, or the import failed.
    """
    module, mark, name = written.partition(":")
    if not mark or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise Misread(f"expected module:name, as in shop.tools:price, not {written!r}")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise Misread(f"importing {module} failed: {cause_of(error)}") from error
        wish = "expected one that is installed, or lies in a folder that `--import-from FOLDER` gives"
        raise Misread(f"no module is called {error.name!r}; {wish}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the module does
        raise Misread(f"importing {module} failed: {cause_of(error)}") from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Misread(f"{module} has no {name!r}{_hint(part, dir(found), listed=False)}") from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise Misread(f"looking up {written} failed: {cause_of(error)}") from error
    return found


def cause_of(error: BaseException) -> str:
    """An exception in a line."""
    try:
        lines = str(error).splitlines()
    except Exception:  # of a class that cannot say it
        lines = []
    return f"{type(error).__name__}: {lines[0]}"[:_LONGEST] if lines else type(error).__name__


def _found(what: str, written: Any, known: Mapping[str, Any]) -> Any:
    """What a name stands for; what is none is as it is."""
    if not isinstance(written, str) or ":" in written:
        return written
    if written in known:
        return known[written]
    there = {*known, *known_skills()} if what == "skill" else known
    if written not in there:
        raise Misread(f"no {what} is called {written!r}{_hint(written, there)}")
    try:
        return find_skill(written)
    except DefinitionError as error:
        raise Misread(str(error)) from error


def _by_name(known: Known, what: str) -> Mapping[str, Any]:
    if isinstance(known, Mapping):
        return known
    if not LIST.fits(known):
        raise Misread(f"what {what} are called is given as a mapping, or as several that have names, not {known!r:.80}")
    return {str(getattr(item, "name", None) or getattr(item, "__name__", "")): item for item in known}


def label_policy_of(given: Mapping[str, Any], *at: str) -> LabelPolicy:
    """A label policy from plain data.

    Args:
        given: its fields.
        at: where they stand.

    Raises:
        Misread: there is no such field, or one is of another shape.
    """
    there = [field.name for field in fields(LabelPolicy)]
    for name in given:
        if name not in there:
            raise Misread(f"a label policy has no {name!r:.80}{_hint(str(name), there)}", *at, str(name))
    try:
        return LabelPolicy(**given)
    except DefinitionError as error:
        raise Misread(str(error), *at) from error


def _limits(given: Mapping[str, Any]) -> Limits:
    there = [field.name for field in fields(Limits)]
    for name in given:
        if name not in there:
            raise Misread(f"limits have no {name!r:.80}{_hint(str(name), there)}", "limits", str(name))
    return Limits(**given)


def _owner(given: Mapping[str, Any]) -> Caller:
    for name in given:
        if name not in ("user", "tenant"):
            raise Misread(f"an owner has no {name!r:.80}{_hint(str(name), ('user', 'tenant'))}", "owner", str(name))
    return Caller(**given)


def _hint(name: str, there: Iterable[str], *, listed: bool = True) -> str:
    public = sorted(one for one in there if not one.startswith("_"))
    near = difflib.get_close_matches(name, public, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(public) or 'none'}" if listed else ""


def wrong_kind(written: str, wish: str, found: Any) -> Misread:
    """What to raise where something that was imported is of another kind than wished for."""
    kind = "a class" if isinstance(found, type) else f"a value of type {type(found).__name__}"
    return Misread(f"expected {wish}; {written} is {kind}")
