from __future__ import annotations

import asyncio
import gzip
import ipaddress
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.tools import ToolTimeout
from callboard.tools.builtin.readable import html_lines, html_to_text
from callboard.tools.builtin.search import DdgsSearch, SearchHit, SearxngSearch, web_search_tool
from callboard.tools.builtin.web import web_fetch_tool
from callboard.tools.errors import FetchFailed, MissingExtra

fetch = web_fetch_tool(private=True)


@dataclass
class _Server:
    """A real HTTP server on loopback that answers each path with the bytes it was given."""

    answers: dict[str, bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            path = head.split()[1]
            self.reached.set()
            if path == "/hang":
                await reader.read()  # until the client goes away
            else:
                writer.write(self.answers[path])
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def _serving(**answers: bytes) -> AsyncIterator[_Server]:
    web = _Server({f"/{name}": body for name, body in answers.items()})
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0)
    web.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield web


def _answer(
    body: bytes | str, kind: str = "text/plain; charset=utf-8", status: str = "200 OK", more: str = ""
) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n{more}connection: close\r\n\r\n"
    )
    return head.encode() + data


async def _fetch(url: str) -> str:
    result = await fetch.run({"url": url})
    assert not result.is_error, result.content
    return result.text


async def test_a_page_is_returned_as_text() -> None:
    page = """<!doctype html><html><head><title>Trains &amp; more</title><style>p {}</style></head><body>
      <h1>Trains</h1><p>They   run <b>daily</b>.<br>See <a href="https://example.com/t">the table</a>.</p>
      <ul><li>one<li>two</ul><script>alert("no")</script></body></html>"""
    async with _serving(
        page=_answer(page, "text/html"), plain=_answer("só"), data=_answer('{"a":[1]}', "application/json")
    ) as web:
        assert await _fetch(f"{web.url}/page") == (
            "Trains & more\n\n# Trains\n\nThey run daily.\nSee the table (https://example.com/t).\n\n- one\n- two"
        )
        assert await _fetch(f"{web.url}/plain") == "só"
        assert await _fetch(f"{web.url}/data") == '{\n "a": [\n  1\n ]\n}'


async def test_redirects_are_followed_but_not_for_ever() -> None:
    def to(where: str) -> bytes:
        return _answer("", status="302 Found", more=f"location: {where}\r\n")

    async with _serving(
        a=to("/b"), b=to("c"), c=_answer("there"), round=to("/round"), out=to("file:///etc/passwd")
    ) as web:
        assert await _fetch(f"{web.url}/a") == "there"
        endless = await fetch.run({"url": f"{web.url}/round"})
        assert "more than 5 redirects" in endless.content
        assert "not an http or https address" in (await fetch.run({"url": f"{web.url}/out"})).content


async def test_an_error_status_shows_the_status_and_the_page() -> None:
    async with _serving(gone=_answer("it moved", status="404 Not Found")) as web:
        result = await fetch.run({"url": f"{web.url}/gone"})
        assert isinstance(result.error, FetchFailed)
        assert "status 404 Not Found\nit moved" in result.content


async def test_what_is_no_text_is_refused_and_what_is_long_is_cut() -> None:
    short = web_fetch_tool(private=True, max_bytes=1_000)
    packed = gzip.compress(b"a" * 10_000_000)
    async with _serving(
        image=_answer(b"\x89PNG", "image/png"),
        long=_answer("b" * 5_000),
        bomb=_answer(packed, more="content-encoding: gzip\r\n"),
    ) as web:
        assert "image/png, which is no text" in (await fetch.run({"url": f"{web.url}/image"})).content
        for path in ("long", "bomb"):
            content = (await short.run({"url": f"{web.url}/{path}"})).content
            assert "only the first 1,000 bytes were read" in content
            assert len(content) < 1_100


@pytest.mark.parametrize(
    "answer",
    [b"", b"this is not http\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"],
    ids=["closed", "garbage", "cut"],
)
async def test_a_broken_answer_is_a_named_error(answer: bytes) -> None:
    async with _serving(broken=answer) as web:
        assert isinstance((await fetch.run({"url": f"{web.url}/broken"})).error, FetchFailed)


