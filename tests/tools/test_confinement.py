"""No path leads out of the folder: not by dots, not absolute, not through a link, not by a link put there later."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callboard.tools import OutsideFolder, ToolRegistry, ToolResult
from callboard.tools.builtin.files import file_tools
from callboard.tools.builtin.folder import Folder
from callboard.tools.errors import FileError, NoSuchPath

SECRET = "the secret outside"


@contextmanager
def _world() -> Iterator[tuple[Path, Path, ToolRegistry]]:
    with TemporaryDirectory() as base:
        outside, root = Path(base, "outside"), Path(base, "root")
        (outside / "deep").mkdir(parents=True)
        (outside / "secret.txt").write_text(SECRET)
        (outside / "deep" / "a").write_text(SECRET)
        (root / "sub" / "deep").mkdir(parents=True)
        (root / "a").write_text("inside a")
        (root / "sub" / "a").write_text("inside sub/a")
        yield root, outside, ToolRegistry(file_tools(root))


def _snapshot(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


async def _each_tool(tools: ToolRegistry, path: str) -> dict[str, ToolResult]:
    calls: dict[str, dict[str, object]] = {
        "LS": {"path": path},
        "Glob": {"path": path, "pattern": "**"},
        "Grep": {"path": path, "pattern": "secret"},
        "Read": {"path": path},
        "Edit": {"path": path, "old_string": "secret", "new_string": "stolen"},
        "MultiEdit": {"path": path, "edits": [{"old_string": "secret", "new_string": "stolen"}]},
        "Write": {"path": path, "content": "overwritten"},
    }
    return {name: await tools.get(name).run(arguments) for name, arguments in calls.items()}


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../outside",
        "../outside/secret.txt",
        "sub/../../outside/secret.txt",
        "./.././outside/secret.txt",
        "sub/deep/../../../outside/secret.txt",
        "../root/a",
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "{outside}/secret.txt",
        "{root}/../outside/secret.txt",
        "{root}x",
        "file-link",
        "folder-link/secret.txt",
        "folder-link",
        "folder-link/../outside/secret.txt",
        "sub/middle/deep/a",
        "chain-1",
        "absolute-link",
        "absolute-dots",
        "dangling-link",
        "up-link/root/a",
    ],
)
async def test_every_tool_refuses_a_path_that_leaves_the_folder(path: str) -> None:
    with _world() as (root, outside, tools):
        (root / "file-link").symlink_to("../outside/secret.txt")
        (root / "folder-link").symlink_to("../outside")
        (root / "sub" / "middle").symlink_to("../../outside")
        (root / "chain-1").symlink_to("sub/chain-2")
        (root / "sub" / "chain-2").symlink_to("../folder-link/secret.txt")
        (root / "absolute-link").symlink_to(outside / "secret.txt")
        (root / "absolute-dots").symlink_to(f"{root}/../outside/secret.txt")
        (root / "dangling-link").symlink_to("../outside/new.txt")
        (root / "up-link").symlink_to("..")
        before = _snapshot(outside)
        for name, result in (await _each_tool(tools, path.format(root=root, outside=outside))).items():
            assert isinstance(result.error, OutsideFolder), f"{name} answered {result.content!r}"
            assert "outside the folder" in result.content
        assert _snapshot(outside) == before


async def test_links_and_absolute_paths_that_stay_inside_are_followed() -> None:
    with _world() as (root, _, tools):
        (root / "link").symlink_to("sub/deep/../a")
        (root / "sub" / "up").symlink_to("..")
        (root / "absolute").symlink_to(root / "sub")
        for path in ("link", "sub/up/sub/a", "absolute/a", f"{root}/sub/a", "sub/../sub//./a", "./sub/a"):
            result = await tools.get("Read").run({"path": path})
            assert "inside sub/a" in result.content, f"{path}: {result.content}"


async def test_a_root_given_through_a_link_is_confined_to_the_links_target() -> None:
    with _world() as (root, outside, _):
        alias = root.parent / "alias"
        alias.symlink_to(root)
        tools = ToolRegistry(file_tools(alias))
        assert "inside a" in (await tools.get("Read").run({"path": f"{alias}/a"})).content
        alias.unlink()
        alias.symlink_to(outside)
        assert "inside a" in (await tools.get("Read").run({"path": "a"})).content


async def test_searches_do_not_follow_links() -> None:
    with _world() as (root, _, tools):
        (root / "folder-link").symlink_to("../outside")
        (root / "sub" / "loop").symlink_to("..")
        assert (await tools.get("Grep").run({"pattern": "secret|inside"})).text.splitlines() == [
            "a:1:inside a",
            "sub/a:1:inside sub/a",
        ]
        found = (await tools.get("Glob").run({"pattern": "**"})).text.splitlines()
        assert found == ["a", "folder-link", "sub/a", "sub/loop"]
        assert (await tools.get("LS").run({})).text.splitlines() == ["a (8 bytes)", "folder-link@", "sub/"]


async def test_a_loop_of_links_is_an_error() -> None:
    with _world() as (root, _, tools):
        (root / "one").symlink_to("two")
        (root / "two").symlink_to("one")
        for name, result in (await _each_tool(tools, "one")).items():
            assert result.is_error, name
            assert "links" in result.content


def test_a_link_put_in_a_folders_place_after_the_check_does_not_lead_out() -> None:
    with _world() as (root, outside, _):
        folder = Folder(root)
        with folder.locate("sub/deep/secret.txt") as place:
            shutil.rmtree(root / "sub")
            (root / "sub").symlink_to(outside)
            with pytest.raises(NoSuchPath):
                os.close(folder.open_file(place))
        with folder.locate("a") as place:
            (root / "a").unlink()
            (root / "a").symlink_to(outside / "secret.txt")
            with pytest.raises(FileError, match="changed while it was being used"):
                os.close(folder.open_file(place))


def test_a_link_put_in_a_folders_place_between_looking_and_opening_does_not_lead_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _world() as (root, outside, _):
        look = os.stat

        def look_then_swap(name: str, **options: Any) -> os.stat_result:
            seen = look(name, **options)
            if name == "sub" and not (root / "sub").is_symlink():
                shutil.rmtree(root / "sub")
                (root / "sub").symlink_to(outside)
            return seen

        folder = Folder(root)
        monkeypatch.setattr(os, "stat", look_then_swap)
        with pytest.raises(FileError, match="changed while it was being used"):
            folder.read("sub/deep/a", 100)


def test_swapping_a_folder_for_a_link_again_and_again_never_shows_what_is_outside() -> None:
    with _world() as (root, outside, _):
        (outside / "name").write_text(SECRET)
        (root / "real").mkdir()
        (root / "real" / "name").write_text("inside")
        folder = Folder(root)
        swapping = threading.Event()
        done = threading.Event()

        def swap() -> None:
            while not done.is_set():
                os.rename(root / "real", root / "kept")
                os.symlink(outside, root / "real")
                swapping.set()
                os.unlink(root / "real")
                os.rename(root / "kept", root / "real")

        thread = threading.Thread(target=swap)
        thread.start()
        try:
            swapping.wait()
            for _ in range(1_500):
                try:
                    assert folder.read("real/name", 100) != SECRET.encode()
                    folder.change("real/name", 100, lambda _: b"inside")
                except FileError:
                    continue  # the folder was not there, or was a link, at that moment
        finally:
            done.set()
            thread.join()
        assert (outside / "name").read_text() == SECRET
        assert sorted(path.name for path in outside.iterdir()) == ["deep", "name", "secret.txt"]


# What a path, or a link's target, is made of.
_NAMES = st.sampled_from(
    ["a", "sub", "deep", "x", "y", "z", "é", "e\u0301", "Ω ", " ", "..", "..", ".", "", "...", "%2e%2e"]
)
_ODD = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=6)
_RELATIVE = st.lists(_NAMES | _ODD, min_size=1, max_size=6).map("/".join)
_PATHS = st.one_of(
    _RELATIVE,
    _RELATIVE.map("{root}/".__add__),
    _RELATIVE.map("{outside}/".__add__),
    _RELATIVE.map("/".__add__),
    _RELATIVE.map("../outside/".__add__),
    _RELATIVE.map("../root/".__add__),
)
_LINKS = st.dictionaries(st.sampled_from(["x", "y", "z", "sub/x", "sub/y", "sub/deep/z", "é"]), _PATHS, max_size=5)


def _filled(text: str, root: Path, outside: Path) -> str:
    return text.replace("{root}", str(root)).replace("{outside}", str(outside))


def _is_inside(root: Path, path: str) -> bool:
    try:
        real = os.path.realpath(root / path)
    except ValueError:
        return False
    return real == str(root) or real.startswith(f"{root}/")


@settings(deadline=None)
@given(_LINKS, st.lists(_PATHS, min_size=1, max_size=4))
@example({"x": "../outside", "sub/x": "../x/deep"}, ["sub/x/a", "x/../outside/secret.txt"])
@example({"x": "{root}/../outside/deep"}, ["x/a", "x"])
async def test_no_generated_path_or_link_reaches_outside(links: dict[str, str], paths: list[str]) -> None:
    with _world() as (root, outside, tools):
        for name, target in links.items():
            try:
                os.symlink(_filled(target, root, outside), root / name)
            except (OSError, ValueError):
                continue  # no such target can be written into a link
        beside = sorted(os.listdir(root.parent))
        before = _snapshot(outside)
        for path in paths:
            asked = _filled(path, root, outside)
            is_inside = _is_inside(root, asked)
            for name, result in (await _each_tool(tools, asked)).items():
                assert SECRET not in result.content, f"{name}({asked!r}) shows what is outside"
                if not result.is_error:
                    assert is_inside, f"{name}({asked!r}) went out"
            assert _snapshot(outside) == before, f"{asked!r} changed what is outside"
            assert sorted(os.listdir(root.parent)) == beside


@settings(deadline=None)
@given(st.lists(_ODD.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4), st.text(max_size=20))
async def test_a_file_can_be_written_and_read_under_any_name_the_system_takes(names: list[str], text: str) -> None:
    path = "/".join(names)
    with _world() as (root, _, tools):
        written = await tools.get("Write").run({"path": path, "content": text})
        try:
            expected = text.encode()
            os.fsencode(path)
        except UnicodeEncodeError:
            assert written.is_error
            return
        if "\0" in path or names[0] in ("a", "sub") or ".git" in [name.lower() for name in names]:
            return  # no name at all, or the world's own
        assert not written.is_error, written.content
        assert (root / path).read_bytes() == expected
        read = await tools.get("Read").run({"path": path})
        assert read.is_error == ("\0" in text), read.content
