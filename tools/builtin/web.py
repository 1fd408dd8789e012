"""The tool WebFetch: one page as text."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
from contextlib import aclosing
from typing import TYPE_CHECKING

from ..errors import FetchFailed
from ..function_tool import tool
from ..threads import in_thread
from ..tool import Tool
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
            request = await _pinned(client, target, private)
            async with aclosing(await client.send(request, stream=True)) as response:
                _check_peer(response, target, private)
                if response.has_redirect_location:
                    target = target.join(response.headers["location"])
                    continue
                return await _text(response, target, max_bytes)
    except httpx.InvalidURL as error:
        raise FetchFailed(f"{url!r} is not a valid address: {error}") from None
    except httpx.HTTPError as error:
        raise FetchFailed(f"{url}: {error or type(error).__name__}") from error
    raise FetchFailed(f"{url}: more than {_REDIRECTS} redirects")


async def _pinned(client: httpx.AsyncClient, url: httpx.URL, private: bool) -> httpx.Request:
    """A request to the address that was checked, so that the name cannot resolve to another one meanwhile."""
    if url.scheme not in ("http", "https") or not url.host:
        raise FetchFailed(f"{str(url)!r} is not an http or https address")
    if url.userinfo:
        raise FetchFailed("an address must not hold a user name or password")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await in_thread(lambda: socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        raise FetchFailed(f"the host {url.host!r} is not known") from None
    # IPv4 first: many machines know IPv6 addresses that they cannot reach.
    addresses = [str(entry[4][0]) for entry in sorted(found, key=lambda entry: entry[0] != socket.AF_INET)]
    for address in addresses:
        if not private and not _is_public(address):
            raise FetchFailed(f"{url.host!r} is an address of a private network, which may not be fetched from here")
    return client.build_request(
        "GET",
        url.copy_with(host=addresses[0]),
        headers={"host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )


def _check_peer(response: httpx.Response, url: httpx.URL, private: bool) -> None:
    """Refuse an answer that came from elsewhere than was checked: what lies on the way may have led it there."""
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if not private and peer is not None and not _is_public(str(peer[0])):
        raise FetchFailed(f"{url.host!r} was answered from a private network, which may not be fetched from here")


def _is_public(address: str) -> bool:
    """Whether an address is one of the internet's, wherever a translator on the way may carry it on to."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:  # what an IPv6-only network makes of IPv4 addresses: it reaches the one in its last bits
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        elif ip not in _UNICAST or any(ip in network for network in _NOT_THE_INTERNET):
            return False
    if isinstance(ip, ipaddress.IPv4Address) and any(ip in network for network in _NOT_THE_INTERNET_OF_IPV4):
        return False
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052; 64:ff9b:1::/48 (RFC 8215) is a network's own affair
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA gives out; beside it ::/96, which also stands for IPv4
# 6to4 (RFC 3056) and Teredo (RFC 4380): an IPv4 address stands in them, and whoever relays may reach it. And the
# examples' network of RFC 9637, of which older Pythons do not know.
_NOT_THE_INTERNET = tuple(map(ipaddress.IPv6Network, ("2002::/16", "2001::/32", "3fff::/20")))

# Of IANA's own, among it a cloud's metadata, of which older Pythons think that most of it is public; 6to4's relays.
_NOT_THE_INTERNET_OF_IPV4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24")))


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
