"""Tools whose schemas a model is shown only once it has asked for them: of many it needs few, and pays for all.

The model sees one tool, ``search_tools``. What it finds is named in the result of the search, and so in the
conversation: which tools are loaded follows from its messages, in whichever process, also after a fork.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import log
from typing import Any, Final

from ..providers.messages import Message, ToolSpec
from .from_schema import tool_from_schema
from .tool import Tool

SEARCH_TOOLS: Final = "search_tools"
"""The name of the tool by which a model finds and loads others."""

_MARK: Final = '{"loaded_tools": '
"""How a message begins by which tools are loaded."""

_MOST: Final = 20  # tools loaded by one search
_USUAL: Final = 5
_NAMED: Final = 2_000  # characters of names in the description of the search
_NEAR: Final = 0.3  # of the best one's score, to be found, too

# What a word counts for by where it stands.
_NAME, _DESCRIPTION, _PARAMETER = 3.0, 1.0, 0.5


class DeferredTools:
    """The tools of an agent that its model is not shown at first.

    Args:
        tools: which.

    Attributes:
        search: the tool by which a model finds and loads them.
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._specs = {tool.name: tool.spec for tool in tools}
        self._words = {name: _words_of(spec) for name, spec in self._specs.items()}
        self._rare = Counter(word for words in self._words.values() for word in words)
        self.search = tool_from_schema(
            name=SEARCH_TOOLS,
            description=f"Find tools by what they do, and load them. There are {len(self)} more: {self._named()}.",
            schema={
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "what is to be done, or names of tools"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _USUAL},
                },
                "required": ["query"],
                "additionalProperties": False,
            },
            handler=self._find,
            risk="safe",
            idempotent=True,
            max_result=10_000_000,
        )

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __len__(self) -> int:
        return len(self._specs)

    def loaded(self, messages: Iterable[Message]) -> tuple[ToolSpec, ...]:
        """What a model is shown of these tools, in the order in which they were loaded in a conversation."""
        names = dict.fromkeys(name for message in messages for name in _loaded_by(message))
        return tuple(self._specs[name] for name in names if name in self._specs)

    def is_hidden(self, name: str, messages: Iterable[Message]) -> bool:
        """Whether it is one of these tools, and is not loaded in a conversation."""
        return name in self._specs and all(name not in _loaded_by(message) for message in messages)

    def introduced(self, name: str) -> str:
        """What a call of a tool that is not loaded is answered with: it is, by that."""
        spec = self._specs[name]
        shown = {"name": name, "description": spec.description, "parameters": dict(spec.parameters)}
        note = f"The call was not made, because {name} had not been loaded. It is now: call it again, as it says."
        return _told([shown], note)

    def found(self, query: str, limit: int = _USUAL) -> list[str]:
        """The names of those that fit a query, the best first."""
        wanted = _words(query)
        scores = {name: self._score(words, wanted) for name, words in self._words.items()}
        best = max(scores.values(), default=0.0)
        ranked = sorted(scores, key=scores.__getitem__, reverse=True)
        return [name for name in ranked[:limit] if scores[name] > best * _NEAR]

    def _score(self, words: Mapping[str, float], wanted: Iterable[str]) -> float:
        # By BM25, as far as texts this short need it: a rare word says more, a word said twice hardly.
        total = 0.0
        for word in wanted:
            weight = words.get(word, 0.0)
            total += log(1 + len(self) / (self._rare[word] or 1)) * weight / (weight + 1)
        return total

    async def _find(self, arguments: dict[str, Any]) -> str:
        names = self.found(arguments["query"], arguments.get("limit", _USUAL))
        # Without the schemas: from now on they stand among the model's tools.
        shown = [{"name": name, "description": self._specs[name].description} for name in names]
        note = "You have these tools now." if names else f"Nothing fits. There are: {', '.join(self._specs)}."
        return _told(shown, note)

    def _named(self) -> str:
        named = ", ".join(self._specs)
        return named if len(named) <= _NAMED else f"{named[:_NAMED].rpartition(', ')[0]}, and others"


def deferred_tools(tools: Iterable[Tool], by_default: bool) -> DeferredTools | None:
    """Those of an agent's tools that its model is not shown at first, if there are such.

    Args:
        tools: the agent's.
        by_default: whether those are that do not say.
    """
    hidden = [tool for tool in tools if (by_default if tool.defer is None else tool.defer)]
    return DeferredTools(hidden) if hidden else None


def _told(shown: Iterable[Mapping[str, Any]], note: str) -> str:
    return json.dumps({"loaded_tools": list(shown), "note": note}, ensure_ascii=False)


def _loaded_by(message: Message) -> Iterator[str]:
    content = message.content
    if message.role != "tool" or not isinstance(content, str) or not content.startswith(_MARK):
        return
    try:
        for entry in json.loads(content)["loaded_tools"]:
            yield entry["name"]
    except (ValueError, LookupError, TypeError):  # another tool's, that happens to begin so
        return


def _words_of(spec: ToolSpec) -> dict[str, float]:
    weights: dict[str, float] = {}
    parameters = spec.parameters.get("properties", {})
    described = " ".join(str(one.get("description", "")) for one in parameters.values() if isinstance(one, Mapping))
    for weight, text in (
        (_NAME, spec.name),
        (_DESCRIPTION, spec.description),
        (_PARAMETER, " ".join((*parameters, described))),
    ):
        for word in _words(text):
            weights[word] = max(weights.get(word, 0.0), weight)
    return weights


def _words(text: str) -> list[str]:
    """The words of a text or a name, ``createIssue`` and ``create_issues`` alike."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [_stem(word) for word in re.findall(r"[^\W_]+", apart.lower()) if word not in _COMMON]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


_COMMON = frozenset(
    {"a", "an", "and", "as", "at", "by", "for", "from", "how", "i", "in", "is", "it", "me", "my", "of", "on", "or"}
    | {"that", "the", "this", "to", "tool", "tools", "use", "want", "what", "which", "with", "you"}
)
