"""All templates of a folder, made ready from the content of its files: wholly, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ...errors import TemplateError
from .analysis import Text, analyse
from .checking import check_variables, needs, needs_of_pieces
from .files import PIECES, TEMPLATES, decoded
from .near import meant
from .reading import Written, read
from .rendering import Ready
from .sandbox import Sandbox


class Loaded:
    """The templates of a folder as they were at one moment.

    Args:
        files: the content of the files, by their paths.

    Raises:
        TemplateError: something is wrong in one of them; with the line.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        sources = {path: decoded(path, content) for path, content in files.items()}
        written = [read(path, text) for path, text in sources.items() if path.endswith(TEMPLATES)]
        pieces = {path: text for path, text in sources.items() if path.endswith(PIECES)}
        sandbox = Sandbox(pieces)
        known = {path: analyse(sandbox, text, path, lambda line: line, path) for path, text in pieces.items()}
        found = needs_of_pieces(known)
        self.versions: dict[str, dict[str, Ready]] = {}
        for one in written:
            texts = _texts(sandbox, one)
            check_variables(one, [needs(text, known, found) for text in texts.values()])
            beside = self.versions.setdefault(one.name, {})
            if one.version in beside:
                other = beside[one.version].written.path
                raise TemplateError(f"{one.name}@{one.version} is already in {other}", path=one.path)
            beside[one.version] = Ready(one, sandbox, {where: text.code for where, text in texts.items()})
        self.weights = {name: _weights(name, beside) for name, beside in self.versions.items()}

    def check_name(self, name: str, version: str, folder: str) -> None:
        """Look whether there is such a template.

        Raises:
            TemplateError: there is not; with the nearest.
        """
        if name not in self.versions:
            raise TemplateError(f"there is no template {name!r:.80}; {meant(name, self.versions)}", path=folder)
        if version and version not in self.versions[name]:
            has = ", ".join(sorted(self.versions[name]))
            raise TemplateError(f"the template {name} has no version {version!r:.80}; it has {has}", path=folder)


def _texts(sandbox: Sandbox, one: Written) -> Mapping[tuple[str | int, ...], Text]:
    texts = {}
    for where, source in one.texts.items():
        label = f"{one.path}#{'.'.join(map(str, where))}"
        texts[where] = analyse(sandbox, source, one.path, partial(one.file.line_in, where), label)
    return texts


def _weights(name: str, beside: Mapping[str, Ready]) -> Mapping[str, float]:
    """The versions' weights, and 1 for the only one where it says none.

    Raises:
        TemplateError: one of several has none, or none of them is above 0.
    """
    weights = {}
    for version, ready in beside.items():
        weight = ready.written.weight
        if weight is None and len(beside) > 1:
            others = ", ".join(other.written.path for other in beside.values() if other is not ready)
            raise TemplateError(
                f"its weight is missing, which it needs beside {others}: write weight: 1, or weight: 0 if it is only "
                "asked for by hand",
                path=ready.written.path,
            )
        weights[version] = 1.0 if weight is None else weight
    if not any(weights.values()):
        one = next(iter(beside.values())).written
        raise TemplateError(
            f"no version of {name} can be chosen: give one a weight above 0",
            path=one.path,
            line=one.file.line(("weight",)),
        )
    return weights
