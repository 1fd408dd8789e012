"""``callboard eval``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .command import assert_refused, callboard, offline

TEAM = """
agents:
  Clerk: {instructions: You sell tea., tools: [LS], autonomy: supervised}
providers: {offline: {}}
journal: kept.db
"""
CASES = """
repeat: 2
judge: {least: 0.5}
cases:
  - name: files
    ask: List the files
    expect: {contains: wishes.md, tools: LS, no_tools: Read}
    approve: true
  - name: greeting
    ask: [Good morning, Good bye]
    user: ada
    repeat: 1
    expect: {lacks: milk, matches: ., type: "", code: "checks:says_something"}
"""
CHECKS = "def says_something(answer):\n    return bool(answer.text)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(TEAM)
    (tmp_path / "cases.yaml").write_text(CASES)
    (tmp_path / "checks.py").write_text(CHECKS)
    (tmp_path / "wishes.md").write_text("green tea\n")
    return tmp_path


def test_every_case_is_asked_and_the_report_is_written(folder: Path) -> None:
    done = callboard("eval", "cases.yaml", "team.yaml", "--import-from", ".", "--json", "report.json", cwd=folder)
    assert done.status == 0, done
    lines = done.out.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["passed", "files", "2/2"], ["passed", "greeting", "1/1"]]
    assert lines[3].startswith("2 of 2 cases passed; ")
    assert sorted(done.err.splitlines()) == ["files #1: right", "files #2: right", "greeting #1: right"]
    assert not (folder / "kept.db").exists(), "the team's journal is left alone"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [len(case["attempts"]) for case in report["cases"]] == [2, 1]


def test_a_case_that_fails_is_an_exit_status_of_one(folder: Path) -> None:
    (folder / "wishes.md").unlink()
    done = callboard("eval", "cases.yaml", "team.yaml", "--import-from", ".", "--repeat", "3", cwd=folder)
    assert done.status == 1
    assert "FAILED  files" in done.out
    assert "the text does not contain 'wishes.md' (3 of 3)" in done.out


def test_compared_with_an_earlier_report_only_what_became_worse_counts(folder: Path) -> None:
    cases = [callboard("eval", "cases.yaml", "team.yaml", "--import-from", ".", "--json", "old.json", cwd=folder)]
    (folder / "wishes.md").unlink()
    again = ("eval", "cases.yaml", "team.yaml", "--import-from", ".", "--compare", "old.json", "--json", "old.json")
    cases += [callboard(*again, cwd=folder), callboard(*again, cwd=folder)]
    assert [done.status for done in cases] == [0, 1, 0]
    assert "WORSE   files" in cases[1].out
    assert "same    files" in cases[2].out
    only = callboard(*again[:5], "--only", "greeting", "--compare", "old.json", cwd=folder)
    assert only.status == 0
    assert "files" not in only.out, "what is not asked is not gone"


@pytest.mark.parametrize(
    ("out", "status"), [(">&-", 0), ("2>&-", 0), ("> /dev/full", 1), ("2> /dev/full", 0), ("| true", 0)]
)
@pytest.mark.parametrize("command", ["eval", "bench"])
def test_the_report_is_written_though_nothing_can_be_printed(folder: Path, out: str, status: int, command: str) -> None:
    words = {
        "eval": ["eval", "cases.yaml", "team.yaml", "--import-from", "."],
        "bench": ["bench", "team.yaml", "--duration", "0.1", "--rounds", "1", "--concurrency", "1"],
    }[command]
    done = _in_a_shell(folder, out, *words, "--json", "report.json")
    assert (done.stdout.split()[-1:], "Traceback" in done.stderr) == ([str(status)], False), done
    if out == "> /dev/full":
        assert done.stderr.endswith("callboard: what it says cannot be written: No space left on device\n")
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["format"]


@pytest.mark.parametrize("command", ["eval", "bench"])
def test_a_report_that_cannot_be_written_is_no_loss_of_the_table(folder: Path, command: str) -> None:
    words = {
        "eval": ["eval", "cases.yaml", "team.yaml", "--import-from", "."],
        "bench": ["bench", "team.yaml", "--duration", "0.1", "--rounds", "1", "--concurrency", "1"],
    }[command]
    done = callboard(*words, "--json", "/dev/full", cwd=folder)
    assert done.status == 2, done
    assert "2 of 2 cases passed" in done.out or "team.yaml" in done.out
    assert done.err.splitlines()[-1].startswith("callboard: the report cannot be written to '/dev/full'")


@pytest.mark.parametrize("out", ["| true", "2>&1 | true", "2>&1 | head -n 1 > first.txt"])
def test_a_case_that_fails_is_told_though_nobody_reads_on(folder: Path, out: str) -> None:
    (folder / "cases.yaml").write_text("repeat: 20\ncases: [{name: hi, ask: Hello, expect: {contains: milk}}]\n")
    done = _in_a_shell(folder, out, "eval", "cases.yaml", "team.yaml", "--json", "report.json")
    assert (done.stdout, "Traceback" in done.stderr) == ("1\n", False), done
    assert len(json.loads((folder / "report.json").read_text(encoding="utf-8"))["cases"][0]["attempts"]) == 20


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["tool", "LS"], ["run", "team.yaml", "hello"]])
def test_what_cannot_be_printed_is_said_without_a_traceback(folder: Path, words: list[str]) -> None:
    done = _in_a_shell(folder, "> /dev/full", *words)
    assert (done.stdout, "Traceback" in done.stderr) == ("1\n", False), done
    assert "callboard: what it says cannot be written: No space left on device\n" in done.stderr


def test_what_was_done_until_ctrl_c_is_in_the_report(folder: Path) -> None:
    (folder / "checks.py").write_text("import asyncio\n\nasync def waits(answer):\n    await asyncio.Event().wait()\n")
    waits = "repeat: 3\ncases:\n- {name: hi, ask: Hello, repeat: 1, expect: {matches: .}}\n"
    (folder / "cases.yaml").write_text(waits + "- {name: ho, ask: Hello, expect: {code: 'checks:waits'}}\n")
    main = "import sys; from callboard.actors.cli import main; sys.exit(main())"
    words = ["eval", "cases.yaml", "team.yaml", "--import-from", ".", "--concurrency", "1", "--json", "r.json"]
    with subprocess.Popen(
        [sys.executable, "-c", main, *words],
        cwd=folder,
        env=offline(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "hi #1: right\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert (running.returncode, err) == (130, "")
    assert "1 of 1 cases passed" in out
    assert "stopped: 3 attempts were not made" in out
    report = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    assert (report["passed"], report["unmade"], [case["name"] for case in report["cases"]]) == (False, 3, ["hi"])


def _in_a_shell(folder: Path, out: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command with its output somewhere; its exit status is the last that is printed."""
    main = "import sys; from callboard.actors.cli import main; sys.exit(main())"
    script = f'{{ {{ "$@"; echo $? >&3; }} {out}; }} 3>&1'
    shell = ["sh", "-c", script, "sh", sys.executable, "-c", main, *words]
    return subprocess.run(shell, cwd=folder, env=offline(), capture_output=True, text=True)