async def test_a_server_that_hangs_is_given_up_at_the_timeout() -> None:
    impatient = web_fetch_tool(private=True, timeout=1.0)
    async with _serving() as web:
        result = await impatient.run({"url": f"{web.url}/hang"})
        assert isinstance(result.error, ToolTimeout | FetchFailed)
        await asyncio.wait_for(web.closed.wait(), 10)


async def test_cancelling_closes_the_connection() -> None:
    async with _serving() as web:
        task = asyncio.ensure_future(fetch.run({"url": f"{web.url}/hang"}))
        await web.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(web.closed.wait(), 10)


async def test_addresses_of_private_networks_are_refused_before_anything_is_sent() -> None:
    public_only = web_fetch_tool()
    async with _serving(secret=_answer("internal")) as web:
        port = web.url.rsplit(":", 1)[1]
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"):
            result = await public_only.run({"url": f"http://{host}:{port}/secret"})
            assert isinstance(result.error, FetchFailed), host
        assert not web.asked
    private = ["10.0.0.1", "192.168.1.1", "169.254.169.254", "172.16.0.1", "100.64.0.1", "[fd00::1]", "224.0.0.1"]
    for host in [*private, "192.0.0.192", "192.0.0.8", "192.88.99.1", "[::ffff:192.0.0.192]", "[64:ff9b::c000:c0]"]:
        result = await public_only.run({"url": f"http://{host}/"})
        assert "private network" in result.content, host


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::a00:1",  # NAT64 of 10.0.0.1
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",  # of 169.254.169.254
        "64:ff9b:1::a00:1",
        "64:ff9b:1::808:808",
        "2002:a00:1::",  # 6to4 of 10.0.0.1
        "2002:7f00:1::1",
        "2002:808:808::1",
        "2001:0:a00:1::1",  # Teredo
        "2001::f5ff:fffe",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:0:10.0.0.1",  # RFC 2765
        "::10.0.0.1",
        "::127.0.0.1",
        "::",
        "fec0::1",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "4000::1",
    ],
)
async def test_addresses_that_are_carried_on_to_private_ones_are_refused(address: str) -> None:
    result = await web_fetch_tool().run({"url": f"http://[{address}]/"})
    assert "private network" in result.content, address


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
async def test_public_addresses_are_connected_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def connect(*, remote_host: str, **_: object) -> None:
        tried.append(remote_host)
        raise OSError("there is no network in tests")

    monkeypatch.setattr("anyio.connect_tcp", connect)
    result = await web_fetch_tool().run({"url": f"http://[{address}]/" if ":" in address else f"http://{address}/"})
    assert isinstance(result.error, FetchFailed)
    assert [ipaddress.ip_address(host) for host in tried] == [ipaddress.ip_address(address)]


