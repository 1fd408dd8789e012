"""The demonstration does real work on any folder, survives what it does to itself, and counts honestly."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from callboard.actors.cli import main
from callboard.actors.cli.demo.ledger import Ledger

from .command import MAIN, Done, assert_refused, callboard, offline

REPORT = "callboard-report.md"
ASK = "List every TODO and FIXME with its file and line"


def make_folder(root: Path) -> Path:
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "deep" / "one.py").write_text("x = 1\n\n# TODO: first\n", encoding="utf-8")
    (root / "src" / "two.py").write_text("y = 2  # FIXME second\n", encoding="utf-8")
    (root / "README.md").write_text("# It\n\nSee `src/two.py`, `src/gone.py`.\n", encoding="utf-8")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path)


@pytest.fixture(scope="module")
def worked_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("worked-on"))


@pytest.fixture(scope="module")
def shown(worked_on: Path) -> str:
    """What one run, which several tests look at, has printed."""
    done = callboard("demo", worked_on, "--ask", ASK, cwd=worked_on)
    assert done.status == 0, done
    assert done.err == ""
    return done.out


def rows(shown: str) -> dict[str, str]:
    """The closing table, first column to second."""
    table = shown[shown.rindex("\nfailed ") :]
    return dict(re.findall(r"^(\w[\w ]*?) {2,}(.*?) *$", table, re.MULTILINE))


def test_the_report_has_every_place_that_was_asked_for(worked_on: Path, shown: str) -> None:
    report = (worked_on / REPORT).read_text(encoding="utf-8")
    assert re.search(r"src/deep/one\.py\D+3\b.*TODO: first", report)
    assert re.search(r"src/two\.py\D+1\b.*FIXME second", report)
    assert f"Report   {worked_on.resolve() / REPORT}" in shown


def test_the_flow_shows_who_sent_what_to_whom_tools_tokens_and_cost(shown: str) -> None:
    assert re.search(r"you → Planner +List every TODO", shown)
    assert re.search(r"Planner → Developer +List every TODO", shown)
    assert re.search(r"Developer → Grep +pattern=", shown)
    assert re.search(r"Developer → Write +path=", shown)
    assert re.search(r"Planner ← Developer", shown)
    assert re.search(r"you ← Planner", shown)
    assert re.search(r"Developer ⇠ beta +\d+ \+ \d+ tokens, \$0\.0000, \d+\.\d\d s", shown)


def test_a_provider_is_killed_in_mid_request_and_the_other_one_answers_it(shown: str) -> None:
    assert "the demo kills provider pool/alpha, which has a request in flight" in shown
    assert "answered by beta after failures at alpha" in shown


def test_an_agent_is_crashed_at_work_and_goes_on_from_its_last_step(shown: str) -> None:
    assert "the demo crashes agent agency/Developer, in the middle of its work" in shown
    assert "Developer goes on from its last completed step" in shown


def test_the_closing_table_says_what_failed_what_was_restarted_and_that_nothing_was_lost(shown: str) -> None:
    table = rows(shown)
    assert table["failed"].startswith("pool/alpha: ")
    assert "agency/Developer: Struck" in shown
    assert table["restarted"] == "pool/alpha, agency/Developer"
    assert table["handoffs"] == "Planner → Developer"
    sent, processed, lost = map(int, re.findall(r"\d+", table["messages"]))
    letters, unheard = map(int, re.findall(r"\d+", table["dead letters"]))
    asked, answered, ended = map(int, re.findall(r"\d+", table["asks"]))
    assert (lost, unheard) == (0, 0)
    assert sent == processed + letters
    assert asked == answered + ended
    assert ended >= 1, "the killed provider had a request in flight"


def test_without_a_terminal_the_output_is_plain_text(shown: str) -> None:
    assert "\x1b" not in shown
    assert not set(shown) & set("│╭╰─")


def test_a_lost_message_makes_the_command_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "lost", property(lambda ledger: 1))
    assert main(["demo", str(folder)]) == 1


def test_by_default_the_folder_is_reviewed(folder: Path) -> None:
    done = callboard("demo", folder, "--report", "out/review.md", cwd=folder)
    assert done.status == 0, done
    report = (folder / "out" / "review.md").read_text(encoding="utf-8")
    assert [line for line in report.splitlines() if line.startswith("- ")] == [
        "- README.md:3: broken promise: there is no src/gone.py",
        "- src/deep/one.py:3: left to do: # TODO: first",
        "- src/two.py:1: left to do: y = 2  # FIXME second",
    ]
    assert "- README.md:3: broken promise: there is no src/gone.py\n" in done.out
    table = rows(done.out)
    assert table["messages"].endswith(" 0 lost")
    assert re.fullmatch(r"\$0\.0000, as it is the offline model; \S+ would have taken \$0\.\d{4}", table["cost"])


def test_what_files_have_in_them_is_shown_and_not_sent_to_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text("\x1b[31m# TODO: \x1b]0;title\x07\n", encoding="utf-8")
    done = callboard("demo", tmp_path, cwd=tmp_path)
    assert done.status == 0, done
    assert "x.sh:1: left to do: \\x1b[31m# TODO" in done.out
    assert not set(done.out) & {"\x1b", "\x07"}


def test_binary_files_links_and_pipes_are_passed_over(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"# TODO: \x00\xff" * 1000)
    (folder / "latin.py").write_bytes(b"# TODO: caf\xe9\n")
    (folder / "away").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    done = callboard("demo", folder, cwd=folder)
    assert done.status == 0, done
    assert "latin.py:1: left to do" in done.out
    assert "a.bin:" not in done.out


def test_the_dashboard_is_shown_until_it_is_interrupted(folder: Path) -> None:
    command = [sys.executable, "-c", MAIN, "demo", str(folder), "--dashboard"]
    with subprocess.Popen(command, cwd=folder, env=offline(), stdout=subprocess.PIPE, encoding="utf-8") as program:
        assert program.stdout is not None
        said = ""
        try:
            while "stays until Ctrl-C" not in said:
                line = program.stdout.readline()
                assert line, said
                said += line
            url, key = re.findall(r"Dashboard +(http://127\.0\.0\.1:\d+)/#key=(\S+)", said)[0]
            me = httpx.get(f"{url}/api/me", headers={"authorization": f"Bearer {key}"}, timeout=30).json()
            assert me["agents"] == ["Developer", "Planner"]
            assert httpx.get(f"{url}/api/me", timeout=30).status_code == 401
            program.send_signal(signal.SIGINT)
            rest = program.stdout.read()
            assert program.wait(timeout=60) == 0
        finally:
            program.kill()
    assert rows(rest)["messages"].endswith(" 0 lost")


def test_the_last_report_is_replaced_and_not_searched(folder: Path) -> None:
    for _ in range(2):
        assert callboard("demo", folder, "--ask", ASK, cwd=folder).status == 0
        assert REPORT not in (folder / REPORT).read_text(encoding="utf-8")


def test_an_empty_folder_gets_a_report_too(tmp_path: Path) -> None:
    done = callboard("demo", tmp_path, cwd=tmp_path)
    assert done.status == 0, done
    assert (tmp_path / REPORT).stat().st_size > 0


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / REPORT).mkdir()
    done = callboard("demo", tmp_path, cwd=tmp_path)
    assert done.status == 2
    assert "cannot write the report" in done.err


@pytest.mark.parametrize("name", ["sp ace.md", "no_ending", ".git/x.md", "loop", "link.md", "src/two.py", "../x.md"])
def test_a_report_that_would_go_elsewhere_or_over_another_file_is_refused(folder: Path, name: str) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "link.md").symlink_to("src/two.py")
    (folder / "report.md").write_text("mine", encoding="utf-8")
    assert_refused(callboard("demo", folder, "--report", name, cwd=folder), "report")
    assert (folder / "report.md").read_text(encoding="utf-8") == "mine"
    assert (folder / "src" / "two.py").read_text(encoding="utf-8") == "y = 2  # FIXME second\n"


def test_a_link_in_the_place_of_the_report_is_not_written_through(folder: Path) -> None:
    (folder / REPORT).symlink_to("src/two.py")
    assert_refused(callboard("demo", folder, cwd=folder), f"would overwrite {REPORT}")
    assert (folder / "src" / "two.py").read_text(encoding="utf-8") == "y = 2  # FIXME second\n"


def test_a_request_and_a_folder_are_shown_and_not_sent_to_the_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[31mb"
    folder.mkdir()
    done = callboard("demo", folder, "--ask", "\x1b]0;title\x07", cwd=tmp_path)
    assert done.status == 0, done
    assert not set(done.out) & {"\x1b", "\x07"}


def test_names_that_are_no_text_are_reviewed_like_others(folder: Path) -> None:
    (folder / os.fsdecode(b"bad\xff.py")).write_text("# TODO: third\n", encoding="utf-8")
    done = callboard("demo", folder, cwd=folder)
    assert done.status == 0, done
    assert "- bad\\xff.py:1: left to do: # TODO: third" in done.out


def test_a_report_that_cannot_be_written_any_more_is_said_and_the_table_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writes = Path.write_text
    monkeypatch.setattr(Path, "write_text", lambda path, text, *a, **o: full() if text else writes(path, text, *a, **o))
    assert main(["demo", str(folder), "--ask", "Say hello"]) == 1
    out = capsys.readouterr().out
    assert "not written: No space left on device; this is the team's answer" in out
    assert rows(out)["messages"].endswith(" 0 lost")


def test_a_folder_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    gone = f"import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); {MAIN}"
    command = [sys.executable, "-c", gone, "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=offline(), capture_output=True, encoding="utf-8", check=False)
    assert_refused(Done(done.returncode, done.stdout, done.stderr), "is gone")


def test_several_demos_at_once_in_one_folder_do_not_hinder_each_other(folder: Path) -> None:
    command = [sys.executable, "-c", MAIN, "demo", str(folder)]
    pipe = subprocess.PIPE
    programs = [
        subprocess.Popen(command, cwd=folder, env=offline(), stdout=pipe, stderr=pipe, encoding="utf-8")
        for _ in range(4)
    ]
    for program in programs:
        out, err = program.communicate(timeout=120)
        assert (program.returncode, err) == (0, ""), out
    assert "src/deep/one.py:3: left to do" in (folder / REPORT).read_text(encoding="utf-8")
