"""Ready-made agents: a role with its instructions."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

from ....providers.checks import NAME, TEXT, Wish
from ..agent import Agent
from ..prompts.markdown.instructions import family_of, instructions_for
from ..wishes import define

_DESCRIPTIONS = {
    "developer": "Reads and changes files, runs commands, and reports what it found or did.",
    "planner": "Splits a request into tasks, hands them out, and puts the answers together.",
}

_OTHERS: Final[Mapping[str, Any]] = {"temperature": 0.2}  # to keep to what is likely
_FOLDER: Final = Wish("a folder", lambda given: isinstance(given, str | Path)).or_none()
_CLAUDES_ANSWER = 20_000  # tokens: room to write a file in one answer; the SDK wants more to be streamed


def settings_for(model: str) -> dict[str, Any]:
    """The settings of a developer or planner for a kind of model: OpenAI's, Anthropic's, or any other.

    Args:
        model: the model's name, which decides its kind; empty for one that is not known yet, which is left as it is.
    """
    define("a ready-made agent", model=(model, TEXT))
    family = family_of(model)
    if family == "gpt":
        return {"reasoning_effort": "medium"}
    if family == "claude":
        from ....providers.wire.anthropic.models import takes  # not at the top: few need it

        # Older ones cannot answer at such length, or only in a stream.
        return {"max_tokens": _CLAUDES_ANSWER} if takes(model).adaptive else {}
    return dict(_OTHERS) if model else {}


def create_agent(
    role: str, *, name: str = "", model: str = "", prompts: str | Path | None = None, **options: Any
) -> Agent:
    """An agent for a role.

    Args:
        role: chooses the instructions; see `instructions_for`.
        name: of the agent; by default the role with a capital.
        model: its model's name.
        prompts: a folder of instruction files that go before those of the library.
        options: any further field of `Agent`.

    Raises:
        DefinitionError: as `Agent`.
    """
    define("an agent for a role", role=(role, NAME), model=(model, TEXT), prompts=(prompts, _FOLDER))
    options.setdefault("description", _DESCRIPTIONS.get(role, ""))
    return Agent(name or role.capitalize(), instructions_for(role, model, prompts), model=model, **options)


def create_developer_agent(
    folder: str | PathLike[str], *more: str | PathLike[str], model: str = "", **options: Any
) -> Agent:
    """A developer, who works on a folder with ten tools: LS, Glob, Grep, Read, Write, Edit, MultiEdit, Bash, Git and
    TodoWrite. With ``autonomy="supervised"`` a person is asked before anything is written or run.

    Args:
        folder: an existing folder; see `developer_tools`.
        more: further folders for the file tools.
        model: its model's name, which chooses instructions and settings.
        options: those of `create_agent`. ``tools`` are added to the ten, ``settings`` go before those of its kind.

    Raises:
        NoSuchPath: a folder does not exist.
        DefinitionError: as `Agent`.
    """
    from .toolsets import developer_tools  # not at the top: few need it

    options["tools"] = [*developer_tools(folder, *more), *options.get("tools", ())]
    options["settings"] = {**settings_for(model), **options.get("settings", {})}
    return create_agent("developer", model=model, **options)


def create_planner_agent(*developers: Agent, model: str = "", **options: Any) -> Agent:
    """A planner, who splits a request into tasks and hands them over.

    Args:
        developers: to whom; ``handoffs`` are added to them.
        model: its model's name, which chooses instructions and settings.
        options: those of `create_agent`; ``settings`` go before those of its kind.

    Raises:
        DefinitionError: as `Agent`.
    """
    options["handoffs"] = [*developers, *options.get("handoffs", ())]
    options["settings"] = {**settings_for(model), **options.get("settings", {})}
    return create_agent("planner", model=model, **options)
