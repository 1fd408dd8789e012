"""OpenAI's moderation of texts."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from .....providers.checks import TEXT
from ...errors import DefinitionError
from ...wishes import define
from ..findings import Finding


class OpenAIModeration:
    """Finds what OpenAI's moderation flags: the whole text, once for each category. Of a stream nothing is shown before
    its end. What fails in passing is asked for twice more.

    Args:
        api_key: empty for that of ``OPENAI_API_KEY``.
        base_url: where it is asked; empty for OpenAI's own address.
        model: the model that moderates.
        categories: those that count, as ``["violence", "self-harm"]``; None for all.
        least: the score from which on a category counts; None for OpenAI's own judgement.
        timeout: seconds for each request.

    Raises:
        DefinitionError: an argument is of the wrong type, or there is no key.
    """

    __slots__ = ("_base_url", "_categories", "_key", "_least", "_model", "_timeout")

    kind = "moderation"

    def __init__(
        self,
        api_key: str = "",
        *,
        base_url: str = "",
        model: str = "omni-moderation-latest",
        categories: Collection[str] | None = None,
        least: float | None = None,
        timeout: float = 30.0,
    ) -> None:
        whose = "OpenAIModeration"
        define(whose, api_key=(api_key, TEXT), base_url=(base_url, TEXT), model=(model, TEXT))
        self._key = api_key or os.environ.get("OPENAI_API_KEY", "")
        if not self._key:
            raise DefinitionError(f"{whose} needs a key: give it api_key=…, or set OPENAI_API_KEY")
        if categories is not None and (isinstance(categories, str) or not all(isinstance(c, str) for c in categories)):
            raise DefinitionError(f"{whose}: categories are names as ['violence'], not {categories!r:.80}")
        if least is not None and (isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1):
            raise DefinitionError(f"{whose}: least is a number from 0 to 1, or None, not {least!r:.80}")
        self._base_url = base_url
        self._model = model
        self._categories = None if categories is None else frozenset(categories)
        self._least = least
        self._timeout = timeout

    async def __call__(self, text: str) -> list[Finding]:
        """Ask for a judgement.

        Raises:
            openai.OpenAIError: there is none.
        """
        if not text:
            return []  # it takes none
        from openai import AsyncOpenAI

        options: dict[str, Any] = {"base_url": self._base_url} if self._base_url else {}
        async with AsyncOpenAI(api_key=self._key, timeout=self._timeout, **options) as client:
            moderated = await client.moderations.create(model=self._model, input=text)
        found = []
        for result in moderated.results:
            flags = result.categories.model_dump(by_alias=True)
            for category, score in result.category_scores.model_dump(by_alias=True).items():
                counts = bool(flags.get(category)) if self._least is None else (score or 0.0) >= self._least
                if counts and (self._categories is None or category in self._categories):
                    found.append(Finding(0, len(text), str(category), float(score or 0.0)))
        return found
