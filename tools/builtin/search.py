"""The tool WebSearch, over whatever search engine its user has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import FetchFailed, MissingExtra, ToolError
from ..function_tool import tool
from ..threads import in_thread
from ..tool import Tool
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

    return tool(name="WebSearch", risk="safe", idempotent=True, sends=True, timeout=timeout)(web_search)


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


class DdgsSearch:
    """Public search engines (DuckDuckGo, Bing, Brave and others) by way of the package ddgs, the extra ``search``: no
    server and no key of one's own. Their answers are meant for people; they refuse whoever asks often.

    Args:
        engines: which of ddgs's engines to ask, by name, for example ``("duckduckgo", "brave")``; empty for its choice.
        region: for example ``us-en`` or ``de-de``.
        timeout: seconds for one engine.
        proxy: the address of a proxy to ask through.
    """

    def __init__(
        self, *, engines: Sequence[str] = (), region: str = "us-en", timeout: int = 10, proxy: str | None = None
    ) -> None:
        self._engines = ",".join(engines) or "auto"
        self._region = region
        self._timeout = timeout
        self._proxy = proxy

    async def search(self, query: str, limit: int) -> Sequence[SearchHit]:
        """See `SearchBackend.search`.

        Raises:
            MissingExtra: ddgs is not installed.
            FetchFailed: no engine answered.
        """
        found = await in_thread(lambda: self._found(query, limit))
        return [
            SearchHit(str(hit.get("title") or ""), str(hit["href"]), str(hit.get("body") or ""))
            for hit in found
            if hit.get("href")
        ]

    def _found(self, query: str, limit: int) -> list[dict[str, Any]]:
        try:
            import ddgs
            from ddgs.exceptions import DDGSException
        except ImportError:
            raise MissingExtra("search", "searching the web by ddgs") from None
        client = ddgs.DDGS(proxy=self._proxy, timeout=self._timeout)
        try:
            found = client.text(query, max_results=limit, region=self._region, backend=self._engines)
        except DDGSException as error:
            if str(error).startswith("No results found"):
                return []
            raise FetchFailed(f"no search engine answered: {error or type(error).__name__}") from error
        return list(found)
