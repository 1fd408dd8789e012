"""Examples that are taken along as they are hold with what their new owners have: arguments, settings, hooks."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import warm
from tests.cli.command import offline

HERE = Path(__file__).parent
AUTHOR = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgSign=false")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *AUTHOR, *words], cwd=folder, check=True, capture_output=True, encoding="utf-8")
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "shop.py").write_text("total = 1\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=First")
    git(folder, "checkout", "--quiet", "-b", "fix")
    return folder


def commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=Next")


def reviewed(folder: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return warm.run(HERE / "code_review.py", *words, cwd=folder, env={**offline(), **(env or {})})


def test_a_review_has_the_status_0_where_nothing_must_be_changed(repository: Path) -> None:
    commit(repository, "shop.py", "total = 2\nprint(total)\n")
    done = reviewed(repository, ".", "main")
    assert (done.returncode, done.stdout) == (0, "shop.py:2: may: left from debugging?\n")


@pytest.mark.parametrize("setting", ["diff.noprefix", "diff.mnemonicPrefix", "core.quotePath"])
def test_a_review_names_files_whatever_git_is_told(repository: Path, setting: str) -> None:
    commit(repository, "é and b.py", "try:\n    x()\nexcept:\n    pass\n")
    git(repository, "config", setting, "true")
    done = reviewed(repository, ".", "main")
    assert (done.returncode, done.stdout) == (1, "é and b.py:3: must: it hides every error, Ctrl-C too\n")


def test_a_review_that_could_not_see_the_change_is_none(repository: Path, tmp_path: Path) -> None:
    commit(repository, "shop.py", "".join(f"line_{number} = {number}\n" for number in range(5_000)))
    for words in ((".", "origin/main"), (".",), (".", "main"), (str(tmp_path / "gone"), "main"), (".", "--output=x")):
        done = reviewed(repository, *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert done.stderr.startswith("not reviewed: "), done.stderr


def test_a_review_begun_by_a_hook_leaves_the_hooks_repository_alone(repository: Path) -> None:
    before = git(repository, "log", "--all", "--oneline"), git(repository, "branch")
    hooked = {"GIT_DIR": str(repository / ".git"), "GIT_INDEX_FILE": str(repository / ".git" / "index")}
    done = reviewed(repository, env={**os.environ, **hooked})
    assert done.stdout.endswith("exit status 1\n"), done
    assert (git(repository, "log", "--all", "--oneline"), git(repository, "branch")) == before


KILLED = """
calls = 0


class Killed(Judge):
    async def complete(self, request: Request) -> Completion:
        global calls
        calls += 1
        if calls == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().complete(request)


Judge = Killed
asyncio.run(night(Path("reviews.db"), 100.0))
"""
GOES_ON = """
async def look() -> None:
    async with job(Path("reviews.db"), 100.0) as agency:
        found = Counter(run.conversation for run in (await agency.runs(limit=1_000)).runs)
    print(len(found), max(found.values()))


asyncio.run(night(Path("reviews.db"), 100.0))
asyncio.run(look())
"""


def test_a_batch_job_that_was_killed_asks_nothing_again_that_goes_on_by_itself(tmp_path: Path) -> None:
    whole = (HERE / "batch_job.py").read_text(encoding="utf-8")
    parts = "import os\nimport signal\n" + whole.partition("\nwith tempfile")[0]
    killed = warm.run("-c", parts + KILLED, cwd=tmp_path, env=offline())
    assert killed.returncode == -signal.SIGKILL, killed
    done = warm.run("-c", parts + GOES_ON, cwd=tmp_path, env=offline())
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "12 1", "one run for each review"
    assert done.stdout.splitlines()[0].endswith(" 0 are left")
