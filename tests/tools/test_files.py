from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from callboard.tools import ToolRegistry, ToolResult
from callboard.tools.builtin.files import file_tools
from callboard.tools.errors import NoSuchPath, UnsuitableFile


@pytest.fixture
def tools(tmp_path: Path) -> ToolRegistry:
    return ToolRegistry(file_tools(tmp_path, max_file=50_000))


async def _call(tools: ToolRegistry, name: str, **arguments: object) -> ToolResult:
    return await tools.get(name).run(arguments)


async def _text(tools: ToolRegistry, name: str, **arguments: object) -> str:
    result = await _call(tools, name, **arguments)
    assert not result.is_error, result.content
    return result.text


def test_a_root_that_does_not_exist_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPath, match="nowhere"):
        file_tools(tmp_path / "nowhere")


def test_only_the_tools_that_write_are_risky(tools: ToolRegistry) -> None:
    assert {tool.name for tool in tools if tool.risk == "safe"} == {"LS", "Glob", "Grep", "Read"}
    assert {tool.name for tool in tools if not tool.idempotent} == {"Edit", "MultiEdit"}


async def test_write_makes_folders_and_read_numbers_the_lines(tools: ToolRegistry, tmp_path: Path) -> None:
    assert "wrote new/deep/f.txt" in await _text(tools, "Write", path="new/deep/f.txt", content="one\ntwo\n")
    assert (tmp_path / "new/deep/f.txt").read_text() == "one\ntwo\n"
    assert await _text(tools, "Read", path="new/deep/f.txt") == "     1\tone\n     2\ttwo"
    assert "replaced" in await _text(tools, "Write", path="new/deep/f.txt", content="")
    assert await _text(tools, "Read", path="new/deep/f.txt") == "(the file is empty)"


async def test_write_keeps_a_files_permissions_and_leaves_nothing_beside_it(
    tools: ToolRegistry, tmp_path: Path
) -> None:
    script = tmp_path / "run.sh"
    script.write_text("old")
    script.chmod(0o751)
    await _text(tools, "Write", path="run.sh", content="new")
    assert script.read_text() == "new"
    assert script.stat().st_mode & 0o777 == 0o751
    assert os.listdir(tmp_path) == ["run.sh"]