class _Names:
    """Name servers: each name's addresses, one after the other; the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        monkeypatch.setattr("socket.getaddrinfo", self._look_up)
        # All of them are this machine's; the first counts as public, all others as private.
        monkeypatch.setattr("callboard.tools.builtin.addresses.is_public", lambda address: address == "127.0.0.1")

    def _look_up(self, host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.asked.append(host)
        known = self.addresses[host.partition(".")[0]]
        return [(2, 1, 6, "", (known.pop(0) if len(known) > 1 else known[0], port))]


def _to(where: str) -> bytes:
    return _answer("", status="302 Found", more=f"location: {where}\r\n")


async def test_a_redirect_into_a_private_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _serving(start=_to("http://inside.example/secret"), secret=_answer("internal")) as web:
        port = int(web.url.rsplit(":", 1)[1])
        _Names(monkeypatch, outside=["127.0.0.1"], inside=["127.0.0.2"])
        result = await web_fetch_tool().run({"url": f"http://outside.example:{port}/start"})
        assert "'inside.example' is an address of a private network" in result.content
        assert len(web.asked) == 1
        assert f"host: outside.example:{port}" in web.asked[0].lower()


async def test_a_name_that_leads_elsewhere_once_it_was_checked_is_not_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with _serving(page=_answer("outside"), start=_to("/page")) as web:
        port = int(web.url.rsplit(":", 1)[1])
        names = _Names(monkeypatch, rebound=["127.0.0.1", "127.0.0.2"])
        result = await web_fetch_tool().run({"url": f"http://rebound.example:{port}/page"})
        assert (result.content, names.asked) == ("outside", ["rebound.example"])
        names.addresses["rebound"] = ["127.0.0.1", "127.0.0.2"]
        result = await web_fetch_tool().run({"url": f"http://rebound.example:{port}/start"})
        assert "'rebound.example' is an address of a private network" in result.content
        assert len(web.asked) == 2


async def test_one_private_address_among_those_of_a_name_is_enough_to_refuse_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: both)
    result = await web_fetch_tool().run({"url": "http://both.example/"})
    assert "private network" in result.content


async def test_an_answer_from_another_address_than_was_checked_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import anyio

    connect = anyio.connect_tcp

    async def led_astray(*, remote_host: str, **options: Any) -> Any:
        assert remote_host == "8.8.8.8"
        return await connect(remote_host="127.0.0.1", **options)

    async with _serving(secret=_answer("internal")) as web:
        monkeypatch.setattr("anyio.connect_tcp", led_astray)
        result = await web_fetch_tool().run({"url": f"http://8.8.8.8:{web.url.rsplit(':', 1)[1]}/secret"})
        assert "was answered from a private network" in result.content
        assert "internal" not in result.content


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http://user:pass@example.com/",
        "http://a b/",
        "http://\0/",
    ],
)
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    assert isinstance((await fetch.run({"url": url})).error, FetchFailed)


async def test_an_unknown_host_is_a_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert "is not known" in (await fetch.run({"url": "http://nowhere.example/"})).content


@given(st.text(st.sampled_from('<>/="! -abphlitde\n&;#x1')) | st.text())
def test_any_text_can_be_read_as_html(text: str) -> None:
    assert isinstance(html_to_text(text), str)


def test_a_head_that_is_not_closed_does_not_hide_the_page() -> None:
    assert html_to_text("<html><head><title>T</title><body><p>shown") == "T\n\nshown"
    assert html_to_text("<head><meta x><body>shown") == "shown"


class _Fixed:
    def __init__(self, *hits: SearchHit) -> None:
        self.hits = hits
        self.asked: list[tuple[str, int]] = []

    async def search(self, query: str, limit: int) -> Sequence[SearchHit]:
        self.asked.append((query, limit))
        return self.hits


async def test_a_search_lists_what_its_back_end_finds() -> None:
    backend = _Fixed(SearchHit("One", "https://one.example", "first"), SearchHit("Two", "https://two.example"))
    search = web_search_tool(backend)
    content = (await search.run({"query": "trains", "limit": 500})).content
    assert content == "1. One\n   https://one.example\n   first\n2. Two\n   https://two.example"
    assert backend.asked == [("trains", 20)]
    assert (await search.run({"query": "trains", "limit": 1})).content.count("https") == 1
    assert (await search.run({"query": "  "})).is_error
    assert "nothing was found" in (await web_search_tool(_Fixed()).run({"query": "x"})).content


async def test_searxng_is_a_back_end() -> None:
    hits = (
        b'{"results": [{"title": "T", "url": "https://t.example", "content": "about t"}, {"url": "https://u.example"}]}'
    )
    async with _serving() as web:
        web.answers["/search?q=two+words&format=json"] = _answer(hits, "application/json")
        search = web_search_tool(SearxngSearch(web.url))
        content = (await search.run({"query": "two words"})).content
        assert content == "1. T\n   https://t.example\n   about t\n2. \n   https://u.example"


@pytest.mark.parametrize("answer", [_answer("<html>"), _answer("{}"), _answer("", status="500 Oops"), b""])
async def test_a_search_engine_that_answers_badly_is_a_named_error(answer: bytes) -> None:
    async with _serving() as web:
        web.answers["/search?q=x&format=json"] = answer
        result = await web_search_tool(SearxngSearch(web.url)).run({"query": "x"})
        assert isinstance(result.error, FetchFailed)


# -- without a server of one's own -----------------------------------------------------------------------------------


def _own_engine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Have the real ddgs ask an engine on this machine."""
    ddgs = pytest.importorskip("ddgs.ddgs", reason="ddgs is missing: pip install 'callboard[search]'")
    base = pytest.importorskip("ddgs.base").BaseSearchEngine

    def payload(engine: object, query: str, **_: object) -> dict[str, str]:
        return {"q": query}

    own = {
        "name": "own",
        "category": "text",
        "provider": "own",
        "search_url": url,
        "search_method": "GET",
        "items_xpath": "//li",
        "elements_xpath": {"title": ".//a/text()", "href": ".//a/@href", "body": ".//p/text()"},
        "build_payload": payload,
    }
    monkeypatch.setitem(ddgs.ENGINES["text"], "own", type("Own", (base,), own))


