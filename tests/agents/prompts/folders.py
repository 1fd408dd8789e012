"""Folders of templates for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def written(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """The folder, with these files in it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def saying(system: str, *variables: str, more: str = "") -> str:
    """A template file whose system text stands in the lines from line 4 + the number of variables on."""
    declared = "".join(f"  {name}:\n" for name in variables)
    lines = "".join(f"  {line}\n" for line in system.split("\n"))
    return f"version: 1\nvariables:{' {}' if not variables else ''}\n{declared}system: |2\n{lines}{more}"
