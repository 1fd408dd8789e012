"""``--before``: another commit of the library in the same run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from benchmarks.__main__ import main
from benchmarks.harness import Unsupported
from benchmarks.harness.checkout import ROOT, CheckoutFailed, checkout
from benchmarks.subjects.process import Worker, WorkerFailed

KEYS = {"scenario", "subject", "value", "unit", "ratio"}


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose file says "new", and in the commit before "old"."""
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    for text in ("old", "new"):
        (folder / "file").write_text(text)
        _git(folder, "add", "file")
        _git(folder, "commit", "--quiet", "--message", text)
    return folder


def _library(folder: Path, text: str) -> Path:
    package = folder / ".src" / "callboard" / "actors"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text(text)
    return folder


def test_a_checkout_is_that_commit_and_is_taken_away_again(repository: Path) -> None:
    before = _git(repository, "worktree", "list")
    with checkout("HEAD~1", repository) as tree:
        assert (tree / "file").read_text() == "old"
        assert (repository / "file").read_text() == "new"
    assert not tree.parent.exists()
    assert _git(repository, "worktree", "list") == before


def test_a_checkout_is_taken_away_after_an_error_too(repository: Path) -> None:
    before = _git(repository, "worktree", "list")
    with pytest.raises(KeyboardInterrupt), checkout("HEAD~1", repository) as tree:  # noqa: PT012 - what it leaves
        (tree / "made meanwhile").touch()
        raise KeyboardInterrupt
    assert _git(repository, "worktree", "list") == before


def test_a_commit_that_is_not_there_is_named(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckoutFailed, match="no-such-commit"), checkout("no-such-commit", repository):
        raise AssertionError("there is no such commit")
    with pytest.raises(CheckoutFailed, match="not a git repository"), checkout("HEAD", tmp_path):
        raise AssertionError("there is no repository")


def test_a_worker_imports_the_library_of_the_checkout_it_is_given(tmp_path: Path) -> None:
    library = _library(tmp_path, "raise ImportError('the other library')")
    with pytest.raises(WorkerFailed, match="the other library"):
        Worker("callboard", library=library)


def test_a_worker_says_what_its_library_lacks_and_so_does_another_of_it(tmp_path: Path) -> None:
    library = _library(
        tmp_path,
        "from benchmarks.harness import Unsupported\n"
        "Actor = ActorRef = ChildSpec = Supervisor = object\n"
        "def System(name): raise Unsupported('it has no metrics')\n",
    )
    worker = Worker("callboard", library=library)
    another = worker.another()
    try:
        for each in (worker, another):
            with pytest.raises(Unsupported, match="it has no metrics"):
                each.run("put", 1)
    finally:
        worker.close()
        another.close()


def test_an_unknown_commit_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["core", "--quick", "--before", "no-such-commit"]) == 2
    assert "git" in capsys.readouterr().err


def test_a_suite_that_compares_no_commits_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulation", "--before"]) == 2
    assert "core" in capsys.readouterr().err


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_both_commits_are_measured_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    arguments = ["core", "--quick", "--before", "HEAD", "--only", "put,crash_logged_once", "--json", str(path)]
    assert main(arguments) == 0
    rows = json.loads(path.read_text(encoding="utf-8"))
    assert all(set(row) == KEYS for row in rows)
    scenarios = {"put", "put_over_tell", "crash_logged_once", "crash_logged_once_records"}
    for subject in ("callsoon", "callboard", "before"):
        assert {row["scenario"] for row in rows if row["subject"] == subject} == scenarios
    assert all(row["ratio"] == 1 for row in rows if row["subject"] == "callsoon")
    side_by_side = [line.split()[:3] for line in capsys.readouterr().out.splitlines() if " before " in line]
    assert ["put", "callboard", "before"] in side_by_side
