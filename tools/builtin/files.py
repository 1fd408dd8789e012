"""The file tools: LS, Glob, Grep, Read, Write, Edit, MultiEdit, confined to a folder, or to several."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import FileError, NoSuchPath, ToolError, UnsuitableFile
from ..function_tool import tool
from ..preview import Change
from ..signatures.docs import read_docstring
from ..threads import gave_up
from ..tool import Tool
from .folder import Entry, Folder, Place, read_at_most, refuse_git
from .patterns import glob_matcher, matcher

_LINE_SHOWN = 2_000  # characters of one line that Read shows
_MATCH_SHOWN = 300  # characters of one line that Grep shows
_SNIFFED = 8_192  # bytes looked at to tell binary from text, as git does
_LISTED = 1_000  # entries of a folder that LS shows
_UNTOLD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def file_tools(root: str | os.PathLike[str], *more: str | os.PathLike[str], max_file: int = 5_000_000) -> list[Tool]:
    """The tools LS, Glob, Grep, Read, Write, Edit and MultiEdit, confined to ``root`` and further folders.

    Args:
        root: an existing folder. No path leads out of it, not by ``..``, not absolute, not through a symbolic link.
            A hard link cannot be told from the file itself, and is read as any file is. Relative paths are relative to
            it.
        more: further folders, which the model is told of and names by absolute paths; the same holds for each.
        max_file: bytes of the largest file that is searched, edited or written. Reading has no such limit: it goes by
            lines.

    Raises:
        NoSuchPath: a folder does not exist.
    """
    files = _Files((Folder(root), *(Folder(folder, absolute=True) for folder in more)), max_file)
    reading: dict[str, Any] = {"risk": "safe", "idempotent": True}
    # Writing the same content twice is harmless; editing twice is not: the text to replace is gone.
    return [
        files.tool("LS", files.list_folder, **reading),
        files.tool("Glob", files.glob, **reading),
        files.tool("Grep", files.grep, **reading),
        files.tool("Read", files.read, **reading),
        files.tool("Write", files.write, risk="risky", idempotent=True, preview=files.preview_write),
        files.tool("Edit", files.edit, risk="risky", preview=files.preview_edit),
        files.tool("MultiEdit", files.multi_edit, risk="risky", preview=files.preview_multi_edit),
    ]


@dataclass(frozen=True, slots=True)
class Replacement:
    """One text to replace, exactly as it stands in the file, and the text to put in its place."""

    old_string: str
    new_string: str


@dataclass(frozen=True, slots=True)
class _Files:
    folders: tuple[Folder, ...]
    max_file: int

    def tool(self, name: str, function: Callable[..., str], **options: Any) -> Tool:
        if len(self.folders) > 1:
            others = ", ".join(str(folder.root) for folder in self.folders[1:])
            note = f"Beside the root there are these folders, for absolute paths: {others}"
            options["description"] = f"{read_docstring(function.__doc__).description}\n\n{note}"
        return tool(name=name, **options)(function)

    def folder(self, path: str) -> Folder:
        """The folder that a path is looked for in: of those that hold an absolute one, the innermost."""
        return max(self.folders, key=lambda folder: folder.holds(path))

    def list_folder(self, path: str = ".") -> str:
        """List what a folder holds: folders end with '/', links with '@', files show their size in bytes.

        Args:
            path: the folder, relative to the root.
        """
        folder = self.folder(path)
        with folder.locate(path) as place:
            _expect_folder(place)
            entries = folder.entries(place)
        lines = [_listed(entry) for entry in entries[:_LISTED]]
        if len(entries) > _LISTED:
            lines.append(f"[… {len(entries) - _LISTED} more]")
        return "\n".join(lines) or "(the folder is empty)"

    def glob(self, pattern: str, path: str = ".", limit: int = 500) -> str:
        """Find files by name. Version control data, caches and virtual environments are left out.

        Args:
            pattern: a glob such as '*.py', 'src/**/*.ts' or '*.{md,txt}'; without a slash it is looked for in every
                folder.
            path: the folder to look in, relative to the root; the pattern is relative to it.
            limit: the largest number of files to list.
        """
        fits = glob_matcher(pattern)
        found: list[str] = []
        folder = self.folder(path)
        with folder.locate(path) as place:
            _expect_folder(place)
            prefix = 0 if place.path == "." else len(place.path) + 1
            for entry in folder.walk(place):
                if entry.kind in ("file", "link") and fits(_named(entry.path[prefix:])):
                    if len(found) >= limit:
                        found.append(f"[… more than {limit}; narrow the pattern or raise the limit]")
                        break
                    found.append(_named(entry.path))
        return "\n".join(found) or f"(no file fits {pattern!r})"

    def grep(self, pattern: str, path: str = ".", glob: str = "", ignore_case: bool = False, limit: int = 200) -> str:
        """Search file contents by regular expression. Each match is shown as file:line:text.

        Binary files, version control data, caches and virtual environments are left out.

        Args:
            pattern: a regular expression in ripgrep's syntax (no look-around, no back-references).
            path: a file, or the folder to search, relative to the root.
            glob: search only files whose names fit, such as '*.py'.
            ignore_case: make no difference between upper and lower case.
            limit: the largest number of matches to show.
        """
        matches = matcher(f"(?i:{pattern})" if ignore_case else pattern)
        fits = glob_matcher(glob) if glob else None
        found: list[str] = []
        too_large = unreadable = 0
        folder = self.folder(path)
        with folder.locate(path) as start:
            for place in self._searched(folder, start, fits):
                try:
                    text = self._text_of(folder, place)
                except UnsuitableFile:
                    too_large += 1
                    continue
                except NoSuchPath:
                    continue  # gone meanwhile
                except FileError:
                    unreadable += 1  # the search goes on with the rest
                    continue
                if text is None:
                    continue
                for number, line in enumerate(_lines(text), 1):
                    if matches(line):
                        if len(found) >= limit:
                            found.append(f"[… more than {limit} matches; narrow the search or raise the limit]")
                            return "\n".join(found)
                        found.append(f"{_named(place.path)}:{number}:{_cut(line.strip(), _MATCH_SHOWN)}")
        if not found:
            found.append(f"(no match for {pattern!r})")
        if too_large:
            found.append(f"[{_files(too_large)} of more than {self.max_file:,} bytes not searched]")
        if unreadable:
            found.append(f"[{_files(unreadable)} that cannot be read not searched]")
        return "\n".join(found)

    def _searched(self, folder: Folder, start: Place, fits: Callable[[str], bool] | None) -> Iterator[Place]:
        if not start.is_folder:
            yield start
            return
        prefix = 0 if start.path == "." else len(start.path) + 1
        for entry in folder.walk(start):
            if entry.kind == "file" and (fits is None or fits(_named(entry.path[prefix:]))):
                yield Place(entry.holder, entry.name, entry.path, start.status)

    def _text_of(self, folder: Folder, place: Place) -> str | None:
        """The text of a file, or None if it is binary."""
        with os.fdopen(folder.open_file(place), "rb") as file:
            data = read_at_most(file.fileno(), place.path, self.max_file)
        return None if _is_binary(data) else data.decode("utf-8", errors="replace")

    def read(self, path: str, offset: int = 1, limit: int = 2000) -> str:
        """Read a text file. Each line is shown with its number and a tab.

        Args:
            path: the file, relative to the root.
            offset: the number of the first line to show, from 1.
            limit: the largest number of lines to show.
        """
        if offset < 1 or limit < 1:
            raise ToolError("offset and limit start at 1")
        lines: list[str] = []
        room = 90_000  # characters, to stay below the limit of a result: a note says where to go on
        number = 0
        folder = self.folder(path)
        with folder.locate(path) as place, os.fdopen(folder.open_file(place), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if _is_binary(file.read(_SNIFFED)):
                raise UnsuitableFile(f"{place.path!r} is a binary file of {size:,} bytes; it cannot be read as text")
            file.seek(0)
            # Lines are read in pieces: a file may be one endless line.
            while piece := file.readline(_LINE_SHOWN * 4):
                number += 1
                whole = piece.endswith(b"\n")
                while not whole and (more := file.readline(1 << 16)):
                    whole = more.endswith(b"\n")
                    if gave_up():
                        return ""
                if number < offset:
                    continue
                text = _cut(piece.decode("utf-8", errors="replace").rstrip("\r\n"), _LINE_SHOWN)
                room -= len(text) + 8
                if len(lines) >= limit or (room < 0 and lines):
                    lines.append(f"[… the file goes on; continue with offset={number}]")
                    return "\n".join(lines)
                lines.append(f"{number:6}\t{text}")
        if not lines:
            return f"(the file has {number} lines; there is none from {offset} on)" if number else "(the file is empty)"
        return "\n".join(lines)

    def write(self, path: str, content: str) -> str:
        """Write a text file: make it, with the folders on the way, or replace all of its content.

        Args:
            path: the file, relative to the root.
            content: the whole new content.
        """
        data = self._content(content)
        place = self.folder(path).write(path, data)
        done = "wrote" if place.status is None else "replaced"
        return f"{done} {place.path} ({len(data):,} bytes)"

    def edit(self, path: str, old_string: str, new_string: str, replace_all: bool = False) -> str:
        """Replace a text in a file. The text must stand in it exactly once, or replace_all must be set.

        Args:
            path: the file, relative to the root.
            old_string: the text to replace, exactly as it stands in the file, with enough around it to be unique.
            new_string: the text to put in its place.
            replace_all: replace every occurrence.
        """
        replaced = 0

        def change(text: str) -> str:
            nonlocal replaced
            text, replaced = _replaced(text, old_string, new_string, replace_all, path)
            return text

        place = self.folder(path).change(path, self.max_file, self._changed(path, change))
        return f"replaced {replaced} occurrence{'s' if replaced > 1 else ''} in {place.path}"

    def multi_edit(self, path: str, edits: list[Replacement]) -> str:
        """Replace several texts in one file, one after the other; all of them, or none.

        Args:
            path: the file, relative to the root.
            edits: the replacements; each text must stand exactly once in what the ones before it leave.
        """
        if not edits:
            raise ToolError("edits is empty: there is nothing to replace")
        change = self._changed(path, lambda text: _with_edits(text, edits, path))
        place = self.folder(path).change(path, self.max_file, change)
        return f"made {len(edits)} replacement{'s' if len(edits) > 1 else ''} in {place.path}"

    # -- what they would change ----------------------------------------------------------------------------------------

    def preview_write(self, arguments: dict[str, Any]) -> Change:
        """What is in a file, and what would be."""
        path, after = arguments["path"], arguments["content"]
        self._content(after)
        folder = self.folder(path)
        try:
            with folder.locate(path) as place:
                folder.check_writable(place)
                if place.status is None:
                    return Change(place.path, None, after)
                try:
                    text = self._text_of(folder, place)
                except UnsuitableFile:  # too large
                    return Change(place.path, None, after, f"a file of {place.status.st_size:,} bytes is there")
                if text is None:
                    return Change(place.path, None, after, f"a binary file of {place.status.st_size:,} bytes is there")
                return Change(place.path, text, after)
        except NoSuchPath:
            if ".." in (parts := path.split("/")):
                raise
            for part in parts:  # the folders on the way are made
                refuse_git(part, path)
            return Change(path, None, after)

    def preview_edit(self, arguments: dict[str, Any]) -> Change:
        """What is in a file, and what would be."""
        path, old, new = arguments["path"], arguments["old_string"], arguments["new_string"]
        return self._preview(path, lambda text: _replaced(text, old, new, arguments.get("replace_all", False), path)[0])

    def preview_multi_edit(self, arguments: dict[str, Any]) -> Change:
        """What is in a file, and what would be."""
        path, edits = arguments["path"], arguments["edits"]
        return self._preview(path, lambda text: _with_edits(text, edits, path))

    def _preview(self, path: str, change: Callable[[str], str]) -> Change:
        folder = self.folder(path)
        with folder.locate(path) as place, os.fdopen(folder.open_file(place), "rb") as file:
            folder.check_writable(place)
            before = read_at_most(file.fileno(), place.path, self.max_file)
            after = self._changed(path, change)(before)
            return Change(place.path, before.decode(), after.decode())

    # ------------------------------------------------------------------------------------------------------------------

    def _content(self, content: str) -> bytes:
        data = _encoded(content)
        if len(data) > self.max_file:
            raise UnsuitableFile(f"the content has {len(data):,} bytes; at most {self.max_file:,} are allowed")
        return data

    def _changed(self, path: str, change: Callable[[str], str]) -> Callable[[bytes], bytes]:
        """What makes a file's new content of its old one."""

        def changed(data: bytes) -> bytes:
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                raise UnsuitableFile(f"{path!r} is not UTF-8 text; editing would damage it") from None
            result = _encoded(change(text))
            if len(result) > self.max_file:
                raise UnsuitableFile(
                    f"{path!r} would have {len(result):,} bytes; at most {self.max_file:,} are allowed"
                )
            return result

        return changed


