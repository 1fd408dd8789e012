"""Reading documents: text, Markdown, HTML, PDF."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import re
from pathlib import Path, PurePath
from typing import Final

from .....tools.builtin.readable import html_lines
from ..errors import DocumentFailed, DocumentNotFound, DocumentTooLarge, EmptyDocument, UnreadableDocument
from .document import MOST_BYTES, Document, Part

INSTALL: Final = "reading PDF needs pypdf: pip install 'callboard[documents]'"

_HTML: Final = frozenset({".html", ".htm", ".xhtml"})
_MARKDOWN: Final = frozenset({".md", ".markdown"})
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET: Final = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_HEAD: Final = 4096
"""Bytes of a page in which it says how it is written."""


def bytes_of(path: str | Path, name: str) -> bytes:
    """What is in a file.

    Raises:
        DocumentNotFound: there is none, it is no file, or it may not be read.
        DocumentTooLarge: it has more than 200 MB.
    """
    try:
        if not Path(path).is_file():
            what = "is no file" if Path(path).exists() else "there is no such file"
            raise DocumentNotFound(f"the document {name!r:.200} cannot be read: {what}", name)
        with open(path, "rb") as file:
            check_size(os.fstat(file.fileno()).st_size, name)
            data = file.read(MOST_BYTES + 1)  # it may grow meanwhile
    except (OSError, ValueError) as error:  # a path with a null byte
        raise DocumentNotFound(f"the document {name!r:.200} cannot be read: {error}", name) from error
    check_size(len(data), name)
    return data


def check_size(size: int, name: str) -> None:
    """Refuse what is too large.

    Raises:
        DocumentTooLarge: it is.
    """
    if size > MOST_BYTES:
        raise DocumentTooLarge(
            f"the document {name!r:.200} has more than {MOST_BYTES:,} bytes, the most that is read: take it apart", name
        )


def read(data: bytes, name: str) -> Document:
    """Read a document. What it is follows from how its name ends, and from its first bytes.

    Args:
        data: what is in the file.
        name: what it is cited as, such as its file's name.

    Raises:
        UnreadableDocument: it is damaged, encrypted, or no text; says which and where.
        EmptyDocument: there is no text in it.
        DocumentTooLarge: it, or the text in it, has more than 200 MB.
        ImportError: it is a PDF, and the extra is not installed.
    """
    check_size(len(data), name)
    ending = PurePath(name).suffix.lower()
    if data[:1024].lstrip().startswith(b"%PDF-") or ending == ".pdf":
        parts = _pdf(data, name)
    elif ending in _HTML:
        lines = html_lines(_text(data, name, _declared(data)))
        parts = (Part("\n".join(line for line, _ in lines), 0, tuple(at for _, at in lines)),)
    else:
        parts = (Part(_text(data, name, "")),)
    if not any(part.text.strip() for part in parts):
        hint = ": pages that are pictures have to be recognised first (OCR)" if parts and parts[0].page else ""
        raise EmptyDocument(f"there is no text in the document {name!r:.200}{hint}", name)
    is_markdown = ending in _MARKDOWN or ending in _HTML
    return Document(name, parts, is_markdown, hashlib.sha256(data).hexdigest())


def _text(data: bytes, name: str, declared: str) -> str:
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), declared or "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        what = "is no text" if b"\0" in data else f"is not written in {error.encoding}"
        raise UnreadableDocument(f"the document {name!r:.200} {what} (byte {error.start})", name) from error
    at = text.find("\0")
    if at >= 0:
        raise UnreadableDocument(f"the document {name!r:.200} is no text: character {at} is null", name)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _declared(data: bytes) -> str:
    """The encoding that a page says it has, where Python knows it."""
    found = _CHARSET.search(data[:_HEAD])
    if found is None:
        return ""
    try:
        return codecs.lookup(found[1].decode("ascii", "replace")).name
    except LookupError:
        return ""


def _pdf(data: bytes, name: str) -> tuple[Part, ...]:
    try:
        import pypdf
    except ImportError:
        raise ImportError(INSTALL) from None
    parts: list[Part] = []
    size = page = 0
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableDocument(f"the document {name!r:.200} is encrypted: save it without a password", name)
        for page, content in enumerate(reader.pages, 1):
            # What fonts make of characters may be none: halves of surrogate pairs, and null.
            text = content.extract_text().encode("utf-8", "replace").decode().replace("\0", "")
            size += len(text)
            check_size(size, name)
            parts.append(Part(text, page))
    except DocumentFailed:
        raise
    except Exception as error:  # whatever a damaged file makes of the parser
        where = f"behind page {page}" if page else "at its beginning"
        raise UnreadableDocument(
            f"the document {name!r:.200} is no PDF that can be read ({where}: {type(error).__name__})", name
        ) from error
    return tuple(parts)
