"""Signed tokens: which of them say who asks, and which say nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.requests import HTTPConnection

from callboard import Caller, Jwt
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.serving.problems import Refused
from callboard.actors.serving.who import keysets

SECRET = "a secret of at least thirty-two bytes"
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
HALF = frozenset({"sales", "half"})


def pem(key: Any) -> str:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    made: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, kind)
    return made.decode()


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": "https://id.example", "aud": "callboard", "sub": "ada", "exp": now + 60, "tenant": "acme"}
    return {name: value for name, value in {**made, **changed}.items() if value is not None}


def token(key: Any = SECRET, algorithm: str = "HS256", kid: str = "", **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers={"kid": kid} if kid else None)


def asked(given: str) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"authorization", f"Bearer {given}".encode())]})


def shared(**options: Any) -> Jwt:
    return Jwt(**{"secret": SECRET, "issuer": "https://id.example", "audience": "callboard", **options})


async def test_a_token_that_holds_says_who_asks() -> None:
    who = await shared()(asked(token(scope="sales half")))
    assert who == Caller("ada", "acme", HALF)
    assert await shared()(asked(token(scope=["sales", "half"], aud=["x", "callboard"]))) == who
    assert await shared()(asked(token(tenant=None))) == Caller("ada")
    nested = shared(user="person.mail", tenant="https://id.example/org", scopes="realm.roles")
    given = token(person={"mail": "ada"}, realm={"roles": ["sales", "half"]}, **{"https://id.example/org": "acme"})
    assert await nested(asked(given)) == who


def unsigned() -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims())]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def by_its_own_key() -> str:
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER.public_key()))
    return jwt.encode(claims(), OTHER, "RS256", headers={"jwk": own, "jku": "https://evil.example"})


@pytest.mark.parametrize(
    "given",
    [
        "",
        "a.b.c",
        "..",
        "x" * 20_000 + ".b.c",
        unsigned(),
        unsigned().replace("none", "None"),
        token("another secret of thirty-two bytes"),
        token(exp=int(time.time()) - 1),
        token(exp=None),
        token(exp="soon"),
        token(nbf=int(time.time()) + 600),
        token(iss="https://evil.example"),
        token(iss=None),
        token(aud="another"),
        token(aud=None),
        token(sub=None),
        token(sub=""),
        token(tenant=["acme"]),
        token(scope={"admin": True}),
        token(scope=["admin", 5]),
        token("a secret of at least thirty-two bytes, and so many more that it has sixty-four", "HS512"),
        by_its_own_key(),
        jwt.encode(claims(), SECRET, "HS256", headers={"crit": ["b64x"], "b64x": True}),
    ],
)
async def test_a_token_that_does_not_hold_says_nothing(given: str) -> None:
    assert await shared()(asked(given)) is None


async def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    late = token(exp=int(time.time()) - 20)
    assert await shared(leeway=60)(asked(late)) is not None
    assert await shared(leeway=5)(asked(late)) is None


async def test_nobody_in_particular_is_said_so() -> None:
    anyone = shared(issuer=None, audience=None)
    assert await anyone(asked(token(iss=None, aud=None))) is not None
    assert await anyone(asked(token(aud="another"))) is None  # it is for somebody else


async def test_a_public_key_opens_nothing_as_a_secret() -> None:
    by = Jwt(public_key=pem(RSA), issuer=None, audience="callboard")
    assert await by(asked(token(RSA, "RS256"))) is not None
    assert await by(asked(token(OTHER, "RS256"))) is None
    assert await by(asked(token(RSA, "PS256"))) is None
    forged = jwt.api_jws.PyJWS()  # an HMAC with the public key's text, which everybody has
    body = json.dumps(claims()).encode()
    with pytest.raises(jwt.InvalidKeyError):
        forged.encode(body, pem(RSA), "HS256")
    import hashlib
    import hmac

    head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=") + b"."
    head += base64.urlsafe_b64encode(body).rstrip(b"=")
    mac = base64.urlsafe_b64encode(hmac.digest(pem(RSA).encode(), head, hashlib.sha256)).rstrip(b"=")
    assert await by(asked((head + b"." + mac).decode())) is None
    elliptic = Jwt(public_key=pem(EC), issuer=None, audience="callboard")
    assert await elliptic(asked(token(EC, "ES256"))) is not None
    assert await elliptic(asked(token(RSA, "RS256"))) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give one of secret, public_key and jwks_url"),
        ({"secret": SECRET, "public_key": "x"}, "give one of"),
        ({"secret": "short"}, "at least 32 bytes"),
        ({"secret": SECRET, "algorithms": ["HS512"]}, "at least 64 bytes"),
        ({"secret": pem(RSA)}, "no public key"),
        ({"secret": SECRET, "algorithms": ["none"]}, "not 'none'"),
        ({"secret": SECRET, "algorithms": ["RS256"]}, "not 'RS256'"),
        ({"public_key": pem(RSA), "algorithms": ["HS256"]}, "not 'HS256'"),
        ({"public_key": pem(RSA), "algorithms": ["ES256"]}, "no PEM of a public key for ES256"),
        ({"public_key": "nothing"}, "no PEM"),
        ({"jwks_url": "http://id.example/keys"}, "https://"),
        ({"jwks_url": "keys"}, "https://"),
        ({"secret": SECRET, "leeway": -1}, "leeway"),
        ({"secret": SECRET, "user": ""}, "user is ''"),
        ({"secret": SECRET, "issuer": ""}, "the issuer is a text"),
    ],
)
def test_what_cannot_check_tokens_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said) as refused:
        Jwt(**{"issuer": None, "audience": None, **options})
    assert SECRET not in str(refused.value)


def test_no_secret_stands_in_what_is_shown_of_it() -> None:
    assert SECRET not in repr(shared())


class Published:
    """Keys as their owner publishes them.

    Attributes:
        keys: by their ids.
        asked: how often they were read.
        body: what stands there instead.
        drips: pieces of nothing, each a little later, that come before the body.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"one": RSA}
        self.asked = 0
        self.body: bytes | None = None
        self.drips = 0
        self.tasks: set[asyncio.Task[None]] = set()
        """Those that answer: one whose client has gone may drip on."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._answer(reader, writer)
        finally:
            self.tasks.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        made = jwt.algorithms.RSAAlgorithm.to_jwk
        keys = [{**json.loads(made(key.public_key())), "kid": kid} for kid, key in self.keys.items()]
        body = json.dumps({"keys": keys}).encode() if self.body is None else self.body
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        writer.write(head.replace(b"%d" % len(body), b"%d" % (len(body) + self.drips)))
        for _ in range(self.drips):
            writer.write(b" ")
            await asyncio.sleep(0.01)
        writer.write(body)
        with suppress(ConnectionError):
            await writer.drain()


@asynccontextmanager
async def published() -> AsyncIterator[tuple[Published, Jwt]]:
    keys = Published()
    server = await asyncio.start_server(keys, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield keys, Jwt(jwks_url=f"http://127.0.0.1:{port}/keys", issuer=None, audience="callboard")
        finally:
            for task in tuple(keys.tasks):
                task.cancel()
            await asyncio.gather(*keys.tasks, return_exceptions=True)


async def test_published_keys_are_read_once_and_again_for_a_key_nobody_knows_and_not_for_each_that_is_made_up() -> None:
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        async with published() as (keys, by):
            good = [by(asked(token(RSA, "RS256", "one"))) for _ in range(20)]
            assert None not in await asyncio.gather(*good)
            assert keys.asked == 1
            keys.keys = {"two": OTHER}
            assert await by(asked(token(OTHER, "RS256", "two"))) is None  # they were read just now
            clock.shift(31)
            assert await by(asked(token(OTHER, "RS256", "two"))) is not None
            assert await by(asked(token(RSA, "RS256", "one"))) is None
            assert keys.asked == 2
            made_up = [by(asked(token(OTHER, "RS256", f"x{index}"))) for index in range(50)]
            assert set(await asyncio.gather(*made_up)) == {None}
            assert keys.asked == 2
            assert await by(asked(token(RSA, "RS256", "two"))) is None
            assert await by(asked(token(OTHER, "RS256"))) is not None  # there is only one it could be of
            keys.keys = {"two": OTHER, "three": RSA}
            clock.shift(31)
            assert await by(asked(token(RSA, "RS256", "three"))) is not None
            assert await by(asked(token(OTHER, "RS256"))) is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"keys": []}', b'{"keys": 5}', b"x" * 600_000, b"[" * 100_000])
async def test_keys_that_cannot_be_read_let_nobody_in_and_those_that_were_read_count_on(body: bytes) -> None:
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        async with published() as (keys, by):
            keys.body = body
            with pytest.raises(Refused, match="cannot be read") as refused:
                await by(asked(token(RSA, "RS256", "one")))
            assert (refused.value.problem.status, refused.value.problem.retry_after) == (503, 30.0)
            keys.body = None
            clock.shift(31)
            assert await by(asked(token(RSA, "RS256", "one"))) is not None
            keys.body = body
            clock.shift(3_600)
            assert await by(asked(token(RSA, "RS256", "one"))) is not None
            clock.shift(86_400)
            with pytest.raises(Refused, match="cannot be read"):
                await by(asked(token(RSA, "RS256", "one")))


async def test_keys_that_come_byte_by_byte_are_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keysets, "TIMEOUT", 0.1)
    async with published() as (keys, by):
        keys.drips = 300
        with pytest.raises(Refused, match="cannot be read"):
            await by(asked(token(RSA, "RS256", "one")))


async def test_a_published_secret_or_a_key_for_something_else_checks_no_token() -> None:
    async with published() as (keys, by):
        made = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key()))
        secret = base64.urlsafe_b64encode(SECRET.encode()).decode()
        wrong = [
            {**made, "kid": "enc", "use": "enc"},
            {**made, "kid": "ps", "alg": "PS256"},
            {"kty": "oct", "kid": "oct", "k": secret},
            {"kty": "RSA", "kid": "broken", "n": "x"},
        ]
        keys.body = json.dumps({"keys": [*wrong, 5]}).encode()
        for kid in ("enc", "ps", "broken"):
            assert await by(asked(token(RSA, "RS256", kid))) is None
        assert await by(asked(token(SECRET, "HS256", "oct"))) is None
