"""YAML files: references, lines, and errors that say what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from callboard.providers.config.yamlfile import ConfigError, MissingVariable, expand, parse_yaml, read_yaml


class Limits(BaseModel):
    model_config = ConfigDict(extra="forbid")
    requests: int = Field(default=1, gt=0)


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    api_key: str = ""
    kind: str = Field(description="the wire protocol")
    limits: Limits | None = None


class File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    providers: dict[str, Entry] = {}
    names: list[str] = []


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("a-${A}-b", {"A": ""}, "a--b"),
        ("${A:-d}", {}, "d"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A:-}", {}, ""),
        ("${A:-d}", {"A": "x"}, "x"),
        ("${A:?tell me}", {"A": "x"}, "x"),
        ("$${A}", {"A": "x"}, "${A}"),
        ("$5 and $", {}, "$5 and $"),
        ("${A}${B}", {"A": "${B}", "B": "x"}, "${B}x"),
    ],
)
def test_references_expand_as_documented(text: str, env: dict[str, str], expected: str) -> None:
    assert expand(text, env) == expected


def test_a_missing_variable_says_which_one_to_set() -> None:
    with pytest.raises(MissingVariable, match="GROQ_KEY"):
        expand("${GROQ_KEY}", {})
    with pytest.raises(MissingVariable, match="get one at the console"):
        expand("${GROQ_KEY:?get one at the console}", {"GROQ_KEY": ""})
    with pytest.raises(ValueError, match="expected"):
        expand("${not a name}", {})


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="$")), st.text())
def test_text_without_a_dollar_is_unchanged_and_values_are_never_expanded_again(text: str, value: str) -> None:
    assert expand(text, {}) == text
    assert expand("${V}", {"V": value}) == value


def test_a_value_from_the_environment_cannot_change_the_structure() -> None:
    file = parse_yaml("a: ${V}\nb: 1\n", env={"V": "x\nb: 2\nc: [1]"})
    assert file.data == {"a": "x\nb: 2\nc: [1]", "b": 1}


def test_lines_are_found_through_mappings_and_lists() -> None:
    file = parse_yaml("top:\n  - one\n  -\n    deep: x\nother: 1\n")
    assert file.line(("top", 0)) == 2
    assert file.line(("top", 1, "deep")) == 4
    assert file.line(("top", 1, "deep", "absent")) == 4
    assert file.line(("other",)) == 5
    assert file.line() == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("providers:\n  a:\n    limits: {requests: many}\n    kind: openai\n", 3, ["requests", "integer", "'many'"]),
        ("providers:\n  a:\n    kind: x\n    limits:\n      requests: 0\n", 5, ["greater than 0"]),
        ("providers:\n  a:\n    api_key: x\n", 2, ["'kind' is missing", "the wire protocol"]),
        ("providers:\n  a:\n    kind: x\n    limitz: {}\n", 4, ["did you mean 'limits'"]),
        ("\n\nzzz: 1\n", 3, ["unknown entry", "names, providers"]),
        ("names: [a, {b: 1}]\n", 1, ["string", "a mapping"]),
        ("providers: 3\n", 1, ["providers", "3"]),
        ("a: [1\n", 2, ["valid YAML"]),
        ("a: 1\na: 2\n", 2, ["twice"]),
        ("- 1\n", 1, ["a mapping of providers, names", "not a list"]),
        ("names:\n  - ok\n  - ${NOPE}\n", 3, ["NOPE"]),
        ("names: !!python/object/apply:os.system [x]\n", 1, ["valid YAML"]),
        ("a: &x [*x]\n", 1, ["alias"]),
        ("a: 1\noff: 1\n", 2, ["off", "quotes"]),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_what_was_expected(text: str, line: int, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "llm.yaml", env={}).validate(File)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"llm.yaml, line {line}: ")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_problem_by_line_is_named_and_the_others_counted() -> None:
    with pytest.raises(ConfigError, match=r"line 1: .* \(and 1 more, next on line 2\)"):
        parse_yaml("zzz: 1\nyyy: 2\n", "f").validate(File)


def test_an_error_never_shows_what_the_environment_held_nor_a_literal_key() -> None:
    for text in ("providers: {a: {kind: x, limits: '${SECRET}'}}", "providers: {a: {kind: x, api_key: [sk-hush]}}"):
        with pytest.raises(ConfigError) as caught:
            parse_yaml(text, env={"SECRET": "sk-hush"}).validate(File)
        assert "hush" not in str(caught.value)
    file = parse_yaml("providers: {a: {kind: x, api_key: '${SECRET}'}}", env={"SECRET": "sk-hush"})
    assert "hush" not in repr(file)
    assert file.validate(File).providers["a"].api_key == "sk-hush"


def test_files_are_read_and_missing_ones_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("names: [x]\n")
    assert read_yaml(tmp_path / "a.yaml").validate(File).names == ["x"]
    (tmp_path / "empty.yaml").write_text("")
    assert read_yaml(tmp_path / "empty.yaml").validate(File) == File()
    with pytest.raises(ConfigError, match="no such file"):
        read_yaml(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml("a\x00b")


def test_aliases_of_aliases_are_not_expanded_without_end() -> None:
    levels = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
    with pytest.raises(ConfigError, match=r"expected at most 20,000 values, with aliases expanded"):
        parse_yaml(f"a0: &a0 [x]\n{levels}")
    merged = "".join(f"a{n + 1}: &a{n + 1}\n  <<: [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
    with pytest.raises(ConfigError, match=r"expected at most 20,000 values, with aliases expanded"):
        parse_yaml(f"a0: &a0 {{x: 1}}\n{merged}")
