"""Settings in place of those of a file: ``routing=weighted,providers.*.limits.concurrency=8``. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .annotations import Location
from .yamlfile import ConfigError, YamlFile, parse_unexpanded

_BETWEEN: Final = re.compile(r",\s*(?=[^\s,={}\[\]]+=)")
"""A comma before another name; those within a value stand before none."""

_SECRET: Final = frozenset({"api_key", "keys", "headers", "base_url"})
"""What has keys and passwords in it."""


def changes_of(text: str) -> dict[str, Any]:
    """Read settings: names as they stand in a file, with dots between, each with a value that is YAML.

    Args:
        text: ``NAME=VALUE``, several with commas between. It is shown in reports, so that nothing secret may be in it.

    Raises:
        ConfigError: it is nothing of the kind, says one twice, or has a setting that keys stand in.
    """
    changes: dict[str, Any] = {}
    for part in _BETWEEN.split(text):
        name, mark, value = (one.strip() for one in part.partition("="))
        if not name or not mark or not value:
            raise _wrong(f"expected NAME=VALUE, such as routing=weighted or hedge=null, not {part.strip()!r:.80}")
        if name in changes:
            raise _wrong(f"{name} stands there twice")
        changes[name] = parse_unexpanded(value, "settings").data
        if found := _SECRET & {*name.split("."), *_names(changes[name])}:
            raise _wrong(f"{min(found)} may hold a key or a password, which reports would show; write another file")
    return changes


def changed(file: YamlFile, changes: Mapping[str, Any], known: Mapping[str, Any]) -> YamlFile:
    """A file that says something else.

    Args:
        file: as it is.
        changes: values by name, as `changes_of` reads them; ``*`` in a name stands for everything there is at its
            place. What is not in the file is added, but no provider is.
        known: the sections that a name may begin with.

    Raises:
        ConfigError: a name leads nowhere. Whether values fit is seen when the file is validated.
    """
    places: dict[Location, Any] = {}
    for name, value in changes.items():
        section = name.partition(".")[0]
        if section not in known:
            near = difflib.get_close_matches(section, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise _wrong(f"no setting is called {section!r}; {hint}")
        found = list(_places(file.data if isinstance(file.data, dict) else {}, name, ()))
        if not found:
            raise _wrong(f"{name}: the file has nothing there")
        for place in found:
            if place[0] == "providers" and len(place) > 1:
                providers = file.data.get("providers") or {} if isinstance(file.data, dict) else {}
                if place[1] not in providers:
                    near = difflib.get_close_matches(str(place[1]), providers, 1)
                    hint = f"did you mean {near[0]!r}?" if near else f"the file has {', '.join(providers) or 'none'}"
                    raise _wrong(f"{name}: no provider is called {place[1]!r}; {hint}")
            if place in places:
                raise _wrong(f"{'.'.join(map(str, place))} is set twice")
            places[place] = value
    return file.changed(places)


def _places(data: Any, name: str, above: Location) -> Iterator[Location]:
    """Where a name leads. Keys may have dots in them: the longest that is there is taken."""
    if not isinstance(data, dict):
        raise _wrong(f"{'.'.join(map(str, above))} has no {name!r} in it: say the whole of it")
    there = [key for key in data if name == key or name.startswith(f"{key}.")]
    step = max(there, key=len) if there else name.partition(".")[0]
    rest = name[len(step) + 1 :]
    for key in list(data) if step == "*" else [step]:
        place = (*above, key)
        if rest:
            below = data.get(key)
            yield from _places({} if below is None else below, rest, place)
        else:
            yield place


def _names(value: Any) -> Iterator[str]:
    """The names in a value, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)


def _wrong(message: str) -> ConfigError:
    return ConfigError(message, path="settings")
