"""What a call would change, before it is made."""

from __future__ import annotations

import asyncio
import itertools
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors.testing import virtual_time
from callboard.tools import (
    BaseTool,
    Change,
    InvalidArguments,
    OutsideFolder,
    ToolCrashed,
    ToolDefinitionError,
    ToolError,
    ToolRegistry,
    ToolTimeout,
    tool,
)
from callboard.tools.builtin.files import file_tools
from callboard.tools.errors import FileError, NoSuchPath, UnsuitableFile

TEXTS = st.text(alphabet="ab\n\r\f\u2028é😀", max_size=12)


@pytest.fixture
def tools(tmp_path: Path) -> ToolRegistry:
    return ToolRegistry(file_tools(tmp_path, max_file=1_000))


async def change(tools: ToolRegistry, name: str, **arguments: Any) -> Change:
    changes = await tools.get(name).preview(arguments)
    assert changes is not None
    (one,) = changes
    return one


@given(TEXTS, TEXTS, TEXTS, TEXTS)
async def test_what_a_file_tool_shows_is_what_it_does_then(
    tmp_path_factory: pytest.TempPathFactory, text: str, old: str, new: str, last: str
) -> None:
    folder = tmp_path_factory.mktemp("files")
    tools = ToolRegistry(file_tools(folder))
    file = folder / "f"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("Write", {"path": "f", "content": text}),
        ("Edit", {"path": "f", "old_string": old, "new_string": new}),
        ("Edit", {"path": "f", "old_string": old, "new_string": new, "replace_all": True}),
        ("MultiEdit", {"path": "f", "edits": [{"old_string": new, "new_string": last}]}),
        ("Write", {"path": "f", "content": last}),
    ]
    for name, arguments in calls:
        before = file.read_bytes().decode() if file.exists() else None
        failed: ToolError | None = None
        shown: Change | None = None
        try:
            shown = await change(tools, name, **arguments)
        except ToolError as error:
            failed = error
        assert (file.read_bytes().decode() if file.exists() else None) == before, "a preview changes nothing"
        result = await tools.get(name).run(arguments)
        after = file.read_bytes().decode()
        if shown is None:
            assert result.is_error
            assert str(failed) in result.text
            assert after == before
        else:
            assert shown == Change("f", before, after)


