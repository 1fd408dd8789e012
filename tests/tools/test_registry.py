from __future__ import annotations

import pytest

from callboard.tools import ToolDefinitionError, ToolRegistry, UnknownTool, tool


@tool(risk="safe")
def read_file(path: str) -> str:
    return path


@tool(scope="owner")
def write_file(path: str) -> str:
    return path


@tool(scope="admin")
def shut_down() -> None: ...


@pytest.fixture
def registry() -> ToolRegistry:
    return ToolRegistry([read_file, write_file, shut_down])


def test_an_unknown_tool_is_refused_with_what_there_is_and_the_closest_match(registry: ToolRegistry) -> None:
    with pytest.raises(UnknownTool) as caught:
        registry.get("ReadFile", "admin")
    text = str(caught.value)
    assert "'ReadFile'" in text
    assert "did you mean 'read_file'?" in text
    assert "read_file, write_file, shut_down" in text


def test_nothing_is_suggested_where_nothing_is_close(registry: ToolRegistry) -> None:
    with pytest.raises(UnknownTool) as caught:
        registry.get("qqq")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("all", ["read_file"]),
        ("owner", ["read_file", "write_file"]),
        ("admin", ["read_file", "write_file", "shut_down"]),
    ],
)
def test_a_caller_sees_the_tools_of_its_scope_and_no_others(
    registry: ToolRegistry, scope: str, names: list[str]
) -> None:
    assert [spec.name for spec in registry.specs(scope)] == names
    for made in registry:
        if made.name in names:
            assert registry.get(made.name, scope) is made
        else:
            with pytest.raises(UnknownTool) as caught:
                registry.get(made.name, scope)
            said = str(caught.value).replace(f"named {made.name!r}", "")
            assert made.name not in said, "the text gives away a tool outside the scope"


def test_an_unknown_tool_counts_as_risky(registry: ToolRegistry) -> None:
    assert registry.risk("read_file") == "safe"
    assert registry.risk("write_file") == "risky"
    assert registry.risk("never heard of") == "risky"


def test_two_tools_of_one_name_are_refused(registry: ToolRegistry) -> None:
    with pytest.raises(ToolDefinitionError, match="two tools named 'read_file'"):
        registry.add(tool(name="read_file")(lambda: None))
    registry.add(read_file)
    assert len(registry) == 3


def test_tools_can_be_added_and_removed(registry: ToolRegistry) -> None:
    registry.remove("shut_down")
    assert "shut_down" not in registry
    registry.add(shut_down)
    assert "shut_down" in registry
    with pytest.raises(UnknownTool):
        registry.remove("nothing")