def _with_edits(text: str, edits: list[Replacement], path: str) -> str:
    for number, one in enumerate(edits, 1):
        where = f"edit {number} of {len(edits)}, {path}" if len(edits) > 1 else path
        text, _ = _replaced(text, one.old_string, one.new_string, False, where)
    return text


def _replaced(text: str, old: str, new: str, everywhere: bool, where: str) -> tuple[str, int]:
    if not old:
        raise ToolError(f"{where}: old_string is empty; use Write to make a file")
    if old == new:
        raise ToolError(f"{where}: old_string and new_string are the same")
    count = text.count(old)
    if not count and "\r\n" in text:
        # Read shows lines without their ends, so a model cannot know of carriage returns.
        old, new = (part.replace("\r\n", "\n").replace("\n", "\r\n") for part in (old, new))
        count = text.count(old)
    if not count:
        raise ToolError(f"{where}: old_string does not stand in the file; read it and copy the text exactly")
    if count > 1 and not everywhere:
        raise ToolError(
            f"{where}: old_string stands in the file {count} times; add what is around it to make it unique"
        )
    return text.replace(old, new), count


def _expect_folder(place: Place) -> None:
    if place.status is None:
        raise FileError(f"{place.path!r} does not exist")
    if not place.is_folder:
        raise FileError(f"{place.path!r} is a file, not a folder")


def _files(number: int) -> str:
    return f"{number} file{'s' * (number != 1)}"


def _listed(entry: Entry) -> str:
    name = _named(entry.name)
    if entry.kind == "folder":
        return name + "/"
    if entry.kind == "link":
        return name + "@"
    return f"{name} ({entry.size:,} bytes)" if entry.kind == "file" else f"{name} (special)"


def _named(path: str) -> str:
    """A path as it may be told: bytes that are no UTF-8 (lone surrogates here, which no vendor takes) and what would
    begin a new line stand there escaped."""
    return _UNTOLD.sub(lambda found: _escaped(found[0]), path)


def _escaped(char: str) -> str:
    return f"\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else char.encode("unicode_escape").decode()


def _is_binary(data: bytes) -> bool:
    return b"\0" in data[:_SNIFFED]


def _lines(text: str) -> Iterator[str]:
    """Lines as editors count them; `str.splitlines` would also split at form feeds and the like."""
    for number, line in enumerate(text.removesuffix("\n").split("\n")):
        if not number % 1000 and gave_up():
            return
        yield line.rstrip("\r")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ToolError("the text holds a lone surrogate, which is no character") from None
