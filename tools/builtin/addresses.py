"""Addresses of the web that may be asked: looked up once, and asked exactly there."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import FetchFailed
from ..threads import in_thread

if TYPE_CHECKING:
    import httpx


async def pinned(
    client: httpx.AsyncClient,
    method: str,
    url: httpx.URL,
    private: bool,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> httpx.Request:
    """A request to the address that was checked, so that the name cannot resolve to another one meanwhile.

    Args:
        client: that will send it.
        method: of HTTP.
        url: where to.
        private: whether it may be an address of this machine or of a private network.
        content: its body.
        headers: sent along.

    Raises:
        FetchFailed: the address is none, not known, or private.
    """
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
        if not private and not is_public(address):
            raise FetchFailed(f"{url.host!r} is an address of a private network, which may not be fetched from here")
    return client.build_request(
        method,
        url.copy_with(host=addresses[0]),
        content=content,
        headers={**headers, "host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )


def check_peer(response: httpx.Response, url: httpx.URL, private: bool) -> None:
    """Refuse an answer that came from elsewhere than was checked: what lies on the way may have led it there.

    Raises:
        FetchFailed: it came from a private network, which it may not.
    """
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if not private and peer is not None and not is_public(str(peer[0])):
        raise FetchFailed(f"{url.host!r} was answered from a private network, which may not be fetched from here")


def is_public(address: str) -> bool:
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
