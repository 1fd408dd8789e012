"""Whether the texts of a folder fit each other: pieces that are there, variables that are declared and used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...errors import TemplateError
from .analysis import Text
from .near import meant
from .reading import Written

Needs = Mapping[str, tuple[Text, int]]
"""The variables that a text and its pieces need: where each first comes up."""


def needs_of_pieces(pieces: Mapping[str, Text]) -> Mapping[str, Needs]:
    """What each piece needs of whoever includes it, after looking whether what it includes is there.

    Raises:
        TemplateError: a piece is not there, includes itself, does not define what is imported from it, or needs
            variables where it is not given any.
    """
    found: dict[str, Needs] = {}

    def look(name: str, above: tuple[str, ...]) -> None:
        for use in pieces[name].pieces:
            if use.piece in above:
                way = " → ".join((*above[above.index(use.piece) :], use.piece))
                raise pieces[name].error(f"it includes itself: {way}", use.line)
            if use.piece in pieces and use.piece not in found:
                look(use.piece, (*above, use.piece))
        found[name] = needs(pieces[name], pieces, found)

    for name in pieces:
        if name not in found:
            look(name, (name,))
    return found


def needs(text: Text, pieces: Mapping[str, Text], found: Mapping[str, Needs]) -> Needs:
    """What one text needs, its pieces included.

    Args:
        text: the text.
        pieces: the folder's pieces.
        found: what those that it uses need.

    Raises:
        TemplateError: as `needs_of_pieces`.
    """
    needed = {name: (text, line) for name, line in text.uses.items()}
    whole: dict[str, Text] = {}
    for use in text.pieces:
        if use.piece not in pieces:
            raise text.error(f"there is no piece {use.piece!r} in this folder; {meant(use.piece, pieces)}", use.line)
        piece = pieces[use.piece]
        for name in use.names:
            if name not in piece.exported:
                raise text.error(f"{use.piece} defines no {name!r}; {meant(name, piece.exported)}", use.line)
        if use.target:
            whole[use.target] = piece
        missing = {name: at for name, at in found[use.piece].items() if name not in use.given}
        if missing and not use.context:
            name, (where, line) = next(iter(missing.items()))
            raise text.error(
                f"{use.piece} needs the variable {name!r} ({where.path}, line {where.line_of(line)}), and is not shown "
                "any: write 'with context' after it, or give it to a macro",
                use.line,
            )
        needed = {**missing, **needed}
    for target, name, line in text.attributes:
        if name not in whole[target].exported:
            raise text.error(f"{whole[target].path} defines no {name!r}; {meant(name, whole[target].exported)}", line)
    return needed


def check_variables(template: Written, needed: Iterable[Needs]) -> None:
    """Look whether a template declares what its texts use, and uses what it declares.

    Raises:
        TemplateError: it does not.
    """
    used: dict[str, tuple[Text, int]] = {}
    for each in needed:
        used = {**each, **used}
    for name, (text, line) in used.items():
        if name not in template.variables:
            whose = "" if text.path == template.path else f" by {template.path}, which includes this"
            hint = meant(name, template.variables)
            raise text.error(f"the variable {name!r} is used, but not declared under variables{whose}; {hint}", line)
    for name, variable in template.variables.items():
        if name not in used:
            raise TemplateError(
                f"the variable {name!r} is declared, but nothing uses it", path=template.path, line=variable.line
            )
