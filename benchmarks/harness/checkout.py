"""Another commit of this repository on disk, for as long as it is measured."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class CheckoutFailed(Exception):
    """There is no git, no repository here, or no such commit in it."""


@contextmanager
def checkout(commit: str, repository: Path = ROOT) -> Iterator[Path]:
    """Give the folder of a git worktree of ``commit``, and take it away again.

    Raises :class:`CheckoutFailed` with what git says.
    """
    with tempfile.TemporaryDirectory(prefix="callboard-before-") as folder:
        tree = Path(folder) / "tree"
        _git(repository, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git(repository, "worktree", "remove", "--force", str(tree))


def _git(repository: Path, *arguments: str) -> None:
    try:
        subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise CheckoutFailed("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise CheckoutFailed(f"git {' '.join(arguments)}: {error.stderr.strip()}") from None
