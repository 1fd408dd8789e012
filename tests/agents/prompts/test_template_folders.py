"""What a folder of templates refuses when it is loaded, and what a template makes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Message, TemplateError, TemplateFolder

from .folders import saying, written

TRIAGE = """\
version: 1
variables:
  customer: who writes
  orders: {type: list, default: []}
system: |
  You help.
  {% for order in orders %}
  - {{ order }}
  {% endfor %}
few_shot:
  - user: Is it for {{ customer }}?
    assistant: It is.
user: The customer {{ customer }} writes.
"""


def test_a_file_is_a_template_by_its_dotted_name(tmp_path: Path) -> None:
    folder = TemplateFolder(written(tmp_path, {"support/triage.yaml": TRIAGE, "README.md": "{{ nothing"}))
    assert folder.names == ("support.triage",)
    made = folder.template("support.triage").render({"customer": "Ada", "orders": [1, 2]})
    assert (made.name, made.version) == ("support.triage", "1")
    assert made.system == "You help.\n- 1\n- 2\n"
    assert made.user == "The customer Ada writes."


def test_examples_become_messages_of_both_sides(tmp_path: Path) -> None:
    folder = TemplateFolder(written(tmp_path, {"triage.yaml": TRIAGE}))
    made = folder.template("triage").render({"customer": "Ada"})
    assert made.few_shot == (Message("user", "Is it for Ada?"), Message("assistant", "It is."))


def test_an_example_that_becomes_empty_is_left_out_and_half_a_one_is_refused(tmp_path: Path) -> None:
    few = "version: 1\nvariables: {a: , b: }\nfew_shot:\n  - user: '{{ a }}'\n    assistant: '{{ b }}'\nuser: go\n"
    template = TemplateFolder(written(tmp_path, {"t.yaml": few})).template("t")
    assert template.render({"a": "", "b": ""}).few_shot == ()
    with pytest.raises(TemplateError, match=r"^t.yaml, line 5: example 0: assistant has become empty"):
        template.render({"a": "x", "b": ""})


def test_a_text_that_becomes_empty_is_none(tmp_path: Path) -> None:
    text = "version: 1\nvariables: {x: }\nsystem: '{{ x }}'\nuser: '{{ x }}'\n"
    made = TemplateFolder(written(tmp_path, {"t.yaml": text})).template("t").render({"x": ""})
    assert (made.system, made.user) == ("", "")


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("str", ["", "a"], [1, None]),
        ("int", [0, -1], [1.5, True, "1"]),
        ("float", [1.5, 1], [True, "1"]),
        ("bool", [True], [1, "yes"]),
        ("list", [[], (1,)], ["a", {}, {1}]),
        ("dict", [{}, MappingProxyType({})], [[], "a"]),
    ],
)
def test_a_type_is_kept_to(tmp_path: Path, kind: str, right: list[object], wrong: list[object]) -> None:
    text = f"version: 1\nvariables:\n  x: {{type: {kind}}}\nsystem: '{{{{ x }}}}'\n"
    template = TemplateFolder(written(tmp_path, {"t.yaml": text})).template("t")
    for value in right:
        assert template.render({"x": value}).system == str(value)
    for value in wrong:
        with pytest.raises(TemplateError, match=f"'x' is of type {type(value).__name__}; expected {kind}"):
            template.render({"x": value})


def test_pieces_and_macros_come_from_the_folder(tmp_path: Path) -> None:
    files = {
        "t.yaml": saying(
            '{% include "shared/tone.jinja" %}\n{% from "shared/rows.jinja" import row %}\n'
            '{% import "shared/rows.jinja" as rows %}\n{{ row(1) }}, {{ rows.row(2) }}',
            "name",
        ),
        "shared/tone.jinja": "Be kind to {{ name }}.\n",
        "shared/rows.jinja": "{% macro row(n) %}row {{ n }}{% endmacro %}\n",
    }
    made = TemplateFolder(written(tmp_path, files)).template("t").render({"name": "Ada"})
    assert made.system == "Be kind to Ada.\nrow 1, row 2"


def test_what_a_piece_sets_may_be_imported_from_it(tmp_path: Path) -> None:
    files = {
        "t.yaml": saying('{% from "tone.jinja" import tone, end %}{{ tone }}{{ end }}'),
        "tone.jinja": "{% set tone = 'kind' %}{% set end %}!{% endset %}",
    }
    assert TemplateFolder(written(tmp_path, files)).template("t").render({}).system == "kind!"


def test_a_piece_sees_what_the_text_has_made_before_it(tmp_path: Path) -> None:
    files = {
        "t.yaml": saying('{% for n in numbers %}\n{% include "row.jinja" %}\n{% endfor %}', "numbers"),
        "row.jinja": "{{ n }};",
    }
    assert TemplateFolder(written(tmp_path, files)).template("t").render({"numbers": [1, 2]}).system == "1;2;"


def test_json_is_written_as_it_is(tmp_path: Path) -> None:
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying("{{ x|tojson }}", "x")})).template("t")
    assert template.render({"x": {"é": "<b> & 'c'"}}).system == """{"é": "<b> & 'c'"}"""
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying("{{ x|tojson(indent=2) }}", "x")})).template("t")
    assert template.render({"x": {"é": ["<b>", 1]}}).system == '{\n  "é": [\n    "<b>",\n    1\n  ]\n}'


def test_environment_variables_are_not_looked_up(tmp_path: Path) -> None:
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying("${HOME} costs $$5")})).template("t")
    assert template.render({}).system == "${HOME} costs $$5"


BROKEN = {
    "yaml": ("version: 1\nsystem: [\n", 3, "valid YAML"),
    "a name without quotes": ("version: 1\nsystem: {{ x }}\n", 2, "expected"),
    "not a mapping": ("- a\n", 1, "expected a mapping of version"),
    "several documents": ("version: 1\nsystem: a\n---\nversion: 2\nsystem: b\n", 3, "valid YAML"),
    "unknown field": ("version: 1\nsytem: a\n", 2, "did you mean 'system'"),
    "a field twice": ("version: 1\nsystem: a\nsystem: b\n", 3, "twice"),
    "wrong type": ("version: 1\nsystem:\n  a: b\n", 2, "expected a text"),
    "nothing to say": ("version: 1\n", 1, "nothing to say"),
    "no version": ("system: a\n", 1, "version is missing"),
    "a version that is rounded": ("version: 1.10\nsystem: a\n", 1, "in quotes"),
    "weight below 0": ("version: 1\nweight: -1\nsystem: a\n", 2, "from 0"),
    "weight without end": ("version: 1\nweight: .inf\nsystem: a\n", 2, "from 0"),
    "a weight that is no number": ("version: 1\nweight: heavy\nsystem: a\n", 2, "from 0"),
    "nothing but weight 0": ("version: 1\nweight: 0\nsystem: a\n", 2, "above 0"),
    "few_shot is no list": ("version: 1\nfew_shot: a\n", 2, "expected a list"),
    "half an example": ("version: 1\nfew_shot:\n- user: a\n", 3, "user and assistant"),
    "more than an example": ("version: 1\nfew_shot:\n- user: a\n  assistant: b\n  sytem: c\n", 5, "unknown entry"),
    "variables are no mapping": ("version: 1\nvariables: [a]\nsystem: a\n", 2, "expected a mapping"),
    "a taken name": ("version: 1\nvariables: {range: }\nsystem: a\n", 2, "cannot be a variable's name"),
    "a private name": ("version: 1\nvariables: {_a: }\nsystem: a\n", 2, "cannot be a variable's name"),
    "unknown type": ("version: 1\nvariables:\n  a: {type: text}\nsystem: '{{ a }}'\n", 3, "one of str, int"),
    "default of another type": ("version: 1\nvariables:\n  a: {type: int, default: b}\nsystem: '{{ a }}'\n", 3, "int"),
    "syntax": (saying("one\n\n{% if %}"), 6, "not valid jinja2"),
    "an unknown tag": (saying("one\n{% do %}"), 5, "unknown tag 'do'"),
    "undeclared": (saying("one\n\n{{ nmae }}", "name"), 7, "'nmae' is used, but not declared.*did you mean 'name'"),
    "undeclared in a branch": (saying("{% if 0 %}\n{{ x }}{% endif %}"), 5, "'x' is used"),
    "undeclared beside a loop's own": (saying("{% for x in [] %}{{ x }}{% endfor %}\n{{ x }}"), 5, "'x' is used"),
    "unused": ("version: 1\nvariables:\n  a: one\n  b: two\nsystem: '{{ a }}'\n", 4, "'b' is declared, but nothing"),
    "unknown filter": (saying("one\n{{ 1|uper }}"), 5, "unknown filter 'uper'; did you mean 'upper'"),
    "unknown filter in a branch": (saying("{% if 0 %}\n{{ 1|uper }}{% endif %}"), 5, "unknown filter"),
    "a filter that draws lots": (saying("{{ [1]|random }}"), 4, "unknown filter 'random'"),
    "unknown test": (saying("{{ 1 is evn }}"), 4, "unknown test 'evn'; did you mean 'even'"),
    "a private attribute": (saying("\n{{ x.__class__ }}", "x"), 6, "private"),
    "no such piece": (saying("one\n{% include 'tone.jinja' %}"), 5, "no piece 'tone.jinja'"),
    "a piece outside": (saying("{% include '../tone.jinja' %}"), 4, "no piece"),
    "a piece by a variable": (saying("{% include x %}", "x"), 5, "stands there as a text"),
    "blocks": (saying("{{ self }}"), 4, "self is for blocks"),
    "inheritance": (saying("{% extends 'a.jinja' %}"), 4, "extends and block are not for prompts"),
    "escaping": (saying("{% autoescape true %}a{% endautoescape %}"), 4, "nothing is escaped"),
    "nested too deeply": (saying("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}"), 4, "nested too deeply"),
    "a description that is no text": (
        "version: 1\nvariables:\n  a: {description: 5}\nsystem: '{{ a }}'\n",
        3,
        "says what",
    ),
    "in an example": ("version: 1\nfew_shot:\n- user: |\n    a\n    {{ x }}\n  assistant: b\n", 5, "'x' is used"),
    "no UTF-8": (b"version: 1\nsystem: a\nuser: \xff\n", 3, "expected UTF-8"),
    "a control character": ("version: 1\nsystem: a\x07\n", 2, "0x07"),
}


@pytest.mark.parametrize(("text", "line", "says"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_in_a_file_is_named_with_its_line_when_the_folder_is_loaded(
    tmp_path: Path, text: str | bytes, line: int, says: str
) -> None:
    with pytest.raises(TemplateError, match=f"^a/t.yaml, line {line}: .*{says}") as failed:
        TemplateFolder(written(tmp_path, {"a/t.yaml": text}))
    assert (failed.value.path, failed.value.line) == ("a/t.yaml", line)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"t.yaml": saying("{% include 'p.jinja' %}"), "p.jinja": "a\n{{ x }}"},
            r"p.jinja, line 2: .*declared under variables by t.yaml, which includes this;",
        ),
        (
            {"p.jinja": "a\n{% include 'q.jinja' %}", "q.jinja": "{% include 'p.jinja' %}"},
            "p.jinja → q.jinja → p",
        ),
        ({"p.jinja": "\n{{ 1|uper }}"}, "^p.jinja, line 2: unknown filter"),
        (
            {"p.jinja": "\n{% import 'q.jinja' as q %}\n{{ q.b }}", "q.jinja": "{% set a = 1 %}"},
            "line 3: q.* defines no",
        ),
        (
            {"p.jinja": "\n{% from 'q.jinja' import b %}", "q.jinja": "{% set a = 1 %}"},
            "line 2: q.* defines no 'b'",
        ),
        (
            {"t.yaml": saying("{% from 'q.jinja' import m %}"), "q.jinja": "\n{% macro m() %}{{ x }}{% endmacro %}"},
            r"^t.yaml, line 4: q.jinja needs the variable 'x' \(q.jinja, line 2\)",
        ),
        ({"t.yaml": saying("a"), "t.yml": saying("b")}, "^t.yml: t@1 is already in t.yaml"),
        ({"t.yaml": saying("a"), "t@1.yaml": "system: a\n"}, "^t@1.yaml: t@1 is already in t.yaml|^t.yaml"),
        ({"t@2.yaml": saying("a")}, "^t@2.yaml, line 1: .*the file says version 1, and its name '2'"),
        (
            {"t.yaml": saying("a", more="weight: 1\n"), "t@2.yaml": "system: a\n"},
            r"^t@2\.yaml: its weight is missing, which it needs beside t\.yaml: write weight: 1",
        ),
        ({"a b.yaml": saying("a")}, "'a b' cannot be part of a template's name"),
        ({"long" * 17 + ".yaml": saying("a")}, "is too long: use at most 64"),
        ({"t@.yaml": saying("a")}, "'' after the @ is no version"),
        ({"t.yaml": "a" * 1_000_001}, "larger than 1,000,000 bytes"),
        ({"p.jinja": b"a\n\xff"}, "^p.jinja, line 2: expected UTF-8"),
    ],
)
def test_files_that_do_not_fit_each_other_are_named(tmp_path: Path, files: dict[str, str | bytes], says: str) -> None:
    with pytest.raises(TemplateError, match=says):
        TemplateFolder(written(tmp_path, files))


def test_no_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    inside = written(tmp_path / "in", {"t.yaml": saying("a")})
    outside = written(tmp_path / "out", {"secret.yaml": saying("b")})
    os.symlink(outside / "secret.yaml", inside / "u.yaml")
    with pytest.raises(TemplateError, match=r"^u\.yaml: a link that leads out of the folder"):
        TemplateFolder(inside)
    (inside / "u.yaml").unlink()
    os.symlink(outside, inside / "u")
    with pytest.raises(TemplateError, match=r"^u: a link that leads out of the folder"):
        TemplateFolder(inside)
    (inside / "u").unlink()
    os.symlink(inside / "t.yaml", inside / "v.yaml")
    assert TemplateFolder(inside).names == ("t", "v")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="prompts: there is no such folder"):
        TemplateFolder(tmp_path / "prompts")


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda folder: TemplateFolder(5), "expected a folder's path, not int"),  # type: ignore[arg-type]
        (lambda folder: folder.template(5), "expected a template's name, not int"),
        (lambda folder: folder.template("t").render(["s3cret"]), "takes its variables as a mapping, not list"),
        (lambda folder: folder.template("t").render({}, 5), "takes a conversation's id, not int"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, use: Callable[[Any], object], says: str) -> None:
    folder = TemplateFolder(written(tmp_path, {"t.yaml": saying("a")}))
    with pytest.raises(TemplateError, match=says):
        use(folder)


def test_an_unknown_name_tells_the_nearest(tmp_path: Path) -> None:
    folder = TemplateFolder(written(tmp_path, {"support/triage.yaml": TRIAGE}))
    with pytest.raises(TemplateError, match=r"no template 'support\.triag'; did you mean 'support\.triage'"):
        folder.template("support.triag")
    with pytest.raises(TemplateError, match="has no version '2'; it has 1"):
        folder.template("support.triage@2")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, r"^triage\.yaml, line 3: the variable 'customer' \(who writes\) is missing"),
        ({"customer": "s3cret", "custmer": 1}, "declares no variable 'custmer'; did you mean 'customer'"),
        (
            {"customer": "s3cret", "orders": "s3cret"},
            r"^triage\.yaml, line 4: the variable 'orders' is of type str; expected list",
        ),
    ],
)
def test_wrong_variables_are_named_without_their_values(
    tmp_path: Path, variables: dict[str, object], says: str
) -> None:
    folder = TemplateFolder(written(tmp_path, {"triage.yaml": TRIAGE}))
    for use in (lambda: folder.template("triage").render(variables), lambda: folder.prompt("triage", **variables)):
        with pytest.raises(TemplateError, match=says) as failed:
            use()
        assert "s3cret" not in str(failed.value)


class Shy:
    secret = "s3cret"

    def __str__(self) -> str:
        raise ValueError("s3cret")


RAISING: list[tuple[str, object, str]] = [
    ("{{ x }}", Shy(), r"ValueError was raised in Shy.__str__ \(test_template_folders.py, line \d+\)"),
    ("{{ x.nmae }}", {"s3cret": 1}, "'nmae' is not there"),
    ("{{ {}[x] }}", "s3cret", "a value that is not there is used"),
    ("{{ x }}", (one for one in "s3cret"), "a generator cannot be written: give a template what it yields"),
    ("{% macro m() %}{{ x }}{% endmacro %}{{ m }}", "s3cret", r"a function cannot be written: call m\(\)"),
    ("{{ x + 1 }}", "s3cret", "TypeError was raised"),
    ("{{ x[y] }}", {"y": "s3cret"}, "not there"),
    ("{{ x.items }}", {"items": "s3cret"}, r"call items\(\), or write"),
    ("{{ '%d'|format(x) }}", "s3cret", "TypeError was raised"),
    ("{{ x|tojson }}", Shy(), "TypeError was raised"),
    ("{{ x['__class__'] }}", "s3cret", "may not reach private attributes"),
    ("{{ x.append(1) }}", ["s3cret"], "may not reach private attributes, change values"),
    ("{{ '{0.secret}'.format(x) }}", Shy(), "or call str.format"),
    ("{{ [x]|map(attribute='__class__')|list }}", "s3cret", "may not reach private attributes"),
    ("{{ [x]|map(attribute='nmae')|list }}", "s3cret", "'nmae' is not there"),
    ("{{ [x]|map(attribute='nmae')|tojson }}", "s3cret", "TypeError was raised"),
    ("{{ x|attr('__class__') }}", "s3cret", "may not reach private attributes"),
]


@pytest.mark.parametrize(("text", "value", "says"), RAISING, ids=[text for text, *_ in RAISING])
def test_what_goes_wrong_in_a_render_is_named_with_its_line_and_without_values(
    tmp_path: Path, text: str, value: object, says: str
) -> None:
    source = saying(f"one\n\n{text.replace('x[y]', 'x[x.y]')}", "x")
    template = TemplateFolder(written(tmp_path, {"t.yaml": source})).template("t")
    with pytest.raises(TemplateError, match=f"^t.yaml, line 7: .*{says}") as failed:
        template.render({"x": value})
    assert "s3cret" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


def test_the_line_in_a_piece_is_named(tmp_path: Path) -> None:
    files = {"t.yaml": saying("{% include 'p.jinja' %}", "x"), "p.jinja": "one\n\n{{ x.y }}"}
    template = TemplateFolder(written(tmp_path, files)).template("t")
    with pytest.raises(TemplateError, match=r"^p\.jinja, line 3: 'y' is not there"):
        template.render({"x": 1})


BOMBS = [
    "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{% for b in range(9999) if 0 %}{% endfor %}{% endfor %}",
    "{% for a in range(9999) %}{% set x %}" + "long" * 999 + "{% endset %}{% endfor %}",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{{ 'x' * 1000000000 }}",
    "{{ 1000000000 * 'x' }}",
    "{{ [1] * 1000000000 }}",
    "{{ 10 ** 1000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%(a)1000000000d' % {'a': 1} }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ 'x'.encode('punycode') }}",
    "{{ ('%(' * 500000) % 1 }}",
    "{% for i in range(9999) %}{{ (('%%' * 900) % ())|length }}{% endfor %}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ 'x'.center(1000000000) }}",
    "{{ 'x'.zfill(width=1000000000) }}",
    "{{ (1).to_bytes(1000000000) }}",
    "{{ 'x'|indent(1000000000, true) }}",
    "{{ ('a\\n' * 9999)|indent('x' * 9999) }}",
    "{{ ('a\\n' * 9999)|indent(9999) }}",
    "{{ ('1' * 20000)|int }}",
    "{{ ('1' * 20000)|float }}",
    "{{ range(9000)|list|tojson(indent=9000) }}",
    "{{ ['x']|map('center', 1000000000)|list }}",
    "{{ [1]|batch(1000000000, 1)|list }}",
    "{{ [1]|slice(1000000000)|list }}",
    "{{ 1.5|round(1000000000, 'floor') }}",
    "{% set x = 'x' * 999999 %}{{ x|replace('', x) }}",
    "{% set x = 'x' * 999999 %}{{ range(9999)|join(x) }}",
    "{% set x = 'x' * 999999 %}{{ x.join(x) }}",
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=3) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|tojson }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x ~ 1 }}",
    "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}"
    "{% endfor %}{{ n.x == n.y }}",
    "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}"
    "{% endfor %}{{ n.x is eq(n.y) }}",
    "{% set n = namespace(x=(1, 2)) %}{% for i in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ {n.x: 1} }}",
    "{% set n = namespace(x=(1, 2)) %}{% for i in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ {}[n.x] }}",
    "{% set n = namespace(x=(1, 2)) %}{% for i in range(99) %}{% set n.x = (n.x, n.x) %}{% endfor %}"
    "{{ [n.x, n.x]|groupby(0) }}",
    "{% for a in range(9999) %}{{ range(99999)|sum }}{% endfor %}",
    "{% for a in range(9999) %}{{ range(99999)|map('string')|list|length }}{% endfor %}",
    "{{ ([[1] * 9999] * 9999)|sum(start=[]) }}",
    "{% set x = 'x' * 999999 %}{{ x|wordwrap(1) }}",
    "{% set x = 'x' * 999999 %}{% for a in range(9999) %}{% set y = x[1:] %}{% endfor %}",
    "{% set x = 'x' * 999999 %}{{ x }}{{ x }}{{ x }}",
    "{% for x in range(1000000000) %}{% endfor %}",
]


@pytest.mark.parametrize("text", BOMBS)
def test_a_template_that_would_go_on_for_ever_or_fill_the_memory_is_stopped(tmp_path: Path, text: str) -> None:
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying(f"one\n{text}")})).template("t")
    with pytest.raises(TemplateError, match=r"^t.yaml, line 5: (rendering was stopped: |it goes in too)"):
        template.render({})


@pytest.mark.parametrize("length", [100_001, 10**9, 10**30])
def test_a_range_beyond_the_bound_is_named_by_it(tmp_path: Path, length: int) -> None:
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying(f"{{{{ range({length})|length }}}}")})).template("t")
    with pytest.raises(TemplateError, match=r"^t.yaml, line 4: rendering was stopped: range makes more than 100,000"):
        template.render({})


def test_a_range_of_as_many_items_as_a_list_may_have_is_one(tmp_path: Path) -> None:
    text = "{{ range(100000)|length }} {{ range(5, 1, -2)|list }}"
    made = TemplateFolder(written(tmp_path, {"t.yaml": saying(text)})).template("t").render({})
    assert made.system == "100000 [5, 3]"


def test_pieces_within_pieces_are_bounded(tmp_path: Path) -> None:
    files = {f"p{n}.jinja": f"{{% include 'p{n + 1}.jinja' %}}" * 10 for n in range(9)}
    files |= {"t.yaml": saying("{% include 'p0.jinja' %}"), "p9.jinja": "x"}
    with pytest.raises(TemplateError, match="rendering was stopped"):
        TemplateFolder(written(tmp_path, files)).template("t").render({})


def test_a_long_document_is_rendered(tmp_path: Path) -> None:
    rows = "{% for row in rows %}{{ row.name }}: {{ row.price + 1 }}\n{% endfor %}"
    text = saying("{{ document|trim|replace('a', 'b') }}" + rows, "document", "rows")
    template = TemplateFolder(written(tmp_path, {"t.yaml": text})).template("t")
    teas = [{"name": f"tea {n}", "price": n} for n in range(5000)]
    made = template.render({"document": "a" * 1_000_000, "rows": teas})
    assert made.system == "b" * 1_000_000 + "".join(f"tea {n}: {n + 1}\n" for n in range(5000))


def test_a_render_does_not_change_what_it_is_given(tmp_path: Path) -> None:
    text = saying("{{ x|sort }}{{ x|reverse|list }}{{ x + [1] }}", "x")
    given_value = [3, 1, 2]
    TemplateFolder(written(tmp_path, {"t.yaml": text})).template("t").render({"x": given_value})
    assert given_value == [3, 1, 2]


def test_nothing_of_a_prompt_stands_in_what_is_shown_of_it(tmp_path: Path) -> None:
    folder = TemplateFolder(written(tmp_path, {"triage.yaml": TRIAGE}))
    template = folder.template("triage")
    for shown in (repr(folder), repr(template), repr(template.render({"customer": "s3cret"}))):
        assert "s3cret" not in shown
        assert "You help" not in shown


VALUES = st.text() | st.integers() | st.none() | st.booleans() | st.floats() | st.lists(st.text())
TEMPTING = st.sampled_from(
    ["{{ y }}", "{% raw %}", "{% for x in y %}", "{# gone #}", "# ", "${HOME}", "\r\n", "<b>&'", "%s"]
)


@given(x=TEMPTING | VALUES, y=TEMPTING | VALUES)
def test_values_are_written_as_they_are_and_never_taken_for_templates(
    tmp_path_factory: pytest.TempPathFactory, x: object, y: object
) -> None:
    text = saying("[{{ x }}|{{ y }}]\n{% if x == y %}same{% else %}other{% endif %}", "x", "y")
    few = "few_shot:\n- user: '{{ x }}.'\n  assistant: '{{ y }}.'\nuser: '{{ y }}{{ x }}'\n"
    folder = TemplateFolder(written(tmp_path_factory.mktemp("f"), {"t.yaml": text + few}))
    made = folder.template("t").render({"x": x, "y": y})
    assert made.system == f"[{x}|{y}]\n{'same' if x == y else 'other'}"
    assert [message.text for message in made.few_shot] == [f"{x}.", f"{y}."]
    assert made.user == f"{y}{x}"


PROBLEMS = [
    "{{ nothing }}",
    "{% if %}",
    "{{ 1|nothing }}",
    "{% include 'nothing' %}",
    "{{ x.__dict__ }}",
    "{{ 1 is nothing }}",
]


@given(
    before=st.lists(st.sampled_from(["", "words", "{{ x }}", "{# a #}", "{% if x %}", "  deep"]), max_size=8),
    problem=st.sampled_from(PROBLEMS),
    field=st.sampled_from(["system", "user", "few_shot"]),
    extra=st.integers(0, 4),
)
def test_wherever_something_is_wrong_its_line_is_named(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], problem: str, field: str, extra: int
) -> None:
    ends = ["{% endif %}"] * before.count("{% if x %}")
    head = ["# a comment"] * extra + ["version: 1", "variables: {x: }"]
    if field == "few_shot":
        head += ["few_shot:", "- assistant: '{{ x }}'", "  user: |4"]
    else:
        head += [f"{'user' if field == 'system' else 'system'}: '{{{{ x }}}}'", f"{field}: |4"]
    lines = [*head, *(f"      {line}" for line in [*before, problem, *ends])]
    folder = written(tmp_path_factory.mktemp("f"), {"t.yaml": "\n".join(lines) + "\n"})
    with pytest.raises(TemplateError) as failed:
        TemplateFolder(folder)
    assert failed.value.line == len(head) + len(before) + 1


@pytest.mark.parametrize("name", ["pprint", "random", "striptags", "urlize", "xmlattr"])
def test_filters_that_are_not_for_prompts_are_left_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(TemplateError, match=f"^t.yaml, line 4: unknown filter '{name}'"):
        TemplateFolder(written(tmp_path, {"t.yaml": saying(f"{{{{ [1]|{name} }}}}")}))


@pytest.mark.parametrize("tag", ["{% block a %}b{% endblock %}", "{% extends 'p.jinja' %}"])
def test_templates_do_not_inherit(tmp_path: Path, tag: str) -> None:
    with pytest.raises(TemplateError, match=r"^t.yaml, line 4: .*extends and block are not for prompts"):
        TemplateFolder(written(tmp_path, {"t.yaml": saying(tag), "p.jinja": "a"}))


def test_other_files_and_what_begins_with_a_dot_are_passed_over(tmp_path: Path) -> None:
    wrong = "version: 1\nsystem: '{{ nothing }}'\n"
    files = {"t.yaml": saying("a"), ".t.yaml": wrong, ".git/u.yaml": wrong, "a/.b.jinja": "{{ 1|no }}", "v.txt": wrong}
    assert TemplateFolder(written(tmp_path, files)).names == ("t",)


@pytest.mark.parametrize("text", ["'one\n\n  {{ x.y }}'", ">\n  one\n\n  {{ x.y }}\n", "one\n\n  {{ x.y }}"])
def test_in_a_text_that_is_folded_the_line_is_the_one_where_it_begins(tmp_path: Path, text: str) -> None:
    source = f"version: 1\nvariables: {{x: }}\nuser: go\nsystem: {text}\n"
    with pytest.raises(TemplateError, match=r"'y' is not there") as failed:
        TemplateFolder(written(tmp_path, {"t.yaml": source})).template("t").render({"x": 1})
    assert failed.value.line == (5 if text.startswith(">") else 4)


@pytest.mark.parametrize(
    "text", ["{{ [x] * 50 }}", "{{ [x] * 50 ~ 1 }}", "{{ ([x] * 50)|string|length }}", "{{ '%s' % ([x] * 50) }}"]
)
def test_a_value_that_is_too_long_is_refused_before_it_is_written(tmp_path: Path, text: str) -> None:
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying(text, "x")})).template("t")
    with pytest.raises(TemplateError, match="rendering was stopped: it makes a value of more than 2,000,000 char"):
        template.render({"x": "x" * 999_999})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ [1, 2]|map('string')|join(', ') }}", "1, 2"),
        ("{{ [1, 2]|map('string')|string }}", "['1', '2']"),
        ("{{ '12'|int + 1 }} {{ '1.5'|float }}", "13 1.5"),
        ("{{ 'a\nb'|indent(2) }} {{ 'a\nb'|indent('> ', true) }}", "a\n  b > a\n> b"),
        ("{{ 1 is eq(1) }} {{ 2 is in([1]) }} {{ 3 is odd }}", "True False True"),
        ("{{ 'ab'|center(4) }}{{ 'x' * 3 }}{{ 2 ** 3 }}{{ '%s.' % 5 }}", " ab xxx85."),
        ("{{ [3, 1]|sum }} {{ [1, 2, 3]|batch(2)|list }}", "4 [[1, 2], [3]]"),
    ],
)
def test_what_stays_within_the_bounds_is_what_jinja_makes_of_it(tmp_path: Path, text: str, said: str) -> None:
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying(text.replace("\n", "\\n"))})).template("t")
    assert template.render({}).system == said


def test_a_link_to_a_folder_or_to_nothing_is_named(tmp_path: Path) -> None:
    written(tmp_path, {"a/t.yaml": saying("a")})
    os.symlink(tmp_path / "a", tmp_path / "b")
    with pytest.raises(TemplateError, match=r"^b: a link to a folder: templates are found by one name only"):
        TemplateFolder(tmp_path)
    (tmp_path / "b").unlink()
    os.symlink(tmp_path / "gone.yaml", tmp_path / "b.yaml")
    with pytest.raises(TemplateError, match=r"^b\.yaml: expected a file"):
        TemplateFolder(tmp_path)


def test_json_may_have_as_many_characters_as_a_text_and_not_one_more(tmp_path: Path) -> None:
    numbers = [1_234_567_890] * 153_846  # each takes a line of 11 characters, its end and a comma: 13 n + 2 in all
    text = "{{ x|tojson(indent=1)|length }}"
    template = TemplateFolder(written(tmp_path, {"t.yaml": saying(text, "x")})).template("t")
    assert template.render({"x": numbers}).system == "2000000"
    with pytest.raises(TemplateError, match="it makes a value of more than 2,000,000 characters"):
        template.render({"x": [*numbers[1:], 12_345_678_901]})
