"""The readable text of an HTML page."""

from __future__ import annotations

from html.parser import HTMLParser


class _TextOfHtml(HTMLParser):
    _HIDDEN = frozenset({"script", "style", "noscript", "template", "svg", "head"})
    _BLOCKS = frozenset(
        {"p", "div", "section", "article", "header", "footer", "ul", "ol", "li", "tr", "table", "pre", "br", "hr"}
        | {"h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "main", "nav", "aside", "form", "dt", "dd", "title"}
    )

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[tuple[str, int, int]] = []  # text, its line, and how many lines a line of it is
        self._hidden: list[str] = []
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._HIDDEN:
            self._hidden.append(tag)
        elif tag == "body":  # a head need not be closed
            self._hidden.clear()
        elif tag == "title" and self._hidden == ["head"]:  # it says what the page is
            self._hidden = ["title"]
        elif tag == "a":
            self._links.append(dict(attrs).get("href") or "")
        elif tag in self._BLOCKS:
            self._add("\n- " if tag == "li" else "\n" + "#" * int(tag[1]) + " " if tag[1:].isdigit() else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
            self._add("\n")
        elif tag == "a" and self._links:
            target = self._links.pop()
            if target.startswith(("http://", "https://", "/")):
                self._add(f" ({target})")
        elif tag in self._BLOCKS:
            self._add("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden or self._hidden == ["title"]:
            self._add(data, 1)

    def _add(self, text: str, each: int = 0) -> None:
        self.parts.append((text, self.getpos()[0], each))


def html_lines(html: str) -> list[tuple[str, int]]:
    """The readable text of a page, line by line: headings (with their level, ``##``), lists and paragraphs on lines of
    their own, links with their target.

    Returns:
        each line, and the number of the line of the page, from 1, on which it begins.
    """
    parser = _TextOfHtml()
    parser.feed(_closed(html))
    parser.close()
    raw: list[tuple[list[str], int]] = [([], 1)]
    begun = False  # whether the last line has more than what stands before it (``##``)
    for text, at, each in parser.parts:
        for number, piece in enumerate(text.split("\n")):
            line = at + number * each
            if number:
                raw.append(([], line))
                begun = False
            if not begun and piece.strip("#- \t"):
                raw[-1] = (raw[-1][0], line)
                begun = True
            raw[-1][0].append(piece)
    kept: list[tuple[str, int]] = []
    for words, at in raw:
        shown = " ".join("".join(words).split())
        if (shown and shown != "-") or (kept and kept[-1][0]):
            kept.append(("" if shown == "-" else shown, at))
    while kept and not kept[-1][0]:
        kept.pop()
    return kept


def html_to_text(html: str) -> str:
    """The readable text of a page, as `html_lines` has it."""
    return "\n".join(line for line, _ in html_lines(html)).strip()


def _closed(html: str) -> str:
    """A page without comments, in which each tag ends before the next one begins: the parser takes the square of the
    time for those that do not (300 kB of them: minutes). Its lines stay where they are."""
    parts: list[str] = []
    at = 0
    while (found := html.find("<!--", at)) >= 0:
        end = html.find("-->", found + 4)
        end = len(html) if end < 0 else end + 3
        parts += (html[at:found], "\n" * html.count("\n", found, end))
        at = end
    parts.append(html[at:])
    first, *tags = "".join(parts).split("<")
    return first + "".join(("<" if ">" in tag else "&lt;") + tag for tag in tags)
