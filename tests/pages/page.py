"""The pages, and the one way in which tests run what they show."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import callboard

ROOT = Path(__file__).parents[2]
GIVEN = Path(__file__).parent / "given"
THEIRS = GIVEN / "theirs"
# As indented in a list, or not.
_BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def collecting() -> ModuleType:
    """The script that collects the pages for the site."""
    spec = importlib.util.spec_from_file_location("collect_pages", ROOT / ".docs" / "collect.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Block:
    """What a page shows between fences.

    Attributes:
        page: the page's path in the repository.
        line: where the fence stands.
    """

    page: str
    language: str
    line: int
    text: str

    def says(self, who: str = "callboard") -> list[str]:
        """The lines that it prints, as it says itself: each after ``# -> ``.

        Args:
            who: where a line is said for several (``# -> pykka: 1 | callboard: 2``), for whom.
        """
        lines = []
        for said in re.findall(r"# -> (.*)", self.text):
            which = dict(re.findall(r"(pykka|callboard): (.*?)(?: \| |$)", said))
            if not which:
                lines.append(said)
            elif who in which:
                lines.append(which[who])
        return lines

    @property
    def code(self) -> CodeType:
        """It compiled as Python, which may await at its top level; its lines are those of the page."""
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(
            "\n" * self.line + self.text, str(ROOT / self.page), "exec", flags=flags, dont_inherit=True
        )
        return code


class Page:
    """One page.

    Args:
        path: where it stands in the repository.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.text = (ROOT / path).read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[Block]:
        """What stands between fences that are marked with one of these languages."""
        found = []
        for match in _BLOCK.finditer(self.text):
            if match[2] in languages:
                text = re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
                found.append(Block(self.path, match[2], self.text.count("\n", 0, match.start(2)) + 1, text))
        return found

    def block(self, language: str, number: int = 0) -> str:
        """The text of one of its blocks."""
        return self.blocks(language)[number].text

    @property
    def name_of_given(self) -> str:
        """The name of a file in ``given/``: of its folder, or of itself if it is no README."""
        return self.path.removesuffix(".md").removesuffix("/README").replace("/", "_") + ".py"

    def says(self, language: str = "python") -> list[str]:
        """The lines that its examples print, as they say themselves, in the order of the page."""
        return [said for block in self.blocks(language) for said in block.says()]

    def given(self, language: str = "python") -> dict[str, Any]:
        """What its examples take for granted: what they need of the facade, and what its file in ``given/`` defines.

        Args:
            language: ``py`` for the examples of another library, which have a file in ``given/theirs/`` and no facade.
        """
        ours = self.blocks("python") if language == "python" else []
        words = {word for block in ours for word in re.findall(r"\w+", block.text)}
        module = sys.modules["page"] = ModuleType("page")  # dataclasses look for the module that they are in
        names = vars(module)
        names |= {name: getattr(callboard, name) for name in words & vars(callboard)["_HOME_OF"].keys()}
        file = (GIVEN if language == "python" else THEIRS) / self.name_of_given
        if file.exists():
            exec(compile(file.read_text(encoding="utf-8"), str(file), "exec", dont_inherit=True), names)
        return names

    def run(
        self, names: Mapping[str, Any] | None = None, only: slice = slice(None), language: str = "python"
    ) -> dict[str, Any]:
        """Run its examples in Python, one after the other; what awaits at its top level is awaited.

        If the file in ``given/`` defines an asynchronous context manager ``around``, each of those that await is run
        in one of its own, which gives it names.

        Args:
            names: what they take for granted, besides what is given.
            only: which of them.
            language: ``py`` for the examples of another library that a page shows beside ours.

        Returns:
            the names that there are afterwards.
        """
        known = self.given(language)
        known |= names or {}
        with asyncio.Runner() as runner:
            for block in self.blocks(language)[only]:
                code = block.code
                if code.co_flags & inspect.CO_COROUTINE:
                    runner.run(_awaited(code, known))
                else:
                    exec(code, known)
        return known


async def _awaited(code: CodeType, known: dict[str, Any]) -> None:
    async with known.get("around", contextlib.nullcontext)() as names:
        known |= names or {}
        await eval(code, known)


def paths() -> list[str]:
    """All pages, as they are named in the repository."""
    return [path.as_posix() for path in collecting().pages()]


def shown(*languages: str) -> Iterator[Block]:
    """What all pages show in these languages."""
    for path in paths():
        yield from Page(path).blocks(*languages)


if __name__ == "__main__":
    Page(sys.argv[1]).run(language=(*sys.argv[2:], "python")[0])
