"""What a page names in passing is there: classes, what they have, functions, what they take, files, lines of files,
options, extras, make's targets."""

from __future__ import annotations

import functools
import inspect
import pydoc
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import callboard
from callboard import testing
from callboard.actors.cli.app import app

from .page import ROOT, Page, paths
from .shop import LIBRARIES

THIS = Path(__file__)
PATHS = [path for path in paths() if path != "CHANGELOG.md"]
FOLDERS = ("actors", "providers", "tools", "tests", "benchmarks", ".docs", ".src")
# Whatever a page may import.
MODULES = ("callboard", "callboard.testing", "callboard.actors")
# A reader's own, pykka's, and those of the other libraries, which test_coming_from looks for.
OTHERS = {"MyCounter", "SomeEvent", "ThreadingFuture"}
OTHERS |= {name.rpartition(".")[2] for _, _, names in LIBRARIES.values() for name in names}
# Tools that are made for an agent of the page's.
OTHERS |= {"delegate_to_Counter", "transfer_to_Billing"}
# Options of programs that are not ours: uvicorn, gunicorn, pytest, Ray.
THEIR_OPTIONS = {
    "--block",
    "--forwarded-allow-ips",
    "--full-trace",
    "--generate",
    "--preload",
    "--proxy-headers",
    "--root-path",
}
THEIR_OPTIONS |= {"--tb", "--timeout-graceful-shutdown", "--worker-class"}
# What an example calls a thing, and what it then is.
CALLED: dict[str, tuple[type, ...]] = {
    "agency": (callboard.Agency, callboard.ClusterAgency),
    "handle": (callboard.RunHandle,),
    "memory": (callboard.Memory,),
    "ref": (callboard.ActorRef,),
    "sim": (testing.Simulation,),
    "system": (callboard.System,),
}


@functools.cache
def sources() -> dict[str, str]:
    """All files of the source, by name; those of one name together."""
    found: dict[str, str] = {}
    for folder in ("actors", "providers", "tools", "tests", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            if file != THIS:
                found[file.name] = found.get(file.name, "") + file.read_text("utf-8")
    return found


@functools.cache
def words() -> frozenset[str]:
    """All words of the source."""
    return frozenset(word for text in sources().values() for word in re.findall(r"\w+", text))


@functools.cache
def options() -> frozenset[str]:
    """All options that a command, a benchmark or the plugin for pytest has."""
    of_commands = (name for command in commands(app) for argument in command for name in argument.names)
    return frozenset(of_commands).union(*(re.findall(r"\"(--[a-z][\w-]*)\"", text) for text in sources().values()))


def commands(of: Any) -> Iterator[Any]:
    """What each command of the command line takes."""
    for name in of:
        if not name.startswith("-"):
            if of[name].default_command is not None:
                yield of[name].assemble_argument_collection()
            yield from commands(of[name])


@functools.cache
def extras() -> frozenset[str]:
    return frozenset(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])


