"""Reading a ``SKILL.md``: its frontmatter, checked, and the body behind it. Pure.

What the format asks for is a problem where it is missing, and the skill is left out; what only the public checker would
object to (a field that is not in the format, a folder of another name) is a warning.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from ...errors import SkillFileError

FIELDS: Final = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
LONGEST_NAME: Final = 64
LONGEST_DESCRIPTION: Final = 1024
LONGEST_COMPATIBILITY: Final = 500
"""Characters, as the format says."""

_MARK: Final = "---"
_MOST_NODES: Final = 2_000
"""More values than any frontmatter has."""


@dataclass(frozen=True, slots=True)
class SkillText:
    """What a ``SKILL.md`` says.

    Args:
        name: the skill's.
        description: what it does, and when to use it.
        body: the instructions behind the frontmatter.
        license, compatibility: as they stand there; empty where they do not.
        allowed_tools: names and patterns of tools that the skill expects to be allowed.
        metadata: what else is said of it.
        warnings: what is unusual, each with its line.
    """

    name: str
    description: str
    body: str
    license: str = ""
    compatibility: str = ""
    allowed_tools: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_skill_text(content: bytes, path: str, folder: str) -> SkillText:
    """What a ``SKILL.md`` says.

    Args:
        content: the file's.
        path: the file, for errors.
        folder: the name of the folder that it stands in.

    Raises:
        SkillFileError: it is no UTF-8, or its frontmatter does not say what the format asks for; with the line.
    """
    warnings: list[str] = []
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SkillFileError("expected UTF-8", path=path, line=line) from None
    if text.startswith("\ufeff"):
        text = text[1:]
        warnings.append("line 1: a byte order mark stands before the frontmatter")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[0].rstrip() != _MARK:
        raise SkillFileError(f"expected the frontmatter, which begins with {_MARK}", path=path, line=1)
    end = next((at for at, line in enumerate(lines) if at and line.rstrip() == _MARK), 0)
    if not end:
        raise SkillFileError(f"the frontmatter that begins here does not end: expected {_MARK}", path=path, line=1)
    said = _Frontmatter("\n".join(lines[1:end]), path, warnings)
    body = "\n".join(lines[end + 1 :]).strip()
    return said.read(folder, body)


class _Frontmatter:
    """The YAML at the head of a file.

    Args:
        text: it.
        path: the file, for errors.
        warnings: what is unusual is added here.
    """

    def __init__(self, text: str, path: str, warnings: list[str]) -> None:
        self._path = path
        self._warnings = warnings
        self._lines: dict[str, int] = {}
        self._values = self._parsed(text)

    def read(self, folder: str, body: str) -> SkillText:
        near = {name: difflib.get_close_matches(name, FIELDS, 1) for name in self._values if name not in FIELDS}
        for name, close in near.items():
            hint = f"; did you mean {close[0]!r}?" if close else ""
            self._warn(name, f"{name!r:.80} is no field of the format{hint}")
        name, description = self._name(folder), self._description()
        compatibility = self._values.get("compatibility", "")
        if not isinstance(compatibility, str) or len(compatibility) > LONGEST_COMPATIBILITY:
            self._wrong("compatibility", f"expected a text of at most {LONGEST_COMPATIBILITY} characters")
        said = self._values.get("license", "")
        if not isinstance(said, str):
            self._warn("license", "expected a text as the license")
        return SkillText(
            name,
            description,
            body,
            said if isinstance(said, str) else "",
            compatibility,
            self._tools(),
            self._metadata(),
            tuple(self._warnings),
        )

    def _name(self, folder: str) -> str:
        given = self._values.get("name")
        if given is None:
            self._wrong("", f"'name' is missing{self._instead('name')}")
        if not isinstance(given, str) or not given.strip():
            self._wrong("name", "expected a name")
        name = unicodedata.normalize("NFKC", given.strip())
        rules = (
            (len(name) <= LONGEST_NAME, f"expected at most {LONGEST_NAME} characters, not {len(name)}"),
            (name == name.lower(), "expected small letters only"),
            (all(letter.isalnum() or letter == "-" for letter in name), "expected letters, digits and hyphens only"),
            (not name.startswith("-") and not name.endswith("-"), "expected no hyphen at the beginning or the end"),
            ("--" not in name, "expected no two hyphens in a row"),
        )
        for kept, wish in rules:
            if not kept:
                self._wrong("name", f"the name {name!r:.80} is none: {wish}")
        if name != unicodedata.normalize("NFKC", folder):
            self._warn("name", f"the skill {name!r} stands in a folder called {folder!r:.80}")
        return given.strip()

    def _description(self) -> str:
        given = self._values.get("description")
        if given is None:
            self._wrong("", f"'description' is missing{self._instead('description')}")
        if not isinstance(given, str) or not given.strip():
            self._wrong("description", "expected a text that says what the skill does, and when to use it")
        if len(given) > LONGEST_DESCRIPTION:
            self._wrong("description", f"expected at most {LONGEST_DESCRIPTION:,} characters, not {len(given):,}")
        return given.strip()

    def _tools(self) -> tuple[str, ...]:
        given = self._values.get("allowed-tools", "")
        if isinstance(given, list) and all(isinstance(each, str) for each in given):
            return tuple(given)
        if not isinstance(given, str):
            self._warn("allowed-tools", "expected names of tools, with spaces between them")
            return ()
        return tuple(given.split())

    def _metadata(self) -> dict[str, str]:
        given = self._values.get("metadata")
        if given is None or given == "":
            return {}
        if not isinstance(given, dict):
            self._warn("metadata", "expected a mapping of names to texts as metadata")
            return {}
        return {str(name): str(value) for name, value in given.items()}

    def _instead(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._values, 1)
        return f"; did you mean it by {near[0]!r}?" if near else ""

    def _wrong(self, field: str, text: str) -> NoReturn:
        raise SkillFileError(text, path=self._path, line=self._lines.get(field, 1))

    def _warn(self, field: str, text: str) -> None:
        self._warnings.append(f"line {self._lines.get(field, 1)}: {text}")

    def _parsed(self, text: str) -> dict[str, Any]:
        import yaml

        loader: Any = None
        try:
            loader = yaml.BaseLoader(text)  # which knows texts, lists and mappings only: "1.0" stays what it is
            node = loader.get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise SkillFileError(
                    "expected a mapping as the frontmatter: name, description", path=self._path, line=2
                )
            self._look(node)
            values: dict[str, Any] = loader.construct_document(node)
            return values
        except SkillFileError:
            raise
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 2 if mark else 1
            hint = "; a text with ': ' in it stands in quotes" if "mapping values" in str(error.problem) else ""
            problem = error.problem or error.context or "not valid YAML"
            raise SkillFileError(f"expected valid YAML; {problem}{hint}", path=self._path, line=line) from None
        except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
            said = (str(error).splitlines() or ["it cannot be read"])[0]
            raise SkillFileError(f"expected valid YAML; {said}", path=self._path, line=1) from None
        finally:
            if loader is not None:
                loader.dispose()

    def _look(self, root: Any) -> None:
        """Note the lines of the fields, and look for what YAML allows and the format does not."""
        import yaml

        for key, _ in root.value:
            line = key.start_mark.line + 2
            if not isinstance(key, yaml.ScalarNode):
                raise SkillFileError("expected the name of a field", path=self._path, line=line)
            if key.value in self._lines:
                raise SkillFileError(f"{key.value!r:.80} stands there twice", path=self._path, line=line)
            self._lines[key.value] = line
        unusual = {node.start_mark.line + 2 for node in _nodes(root) if getattr(node, "flow_style", False)}
        self._warnings.extend(f"line {line}: braces and brackets are not read by everybody" for line in sorted(unusual))


def _nodes(root: Any) -> Iterator[Any]:
    """All nodes below one; an alias counts as often as it stands there.

    Raises:
        ValueError: there are too many.
    """
    pending, seen = [root], 0
    while pending:
        node = pending.pop()
        seen += 1
        if seen > _MOST_NODES:
            raise ValueError(f"it has more than {_MOST_NODES:,} values, with aliases expanded")
        yield node
        if isinstance(node.value, list):
            pending.extend(each for item in node.value for each in (item if isinstance(item, tuple) else (item,)))