WRONG = {
    "no file": ("", "team.yaml", [], ["cases.yaml: no such file"]),
    "no team": (CASES, "nothing.yaml", [], ["nothing.yaml: no such file"]),
    "no cases": ("cases: []", "team.yaml", [], ["line 1", "cases: expected at least 1, not an empty list"]),
    "a text for cases": ("cases: files", "team.yaml", [], ["line 1", "cases: expected a list, not 'files'"]),
    "the only case is wrong": ("cases:\n- {name: a, ask: b, expect: {steps: many}}", "team.yaml", [],
                               ["line 2: cases.0.expect.steps: expected"]),
    "a word that is none": (CASES.replace("lacks:", "lack:"), "team.yaml", [], ["line 13", "did you mean 'lacks'?"]),
    "no question": (CASES.replace("ask: List the files", 'ask: " "'), "team.yaml", [], ["line 5", "ask has no words"]),
    "two of a name": (CASES.replace("name: greeting", "name: files"), "team.yaml", [], ["line 9", "two cases"]),
    "no function": (CASES.replace("says_something", "says_somethin"), "team.yaml", [], ["line 13", "says_something"]),
    "no type": (CASES.replace('type: ""', "type: text"), "team.yaml", [], ["line 13", "or one of int"]),
    "nothing is expected": (CASES.replace("{contains: wishes.md, tools: LS, no_tools: Read}", "{}"), "team.yaml", [],
                            ["line 5", "say something of it"]),
    "no expression": (CASES.replace("matches: .", "matches: ("), "team.yaml", [],
                      ["line 13: cases.1.expect.matches", "no regular expression"]),
    "a part of every text": (CASES.replace("lacks: milk", "contains: ''"), "team.yaml", [],
                             ["line 13", "contains: an empty text"]),
    "a part of every text, again": (CASES.replace("lacks: milk", "lacks: [milk, '']"), "team.yaml", [],
                                    ["line 13", "lacks: an empty text"]),
    "a blank rule": (CASES.replace("lacks: milk", "judge: ' '"), "team.yaml", [], ["line 13", "judge: an empty text"]),
    "a blank tool": (CASES.replace("no_tools: Read", "no_tools: ' '"), "team.yaml", [],
                     ["line 7", "no_tools: an empty text"]),
    "a blank agent": (CASES.replace("lacks: milk", "handoffs: ['']"), "team.yaml", [],
                      ["line 13", "handoffs: an empty text"]),
    "a blank call": (CASES.replace("tools: LS", "tools: ' '"), "team.yaml", [], ["cases.yaml", "line 7", "tool"]),
    "nobody": (CASES.replace("user: ada", "agent: Clark"), "team.yaml", [], ["Clark", "Clerk"]),
    "no case": (CASES, "team.yaml", ["--only", "file"], ["no case is called 'file'", "did you mean 'files'?"]),
    "never": (CASES, "team.yaml", ["--repeat", "0"], ["repeat"]),
    "no report": (CASES, "team.yaml", ["--compare", "old.json"], ["there is no report at 'old.json'"]),
    "another report": (CASES, "team.yaml", ["--compare", "team.yaml"], ["is no report of an evaluation"]),
    "no place": (CASES, "team.yaml", ["--json", "no/where.json"], ["no report can be written to 'no/where.json'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_a_line_before_anything_is_asked(folder: Path, name: str) -> None:
    cases, team, options, said = WRONG[name]
    (folder / "cases.yaml").unlink()
    if cases:
        (folder / "cases.yaml").write_text(cases)
    done = callboard("eval", "cases.yaml", team, "--import-from", ".", *options, cwd=folder)
    assert_refused(done, *said)
    assert "#1" not in done.err


def test_cases_may_stand_in_a_file_of_their_own_one_a_line(folder: Path) -> None:
    (folder / "cases.yaml").write_text("repeat: 2\ncases: many.jsonl\n")
    one = {"name": "hi", "ask": "Hello ${NAME}", "expect": {"matches": "."}}
    (folder / "many.jsonl").write_text(f"{json.dumps(one)}\n\n{json.dumps({**one, 'name': 'ho', 'repeat': 1})}\n")
    done = callboard("eval", "cases.yaml", "team.yaml", cwd=folder)
    assert done.status == 0, done
    assert sorted(done.err.splitlines()) == ["hi #1: right", "hi #2: right", "ho #1: right"]


LINES: dict[str, tuple[str | bytes | None, str]] = {
    "no JSON": ('{"name": "a",', "line 1: expected JSON"),
    "no object": ('{"name": "a", "ask": "b", "expect": {"lacks": "c"}}\n5', "line 2: expected a mapping of name, ask"),
    "a word that is none": (
        '\n{"name": "a", "ask": "b", "expect": {"lack": "c"}}',
        "line 2: expect.lack: unknown entry",
    ),
    "two of a name": ('{"name": "a", "ask": "b", "expect": {"lacks": "c"}}\n' * 2, "line 2: name: two cases"),
    "a name twice": ('{"name": "a", "name": "b"}', "line 1: expected JSON; 'name' stands there twice"),
    "no number": ('{"name": NaN}', "line 1: expected JSON; NaN is no number"),
    "deep": ("[" * 100_000, "line 1: expected JSON"),
    "long": ('{"name": "' + "a" * 1_000_000, "line 1: expected at most 1,000,000 bytes in a line"),
    "other letters": (b'{"name": "\xff"}', "line 1: expected JSON"),
    "nothing": ("\n\n", "cases: many.jsonl has no cases"),
    "nowhere": (None, "many.jsonl: no such file"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_wrong_is_said(folder: Path, name: str) -> None:
    text, said = LINES[name]
    (folder / "cases.yaml").write_text("cases: many.jsonl\n")
    if text is not None:
        (folder / "many.jsonl").write_bytes(text.encode() if isinstance(text, str) else text)
    assert_refused(callboard("eval", "cases.yaml", "team.yaml", cwd=folder), said)


def test_a_judge_that_nobody_has_is_named_before_anything_is_asked(folder: Path) -> None:
    judged = "judge: {model: larg}\ncases: [{name: hi, ask: Hello, expect: {judge: It greets.}}]\n"
    (folder / "cases.yaml").write_text(judged)
    done = callboard("eval", "cases.yaml", "team.yaml", cwd=folder)
    assert_refused(done, "the judge's model 'larg' cannot be asked", "with one of offline")
    assert "#1" not in done.err
    (folder / "cases.yaml").write_text(judged.replace("judge: It greets.", "lacks: milk"))
    assert callboard("eval", "cases.yaml", "team.yaml", cwd=folder).status == 0, "nobody is to judge"


def test_a_name_of_a_case_steers_no_terminal(folder: Path) -> None:
    (folder / "cases.yaml").write_text('cases: [{name: "a\\e[2J\\u202Eb", ask: Hello, expect: {matches: "."}}]\n')
    done = callboard("eval", "cases.yaml", "team.yaml", cwd=folder)
    assert done.status == 0, done
    assert done.err == "a\\x1b[2J\\u202eb #1: right\n"
    assert "passed  a\\x1b[2J\\u202eb " in done.out


def test_a_budget_of_the_team_bounds_what_it_costs(folder: Path) -> None:
    costly = "providers: {offline: {price: {input: 100, output: 100}}}\n"
    (folder / "llm.yaml").write_text(costly + "budgets: [{scope: pool, name: '', dollars: 0.0001}]\n")
    (folder / "cases.yaml").write_text("repeat: 3\ncases: [{name: hi, ask: Hello, expect: {lacks: milk}}]\n")
    done = callboard("eval", "cases.yaml", "llm.yaml", cwd=folder)
    assert done.status == 1, done
    assert "the run ended in RunFailed, from BudgetSpent (3 of 3)" in done.out
    assert "$0.0000" in done.out.splitlines()[-1]


def test_a_file_of_models_is_a_team_of_one(folder: Path) -> None:
    (folder / "llm.yaml").write_text("providers: {offline: {}}\n")
    (folder / "cases.yaml").write_text("cases: [{name: hi, ask: Hello, expect: {matches: '.'}}]\n")
    done = callboard("eval", "cases.yaml", "llm.yaml", cwd=folder)
    assert done.status == 0, done
