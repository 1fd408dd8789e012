"""The tool WebSearch, over whatever search engine its user has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import FetchFailed, ToolError
from ..threads import in_thread
from ..tool import Tool, tool
from .web import tls_context


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One result of a search."""

    title: str
    url: str
    snippet: str = ""


class SearchBackend(Protocol):
    """A search engine."""

    async def search(self, query: str, limit: int) -> Sequence[SearchHit]:
        """Return at most ``limit`` hits, the best first.

        Raises:
            ToolError: the search failed; the text is for the model.
        """


def web_search_tool(backend: SearchBackend, *, timeout: float = 30.0, max_hits: int = 20) -> Tool:
    """The tool WebSearch.

    Args:
        backend: what searches.
        timeout: seconds a search may take.
        max_hits: the largest number of results the model may ask for.
    """

    async def web_search(query: str, limit: int = 10) -> str:
        """Search the web. Each result is a title, an address and a few words of the page.

        Args:
            query: what to look for.
            limit: the largest number of results.
        """
        if not query.strip():
            raise ToolError("the query is empty")
        wanted = max(1, min(limit, max_hits))
        hits = list(await backend.search(query, wanted))[:wanted]
        shown = [
            f"{number}. {hit.title}\n   {hit.url}\n   {hit.snippet}".rstrip() for number, hit in enumerate(hits, 1)
        ]
        return "\n".join(shown) or f"(nothing was found for {query!r})"

    return tool(name="WebSearch", risk="safe", idempotent=True, timeout=timeout)(web_search)


class SearxngSearch:
    """A SearXNG server as the search engine (its JSON format must be enabled).

    Args:
        url: where the server is, for example ``http://localhost:8888``.
        timeout: seconds for one request.
    """

    def __init__(self, url: str, *, timeout: float = 20.0) -> None:
        self._url = url.rstrip("/") + "/search"
        self._timeout = timeout

    async def search(self, query: str, limit: int) -> Sequence[SearchHit]:
        """See `SearchBackend.search`."""
        tls = await in_thread(tls_context)
        import httpx

        try:
            async with httpx.AsyncClient(timeout=self._timeout, verify=tls) as client:
                response = await client.get(self._url, params={"q": query, "format": "json"})
                response.raise_for_status()
                found = response.json()["results"]
                return [
                    SearchHit(str(hit.get("title", "")), str(hit["url"]), str(hit.get("content") or ""))
                    for hit in found[:limit]
                ]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchFailed(f"the search engine did not answer as expected ({type(error).__name__})") from error