async def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside_it(
    tools: ToolRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = await _call(tools, "Write", path="f", content="new")
    assert "No space left" in result.content
    assert (tmp_path / "f").read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


async def test_writing_through_a_link_changes_its_target_and_keeps_the_link(
    tools: ToolRegistry, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("old")
    (tmp_path / "link").symlink_to("f")
    await _text(tools, "Write", path="link", content="new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "f").read_text() == "new"


async def test_read_pages_through_a_long_file_and_says_where_to_go_on(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"line {n}\n" for n in range(1, 101)))
    assert await _text(tools, "Read", path="f", offset=10, limit=2) == (
        "    10\tline 10\n    11\tline 11\n[… the file goes on; continue with offset=12]"
    )
    assert await _text(tools, "Read", path="f", offset=100, limit=2) == "   100\tline 100"
    assert await _text(tools, "Read", path="f", offset=101) == "(the file has 100 lines; there is none from 101 on)"
    assert (await _call(tools, "Read", path="f", offset=0)).is_error


async def test_paging_by_the_notes_shows_every_line_of_a_huge_file_once(tools: ToolRegistry, tmp_path: Path) -> None:
    lines = [f"{n} " + "é" * (n % 300) for n in range(1, 3001)]
    (tmp_path / "f").write_text("\n".join(lines), encoding="utf-8")
    shown: list[str] = []
    offset = 1
    while offset:
        page = (await _text(tools, "Read", path="f", offset=offset)).splitlines()
        note = page.pop() if page[-1].startswith("[…") else ""
        shown += [line.split("\t", 1)[1] for line in page]
        offset = int(note.rstrip("]").split("=")[1]) if note else 0
    assert shown == lines


async def test_one_endless_line_is_cut(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x" * 5_000_000 + "\nsecond\n")
    text = await _text(tools, "Read", path="f")
    assert len(text) < 3_000
    assert text.endswith("     2\tsecond")


async def test_binary_files_pipes_and_folders_are_refused_with_their_reason(
    tools: ToolRegistry, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(b"\x89PNG\0\0")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, reason in [("image", "binary"), ("pipe", "not a regular file"), ("folder", "is a folder")]:
        result = await _call(tools, "Read", path=name)
        assert isinstance(result.error, UnsuitableFile), name
        assert reason in result.content
    for name in ("pipe", "folder"):
        assert (await _call(tools, "Write", path=name, content="x")).is_error
    assert "image" not in await _text(tools, "Grep", pattern="PNG|x")


async def test_a_file_that_is_too_large_is_neither_searched_nor_edited_nor_written(
    tools: ToolRegistry, tmp_path: Path
) -> None:
    (tmp_path / "big").write_text("needle\n" * 10_000)
    (tmp_path / "small").write_text("needle")
    found = await _text(tools, "Grep", pattern="needle")
    assert found == "small:1:needle\n[1 file of more than 50,000 bytes not searched]"
    assert "at most 50,000" in (await _call(tools, "Edit", path="big", old_string="a", new_string="b")).content
    assert "at most 50,000" in (await _call(tools, "Write", path="f", content="x" * 50_001)).content
    assert (
        "at most 50,000"
        in (await _call(tools, "Edit", path="small", old_string="needle", new_string="x" * 50_001)).content
    )
    assert (tmp_path / "small").read_text() == "needle"


async def test_grep_shows_file_line_and_text_in_order(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.py").write_text("x\r\n  # TODO: second\r\n")
    (tmp_path / "a.py").write_text("# TODO: first\n# todo: lower\n")
    (tmp_path / "notes.md").write_text("TODO: third\n")
    assert await _text(tools, "Grep", pattern="TODO: *\\w+$") == (
        "a.py:1:# TODO: first\nb/two.py:2:# TODO: second\nnotes.md:1:TODO: third"
    )
    assert await _text(tools, "Grep", pattern="todo", glob="*.py", ignore_case=True) == (
        "a.py:1:# TODO: first\na.py:2:# todo: lower\nb/two.py:2:# TODO: second"
    )
    assert await _text(tools, "Grep", pattern="TODO", path="b") == "b/two.py:2:# TODO: second"
    assert await _text(tools, "Grep", pattern="TODO", path="notes.md") == "notes.md:1:TODO: third"
    assert (await _text(tools, "Grep", pattern="TODO", limit=1)).endswith("raise the limit]")
    assert await _text(tools, "Grep", pattern="^$") == "(no match for '^$')"


async def test_names_that_are_no_text_are_told_escaped(tools: ToolRegistry, tmp_path: Path) -> None:
    for name in (b"bad\xff.py", b"two\nlines.py", b"\x1b[31mred.py"):
        (tmp_path / os.fsdecode(name)).write_text("needle\n")
    names = ["\\x1b[31mred.py", "bad\\xff.py", "two\\nlines.py"]
    assert (await _text(tools, "Glob", pattern="*.py")).splitlines() == names
    assert (await _text(tools, "Grep", pattern="needle", glob="*.py")).splitlines() == [f"{n}:1:needle" for n in names]
    assert (await _text(tools, "LS")).splitlines() == [f"{name} (7 bytes)" for name in names]


async def test_grep_says_how_many_files_it_could_not_read(
    tools: ToolRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open.py").write_text("needle\n")
    (tmp_path / "closed.py").write_text("needle\n")
    really = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:  # root may read whatever has its mode
        if path == "closed.py":
            raise PermissionError(13, "Permission denied")
        return really(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    assert await _text(tools, "Grep", pattern="needle") == "open.py:1:needle\n[1 file that cannot be read not searched]"


async def test_grep_refuses_a_pattern_it_cannot_search_for_and_says_why(tools: ToolRegistry) -> None:
    assert "look-around" in (await _call(tools, "Grep", pattern="(?=a)b")).content
    assert "unclosed" in (await _call(tools, "Grep", pattern="(a")).content


async def test_a_pattern_that_makes_backtracking_engines_explode_is_searched_in_linear_time(
    tools: ToolRegistry, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("a" * 40_000 + "!")
    assert "no match" in await _text(tools, "Grep", pattern="^(a+)+$")
    assert "no file" in await _text(tools, "Glob", pattern="*a" * 50)


async def test_searches_leave_out_version_control_caches_and_environments(tools: ToolRegistry, tmp_path: Path) -> None:
    for folder, mark in [(".git", "config"), ("cache", "CACHEDIR.TAG"), ("env", "pyvenv.cfg"), ("src", "x")]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / mark).write_text("needle")
        (tmp_path / folder / "code.py").write_text("needle")
    assert await _text(tools, "Glob", pattern="*.py") == "src/code.py"
    assert await _text(tools, "Grep", pattern="needle") == "src/code.py:1:needle\nsrc/x:1:needle"
    assert await _text(tools, "LS") == ".git/\ncache/\nenv/\nsrc/"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("*.py", ["a.py", "src/b.py", "src/deep/c.py"]),
        ("src/*.py", ["src/b.py"]),
        ("src/**/*.py", ["src/b.py", "src/deep/c.py"]),
        ("**/*.md", ["README.md", "src/deep/d.md"]),
        ("./*.py", ["a.py", "src/b.py", "src/deep/c.py"]),
        ("src/**", ["src/b.py", "src/deep/c.py", "src/deep/d.md"]),
        ("*.{md,txt}", ["README.md", "src/deep/d.md"]),
        ("[a-b].py", ["a.py", "src/b.py"]),
        ("[!a-b].py", ["src/deep/c.py"]),
        ("?.py", ["a.py", "src/b.py", "src/deep/c.py"]),
        ("**/deep/*", ["src/deep/c.py", "src/deep/d.md"]),
        ("a+.py", []),
    ],
)
async def test_glob_finds_files_by_name(tools: ToolRegistry, tmp_path: Path, pattern: str, fits: list[str]) -> None:
    for name in ("a.py", "README.md", "src/b.py", "src/deep/c.py", "src/deep/d.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    expected = "\n".join(fits) or f"(no file fits {pattern!r})"
    assert await _text(tools, "Glob", pattern=pattern) == expected


async def test_glob_refuses_what_is_not_closed_and_counts_its_limit(tools: ToolRegistry, tmp_path: Path) -> None:
    assert "'['" in (await _call(tools, "Glob", pattern="[a")).content
    assert "'{'" in (await _call(tools, "Glob", pattern="{a,b")).content
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("")
    assert (await _text(tools, "Glob", pattern="*", limit=2)).splitlines()[:2] == ["0.txt", "1.txt"]
    assert (await _text(tools, "Glob", pattern="*", limit=5)).splitlines()[4:] == ["4.txt"]


async def test_edit_replaces_a_unique_text_and_nothing_else(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one two two\n")
    assert "replaced 1 occurrence in f" in await _text(tools, "Edit", path="f", old_string="one", new_string="1")
    twice = await _call(tools, "Edit", path="f", old_string="two", new_string="2")
    assert "2 times" in twice.content
    assert "does not stand" in (await _call(tools, "Edit", path="f", old_string="six", new_string="6")).content
    assert "the same" in (await _call(tools, "Edit", path="f", old_string="1", new_string="1")).content
    assert "empty" in (await _call(tools, "Edit", path="f", old_string="", new_string="1")).content
    assert (tmp_path / "f").read_text() == "1 two two\n"
    await _text(tools, "Edit", path="f", old_string="two", new_string="2", replace_all=True)
    assert (tmp_path / "f").read_text() == "1 2 2\n"


async def test_edits_keep_windows_line_ends(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    await _text(tools, "Edit", path="f", old_string="one\ntwo", new_string="1\n2")
    assert (tmp_path / "f").read_bytes() == b"1\r\n2\r\nthree\r\n"


async def test_editing_what_is_not_utf8_is_refused(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"caf\xe9 one")
    assert "not UTF-8" in (await _call(tools, "Edit", path="f", old_string="one", new_string="1")).content
    assert (tmp_path / "f").read_bytes() == b"caf\xe9 one"


async def test_multi_edit_makes_all_replacements_or_none(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a b c")
    edits = [{"old_string": "a", "new_string": "b2"}, {"old_string": "b2 b", "new_string": "d"}]
    await _text(tools, "MultiEdit", path="f", edits=edits)
    assert (tmp_path / "f").read_text() == "d c"
    failing = [{"old_string": "d", "new_string": "e"}, {"old_string": "gone", "new_string": ""}]
    assert "edit 2 of 2" in (await _call(tools, "MultiEdit", path="f", edits=failing)).content
    assert (tmp_path / "f").read_text() == "d c"


async def test_edits_of_one_file_at_once_all_arrive(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(" ".join(f"<{n}>" for n in range(30)))
    other = ToolRegistry(file_tools(tmp_path))
    results = await asyncio.gather(
        *(
            _call(tools if n % 2 else other, "Edit", path="f", old_string=f"<{n}>", new_string=f"[{n}]")
            for n in range(30)
        )
    )
    assert not any(result.is_error for result in results)
    assert (tmp_path / "f").read_text() == " ".join(f"[{n}]" for n in range(30))


async def test_gits_own_data_cannot_be_written(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("sub/.git")
    for path in (".git/hooks/pre-commit", "sub/.git", "sub/.GIT/config", "link/config", "new/.git/config"):
        assert "git's own data" in (await _call(tools, "Write", path=path, content="x")).content, path
    assert not (tmp_path / ".git").exists()
    assert not (tmp_path / "new" / ".git").exists()


async def test_a_hard_link_is_the_file_itself_wherever_else_that_lies(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "a.txt").write_text("as it was")
    (inside / "b.txt").hardlink_to(outside / "a.txt")
    tools = ToolRegistry(file_tools(inside))
    assert "as it was" in await _text(tools, "Read", path="b.txt")
