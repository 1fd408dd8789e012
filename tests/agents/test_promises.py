"""Each sentence of what agents promise is shown by a test, which is there and runs."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from callboard.actors import agents

from . import promises
from .prompts.promises import PROMISES as OF_PROMPTS

PROMISES = promises.PROMISES + OF_PROMPTS
TESTS = Path(__file__).parents[1]
_NEVER = ("skip", "xfail")  # as they stand in a mark's name; a skipif is for a machine that lacks something


@functools.cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _is_given_up(marks: list[ast.expr]) -> bool:
    names = [ast.unparse(mark.func if isinstance(mark, ast.Call) else mark).rpartition(".")[2] for mark in marks]
    return any(name in _NEVER for name in names)


def _skips_itself(made: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Call)
        and ast.unparse(line.value.func) in ("pytest.skip", "pytest.xfail")
        for line in made.body
    )


def wrong_with(test: str) -> str:
    """Why a test that is named shows nothing; empty if it does.

    Args:
        test: its id below ``tests/``, without parameters.
    """
    file, *way = test.split("::")
    path = TESTS / file
    if not (path.is_file() and path.name.startswith("test_")):
        return "there is no such file of tests"
    body = _parsed(path).body
    for line in body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "pytestmark":
            marks = line.value.elts if isinstance(line.value, ast.List | ast.Tuple) else [line.value]
            if _is_given_up(marks):
                return "its whole file is skipped"
    for name in way:
        found = [
            made
            for made in body
            if isinstance(made, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and made.name == name
        ]
        if not found:
            return f"there is no {name}"
        made = found[-1]
        if not name.lower().startswith("test"):
            return "it is no test"
        if _is_given_up(made.decorator_list) or (not isinstance(made, ast.ClassDef) and _skips_itself(made)):
            return "it is always skipped"
        body = made.body
    return "" if way and not isinstance(made, ast.ClassDef) else "it names no test"


@pytest.mark.parametrize(("sentence", "tests"), PROMISES, ids=[sentence for sentence, _ in PROMISES])
def test_every_sentence_is_shown_by_tests_that_run(sentence: str, tests: tuple[str, ...]) -> None:
    assert tests, f"no test shows: {sentence}"
    assert {test: wrong for test in tests if (wrong := wrong_with(test))} == {}


def test_no_sentence_stands_there_twice() -> None:
    said = [sentence for sentence, _ in PROMISES]
    assert len(said) == len(set(said))


@pytest.mark.parametrize(
    ("test", "wrong"),
    [
        ("agents/test_nowhere.py::test_a", "there is no such file of tests"),
        ("agents/promises.py::test_a", "there is no such file of tests"),
        ("agents/test_promises.py::test_nothing", "there is no test_nothing"),
        ("agents/test_promises.py::wrong_with", "it is no test"),
        ("agents/test_promises.py", "it names no test"),
    ],
)
def test_a_test_that_is_not_there_shows_nothing(test: str, wrong: str) -> None:
    assert wrong_with(test) == wrong


def test_a_test_that_never_runs_shows_nothing() -> None:
    for code in (
        "@pytest.mark.skip(reason='later')\ndef test_a(): ...",
        "@pytest.mark.xfail\ndef test_a(): ...",
        "def test_a():\n    pytest.skip('later')",
    ):
        made = ast.parse(code).body[0]
        assert isinstance(made, ast.FunctionDef)
        assert _is_given_up(made.decorator_list) or _skips_itself(made), code
    machine_lacks_something = ast.parse("@pytest.mark.skipif(sys.platform == 'win32', reason='x')\ndef test_a(): ...")
    made = machine_lacks_something.body[0]
    assert isinstance(made, ast.FunctionDef)
    assert not _is_given_up(made.decorator_list)


def test_no_file_of_the_agents_is_longer_than_500_lines() -> None:
    files = Path(agents.__file__).resolve().parent.rglob("*.py")
    lengths = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {name: length for name, length in lengths.items() if length > 500} == {}
