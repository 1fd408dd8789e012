"""Parts of pages that are made from the program: ``python -m tests.pages.generated`` writes them anew.

What is made stands between ``<!-- made: NAME -->`` and ``<!-- end -->``, and a test compares it.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from docstring_parser import parse

from callboard import AgencyClosed, QuotaExceeded, RunFailed
from callboard.actors.cli.app import app
from callboard.actors.cli.config import schema
from callboard.actors.serving.problems import OF_PROVIDERS, STATUS

from .page import ROOT

MADE = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def _cell(text: str) -> str:
    """A text for a cell of a table, of Markdown."""
    return re.sub(r"``([^`]*)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


# -- commands ----------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Each command with its words, options and defaults."""
    return "\n".join(_commands(app, "callboard"))


def _commands(of: Any, before: str) -> Iterator[str]:
    for name in sorted(name for name in of if not name.startswith("-")):
        command = of[name]
        words = f"{before} {name}"
        if command.default_command is None:
            yield f"### {words}\n\n{_cell(command.help)}\n"
        else:
            yield _command(command, words)
        yield from _commands(command, words)


def _command(command: Any, words: str) -> str:
    described = parse(command.default_command.__doc__ or "")
    meant = {param.arg_name: param.description or "" for param in described.params}
    rows, usage = [], [words]
    for argument in command.assemble_argument_collection():
        named = argument.names[0]
        default = argument.field_info.default
        if not named.startswith("-"):
            usage.append(named if argument.required else f"[{named}]")
        elif argument.required:
            usage.append(f"{named} {named.removeprefix('--').upper()}")
        # Not "in" with False: a 0 would be the same, and there is something to say of it.
        none = argument.required or default is False or default in (None, "", (), inspect.Parameter.empty)
        shown = "" if none else f"`{_default(default)}`"
        if argument.required and named.startswith("-"):
            shown = "must be there"
        names = " ".join(f"`{one}`" for one in argument.names if not one.startswith(("--no-", "--empty-")))
        rows.append((names, _cell(meant.get(argument.field_info.name, "")), shown))
    if any(argument.names[0].startswith("-") for argument in command.assemble_argument_collection()):
        usage.append("[OPTIONS]")
    said = _cell(" ".join(filter(None, (described.short_description, described.long_description))))
    table = "\n" + _table(("word or option", "meaning", "if left out"), rows) if rows else ""
    return f"### {words}\n\n`{' '.join(usage)}`: {said}\n{table}"


def _default(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds() / 3600:g}h"
    return f"{value:g}" if isinstance(value, float) else str(value)


# -- team files --------------------------------------------------------------------------------------------------------


def keys() -> str:
    """Each key of a team file and of an ``llm.yaml``, by the part of the file that it stands in."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        schema()
    described = json.loads(printed.getvalue())
    places: dict[str, list[str]] = {}
    _place(described, "", described["$defs"], places)
    parts = [_keys("The file itself", described)]
    parts += [_keys(_title(places[name]), described["$defs"][name]) for name in places]
    return "\n".join(parts)


def _title(where: list[str]) -> str:
    return ", ".join(f"`{path}`" for path in where)


def _refs(kind: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """The parts that a key's value may be, each with the path to it."""
    if "$ref" in kind:
        yield kind["$ref"].rpartition("/")[2], path
    for one in kind.get("anyOf", ()):
        yield from _refs(one, path)
    for inner, deeper in ((kind.get("items"), f"{path}[]"), (kind.get("additionalProperties"), f"{path}.NAME")):
        if isinstance(inner, dict):
            yield from _refs(inner, deeper)


def _place(part: dict[str, Any], path: str, defs: dict[str, Any], places: dict[str, list[str]]) -> None:
    for key, kind in part.get("properties", {}).items():
        for name, where in _refs(kind, f"{path}.{key}".lstrip(".")):
            if where not in places.setdefault(name, []):
                places[name].append(where)
                _place(defs[name], where, defs, places)


def _keys(title: str, part: dict[str, Any]) -> str:
    said = parse(part.get("description", ""))
    meant = {name.strip(): one.description or "" for one in said.params for name in one.arg_name.split(",")}
    needed = part.get("required", ())
    rows = []
    for key, kind in part.get("properties", {}).items():
        # What a part has in it, if it is left out, stands in its own table.
        default = "must be there" if key in needed else "" if "$ref" in kind else _value(kind.get("default"))
        rows.append((f"`{key}`", _kind(kind), default, _cell(kind.get("description") or meant.get(key, ""))))
    about = _cell(said.short_description or "")
    return f"### {title}\n\n{about}\n\n" + _table(("key", "type", "if left out", "meaning"), rows)


def _value(default: Any) -> str:
    return "" if default is None or default in ("", [], {}) else f"`{json.dumps(default)}`"


