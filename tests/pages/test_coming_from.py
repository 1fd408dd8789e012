"""The pages for those who come from other libraries: what these show of the other one is so, where it is installed.

What they show of ours is run as all pages are, in test_examples.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests import warm
from tests.cli.command import offline

from .page import ROOT, THEIRS, Page
from .shop import LIBRARIES

FOLDER = "actors/agents/coming_from"


def test_each_page_is_of_a_library_and_has_a_model_for_it() -> None:
    pages = {file.stem for file in (ROOT / FOLDER).glob("*.md")} - {"README"}
    assert pages == LIBRARIES.keys()
    given = {Page(f"{FOLDER}/{page}.md").name_of_given for page in pages}
    assert {file.name for file in THEIRS.glob("*.py")} == given | {"__init__.py"}


def needs(library: str) -> None:
    module, installed, _ = LIBRARIES[library]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{installed} is not installed: pip install {installed}")


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_other_librarys_programs_run_and_print_what_they_say(library: str, tmp_path: Path) -> None:
    needs(library)
    page = Page(f"{FOLDER}/{library}.md")
    done = warm.run("-m", "tests.pages.page", page.path, "py", cwd=tmp_path, env=offline())
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed == page.says("py"), done.stderr


@pytest.mark.parametrize("library", LIBRARIES)
def test_our_programs_run_with_the_model_that_the_first_page_makes(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Page(f"{FOLDER}/README.md").run()["model"]
    page = Page(f"{FOLDER}/{library}.md")
    page.run({"model": model})
    assert capsys.readouterr().out.splitlines() == page.says()


@pytest.mark.parametrize("library", LIBRARIES)
def test_both_libraries_come_to_the_same(library: str) -> None:
    page = Page(f"{FOLDER}/{library}.md")
    assert page.says("py") == page.says()


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_the_pages_name_of_the_other_library_is_there(library: str) -> None:
    needs(library)
    names = LIBRARIES[library][2]
    code = f"import pydoc\nprint([name for name in {names} if pydoc.locate(name) is None])"
    done = warm.run("-c", code, env=offline() | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"})
    assert done.stdout == "[]\n", done.stderr
