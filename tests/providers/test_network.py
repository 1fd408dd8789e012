"""What the network and the vendors' refusals do to a request, over real connections."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from callboard.actors import ActorRef, AskTimeout
from callboard.providers import errors as e
from callboard.providers.messages import Audio, File, Image, Message, Request, Text, ToolSpec
from callboard.providers.provider import BatchRequest
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors import reading
from callboard.providers.wire import sse
from tests.providers.raw import ASK, CHUNKS, KEY, PROMPT, WHOLE, Asked, gone, provider, raw


async def streamed(ref: ActorRef[Any], request: Request = ASK) -> str:
    return "".join([delta.text async for delta in ref.stream(request)])


async def failure(ref: ActorRef[Any], *, stream: bool = False) -> e.ProviderError:
    with pytest.raises(e.ProviderError) as caught:
        await (streamed(ref) if stream else ref.ask(ASK))
    return caught.value


def told(error: BaseException) -> str:
    """All that an error shows, with what it came of."""
    texts: list[Any] = []
    found: BaseException | None = error
    while found is not None:
        texts += [str(found), repr(found), repr(vars(found))]
        found = found.__cause__ or found.__context__
    return " ".join(texts)


XAI = "The caller does not have permission to execute the specified operation"
KEY_INFO = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]


@pytest.mark.parametrize(
    ("status", "body", "kind", "concerns"),
    [
        # a key that is wrong, by those who do not say 401
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***yz."},
            e.AuthenticationFailed,
            "key",
        ),
        (
            400,
            [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}],
            e.AuthenticationFailed,
            "key",
        ),
        (
            400,
            {"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT", "details": KEY_INFO}},
            e.AuthenticationFailed,
            "key",
        ),
        (400, {"error": {"message": "API key expired. Please renew the API key."}}, e.AuthenticationFailed, "key"),
        (401, {"error": {"type": "invalid_request_error", "message": "?"}}, e.AuthenticationFailed, "key"),
        (401, b"<html><h1>401 Authorization Required</h1></html>", e.AuthenticationFailed, "key"),
        (403, {"error": {"type": "permission_error", "message": "Not this key."}}, e.AuthenticationFailed, "key"),
        # an account without money
        (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error"}}, e.AuthenticationFailed, "key"),
        (402, {"error": {"message": "This request requires more credits", "code": 402}}, e.AuthenticationFailed, "key"),
        (
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "Your credit balance is too low to access the Anthropic API.",
                },
            },
            e.AuthenticationFailed,
            "key",
        ),
        (
            403,
            {"code": XAI, "error": "Your newly created team doesn't have any credits."},
            e.AuthenticationFailed,
            "key",
        ),
        (
            429,
            {"code": "Some resource has been exhausted", "error": "Your team abc has used all available credits."},
            e.AuthenticationFailed,
            "key",
        ),
        (429, {"error": {"code": "insufficient_quota", "message": "You exceeded"}}, e.AuthenticationFailed, "key"),
        # a model that is not there, or not for this key
        (
            404,
            [{"error": {"code": 404, "message": "models/gemini-0 is not found for API version v1main."}}],
            e.UnknownModel,
            "model",
        ),
        (
            404,
            {"error": {"message": "The model `x` does not exist or you do not have access to it."}},
            e.UnknownModel,
            "model",
        ),
        (
            404,
            {"error": {"message": 'model "x" not found, try pulling it', "type": "api_error"}},
            e.UnknownModel,
            "model",
        ),
        (404, {"error": {"message": "No endpoints found for x/y.", "code": 404}}, e.UnknownModel, "model"),
        (400, {"error": {"message": "x/y is not a valid model ID", "code": 400}}, e.UnknownModel, "model"),
        (400, {"error": {"code": "model_decommissioned", "message": "The model `x` is gone"}}, e.UnknownModel, "model"),
        (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model"}, e.UnknownModel, "model"),
        (
            403,
            {"error": {"code": "model_not_found", "message": "Project `p` does not have access to model `x`"}},
            e.UnknownModel,
            "model",
        ),
        (
            403,
            {"message": "You don't have access to the model with the specified model ID."},
            e.UnknownModel,
            "model",
        ),
        (403, {"error": {"code": "no_access", "message": "No access to model: x"}}, e.UnknownModel, "model"),
        (410, {"error": {"message": "This one is retired."}}, e.UnknownModel, "model"),
        # this request alone
        (
            403,
            {
                "error": {
                    "code": 403,
                    "message": "x requires moderation on OpenRouter. Your input was flagged",
                    "metadata": {"reasons": ["violence"], "flagged_input": "..."},
                }
            },
            e.InvalidRequest,
            "request",
        ),
        (403, {"error": {"message": "The prompt was blocked by our content policy."}}, e.InvalidRequest, "request"),
        (403, b"<html>Request blocked by the firewall</html>", e.ProviderError, "request"),
        (
            400,
            {"error": {"code": "content_filter", "message": "The response was filtered"}},
            e.InvalidRequest,
            "request",
        ),
        (400, {"error": {"message": "Invalid 'stop': 'API key not valid'."}}, e.InvalidRequest, "request"),
        (
            413,
            {"error": {"code": "rate_limit_exceeded", "message": "Request too large for model `x` on TPM"}},
            e.ContextTooLong,
            "request",
        ),
        (
            429,
            {"error": {"code": "rate_limit_exceeded", "message": "Request too large for gpt-4o on tokens per min"}},
            e.ContextTooLong,
            "request",
        ),
        # the model, for a while
        (498, {"error": {"code": "capacity_exceeded", "message": "Flex tier is full"}}, e.ProviderOverloaded, "model"),
        (429, {"error": {"code": "rate_limit_exceeded", "message": "Slow down"}}, e.RateLimited, "model"),
        (
            429,
            [{"error": {"code": 429, "message": "You exceeded your current quota, please check your billing"}}],
            e.RateLimited,
            "model",
        ),
        (529, {"type": "error", "error": {"type": "overloaded_error"}}, e.ProviderOverloaded, "model"),
        (503, {"error": {"code": 503, "message": "The model is overloaded."}}, e.ProviderOverloaded, "model"),
        # the address
        (404, b"<html>404 page not found</html>", e.InvalidRequest, "endpoint"),
        (404, {"detail": "Not Found"}, e.InvalidRequest, "endpoint"),
        (502, b"<html>Bad Gateway</html>", e.ProviderOverloaded, "endpoint"),
    ],
)
async def test_a_refusal_says_whose_it_is(status: int, body: Any, kind: type[e.ProviderError], concerns: str) -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(status, body)

    async with raw(answer) as server, provider(server) as ref:
        for stream in (False, True):
            error = await failure(ref, stream=stream)
            assert (type(error), error.concerns, error.status) == (kind, concerns, status), str(error)


@pytest.mark.parametrize(
    ("error", "kind", "concerns"),
    [
        ({"code": 403, "message": "flagged", "metadata": {"flagged_input": "x"}}, e.InvalidRequest, "request"),
        ({"code": 402, "message": "Insufficient credits"}, e.AuthenticationFailed, "key"),
        ({"code": "429", "message": "slow down"}, e.RateLimited, "model"),
        ({"status": "RESOURCE_EXHAUSTED", "message": "slow down"}, e.RateLimited, "model"),
        ({"code": 404, "message": "The model x is not found"}, e.UnknownModel, "model"),
        ({"code": 502, "message": "Provider returned error"}, e.ProviderOverloaded, "model"),
    ],
)
async def test_an_error_in_an_answer_with_status_200_says_whose_it_is(
    error: Any, kind: type[e.ProviderError], concerns: str
) -> None:
    async def answer(asked: Asked) -> None:
        if not json.loads(asked.body).get("stream"):
            await asked.reply(200, {"error": error})
            return
        await asked.begin()
        await asked.event(CHUNKS[0])
        await asked.event({"error": error})

    async with raw(answer) as server, provider(server) as ref:
        for stream in (False, True):
            found = await failure(ref, stream=stream)
            assert (type(found), found.concerns) == (kind, concerns), str(found)


ECHOES = {
    "as it is": KEY,
    "escaped as in an address": quote(KEY, safe=""),
    "in lower case": KEY.lower(),
    "its head": KEY[:12],
    "its tail": KEY[-12:],
    "in basic authentication": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "in base64": base64.b64encode(KEY.encode()).decode(),
}


def traces(echo: str) -> list[str]:
    """Eight characters in a row from the middle of an echo, where it is a key's and nothing else's."""
    return [echo[start : start + 8] for start in range(8, len(echo) - 11)] or [echo]


@pytest.mark.parametrize("echo", ECHOES.values(), ids=list(ECHOES))
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_key_that_the_vendor_echoes_stands_in_no_error(kind: Any, echo: str) -> None:
    said = f"the header was {echo} and that is wrong"
    ways = ("status", "body", "event", "id", "type")

    async def answer(asked: Asked) -> None:
        way = ways[int(asked.headers["x-way"])]
        if way == "status":
            await asked.reply(400, {"error": {"message": said}})
        elif way == "body":
            await asked.reply(200, {"type": "error", "error": {"message": said, "type": "api_error"}})
        elif way == "id":
            await asked.reply(500, {"error": {"message": "x"}}, f"x-request-id: {echo}")
        elif way == "type":
            await asked.reply(200, b"no json", kind=f"text/{echo}")
        else:
            await asked.begin()
            await asked.event({"type": "error", "error": {"message": said, "type": "api_error"}})

    async with raw(answer) as server, provider(server, kind=kind) as ref:
        for place in range(len(ways)):
            request = Request(ASK.messages, headers={"x-way": str(place)})
            for stream in (False, True):
                with pytest.raises(e.ProviderError) as caught:
                    await (streamed(ref, request) if stream else ref.ask(request))
                shown = told(caught.value).lower()
                assert not [trace for trace in traces(echo) if trace.lower() in shown], f"{ways[place]}: {shown}"


async def test_a_key_in_a_header_of_ones_own_stands_in_no_error() -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(400, {"error": {"message": f"no: {asked.headers['x-api-key']}"}})

    async with raw(answer) as server, provider(server, headers={"X-Api-Key": "gateway-secret-1"}) as ref:
        assert "gateway-secret" not in told(await failure(ref))


async def test_a_prompt_that_the_vendor_quotes_stands_in_no_error() -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(400, {"error": {"message": f"Invalid content: '{PROMPT[3:40]}', expected another"}})

    async with raw(answer) as server, provider(server) as ref:
        for stream in (False, True):
            error = await failure(ref, stream=stream)
            assert str(error) == "acme answered 400: Invalid content: '[prompt]', expected another"
            assert "grandmother" not in told(error)


def words(of: str) -> str:
    return " ".join(f"{of}{number}" for number in range(9))


QUOTED = {
    "text": 'the "first" line,\nthe second: ünïcode 🦜 with \\d+ and a\tblank',
    **{
        name: words(name)
        for name in ("part", "filename", "transcript", "description", "schema", "stop", "user", "answer", "extra")
    },
    "blanks": "one\u00a0two\u2003three\u00a0four\u2028five\u00a0six",
    "file": words("file"),
    "data": base64.b64encode(words("picture").encode()).decode(),
}
QUOTING = Request(
    (
        Message("system", QUOTED["text"]),
        Message("system", QUOTED["blanks"]),
        Message(
            "user",
            (
                Text(QUOTED["part"]),
                File(
                    f"data:text/plain;base64,{base64.b64encode(QUOTED['file'].encode()).decode()}", QUOTED["filename"]
                ),
                Image(f"data:image/png;base64,{QUOTED['data']}"),
                Audio("data:audio/wav;base64,UklG", QUOTED["transcript"]),
            ),
        ),
    ),
    tools=(ToolSpec("look", QUOTED["description"], {"type": "object", "description": QUOTED["schema"]}),),
    stop=(QUOTED["stop"],),
    user=QUOTED["user"],
    response_schema={"type": "object", "title": "T", "description": QUOTED["answer"]},
    extra={"metadata": {"x": [QUOTED["extra"]]}},
)


@pytest.mark.parametrize("what", QUOTED)
@pytest.mark.parametrize("escaped", [0, 1, 2])
@pytest.mark.parametrize("ascii", [False, True])
async def test_no_part_of_a_request_that_the_vendor_quotes_stands_in_an_error(
    what: str, escaped: int, ascii: bool
) -> None:
    said = QUOTED[what]
    for _ in range(escaped):
        said = json.dumps(said, ensure_ascii=ascii)[1:-1]

    async def answer(asked: Asked) -> None:
        await asked.reply(400, {"error": {"message": f"Invalid value: '{said}', expected another", "code": said}})

    async with raw(answer) as server, provider(server) as ref:
        with pytest.raises(e.ProviderError) as caught:
            await ref.ask(QUOTING)
        assert str(caught.value) == "acme answered 400: Invalid value: '[prompt]', expected another"
        assert said[4:24] not in told(caught.value)


@pytest.mark.parametrize("header", ["x-request-id", "request-id"])
@pytest.mark.parametrize(
    ("id", "kept"),
    [
        ("req_011CSHoEeqs5C35K2UUqR7Fy", True),
        ("8f0e1f0a-1b2c-4d5e-8f90-123456789abc", True),
        ("the quick wizard keeps parrots", False),
        ("quick-wizards-keep-parrots-in-their-towers", False),
        ("x" * 129, False),
    ],
)
async def test_an_id_of_a_request_is_kept_where_it_is_one(header: str, id: str, kept: bool) -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(400, {"error": {"message": "no"}}, f"{header}: {id}")

    async with raw(answer) as server, provider(server) as ref:
        with pytest.raises(e.ProviderError) as caught:
            await ref.ask(Request((Message("user", "quick-wizards-keep-parrots-in-their-towers, they say"),)))
        assert (caught.value.request_id == id) is kept
        assert kept or not caught.value.request_id or id[:20] not in caught.value.request_id


async def test_a_prompt_stands_in_no_timeout_of_an_ask() -> None:
    hold = asyncio.Event()

    async def answer(asked: Asked) -> None:
        await hold.wait()

    async with raw(answer) as server, provider(server) as ref:
        with pytest.raises(AskTimeout, match=r"Request\(") as caught:
            await ref.ask(ASK, timeout=0.05)
        assert "grandmother" not in told(caught.value)
        hold.set()


async def test_pings_do_not_keep_a_stream_alive() -> None:
    async def answer(asked: Asked) -> None:
        await asked.begin()
        await asked.event(CHUNKS[0])
        while True:
            await asked.say(b": still here\n\n")
            await asked.say(b'event: ping\ndata: {"type": "ping"}\n\n')
            await asyncio.sleep(0.005)

    async with raw(answer) as server, provider(server, timeout=0.1) as ref:
        with pytest.raises(e.ProviderTimeout, match=r"nothing but signs of life for 0.1 s"):
            await streamed(ref)
        await gone(server)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("where", ["head", "body"])
async def test_an_answer_that_drips_ends_with_the_total_timeout(stream: bool, where: str) -> None:
    async def answer(asked: Asked) -> None:
        if where == "body":
            await asked.begin(kind="application/json")
        else:
            await asked.say(b"HTTP/1.1 200 OK\r\nx-long: ")
        while True:
            await asked.say(b" ")
            await asyncio.sleep(0.005)

    async with raw(answer) as server, provider(server, total_timeout=0.1) as ref:
        error = await failure(ref, stream=stream)
        assert isinstance(error, e.ProviderTimeout)
        assert "not done within 0.1 s" in str(error)
        await gone(server)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("begin", [b"", b'{"id": "'])
async def test_blanks_do_not_keep_a_body_alive(begin: bytes, status: int, stream: bool) -> None:
    async def answer(asked: Asked) -> None:
        asked.ends = True
        head = f"HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
        await asked.say(head.encode())
        if begin:
            await asked.say(begin)
        while True:
            await asked.say(b" \n\t")
            await asyncio.sleep(0.005)

    async with raw(answer) as server, provider(server, timeout=0.1) as ref:
        error = await failure(ref, stream=stream)
        assert isinstance(error, e.ProviderTimeout)
        assert "nothing but signs of life for 0.1 s" in str(error)
        await gone(server)


async def test_a_stream_of_many_words_ends_with_the_total_timeout() -> None:
    async def answer(asked: Asked) -> None:
        await asked.begin()
        while True:
            await asked.event(CHUNKS[0])
            await asyncio.sleep(0.005)

    async with raw(answer) as server, provider(server, total_timeout=0.1) as ref:
        with pytest.raises(e.ProviderTimeout, match=r"not done within 0.1 s"):
            await streamed(ref)
        await gone(server)


def test_the_time_in_which_a_reader_does_not_read_is_not_counted() -> None:
    now = 0.0
    pace = reading.Pace(10.0, 100.0, lambda: now, provider="p")
    for _ in range(30):
        pace.waits()
        now += 3.0
        pace.came(1)
        pace.heard()
        now += 1000.0
        pace.check()
    pace.waits()
    now += 9.5
    pace.came(1)
    pace.check()
    pace.waits()
    now += 1.0
    pace.came(1)
    with pytest.raises(e.ProviderTimeout, match="signs of life"):
        pace.check()


def test_a_provider_has_bounds_without_being_told() -> None:
    spec = ProviderSpec("p")
    assert (spec.timeout, spec.total_timeout) == (120.0, 1800.0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_small_body_that_unpacks_to_a_huge_one_is_given_up(stream: bool) -> None:
    bomb = gzip.compress(b"{" + b" " * 200_000_000)
    assert len(bomb) < 250_000

    async def answer(asked: Asked) -> None:
        await asked.reply(200, bomb, "content-encoding: gzip")

    async with raw(answer) as server, provider(server) as ref:
        tracemalloc.start()
        try:
            error = await failure(ref, stream=stream)
            kept, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert isinstance(error, e.MalformedResponse)
        assert "more than 67108864 bytes" in str(error)
        assert most < 1.2 * reading.LARGEST_BODY, "only the bounded part was ever unpacked"
        assert kept < 4_000_000, "and nothing of it is kept"
        await gone(server)


async def test_an_event_without_an_end_is_given_up() -> None:
    async def answer(asked: Asked) -> None:
        await asked.begin()
        await asked.say(b"data: ")
        while True:
            await asked.say(b"x" * 1_000_000)

    async with raw(answer) as server, provider(server) as ref:
        with pytest.raises(e.MalformedResponse, match="an event of more than 67108864 bytes"):
            await streamed(ref)
        await gone(server)


def test_a_parser_keeps_nothing_of_an_event_that_is_too_large() -> None:
    for pieces in ([b"data: " + b"x" * 60], [b"data: 12345678\n"] * 8):
        parser = sse.Parser(largest=50)
        with pytest.raises(e.MalformedResponse, match="more than 50 bytes"):
            [list(parser.feed(piece)) for piece in pieces]
        assert not parser.pending
    fits = sse.Parser(largest=50)
    assert [event.data for _ in range(20) for event in fits.feed(b"data: 0123456789\n\n")] == ["0123456789"] * 20


@pytest.mark.parametrize("headers", [["x-policy: " + "x" * 60_000], [f"x-{n}: v" for n in range(900)]])
async def test_an_answer_with_large_or_many_headers_is_read(headers: list[str]) -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(200, WHOLE, *headers)

    async with raw(answer) as server, provider(server) as ref:
        assert (await ref.ask(ASK)).message.text == "fine"


@pytest.mark.parametrize("headers", [["x-policy: " + "x" * 70_000], [f"x-{n}: v" for n in range(1100)]])
@pytest.mark.parametrize("stream", [False, True])
async def test_more_headers_than_any_vendors_are_malformed_and_the_endpoint_is_not_blamed(
    headers: list[str], stream: bool
) -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(200, WHOLE, *headers)

    async with raw(answer) as server, provider(server) as ref:
        with pytest.raises(e.MalformedResponse, match="65536") as caught:
            await (streamed(ref) if stream else ref.ask(ASK))
        assert caught.value.concerns == "model"
        await gone(server)


@pytest.mark.parametrize("status", [400, 500])
async def test_of_a_huge_refusal_only_the_beginning_is_read(status: int) -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(status, gzip.compress(b"busy " * 20_000_000), "content-encoding: gzip")

    async with raw(answer) as server, provider(server) as ref:
        error = await failure(ref)
        assert error.status == status
        assert len(str(error)) < 600


@pytest.mark.parametrize("stream", [False, True])
async def test_a_kept_connection_that_the_vendor_has_closed_costs_no_answer(stream: bool) -> None:
    async def answer(asked: Asked) -> None:
        if asked.number:  # the second on a connection: closed while it was on its way
            asked.writer.transport.abort()
        elif stream:
            events = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in CHUNKS)
            await asked.reply(200, events + b"data: [DONE]\n\n", kind="text/event-stream")
        else:
            await asked.reply(200, WHOLE)

    async with raw(answer) as server, provider(server) as ref:
        answered = [await streamed(ref) if stream else (await ref.ask(ASK)).message.text for _ in range(40)]
        assert answered == ["fine"] * 40
        assert len(server.asked) == 40 + server.connections - 40 + sum(1 for asked in server.asked if asked.number)


async def test_many_kept_connections_that_were_closed_at_once_cost_no_answer() -> None:
    down = False

    async def answer(asked: Asked) -> None:
        if asked.number and down:
            asked.writer.transport.abort()
        else:
            await asked.reply(200, WHOLE)

    async with raw(answer) as server, provider(server) as ref:
        await asyncio.gather(*(ref.ask(ASK) for _ in range(8)))
        down = True
        answers = await asyncio.gather(*(ref.ask(ASK) for _ in range(8)))
        assert [one.message.text for one in answers] == ["fine"] * 8


async def test_a_fresh_connection_that_is_closed_is_not_tried_again_here() -> None:
    async def answer(asked: Asked) -> None:
        asked.writer.transport.abort()

    async with raw(answer) as server, provider(server) as ref:
        error = await failure(ref)
        assert isinstance(error, e.ConnectionLost)
        assert not error.begun
        assert len(server.asked) == 1


@pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\nconte"])
async def test_an_answer_that_has_begun_is_not_asked_for_again(part: bytes) -> None:
    async def answer(asked: Asked) -> None:
        if not asked.number:
            await asked.reply(200, WHOLE)
            return
        await asked.say(part)
        asked.ends = True

    async with raw(answer) as server, provider(server) as ref:
        await ref.ask(ASK)
        error = await failure(ref)
        assert isinstance(error, e.ConnectionLost)
        assert error.begun == (b"half" in part), "the vendor charges for what it has begun to say"
        assert len(server.asked) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_redirect_is_not_followed_and_says_where_it_points(status: int, stream: bool) -> None:
    async def elsewhere(asked: Asked) -> None:
        await asked.reply(200, WHOLE)

    async with raw(elsewhere) as other:

        async def answer(asked: Asked) -> None:
            await asked.reply(status, b"", f"location: {other.url}/v2/chat?token=secret-of-theirs")

        async with raw(answer) as server, provider(server) as ref:
            error = await failure(ref, stream=stream)
            assert type(error) is e.Redirected
            assert f"a redirect to {other.url}/v2/chat" in str(error)
            assert "set base_url" in str(error)
            assert "secret-of-theirs" not in told(error)
            assert (error.concerns, error.retryable) == ("endpoint", False)
        assert not other.asked


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_batch_follows_no_redirect_either(kind: Any) -> None:
    async def elsewhere(asked: Asked) -> None:
        await asked.reply(200, WHOLE)

    async with raw(elsewhere) as other:

        async def answer(asked: Asked) -> None:
            await asked.reply(307, b"", f"location: {other.url}/v1/files")

        async with (
            raw(answer) as server,
            provider(server, kind=kind, capabilities=frozenset({"batch"})) as ref,
        ):
            with pytest.raises(e.Redirected):
                await ref.ask(BatchRequest((ASK,)))
        assert not other.asked


async def test_an_sdk_client_of_ones_own_follows_no_redirect_either() -> None:
    from openai import AsyncOpenAI

    from callboard.actors import System
    from callboard.providers.vendors.openai import OpenAIProvider

    async def elsewhere(asked: Asked) -> None:
        await asked.reply(200, WHOLE)

    async with raw(elsewhere) as other:

        async def answer(asked: Asked) -> None:
            await asked.reply(307, b"", f"location: {other.url}/v1/chat/completions")

        async with raw(answer) as server, System("sdk") as system:
            spec = ProviderSpec("acme", api_key=SecretStr(KEY), base_url=f"{server.url}/v1", default_model="m")
            ref = system.spawn(OpenAIProvider, spec, AsyncOpenAI(api_key=KEY, base_url=spec.base_url))
            for stream in (False, True):
                assert type(await failure(ref, stream=stream)) is e.Redirected
        assert not other.asked


async def test_a_password_in_an_address_stands_in_no_repr_and_no_error() -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(400, {"error": {"message": f"you sent {asked.headers['authorization']}"}})

    async with raw(answer) as server:
        base = server.url.replace("http://", "http://someone:p%40ss-word-123@") + "/v1"
        async with provider(server, base_url=base) as ref:
            error = await failure(ref)
            assert base64.b64encode(b"someone:p@ss-word-123").decode() in server.asked[0].headers["authorization"]
            assert "ss-word" not in told(error)
            assert "c3Mtd29yZC0x" not in told(error)
    spec = ProviderSpec("acme", base_url=base)
    assert "ss-word" not in repr(spec)
    assert server.url in repr(spec)
    bad = ProviderSpec("acme", base_url="http://someone:p%40ss-word-123@host:notaport/v1", default_model="m")
    assert "ss-word" not in repr(bad)


async def test_a_waiting_time_in_the_body_is_a_retry_after() -> None:
    info = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
    ]

    async def answer(asked: Asked) -> None:
        await asked.reply(429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": info}}])

    async with raw(answer) as server, provider(server) as ref:
        error = await failure(ref)
        assert isinstance(error, e.RateLimited)
        assert error.retry_after == 34.5


async def test_a_date_to_wait_until_counts_without_a_date_of_the_response() -> None:
    async def answer(asked: Asked) -> None:
        then = datetime.now(UTC) + timedelta(hours=1)
        await asked.reply(503, {}, f"retry-after: {format_datetime(then, usegmt=True)}")

    async with raw(answer) as server, provider(server) as ref:
        waiting = (await failure(ref)).retry_after
        assert waiting is not None
        assert 3000 < waiting <= 3600


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/octet-stream", "text/event-stream"])
@pytest.mark.parametrize("before", [b"", b": welcome\n\n", b"\xef\xbb\xbf\n", b"event: message\n", b"retry: 5\n"])
async def test_a_stream_is_one_whatever_its_content_type_says(kind: str, before: bytes) -> None:
    async def answer(asked: Asked) -> None:
        await asked.begin(kind=kind)
        for letter in before:
            await asked.say(bytes([letter]))
        for chunk in CHUNKS:
            await asked.event(chunk)
        await asked.event("[DONE]")

    async with raw(answer) as server, provider(server) as ref:
        assert await streamed(ref) == "fine"


GEMINI_CHUNK = {"candidates": [{"content": {"role": "model", "parts": [{"text": "fine"}]}, "finishReason": "STOP"}]}
CLAUDE_CHUNKS = (
    {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "fine"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
)


@pytest.mark.parametrize(
    ("kind", "chunks"), [("openai", CHUNKS), ("gemini", (GEMINI_CHUNK,)), ("anthropic", CLAUDE_CHUNKS)]
)
@pytest.mark.parametrize("pings", [False, True])
async def test_an_answer_whose_finish_reason_has_come_is_whole_though_the_connection_stays_open(
    kind: str, chunks: tuple[Any, ...], pings: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "AFTERWARDS", 0.05)

    async def answer(asked: Asked) -> None:
        await asked.begin()
        for chunk in chunks:
            await asked.event(chunk)
        while pings:
            await asked.say(b": ping\n\n")
            await asyncio.sleep(0.001)
        await asyncio.Event().wait()

    async with raw(answer) as server, provider(server, kind=kind, timeout=300.0) as ref:
        assert await streamed(ref) == "fine"
        await gone(server) if pings else None


async def test_usage_that_comes_behind_the_finish_reason_is_waited_for() -> None:
    async def answer(asked: Asked) -> None:
        await asked.begin()
        for chunk in (*CHUNKS, {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}):
            await asked.event(chunk)
        await asked.event("[DONE]")
        await asyncio.Event().wait()

    async with raw(answer) as server, provider(server) as ref:
        whole = [delta async for delta in ref.stream(ASK)][-1].completion
        assert (whole.usage.input_tokens, whole.usage.output_tokens) == (7, 2)


async def test_a_vendor_that_gives_a_finish_reason_with_every_piece_is_heard_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "AFTERWARDS", 0.05)

    async def answer(asked: Asked) -> None:
        await asked.begin()
        await asked.say((b"data: " + json.dumps(GEMINI_CHUNK).encode() + b"\n\n") * 2)
        await asyncio.sleep(0.1)
        await asked.event(GEMINI_CHUNK)

    async with raw(answer) as server, provider(server, kind="gemini") as ref:
        assert await streamed(ref) == "fine" * 3


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_answer_that_comes_whole_is_one_whatever_its_content_type_says(kind: str) -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(200, WHOLE, kind=kind)

    async with raw(answer) as server, provider(server) as ref:
        assert await streamed(ref) == "fine"
        server.answer = lambda asked: asked.reply(200, {"error": {"code": 429, "message": "slow down"}}, kind=kind)
        assert isinstance(await failure(ref, stream=True), e.RateLimited)


async def test_json_that_is_nested_too_deep_to_read_is_malformed() -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(200, b"[" * 200_000)

    async with raw(answer) as server, provider(server) as ref:
        assert isinstance(await failure(ref), e.MalformedResponse)


def nested(levels: int) -> Any:
    found: Any = {"end": 1}
    for level in range(levels):
        found = [found] if level % 2 else {"inner": found}
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("levels", [90, 101, 450, 100_000])
async def test_an_answer_of_too_many_levels_is_malformed_and_one_of_many_is_an_answer(
    levels: int, stream: bool
) -> None:
    deep = "[" * levels + "]" * levels if levels > 1000 else json.dumps(nested(levels))

    async def answer(asked: Asked) -> None:
        if stream:
            await asked.begin()
            for chunk in CHUNKS:
                await asked.event(json.dumps(chunk)[:-1] + ', "odd": ' + deep + "}")
            await asked.say(b"data: [DONE]\n\n")
        else:
            await asked.reply(200, (json.dumps(WHOLE)[:-1] + ', "odd": ' + deep + "}").encode())

    async with raw(answer) as server, provider(server) as ref:
        if levels < 100:
            text = await streamed(ref) if stream else (await ref.ask(ASK)).message.text
            assert text
        else:
            assert isinstance(await failure(ref, stream=stream), e.MalformedResponse)
