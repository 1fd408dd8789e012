"""What a call gives to a program: its schema, and what fits it of an answer that stands for the call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidResult

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class Returned:
    """What a call gives to a program.

    Args:
        hint: its type.
        schema: the JSON schema of that.
    """

    def __init__(self, hint: Any, schema: Mapping[str, Any]) -> None:
        self.hint = hint
        self.schema = schema

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter

        return TypeAdapter(self.hint)

    def read(self, text: str) -> Any:
        """A text that stands for a call: itself where a text is returned, and otherwise what it says.

        Raises:
            InvalidResult: it says nothing of the kind.
        """
        if self.hint in (None, type(None)):
            return None
        from pydantic import ValidationError

        try:
            return self._plain(self._adapter.validate_python(text, strict=True))
        except ValidationError:
            pass
        try:
            return self._plain(self._adapter.validate_json(text, by_alias=True, by_name=True))
        except ValidationError:
            return self.checked(text)

    def checked(self, value: Any) -> Any:
        """A value that stands for a call, as plain data.

        Raises:
            InvalidResult: it is not of the type.
        """
        from pydantic import ValidationError
        from pydantic_core import to_jsonable_python

        plain = to_jsonable_python(value, fallback=str, inf_nan_mode="strings", bytes_mode="base64")
        try:
            return self._plain(self._adapter.validate_python(plain, by_alias=True, by_name=True))
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
            at = ".".join(map(str, wrong["loc"]))
            raise InvalidResult(f"does not fit what it returns: {f'{at}: ' if at else ''}{wrong['msg']}") from None

    def _plain(self, value: Any) -> Any:
        return self._adapter.dump_python(value, mode="json", warnings=False)


ANYTHING: Final = Returned(Any, {})
"""Nobody says what it is."""
