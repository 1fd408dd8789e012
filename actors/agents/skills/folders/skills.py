"""Public skill folders as one skill of an agent's: a catalogue, and the tools by which a model loads what it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from .....providers.checks import made_as
from .....tools.errors import ToolError
from .....tools.function_tool import tool
from .....tools.scopes import ALL, Scopes
from .....tools.tool import Tool
from ...errors import DefinitionError, SkillFileError
from ...wishes import define
from ..skill import Skill
from .catalogue import catalogue
from .folder import FILES, SkillFolder
from .scripts import script_tool
from .trust import SkillTrust

DEEPEST: Final = 4
"""Folders below a root in which skills are looked for."""
MOST_FOLDERS: Final = 2_000
"""Folders below a root that are looked at."""
LISTED: Final = 100
"""Files that a model is told of when it loads a skill."""

_PLACES: Final = (".agents/skills", ".claude/skills")
_NOT_LOOKED_AT: Final = ("node_modules", "__pycache__")


class FolderSkills(Skill):
    """Public skills, for an agent; made by `skills_from`.

    Attributes:
        folders: the skills, by name.
        broken: what was left out, each with file, line and reason.
        shadowed: folders with a skill that another one, which was found before, has the name of.
    """

    def __init__(
        self,
        folders: Mapping[str, SkillFolder],
        broken: tuple[SkillFileError, ...],
        shadowed: tuple[Path, ...],
        *,
        name: str,
        scope: Scopes,
        trust: SkillTrust | None,
        workspace: str | os.PathLike[str] | None,
    ) -> None:
        self.folders: Mapping[str, SkillFolder] = MappingProxyType(dict(folders))
        self.broken = broken
        self.shadowed = shadowed
        tools: list[Tool] = []
        if folders:
            tools = [
                tool(risk="safe", idempotent=True)(self.load_skill),
                tool(risk="safe", idempotent=True)(self.read_skill_file),
            ]
            if trust is not None:
                tools.append(script_tool(self._found, trust, workspace))
        super().__init__(
            name,
            catalogue(self.folders.values()) if folders else "",
            tools,
            scope=scope,
            description=f"Public skills: {', '.join(folders) or 'none'}."[:1000],
        )

    def load_skill(self, skill: str) -> str:
        """Load a skill: its instructions, and the names of the files that belong to it.

        Args:
            skill: its name, as in the list of skills.
        """
        folder = self._found(skill)
        try:
            body, files = folder.body(), folder.files()
        except SkillFileError as error:
            raise ToolError(f"the skill {skill!r} cannot be loaded any more: {error.problem}") from error
        if not files:
            return body
        more = f"\n… and {len(files) - LISTED:,} more" if len(files) > LISTED else ""
        listed = "\n".join(files[:LISTED])
        return f"{body}\n\nFiles of this skill, for read_skill_file:\n{listed}{more}"

    def read_skill_file(self, skill: str, path: str) -> str:
        """Read a text that belongs to a skill.

        Args:
            skill: the skill's name.
            path: relative to the skill's folder, as the skill names it.
        """
        return self._found(skill).text(path)

    def _found(self, name: str) -> SkillFolder:
        folder = self.folders.get(name)
        if folder is None:
            raise ToolError(f"there is no skill {name!r:.80}; there are: {', '.join(self.folders) or 'none'}")
        return folder


def skills_from(
    *roots: str | os.PathLike[str],
    trust: SkillTrust | str | os.PathLike[str] | None = None,
    workspace: str | os.PathLike[str] | None = None,
    name: str = "skill-folders",
    scope: Scopes = ALL,
) -> FolderSkills:
    """Public skills of folders, as one skill for an agent.

    What is broken is left out, and named in ``broken``; the others are there.

    Args:
        roots: folders that hold skill folders, or are one. Where two skills have one name, that of the root that
            stands before the other is taken: the project's before the user's. See `skill_roots`.
        trust: which of them may run scripts, or the file that remembers it; see `SkillTrust`. Without, no script is
            ever run.
        workspace: the folder in which scripts run; by default a new empty one each time, which is removed afterwards.
        name: of the skill.
        scope: who may use it.

    Raises:
        DefinitionError: a root or the workspace is no folder, or another argument is of the wrong type.
    """
    if isinstance(trust, str | os.PathLike):
        trust = SkillTrust(trust)
    define("skills_from", trust=(trust, made_as(SkillTrust).or_none()))
    for given in (*roots, *(() if workspace is None else (workspace,))):
        if not isinstance(given, str | os.PathLike) or not os.path.isdir(given):
            raise DefinitionError(f"skills_from: {str(given)!r:.200} is no folder")
    folders: dict[str, SkillFolder] = {}
    broken: list[SkillFileError] = []
    shadowed: list[Path] = []
    for root in roots:
        for path in _skill_folders(Path(root)):
            try:
                found = SkillFolder.read(path)
            except SkillFileError as error:
                broken.append(error)
                continue
            if found.name not in folders:
                folders[found.name] = found
            elif folders[found.name].path != found.path:
                shadowed.append(found.path)
    return FolderSkills(
        folders, tuple(broken), tuple(shadowed), name=name, scope=scope, trust=trust, workspace=workspace
    )


def skill_roots(project: str | os.PathLike[str], home: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """The folders of skills that there are, where programs agree to look for them: the project's, then the user's.

    Args:
        project: the top of a project.
        home: the user's folder; by default the home folder of whoever runs this.
    """
    return tuple(
        path
        for base in (Path(project), Path.home() if home is None else Path(home))
        for path in (base / place for place in _PLACES)
        if path.is_dir()
    )


def _skill_folders(root: Path) -> Iterator[Path]:
    """The folders below a root that have a ``SKILL.md``; what is in such a one belongs to it."""
    pending, looked = [(root, 0)], 0
    seen: set[Path] = set()
    while pending:
        folder, depth = pending.pop()
        looked += 1
        place = folder.resolve()
        if place in seen:  # a link has led back
            continue
        seen.add(place)
        if any((folder / name).is_file() for name in FILES):
            yield folder
            continue
        if depth == DEEPEST or looked > MOST_FOLDERS:
            continue
        try:
            inner = sorted((each for each in folder.iterdir() if each.is_dir()), reverse=True)
        except OSError:  # not ours to read
            continue
        pending.extend(
            (each, depth + 1) for each in inner if not each.name.startswith(".") and each.name not in _NOT_LOOKED_AT
        )
