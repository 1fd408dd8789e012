"""One version of a template made ready, and rendered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError, UndefinedError

from .....providers.messages import Message
from ...errors import TemplateError
from .bounds import Spent, TooMuch, spent
from .near import meant
from .reading import REQUIRED, Written
from .rendered import RenderedTemplate
from .sandbox import Sandbox, Unwritable

_OURS = (str(Path(jinja2.__file__).parent), str(Path(__file__).parent))


class Ready:
    """A version whose texts are compiled.

    Args:
        written: what its file says.
        sandbox: the folder's environment.
        codes: what its texts are compiled to, by where they stand.
    """

    def __init__(self, written: Written, sandbox: Sandbox, codes: Mapping[tuple[str | int, ...], CodeType]) -> None:
        self.written = written
        self._texts = {
            where: jinja2.Template.from_code(sandbox, code, sandbox.globals) for where, code in codes.items()
        }
        self._places = {code.co_filename: where for where, code in codes.items()}

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values with the defaults of those that are not given.

        Raises:
            TemplateError: one is missing, not declared or of the wrong type.
        """
        declared = self.written.variables
        for name in given:
            if name not in declared:
                raise self._error(f"it declares no variable {name!r:.80}; {meant(str(name), declared)}")
        values = {}
        for name, variable in declared.items():
            value = given.get(name, variable.default)
            if value is REQUIRED:
                what = f" ({variable.description})" if variable.description else ""
                said = f"the variable {name!r}{what} is missing: give it a value, or declare a default"
                raise self._error(said, variable.line)
            if not variable.fits(value):
                said = f"the variable {name!r} is of type {type(value).__name__}; expected {variable.type}"
                raise self._error(said, variable.line)
            values[name] = value
        return values

    def render(self, given: Mapping[str, Any]) -> RenderedTemplate:
        """Make the texts.

        Args:
            given: the variables' values.

        Raises:
            TemplateError: as `check`, or a text cannot be rendered.
        """
        values = self.check(given)
        token = spent.set(Spent())
        try:
            texts = {where: self._text(where, values) for where in self._texts}
        finally:
            spent.reset(token)
        few_shot = []
        for number in range(self.written.examples):
            said = {role: texts[("few_shot", number, role)] for role in ("user", "assistant")}
            if not any(said.values()):
                continue
            for role in ("user", "assistant"):
                if not said[role]:
                    line = self.written.file.line(("few_shot", number, role))
                    raise self._error(f"example {number}: {role} has become empty, and the other has not", line)
            few_shot += [Message("user", said["user"]), Message("assistant", said["assistant"])]
        name, version = self.written.name, self.written.version
        return RenderedTemplate(name, version, texts.get(("system",), ""), tuple(few_shot), texts.get(("user",), ""))

    def _text(self, where: tuple[str | int, ...], values: Mapping[str, Any]) -> str:
        template = self._texts[where]
        try:
            return "".join(template.root_render_func(template.new_context(dict(values))))
        except Exception as error:
            path, line = self._place(error.__traceback__, where)
            # Not chained: what others raise may hold the values.
            raise TemplateError(_what(error), path=path, line=line) from None

    def _place(self, traceback: TracebackType | None, where: tuple[str | int, ...]) -> tuple[str, int]:
        """The file and the line that were being rendered."""
        path, line = self.written.path, self.written.file.line_in(where)
        while traceback is not None:
            template = traceback.tb_frame.f_globals.get("__jinja_template__")
            if template is not None:
                at = template.get_corresponding_lineno(traceback.tb_lineno)
                if template.filename in self._places:
                    path, line = self.written.path, self.written.file.line_in(self._places[template.filename], at)
                else:
                    path, line = str(template.filename), at
            traceback = traceback.tb_next
        return path, line

    def _error(self, message: str, line: int = 0) -> TemplateError:
        return TemplateError(message, path=self.written.path, line=line)


def _what(error: Exception) -> str:
    """What went wrong, without the values that it went wrong with."""
    if isinstance(error, TooMuch):
        return f"rendering was stopped: {error}"
    if isinstance(error, UndefinedError | Unwritable):
        return str(error)
    if isinstance(error, SecurityError):
        return "a template may not reach private attributes, change values, or call str.format"
    if isinstance(error, RecursionError):
        return "it goes in too deep: a macro calls itself, or a value holds itself"
    return f"{type(error).__name__} was raised{_where(error.__traceback__)}"


def _where(traceback: TracebackType | None) -> str:
    """Where in the user's own code an exception was raised, if it was there."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None or "__jinja_template__" in traceback.tb_frame.f_globals:
        return ""
    code = traceback.tb_frame.f_code
    if code.co_filename.startswith(_OURS):
        return ""
    return f" in {code.co_qualname} ({Path(code.co_filename).name}, line {traceback.tb_lineno})"
