"""Structured answers: a type, its JSON schema, and what is wrong with a text that should fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Output:
    """The type a final answer must fit.

    Args:
        type: any type pydantic can make an adapter of.
    """

    __slots__ = ("_adapter", "schema", "type")

    def __init__(self, type: Any) -> None:
        from pydantic import TypeAdapter

        self.type = type
        self._adapter: TypeAdapter[Any] = TypeAdapter(type)
        self.schema: Mapping[str, Any] = self._adapter.json_schema()

    def value(self, text: str) -> Any:
        """The text as the type. A Markdown fence around JSON is taken off.

        Raises:
            pydantic.ValidationError: it does not fit.
        """
        return self._adapter.validate_json(_unfenced(text))

    def problem(self, text: str) -> str | None:
        """What is wrong with the text, for the model; None if it fits."""
        from pydantic import ValidationError

        try:
            self.value(text)
        except ValidationError as error:
            return "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'the answer'}: {item['msg']}" for item in error.errors()[:5]
            )
        return None


def _unfenced(text: str) -> str:
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3]
        first, _, rest = text.partition("\n")
        if first.strip().isalpha() or not first.strip():
            text = rest
    return text
