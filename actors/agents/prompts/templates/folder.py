"""A folder of templates, and the templates in it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from ...errors import TemplateError
from .choosing import choose
from .files import collect
from .loading import Loaded
from .rendering import RenderedTemplate

logger = logging.getLogger("callboard")


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
        template = Template(self, name)
        self.current().check_name(template.name, template.version, str(self.path))
        return template

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


class Template:
    """A template of a folder: which texts it has is looked up at each use.

    Args:
        folder: where it is.
        name: dotted; and after an ``@`` the version, where none is to be chosen by weight.
    """

    def __init__(self, folder: TemplateFolder, name: str) -> None:
        self.folder = folder
        self.name, _, self.version = name.partition("@")

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name

    def __repr__(self) -> str:
        return f"Template({str(self)!r})"

    @property
    def weights(self) -> Mapping[str, float]:
        """Its versions, and the weight of each."""
        return dict(self._current().weights[self.name])

    def render(self, variables: Mapping[str, Any], conversation: str = "") -> RenderedTemplate:
        """Make its texts.

        Args:
            variables: the values by name. They are written as they are: nothing in them is taken for a template.
            conversation: a conversation's id, by which a version is chosen: always the same for the same id.

        Raises:
            TemplateError: a variable is missing, not declared or of the wrong type, or a text cannot be rendered.
        """
        loaded = self._current()
        return loaded.versions[self.name][self._chosen(loaded, conversation)].render(variables)

    def version_for(self, conversation: str) -> str:
        """The version that a conversation gets.

        Args:
            conversation: its id.
        """
        return self._chosen(self._current(), conversation)

    def check(self, variables: Mapping[str, Any]) -> None:
        """Look whether these are the variables of all its versions that may be chosen.

        Raises:
            TemplateError: one is missing, not declared or of the wrong type.
        """
        loaded = self._current()
        for version, ready in loaded.versions[self.name].items():
            if (version == self.version) if self.version else loaded.weights[self.name][version]:
                ready.check(variables)

    def _chosen(self, loaded: Loaded, conversation: str) -> str:
        return self.version or choose(conversation, self.name, loaded.weights[self.name])

    def _current(self) -> Loaded:
        loaded = self.folder.current()
        loaded.check_name(self.name, self.version, str(self.folder.path))
        return loaded
