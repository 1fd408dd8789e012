"""What AGENTS.md files of a project say, and the instructions of roles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from callboard import Agency, Agent, PromptError, agents_md, create_agent, instructions_for
from callboard.providers.messages import Request
from tests.agents.support import function

from .folders import written


def test_nested_files_stand_from_the_outermost_to_the_nearest(tmp_path: Path) -> None:
    files = {
        "AGENTS.md": "outer\n",
        "src/AGENTS.md": "\ufeffmiddle",
        "src/pay/card/AGENTS.md": "inner",
        "doc/AGENTS.md": "no",
    }
    written(tmp_path, files)
    assert agents_md(tmp_path / "src/pay/card", tmp_path) == "outer\n\nmiddle\n\ninner"
    assert agents_md(tmp_path / "src/pay", tmp_path / "src") == "middle"
    assert agents_md(tmp_path, tmp_path) == "outer"


def test_without_any_file_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert agents_md(tmp_path, tmp_path) == ""


def test_nothing_outside_of_the_root_is_read(tmp_path: Path) -> None:
    root = written(tmp_path / "root", {"a/x.txt": ""})
    written(tmp_path, {"AGENTS.md": "s3cret", "other/AGENTS.md": "s3cret"})
    assert agents_md(root / "a", root) == ""
    with pytest.raises(PromptError, match="is not inside of"):
        agents_md(root / ".." / "other", root)
    os.symlink(tmp_path / "AGENTS.md", root / "AGENTS.md")
    with pytest.raises(PromptError, match=r"AGENTS\.md is a link that leads out of"):
        agents_md(root / "a", root)
    (root / "AGENTS.md").unlink()
    os.symlink(tmp_path / "other", root / "b")
    with pytest.raises(PromptError, match="is not inside of"):
        agents_md(root / "b", root)


def test_a_link_within_the_root_is_followed(tmp_path: Path) -> None:
    written(tmp_path, {"shared.md": "for all", "a/x.txt": ""})
    os.symlink(tmp_path / "shared.md", tmp_path / "a/AGENTS.md")
    assert agents_md(tmp_path / "a", tmp_path) == "for all"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="agents_md takes two folders, not int"):
        agents_md(5, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="nowhere: there is no such folder"):
        agents_md(tmp_path / "nowhere", tmp_path)
    written(tmp_path, {"a/AGENTS.md": b"fine\n\xff", "b/AGENTS.md/x": "", "c/x": "", "d/x": ""})
    with pytest.raises(PromptError, match=r"AGENTS\.md, line 2: expected UTF-8"):
        agents_md(tmp_path / "a", tmp_path)
    with pytest.raises(PromptError, match=r"AGENTS\.md cannot be read: Is a directory"):
        agents_md(tmp_path / "b", tmp_path)
    os.symlink(tmp_path / "gone", tmp_path / "c/AGENTS.md")
    with pytest.raises(PromptError, match=r"AGENTS\.md is a link to a file that is not there"):
        agents_md(tmp_path / "c", tmp_path)
    os.symlink(tmp_path / "d/AGENTS.md", tmp_path / "d/AGENTS.md")
    with pytest.raises(PromptError, match=r"AGENTS\.md cannot be read"):
        agents_md(tmp_path / "d", tmp_path)


def test_all_files_together_are_bounded(tmp_path: Path) -> None:
    written(tmp_path, {"AGENTS.md": "a" * 65_536})
    assert agents_md(tmp_path, tmp_path) == "a" * 65_536
    written(tmp_path, {"src/AGENTS.md": "b"})
    with pytest.raises(PromptError, match=r"src/AGENTS\.md is too large: all AGENTS\.md files together"):
        agents_md(tmp_path / "src", tmp_path)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("anthropic:claude-sonnet-4-5", "for claude"),
        ("bedrock:us.anthropic.claude-sonnet-4-20250514-v1:0", "for claude"),
        ("openrouter:anthropic/claude-x", "for claude"),
        ("vertex:claude-x@20250514", "for claude"),
        ("openai:gpt-4.1", "for all"),
        ("", "for all"),
    ],
)
def test_a_role_may_be_told_something_else_for_each_family_of_models(tmp_path: Path, model: str, said: str) -> None:
    written(tmp_path, {"reviewer.md": "for all\n", "reviewer.claude.md": "for claude\n"})
    assert instructions_for("reviewer", model, tmp_path) == said


def test_wrong_instructions_are_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"role '\.\./secret': use letters"):
        instructions_for("../secret", folder=tmp_path)
    with pytest.raises(PromptError, match="a model's name is a text, not NoneType; leave it out for any model"):
        instructions_for("developer", None)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="the folder of instructions is a path, not int"):
        instructions_for("developer", "gpt-5", 3)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="nowhere: there is no such folder of instructions"):
        instructions_for("reviewer", folder=tmp_path / "nowhere")
    written(tmp_path, {"reviewer.md": b"a\nb\xff"})
    with pytest.raises(PromptError, match=r"reviewer\.md, line 2: expected UTF-8"):
        instructions_for("reviewer", folder=tmp_path)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("anthropic:claude-sonnet-4-5", "claude"),
        ("azure:gpt-4.1", "gpt"),
        ("openai:o3-mini", "gpt"),
        ("vertex:gemini-2.5-pro", "gemini"),
        ("ollama:llama3.1:70b", "llama"),
        ("openrouter:mistralai/mistral-large", "mistral"),
        ("openrouter:qwen/qwen3-coder", "qwen"),
        ("openrouter:deepseek/deepseek-r1", "deepseek"),
        ("xai:grok-4", "grok"),
        ("ollama:gemma3", "gemma"),
        ("openrouter:moonshotai/kimi-k2", "kimi"),
    ],
)
def test_a_family_is_found_in_a_models_name_wherever_it_is_hosted(tmp_path: Path, model: str, family: str) -> None:
    families = ("claude", "gpt", "gemini", "llama", "mistral", "qwen", "deepseek", "grok", "gemma", "kimi")
    written(tmp_path, {f"reviewer.{one}.md": one for one in families})
    assert instructions_for("reviewer", model, tmp_path) == family


def test_what_a_folder_does_not_have_comes_from_the_librarys_own_roles(tmp_path: Path) -> None:
    written(tmp_path, {"reviewer.md": "You review."})
    own = instructions_for("developer")
    assert instructions_for("developer", folder=tmp_path) == own
    assert own not in ("", instructions_for("nobody").replace("nobody", "developer"))
    assert instructions_for("nobody", folder=tmp_path).startswith("You are nobody")


def test_an_agent_of_a_role_is_told_what_the_folder_says_for_its_model(tmp_path: Path) -> None:
    written(tmp_path, {"reviewer.md": "for all", "reviewer.claude.md": "for claude"})
    for model, said in (("anthropic:claude-sonnet-4-5", "for claude"), ("openai:gpt-4.1", "for all")):
        assert create_agent("reviewer", model=model, prompts=tmp_path).instructions == said


async def test_agents_md_is_read_when_it_is_called_and_never_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(written(tmp_path, {"AGENTS.md": "Use tabs."}))
    told: list[str] = []

    def model(request: Request) -> str:
        told.append(" ".join(message.text for message in request.messages))
        return "ok"

    agents = [Agent("Plain", "You code."), Agent("Coder", agents_md(tmp_path, root="."))]
    written(tmp_path, {"AGENTS.md": "Use spaces."})
    async with Agency(*agents, model=function(model)) as agency:
        for agent in agents:
            await agency.run("go", agent=agent)
    assert told == ["You code. go", "Use tabs. go"]