async def test_what_cannot_be_changed_is_refused_as_the_call_would_be(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    cases: list[tuple[type[ToolError], str, dict[str, Any]]] = [
        (OutsideFolder, "Write", {"path": "../x", "content": ""}),
        (UnsuitableFile, "Write", {"path": "folder", "content": ""}),
        (UnsuitableFile, "Write", {"path": ".git/config", "content": ""}),
        (UnsuitableFile, "Write", {"path": "x", "content": "x" * 1_001}),
        (NoSuchPath, "Edit", {"path": "none", "old_string": "a", "new_string": "b"}),
        (FileError, "Edit", {"path": "none/none", "old_string": "a", "new_string": "b"}),
        (InvalidArguments, "Edit", {"path": "none"}),
        (InvalidArguments, "Write", {"path": "x", "content": "", "mode": 1}),
    ]
    for error, name, arguments in cases:
        with pytest.raises(error):
            await tools.get(name).preview(arguments)


async def test_what_is_there_and_is_no_text_or_too_large_is_named(tools: ToolRegistry, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0\1\2")
    (tmp_path / "large").write_text("x" * 2_000)
    shown = await change(tools, "Write", path="binary", content="new")
    assert shown == Change("binary", None, "new", "a binary file of 3 bytes is there")
    shown = await change(tools, "Write", path="large", content="new")
    assert shown == Change("large", None, "new", "a file of 2,000 bytes is there")
    assert "new" not in repr(shown)
    deep = await change(tools, "Write", path="new/deep/f", content="x")
    assert (deep.path, deep.before, deep.after) == ("new/deep/f", None, "x")
    assert not (tmp_path / "new").exists()


async def test_a_tool_of_ones_own_says_what_it_would_change_and_one_that_does_not_says_none() -> None:
    calls: list[str] = []

    @tool(preview=lambda arguments: [Change(arguments["name"], None, "new"), Change("index", "a", "b")])
    async def put(name: str, count: int = 1) -> str:
        """Put something."""
        calls.append(name)
        return name

    assert await put.preview('{"name": "x"}') == (Change("x", None, "new"), Change("index", "a", "b"))
    assert (await put.run({"name": "x"})).text == "x"
    assert calls == ["x"], "it is called as any other"

    async def later(arguments: dict[str, Any]) -> Change:
        await asyncio.sleep(0)
        return Change("later")

    class Put(BaseTool, preview=later):
        """Put something."""

        name: str

        def run(self) -> str:
            return self.name

    assert await Put.as_tool().preview({"name": "x"}) == (Change("later"),)

    @tool
    async def plain() -> str:
        """Do something."""
        return ""

    assert await plain.preview({}) is None

    @tool(preview=lambda arguments: None)
    async def nothing() -> str:
        """Do nothing."""
        return ""

    assert await nothing.preview({}) == ()


async def test_tools_of_one_function_made_again_have_previews_of_their_own() -> None:
    def made(name: str) -> Any:
        @tool(preview=lambda arguments: Change(name))
        async def put() -> str:
            """Put something."""
            return name

        return put

    first, second = made("one"), made("two")
    assert (await first.preview({}), await second.preview({})) == ((Change("one"),), (Change("two"),))


async def test_a_preview_that_fails_hangs_or_returns_something_else_is_a_named_error() -> None:
    def bad(given: Any) -> Any:
        @tool(preview=given)
        async def put() -> str:
            """Put something."""
            return ""

        return put

    def broken(arguments: dict[str, Any]) -> Any:
        raise LookupError("gone")

    with pytest.raises(ToolCrashed, match="LookupError: gone"):
        await bad(broken).preview({})
    for wrong in ("text", 5, [Change("x"), 5], Change("x", 5), Change(5), Change("x", note=b"")):  # type: ignore[arg-type]
        with pytest.raises(ToolCrashed, match="not a Change"):
            await bad(lambda arguments, wrong=wrong: wrong).preview({})
    with pytest.raises(ToolCrashed, match="more than 1,000 changes"):
        await bad(lambda arguments: (Change(str(number)) for number in itertools.count())).preview({})
    with pytest.raises(ToolDefinitionError, match="preview"):
        bad("text")


@virtual_time
async def test_a_preview_that_takes_too_long_is_given_up() -> None:
    async def slow(arguments: dict[str, Any]) -> Change:
        await asyncio.Event().wait()
        return Change("x")

    @tool(preview=slow)
    async def put() -> str:
        """Put something."""
        return ""

    with pytest.raises(ToolTimeout, match="within 10 seconds"):
        await put.preview({})


@pytest.mark.parametrize("raised", [SystemExit, GeneratorExit, asyncio.CancelledError], ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", ["plain", "async", "lazy"])
async def test_whatever_a_preview_raises_is_a_failure_of_it(kind: str, raised: type[BaseException]) -> None:
    def plain(arguments: dict[str, Any]) -> Any:
        raise raised

    async def later(arguments: dict[str, Any]) -> Any:
        raise raised

    def lazy(arguments: dict[str, Any]) -> Any:
        yield Change("x")
        raise raised

    @tool(preview={"plain": plain, "async": later, "lazy": lazy}[kind])
    async def put() -> str:
        """Put something."""
        return ""

    with pytest.raises(ToolCrashed, match=f"the preview of 'put' failed: {raised.__name__}"):
        await put.preview({})


async def test_a_preview_that_makes_its_changes_one_by_one_makes_them_in_its_thread() -> None:
    threads: set[int] = set()

    def lazy(arguments: dict[str, Any]) -> Any:
        threads.add(threading.get_ident())
        yield Change("x")

    @tool(preview=lazy)
    async def put() -> str:
        """Put something."""
        return ""

    assert await put.preview({}) == (Change("x"),)
    assert threading.get_ident() not in threads
