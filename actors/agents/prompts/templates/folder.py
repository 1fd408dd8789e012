"""A folder of templates: read, and read anew when it has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from ....core.base.log import logger_of
from ...errors import TemplateError
from .files import collect
from .loading import Loaded
from .template import Template

logger = logger_of()


class TemplateFolder:
    """Templates from the YAML files of a folder; all of it is read and checked at once.

    ``support/triage.yaml`` is the template ``support.triage``. See the page for what stands in such a file.

    Args:
        path: the folder.
        reload: for development: look before each use whether a file has changed. A change that has something wrong
            keeps what there was, and a warning in the log says what is wrong. May be used from several threads.

    Raises:
        TemplateError: anything in the folder is wrong; with the file and the line.
    """

    def __init__(self, path: str | Path, *, reload: bool = False) -> None:
        if not isinstance(path, str | Path):
            raise TemplateError(f"expected a folder's path, not {type(path).__name__}", path="TemplateFolder")
        self.path = Path(path)
        self._reload = reload
        self._lock = Lock()
        self._files = collect(self.path)
        self._loaded = Loaded(self._files)
        self._told = ""

    def __repr__(self) -> str:
        return f"TemplateFolder({str(self.path)!r}, {len(self._loaded.versions)} templates)"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the templates, in order."""
        return tuple(sorted(self.current().versions))

    def template(self, name: str) -> Template:
        """A template by its name.

        Args:
            name: ``support.triage``, of which each conversation gets a version by weight; or ``support.triage@2``.

        Raises:
            TemplateError: there is no such template, or no such version; with the nearest.
        """
        return Template(name, str(self.path), self.current)

    def prompt(self, name: str, /, **variables: Any) -> Callable[[Any], None]:
        """A prompt function that consists of one template: for ``Agent(prompt=…)`` and `run_prompt`.

        Args:
            name: as for `template`.
            variables: the values.

        Raises:
            TemplateError: there is no such template; a variable is missing, not declared or of the wrong type.
        """
        template = self.template(name)
        template.check(variables)

        def from_template(prompt: Any) -> None:
            prompt.template(template, **variables)

        from_template.__name__ = from_template.__qualname__ = str(template)
        return from_template

    def current(self) -> Loaded:
        """The templates as they are now: read anew if they are reloaded and something has changed."""
        if not self._reload:
            return self._loaded
        with self._lock:
            try:
                files = collect(self.path)
                if files != self._files:
                    self._files = files
                    self._loaded = Loaded(files)
                    logger.info("templates in %s have been read anew", self.path)
                self._told = ""
            except TemplateError as error:
                if str(error) != self._told:
                    self._told = str(error)
                    logger.warning("templates in %s stay as they were: %s", self.path, error)
            return self._loaded
