"""What a page names in passing is there: classes, what they have, files, lines of files, make's targets."""

from __future__ import annotations

import functools
import inspect
import pydoc
import re
from pathlib import Path

import pytest

import callboard
from callboard import testing

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
def words() -> frozenset[str]:
    """All words of the source."""
    files = [file for folder in ("actors", "providers", "tools", "tests") for file in (ROOT / folder).rglob("*.py")]
    return frozenset(word for file in files if file != THIS for word in re.findall(r"\w+", file.read_text("utf-8")))


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
    for path, line in re.findall(r"(?<![\w/.:-])((?:[\w.-]+/)+[\w-]+\.(?:py|md|js|toml|yaml))\b(?::(\d+))?", span):
        there = [ROOT / path, folder / path, ROOT / "tests" / "examples" / path]
        if path.split("/")[0] in FOLDERS and not any(one.exists() for one in there):
            return str(path)
        if line and not any(one.exists() and len(one.read_text().splitlines()) >= int(line) for one in there):
            return f"{path}:{line}"
    for target in re.findall(r"^make ((?:[a-z-]+ ?)+)", span):
        for one in target.split():
            if not re.search(rf"^{one}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE):
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
        ("await agency.run(text)", ""),
        ("AgencyClosed", ""),
        ("actors/agents/agent.py:1", ""),
        ("make test", ""),
    ],
)
def test_what_is_not_there_is_seen(span: str, missing: str) -> None:
    assert wrong_with(span, ROOT) == missing


@pytest.mark.parametrize("path", PATHS)
def test_what_a_page_imports_is_where_users_find_it(path: str) -> None:
    code = "\n".join(block.text for block in Page(path).blocks("python"))
    assert set(re.findall(r"^ *(?:from|import) (callboard[\w.]*)", code, re.MULTILINE)) <= set(MODULES)
