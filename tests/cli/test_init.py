"""A team to start from is written as a whole, and over nothing."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from callboard.actors.cli.demo.init import CannotWrite, write_team

from .command import callboard


def test_a_team_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "team.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(CannotWrite, match=r"team\.yaml exists already"):
        write_team(tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["team.yaml"]
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_a_team_that_cannot_be_written_to_its_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    really = Path.open

    def opened(path: Path, mode: str = "r", **options: Any) -> Any:
        file = really(path, mode, **options)
        if path.name == "planner.md" and mode == "x":
            file.close()
            return Full()
        return file

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(CannotWrite, match="No space left on device"):
            write_team(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    assert len(write_team(tmp_path / "new")) == 3


def test_what_to_try_next_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    done = callboard("init", "a team", cwd=tmp_path)
    assert "now try: callboard run 'a team/team.yaml' " in done.out
