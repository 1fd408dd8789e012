"""What a team file names as ``module:name``: imported, and looked at."""

from __future__ import annotations

import difflib
import importlib
from typing import Any, cast

from ....providers.config.annotations import Location
from ....providers.config.yamlfile import ConfigError, YamlFile
from ....providers.pool.dispatch.usage import OnUsage, can_be_told
from ....tools import Tool, tool
from ..hooks import Hook
from ..output import Output
from ..skills.skill import Skill

_LONGEST = 200
"""Characters of a cause in an error."""


def tool_named(file: YamlFile, at: Location, written: str) -> Tool:
    """A tool, or a function made one. Raises `ConfigError`."""
    found = _imported(file, at, written)
    if isinstance(found, Tool):
        return found
    if not callable(found) or isinstance(found, type):
        raise _wrong_kind(file, at, written, "a function or a tool", found)
    try:
        return tool(found)
    except Exception as error:  # a signature of the user's can break in many ways
        raise file.error(at, f"{written} cannot be made a tool: {_cause(error)}") from error


def hook_named(file: YamlFile, at: Location, written: str) -> Hook:
    """A hook. Raises `ConfigError`."""
    found = _imported(file, at, written)
    if not isinstance(found, Hook):
        raise _wrong_kind(file, at, written, "a hook, made with @hook(event) or @guardrail(event)", found)
    return found


def skill_named(file: YamlFile, at: Location, written: str) -> Skill:
    """A skill. Raises `ConfigError`."""
    found = _imported(file, at, written)
    if not isinstance(found, Skill):
        raise _wrong_kind(file, at, written, "a Skill", found)
    return found


def callback_named(file: YamlFile, at: Location, written: str) -> OnUsage:
    """A function that is told of calls. Raises `ConfigError`."""
    found = _imported(file, at, written)
    if isinstance(found, type) or not can_be_told(found):
        raise _wrong_kind(file, at, written, "a plain function", found)
    return cast(OnUsage, found)


def type_named(file: YamlFile, at: Location, written: str) -> Any:
    """A type that an answer can fit. Raises `ConfigError`."""
    found = _imported(file, at, written)
    try:
        Output(found)
    except Exception as error:  # pydantic has many errors for what is no type
        raise _wrong_kind(
            file, at, written, "a type that pydantic knows, such as a model or a dataclass", found
        ) from error
    return found


def _imported(file: YamlFile, at: Location, written: str) -> Any:
    module, mark, name = written.partition(":")
    if not mark or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise file.error(at, f"expected module:name, as in shop.tools:price, not {written!r}")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise file.error(at, f"importing {module} failed: {_cause(error)}") from error
        wish = "expected one that is installed, or lies in a folder that `--import-from FOLDER` gives"
        raise file.error(at, f"no module is called {error.name!r}; {wish}") from None
    except (Exception, SystemExit) as error:  # whatever the module does
        raise file.error(at, f"importing {module} failed: {_cause(error)}") from error
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = difflib.get_close_matches(part, [one for one in dir(found) if not one.startswith("_")], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise file.error(at, f"{module} has no {name!r}{hint}") from None
        except Exception as error:
            raise file.error(at, f"looking up {written} failed: {_cause(error)}") from error
    return found


def _wrong_kind(file: YamlFile, at: Location, written: str, wish: str, found: Any) -> ConfigError:
    kind = "a class" if isinstance(found, type) else f"a value of type {type(found).__name__}"
    return file.error(at, f"expected {wish}; {written} is {kind}")


def _cause(error: BaseException) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}"[:_LONGEST] if lines else type(error).__name__