def has_target(one: str) -> bool:
    """Whether make has it."""
    return bool(re.search(rf"^{one}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def spans(path: str) -> list[tuple[int, str]]:
    """What stands between backticks, outside of examples, with its line."""
    text = re.sub(
        r"^ *```.*?^ *```$", lambda all: "\n" * all[0].count("\n"), Page(path).text, flags=re.DOTALL | re.MULTILINE
    )
    return [(text.count("\n", 0, found.start()) + 1, found[1]) for found in re.finditer(r"`([^`\n]+)`", text)]


def has(kind: type, name: str) -> bool:
    ours = [one for one in kind.__mro__ if one.__module__.startswith("callboard")]
    said = re.compile(rf"self\.{name}\b|^    {name}\b", re.MULTILINE)
    return hasattr(kind, name) or any(said.search(inspect.getsource(one)) for one in ours)


def wrong_with(span: str, folder: Path) -> str:
    """What is named between two backticks and is not there; empty if nothing is."""
    for name in re.findall(r"\bcallboard\.(?:actors|providers|tools|testing|[A-Z])\w*(?:\.\w+)*", span):
        if pydoc.locate(name) is None:
            return str(name)
    for owner, name in re.findall(r"(?<![\w/])(\w+)\.(?!py\b|db\b)([a-z]\w*)\b", span):
        kinds = CALLED.get(owner) or (getattr(callboard, owner, None),)
        ours = [kind for kind in kinds if isinstance(kind, type) and kind.__module__.startswith("callboard.")]
        if ours and not any(has(kind, name) for kind in ours):
            return f"{owner}.{name}"
    for name in re.findall(r"(?<![\w./-])[A-Z][a-z]+(?:[A-Z][a-z0-9]*)+\b", span):
        if name not in words() and name not in OTHERS:
            return str(name)
    for name in re.findall(r"(?<![\w.])([a-z_]\w{2,})\(|[(,] ?([a-z]\w+)=", span):
        if "".join(name) not in words() | OTHERS:
            return "".join(name)
    for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span):
        if option not in options() | THEIR_OPTIONS:
            return str(option)
    for name in re.findall(r"(?<![\w/.*-])([\w-]+\.py)\b", span):
        if name not in sources():
            return str(name)
    for path, line in re.findall(r"(?<![\w/.:-])((?:[\w.-]+/)+[\w-]+\.(?:py|md|js|toml|yaml))\b(?::(\d+))?", span):
        there = [ROOT / path, folder / path, ROOT / "tests" / "examples" / path]
        if path.split("/")[0] in FOLDERS and not any(one.exists() for one in there):
            return str(path)
        if line and not any(one.exists() and len(one.read_text().splitlines()) >= int(line) for one in there):
            return f"{path}:{line}"
    for target in re.findall(r"^make ((?:[a-z-]+ ?)+)", span):
        for one in target.split():
            if not has_target(one):
                return f"make {one}"
    return ""


@pytest.mark.parametrize("path", PATHS)
def test_what_a_page_names_is_there(path: str) -> None:
    folder = (ROOT / path).parent
    wrong = [f"{path}:{line}: {missing}" for line, span in spans(path) if (missing := wrong_with(span, folder))]
    assert wrong == []


@pytest.mark.parametrize(
    ("span", "missing"),
    [
        ("`callboard.actors.Nobody`", "callboard.actors.Nobody"),
        ("await agency.never_there()", "agency.never_there"),
        ("Agency.never_there", "Agency.never_there"),
        ("NeverThere" + "Error", "NeverThere" + "Error"),
        ("actors/agents/nowhere.py", "actors/agents/nowhere.py"),
        ("actors/agents/agent.py:100000", "actors/agents/agent.py:100000"),
        ("make nothing", "make nothing"),
        ("never_" + "there(agency)", "never_" + "there"),
        ("run(…, never_" + "there=…)", "never_" + "there"),
        ("--never-there", "--never-there"),
        ("never_there.py", "never_there.py"),
        ("await agency.run(text)", ""),
        ("AgencyClosed", ""),
        ("actors/agents/agent.py:1", ""),
        ("make test", ""),
        ("run(text, when_busy=…)", ""),
        ("--sim-seeds", ""),
        ("--authenticate", ""),
        ("agent.py", ""),
    ],
)
def test_what_is_not_there_is_seen(span: str, missing: str) -> None:
    assert wrong_with(span, ROOT) == missing


@pytest.mark.parametrize("path", PATHS)
def test_what_a_page_imports_is_where_users_find_it(path: str) -> None:
    code = "\n".join(block.text for block in Page(path).blocks("python"))
    assert set(re.findall(r"^ *(?:from|import) (callboard[\w.]*)", code, re.MULTILINE)) <= set(MODULES)


@pytest.mark.parametrize("path", PATHS)
def test_extras_that_a_page_speaks_of_are_there(path: str) -> None:
    said = re.findall(r"(?:callboard|\.)\[([a-z0-9,-]+)\](?!\()", Page(path).text)
    assert {extra for several in said for extra in several.split(",")} <= extras()


@pytest.mark.parametrize("path", PATHS)
def test_what_a_page_has_make_and_python_run_is_there(path: str) -> None:
    for block in Page(path).blocks("console", "bash", "sh"):
        for target in re.findall(r"^(?:\$ )?make ([a-z-]+)", block.text, re.MULTILINE):
            assert has_target(target), f"{path}: make {target}"
        for module in re.findall(r"python -m (\w+)", block.text):
            assert module == "build" or (ROOT / module / "__main__.py").exists(), f"{path}: python -m {module}"
