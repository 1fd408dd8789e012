"""``callboard init``: a small team to start from."""

from __future__ import annotations

import os
from pathlib import Path

from ...core.base.errors import CallboardError

STARTER = Path(__file__).with_name("starter")


class CannotWrite(CallboardError):
    """A file of the new team is there already, or cannot be written."""


def write_team(folder: Path) -> list[Path]:
    """Write the starter team into a folder, which is made if need be.

    Returns:
        The files that were written, the team file first.

    Raises:
        CannotWrite: one of the files exists already, or the folder cannot be written to. Nothing is overwritten,
            and nothing is left half written.
    """
    starter = sorted(STARTER.iterdir(), key=lambda file: file.name, reverse=True)
    texts = {folder / file.name: file.read_text(encoding="utf-8") for file in starter}
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = [path for path in texts if os.path.lexists(path)]
        if present:
            raise CannotWrite(f"{present[0]} exists already; give another folder: callboard init FOLDER")
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:  # not into what comes meanwhile, nor through a link
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:  # half a team would be in the way of the next attempt
            path.unlink(missing_ok=True)
        raise CannotWrite(f"cannot write a team into {folder}: {error.strerror}; give another folder") from None
    return written
