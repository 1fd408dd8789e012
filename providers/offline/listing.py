"""The files of a folder, and what may be there although it is not listed."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAKEFILE = "(gnu)?makefile"
EXAMPLE = re.compile(
    r"\b(e\.g|i\.e|example|instance|such as|like|say|would|could|might|creat\w*|writ\w*|generat\w*|produc\w*|output|"
    r"your|you have|suppose|imagine|removed?|renamed?|deleted?|no longer|was|were|used to)\b",
    re.I,
)
"""Words of a line whose paths may be examples, files that a program makes, or ones that are no more."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known of a folder.

    Args:
        files: its files.
        unseen: patterns of what may be there all the same: what git passes over, and submodules.
    """

    files: list[str]
    unseen: list[str] = field(default_factory=list)

    def pass_over(self, *pages: Mapping[int, str]) -> None:
        """Take the patterns of a .gitignore and the paths of a .gitmodules: the lines of these files."""
        for page in pages:
            for line in page.values():
                module = re.match(r"\s*path\s*=\s*(.+?)\s*$", line)
                if module:
                    self.unseen.append(f"/{module[1]}")
                elif not re.match(r"\s*([#\[]|url\s*=|$)", line):
                    self.unseen.append(line.strip().rstrip("/").replace("**/", "").removesuffix("/*"))

    def is_unseen(self, path: str) -> bool:
        """Whether a path is, or lies in, what may be there unseen, or lies in a link: none is followed."""
        above = [way for way in ways(path) if way != "."]
        unseen = any(way in self.files for way in above[1:])
        for pattern in self.unseen:
            bare = pattern.removeprefix("!")
            # A pattern with a slash is one of paths from the top; of several that fit, the last one counts.
            if any(fnmatch.fnmatch(way if "/" in bare else posixpath.basename(way), bare.lstrip("/")) for way in above):
                unseen = bare == pattern
        return unseen

    def named(self, name: str) -> str:
        """The first file at the top whose name fits a pattern, in whatever letters; or nothing."""
        return next((file for file in self.files if re.fullmatch(name, file, re.IGNORECASE)), "")


def ways(file: str) -> Iterable[str]:
    """A file, and each folder above it."""
    while file:
        yield file
        file = posixpath.dirname(file)
    yield "."