async def test_public_search_engines_are_asked_by_way_of_ddgs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = "".join(f"<li><a href='https://example.com/{n}'>Trains {n}</a><p>about {n}</p></li>" for n in range(1, 6))
    async with _serving(**{"search?q=trains": _answer(f"<html><ul>{found}</ul></html>", "text/html")}) as web:
        _own_engine(monkeypatch, f"{web.url}/search")
        search = web_search_tool(DdgsSearch(engines=["own"]))
        assert (await search.run({"query": "trains", "limit": 2})).content == (
            "1. Trains 1\n   https://example.com/1\n   about 1\n2. Trains 2\n   https://example.com/2\n   about 2"
        )


async def test_engines_that_find_nothing_or_do_not_answer_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with _serving(**{"search?q=trains": _answer("<html><ul></ul></html>", "text/html")}) as web:
        _own_engine(monkeypatch, f"{web.url}/search")
        search = web_search_tool(DdgsSearch(engines=["own"]))
        assert (await search.run({"query": "trains"})).content == "(nothing was found for 'trains')"
    gone = await search.run({"query": "trains"})
    assert isinstance(gone.error, FetchFailed)
    assert "no search engine answered" in gone.content


async def test_without_ddgs_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ddgs", None)
    result = await web_search_tool(DdgsSearch()).run({"query": "trains"})
    assert isinstance(result.error, MissingExtra)
    assert "pip install 'callboard[search]'" in result.content


def test_each_line_of_a_pages_text_says_on_which_line_of_the_page_it_begins() -> None:
    page = "<h1>Title</h1>\n<p>first\nsecond</p>\n\n<ul>\n<li>one\n<li>\ntwo</ul><p>a</p><p>b</p>"
    numbered = [(line, at) for line, at in html_lines(page) if line]
    assert numbered == [("# Title", 1), ("first", 2), ("second", 3), ("- one", 6), ("two", 8), ("a", 8), ("b", 8)]
    assert html_to_text(page) == "\n".join(line for line, _ in html_lines(page))


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "</", "x</", "<!", "<![CDATA[", "<?", "&#", "<a b='", "<b>x</b>", "<"]
)
def test_a_page_whose_tags_never_end_is_read_soon(piece: str) -> None:
    """The parser alone takes the square of the time for some of them: here that would be an hour."""
    assert "the end" in html_to_text(f"<p>{piece * 100_000}<!-- --><p>the end")


def test_comments_are_left_out_and_a_sign_that_opens_no_tag_is_shown() -> None:
    assert html_lines("a <!-- <b> \n > --> b<!-- no end") == [("a", 1), ("b", 2)]
    assert html_to_text("1 < 2 and <b>3</b> < 4") == "1 < 2 and 3 < 4"
