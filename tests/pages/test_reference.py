"""Pages that say all there is of something say just what there is."""

from __future__ import annotations

import re

import callboard

from .page import Page

ERRORS = {
    name: one
    for name in vars(callboard)["_HOME_OF"]
    if isinstance(one := getattr(callboard, name), type) and issubclass(one, BaseException)
}


def parent(error: type) -> str:
    """The next exported error above one."""
    return next((one.__name__ for one in error.__mro__[1:] if ERRORS.get(one.__name__) is one), "")


def test_the_page_of_errors_has_each_exported_error_where_it_stands_in_the_tree() -> None:
    found = {"CallboardError": ""}
    for block in Page("actors/agents/errors.md").blocks("text"):
        above = ["CallboardError"]
        for line in block.text.splitlines():
            depth = (len(line) - len(line.lstrip())) // 2
            above[depth + 1 :] = [line.strip()]
            assert line.strip() not in found
            found[line.strip()] = above[depth]
    assert found == {name: parent(error) for name, error in ERRORS.items()}


def test_the_page_of_errors_says_when_as_the_classes_do_and_what_to_do() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", Page("actors/agents/errors.md").text, re.MULTILINE)
    said = {name: when for name, when, _ in rows}
    assert len(rows) == len(said)
    assert said == {name: first(error) for name, error in ERRORS.items() if name != "CallboardError"}
    assert [name for name, _, what in rows if not what] == []


def first(error: type) -> str:
    """The first paragraph of a docstring, in Markdown."""
    text = " ".join((error.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r"``([^`]*)``", r"`\1`", text)
