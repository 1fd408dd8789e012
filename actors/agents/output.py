"""Structured answers: a type, its JSON schema, and what is wrong with a text that should fit it."""

from __future__ import annotations

import json
import sys
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

    @property
    def recorded(self) -> tuple[str, str]:
        """Where the type is defined, and its schema as JSON text: what a journal keeps of it."""
        kind = self.type
        named = f"{kind.__module__}:{kind.__qualname__}" if isinstance(kind, type) else repr(kind)
        return named, json.dumps(self.schema, sort_keys=True)

    @classmethod
    def known(cls, name: str, schema: str) -> Output | None:
        """The type that an earlier process recorded, if this one has imported it and it is still the same.

        Nothing is imported for it: a journal must not be able to have code run.
        """
        module, _, qualname = name.partition(":")
        kind: Any = sys.modules.get(module)
        for part in qualname.split("."):
            kind = getattr(kind, part, None)
        if not isinstance(kind, type):
            return None
        try:
            output = cls(kind)
        except Exception:
            return None
        return output if json.dumps(output.schema, sort_keys=True) == schema else None

    def value(self, text: str) -> Any:
        """The text as the type. A Markdown fence around JSON is taken off.

        Raises:
            pydantic.ValidationError: it does not fit.
        """
        return self._adapter.validate_json(_unfenced(text))

    def read(self, text: str) -> tuple[Any, str]:
        """The text as the type, and what is wrong with it, for the model; empty if it fits.

        Raises:
            Exception: what a validator of the type raised.
        """
        from pydantic import ValidationError

        try:
            return self.value(text), ""
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[:5]
            said = (f"{'.'.join(map(str, item['loc'])) or 'the answer'}: {item['msg']}" for item in wrong)
            return None, "; ".join(said) or "it does not fit"


def _unfenced(text: str) -> str:
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3]
        first, _, rest = text.partition("\n")
        if first.strip().isalpha() or not first.strip():
            text = rest
    return text
