"""Personal data, as Microsoft Presidio finds it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from .....providers.checks import TEXT
from .....tools.threads import in_thread
from ...errors import DefinitionError
from ...wishes import define
from ..extras import needed
from ..findings import Finding


class PresidioCheck:
    """Finds what Presidio's analyzer finds. It works in a thread; of a stream nothing is shown before its end.

    Args:
        analyzer: an ``AnalyzerEngine``, set up as you want it; None for one with its defaults, which need a model of
            spaCy's on the machine.
        language: of the texts.
        entities: the kinds to look for, as ``["PERSON", "PHONE_NUMBER"]``; None for all that it knows.
        least: the score that a finding must have.

    Raises:
        MissingExtra: no analyzer is given, and presidio-analyzer is not installed.
        DefinitionError: an argument is of the wrong type.
    """

    __slots__ = ("_analyzer", "_entities", "_language", "_least")

    kind = "personal data"

    def __init__(
        self,
        analyzer: Any = None,
        *,
        language: str = "en",
        entities: Collection[str] | None = None,
        least: float = 0.5,
    ) -> None:
        define("PresidioCheck", language=(language, TEXT))
        if entities is not None and (isinstance(entities, str) or not all(isinstance(one, str) for one in entities)):
            raise DefinitionError(f"PresidioCheck: entities are names as ['PERSON'], not {entities!r:.80}")
        if analyzer is None:
            analyzer = needed("presidio_analyzer", "PresidioCheck()", "presidio").AnalyzerEngine()
        if not callable(getattr(analyzer, "analyze", None)):
            raise DefinitionError(f"PresidioCheck: the analyzer is an AnalyzerEngine, not {type(analyzer).__name__}")
        self._analyzer = analyzer
        self._language = language
        self._entities = None if entities is None else list(entities)
        self._least = least

    async def __call__(self, text: str) -> list[Finding]:
        """Have it look."""
        look = partial(
            self._analyzer.analyze,
            text=text,
            language=self._language,
            entities=self._entities,
            score_threshold=self._least,
        )
        return [
            Finding(one.start, one.end, str(one.entity_type).lower().replace("_", " "), float(one.score))
            for one in await in_thread(look)
        ]
