"""A template by its name, as prompt functions use it; light to import, so that who has no template loads no jinja2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import TemplateError
from .choosing import choose
from .rendered import RenderedTemplate

if TYPE_CHECKING:
    from .loading import Loaded


class Template:
    """A template of a folder: which texts it has is looked up at each use.

    Args:
        name: dotted; and after an ``@`` the version, where none is to be chosen by weight.
        folder: the folder's path, for errors.
        loaded: gives the folder's templates as they are now.

    Raises:
        TemplateError: there is no such template.
    """

    def __init__(self, name: str, folder: str, loaded: Callable[[], Loaded]) -> None:
        if not isinstance(name, str):
            raise TemplateError(f"expected a template's name, not {type(name).__name__}", path=folder)
        self.name, _, self.version = name.partition("@")
        self._folder = folder
        self._loaded = loaded
        self._current()

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
        if not isinstance(variables, Mapping):
            problem = f"{self} takes its variables as a mapping, not {type(variables).__name__}"
            raise TemplateError(problem, path=self._folder)
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
        if not isinstance(conversation, str):
            problem = f"{self} takes a conversation's id, not {type(conversation).__name__}"
            raise TemplateError(problem, path=self._folder)
        return self.version or choose(conversation, self.name, loaded.weights[self.name])

    def _current(self) -> Loaded:
        loaded = self._loaded()
        loaded.check_name(self.name, self.version, self._folder)
        return loaded
