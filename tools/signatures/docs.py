"""Reading a tool's description and its parameters' descriptions from a docstring."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Documentation:
    """What a docstring says: the text before its sections, and one description per parameter."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Documentation:
    """Read a docstring in Google, NumPy or Sphinx style, whichever fits best.

    A docstring that no style can read is taken whole as the description.
    """
    if not text or not text.strip():
        return Documentation()
    import docstring_parser  # 15 ms, and needed only once a schema is built
    from docstring_parser.common import DocstringStyle

    cleaned = inspect.cleandoc(text)
    best: docstring_parser.Docstring | None = None
    for style in (DocstringStyle.GOOGLE, DocstringStyle.NUMPYDOC, DocstringStyle.REST):
        try:
            parsed = docstring_parser.parse(cleaned, style=style)
        except docstring_parser.ParseError:
            continue
        if best is None or len(parsed.meta) > len(best.meta):
            best = parsed
    if best is None:
        return Documentation(cleaned)
    parts = [part for part in (best.short_description, best.long_description) if part]
    parameters = {p.arg_name.lstrip("*"): " ".join(p.description.split()) for p in best.params if p.description}
    return Documentation("\n\n".join(parts), parameters)