def _kind(kind: dict[str, Any]) -> str:
    if "$ref" in kind:
        return "mapping"
    if "enum" in kind or "const" in kind:
        return " or ".join(f"`{one}`" for one in kind.get("enum", [kind.get("const")]))
    if "anyOf" in kind:
        return " or ".join(dict.fromkeys(_kind(one) for one in kind["anyOf"] if one.get("type") != "null"))
    match kind.get("type"):
        case "array":
            return f"list of {_many(kind['items'])}" if kind.get("items") else "list"
        case "object":
            inner = kind.get("additionalProperties")
            return f"mapping of names to {_many(inner)}" if isinstance(inner, dict) and inner else "mapping"
        case one:
            names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
            return names.get(str(one), "anything")


def _many(kind: dict[str, Any]) -> str:
    names = {
        "text": "texts",
        "mapping": "mappings",
        "number": "numbers",
        "whole number": "whole numbers",
        "list": "lists",
    }
    one = _kind(kind)
    return names.get(one, one)


# -- figures -----------------------------------------------------------------------------------------------------------

# By suite: the scenarios that the page shows, each in words.
SHOWN = {
    "core": {
        "tell": "a message to an actor",
        "ask_seq": "an ask and its answer, one after the other",
        "ask_100": "an ask, 100 at once",
        "spawn": "an actor made",
        "crash": "a crash and the restart",
        "memory_10000": "an idle actor, of 10,000",
    },
    "pool": {
        "cpu_1": "a request through the pool, one at a time",
        "cpu_64": "a request, 64 at once",
        "stream": "a streamed request",
        "fault_500_bad": "requests that a provider gets that fails with 500",
        "fault_429_bad": "requests that a provider gets that refuses with 429",
        "fault_second_429": "self-made 429s of a limit by the second",
    },
    "agents": {
        "turn": "a run of one completion",
        "tools_3": "a run with three calls of tools",
        "handoffs_10": "a run with ten handoffs",
        "conversations_1000_wall": "three turns of 1,000 conversations at once, of a model that takes 50 ms",
        "agents_1000_mb": "1,000 agents with three tools each",
        "import_time": "importing the agents",
    },
    "durable": {
        "append_sqlite_50": "events that 50 actors write to SQLite, synchronous=FULL (base: NORMAL)",
        "append_postgres_50": "events that 50 actors write to PostgreSQL (base: one actor)",
        "turn_sqlite": "a lone durable turn on SQLite (base: in memory)",
        "turn_postgres": "a lone durable turn on PostgreSQL (base: in memory)",
    },
    "serve": {
        "plain": "what the server adds to a request",
        "plain_whole": "a whole request over HTTP",
        "idle": "1,000 streams that say nothing",
    },
    "observe": {"cpu": "a turn without and with telemetry"},
    "cluster": {"ask": "an ask of an actor on another node", "takeover": "until a killed node's conversation goes on"},
}


def figures() -> str:
    """What the stored baselines of the benchmarks say."""
    folder = ROOT / "benchmarks" / "baselines"
    machines = json.loads((folder / "machines.json").read_text(encoding="utf-8"))
    rows = []
    for suite, scenarios in SHOWN.items():
        stored = json.loads((folder / f"{suite}.json").read_text(encoding="utf-8"))
        for scenario, words in scenarios.items():
            of = {row["subject"]: row for row in stored if row["scenario"] == scenario}
            ours = of.pop("callboard", None)
            unit = next(iter(of.values()), ours)["unit"]
            beside = ", ".join(f"{subject} {_figure(row['value'])}" for subject, row in of.items())
            rows.append((f"`{suite}`", words, _figure(ours["value"]) if ours else "", unit, beside))
    measured = sorted({f"{machines[suite]['date']} ({machines[suite]['machine']})" for suite in SHOWN})
    return _table(("suite", "what", "Callboard", "unit", "beside it, in the same run"), rows) + (
        f"\nMeasured on {', '.join(measured)}.\n"
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# -- problems ----------------------------------------------------------------------------------------------------------


def problems() -> str:
    """What errors are over HTTP, by status and code."""
    of: dict[tuple[int, str], list[str]] = {}
    for kind, status, code in STATUS:
        of.setdefault((status, code), []).append(f"`{kind.__name__}`")
    of.setdefault((429, "quota_exceeded"), []).append(f"`{QuotaExceeded.__name__}`")
    of[503, "stopping"].insert(0, f"`{AgencyClosed.__name__}`")
    for kind, status, code in OF_PROVIDERS:
        of.setdefault((status, code), []).append(f"`{RunFailed.__name__}` of `{kind.__name__}`")
    of.setdefault((500, "run_failed"), []).append(f"any other `{RunFailed.__name__}`")
    return _table(
        ("status", "code", "error"),
        [(str(status), f"`{code}`", ", ".join(names)) for (status, code), names in sorted(of.items())],
    )


# -- the parts ---------------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[], str]] = {"commands": commands, "keys": keys, "figures": figures, "problems": problems}


def made(path: Path) -> str:
    """A page as it is when its parts are made anew."""
    text = path.read_text(encoding="utf-8")
    return MADE.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}{part[4]}", text)


if __name__ == "__main__":
    from .page import paths

    for name in paths():
        (ROOT / name).write_text(made(ROOT / name), encoding="utf-8")
