"""The tool WebFetch: one page as text."""

from __future__ import annotations

import json
import ssl
from contextlib import aclosing
from typing import TYPE_CHECKING

from ..errors import FetchFailed
from ..function_tool import tool
from ..threads import in_thread
from ..tool import Tool
from .addresses import check_peer, pinned
from .readable import html_to_text

if TYPE_CHECKING:
    import httpx

_REDIRECTS = 5
_TEXTUAL = ("text/", "application/json", "application/xml", "application/xhtml", "application/javascript")


def web_fetch_tool(
    *, timeout: float = 30.0, max_bytes: int = 2_000_000, max_result: int = 50_000, private: bool = False
) -> Tool:
    """The tool WebFetch.

    It fetches by GET, over http and https, follows a few redirects, and returns text; HTML is reduced to its text and
    links. It is risky: an address can carry data out.

    Args:
        timeout: seconds for the whole fetch.
        max_bytes: bytes of the page that are read; the rest is left out, and the result says so.
        max_result: characters of text the model sees.
        private: also allow addresses of this machine and of private networks. Each redirect is checked, and the
            connection goes to the very address that was checked.
    """

    async def web_fetch(url: str) -> str:
        """Fetch a page from the web and return its text.

        Args:
            url: the address, starting with http:// or https://.
        """
        client = await _client(timeout)
        async with client:
            return await _fetch(client, url, max_bytes, private)

    return tool(name="WebFetch", risk="risky", idempotent=True, sends=True, timeout=timeout, max_result=max_result)(
        web_fetch
    )


async def _client(timeout: float) -> httpx.AsyncClient:
    # Importing httpx and reading the certificates take tens of milliseconds: not in the loop.
    tls = await in_thread(tls_context)
    import httpx

    return httpx.AsyncClient(
        verify=tls, timeout=timeout, trust_env=False, headers={"user-agent": "callboard", "accept-encoding": "gzip"}
    )


def tls_context() -> ssl.SSLContext:
    """The certificates to check servers by, with httpx loaded on the way. Slow the first time: call it in a thread."""
    import httpx  # noqa: F401

    return ssl.create_default_context()


async def _fetch(client: httpx.AsyncClient, url: str, max_bytes: int, private: bool) -> str:
    import httpx

    try:
        target = httpx.URL(url)
        for _ in range(_REDIRECTS + 1):
            request = await pinned(client, "GET", target, private)
            async with aclosing(await client.send(request, stream=True)) as response:
                check_peer(response, target, private)
                if response.has_redirect_location:
                    target = target.join(response.headers["location"])
                    continue
                return await _text(response, target, max_bytes)
    except httpx.InvalidURL as error:
        raise FetchFailed(f"{url!r} is not a valid address: {error}") from None
    except httpx.HTTPError as error:
        raise FetchFailed(f"{url}: {error or type(error).__name__}") from error
    raise FetchFailed(f"{url}: more than {_REDIRECTS} redirects")


async def _text(response: httpx.Response, url: httpx.URL, max_bytes: int) -> str:
    kind = response.headers.get("content-type", "text/plain").split(";")[0].strip().lower()
    if response.is_error:
        body = (await _body(response, 2_000))[0]
        shown = _decoded(response, body) if kind.startswith(_TEXTUAL) else ""
        raise FetchFailed(f"{url}: status {response.status_code} {response.reason_phrase}\n{shown}".rstrip())
    if not (kind.startswith(_TEXTUAL) or kind.endswith(("+json", "+xml"))):
        raise FetchFailed(f"{url} is {kind}, which is no text")
    body, cut = await _body(response, max_bytes)
    text = _decoded(response, body)
    if kind in ("text/html", "application/xhtml+xml"):
        text = await in_thread(lambda: html_to_text(text))
    elif kind == "application/json":
        text = _indented(text)
    note = f"\n[… only the first {max_bytes:,} bytes were read …]" if cut else ""
    return (text.strip() or "(the page is empty)") + note


async def _body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    data = bytearray()
    async for chunk in response.aiter_bytes(65_536):
        data += chunk
        if len(data) > limit:
            return bytes(data[:limit]), True
    return bytes(data), False


def _decoded(response: httpx.Response, body: bytes) -> str:
    try:
        return body.decode(response.charset_encoding or "utf-8", errors="replace")
    except LookupError:  # a charset nobody knows
        return body.decode("utf-8", errors="replace")


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
