"""Tokens that somebody else has signed who knows the users: JSON Web Tokens, checked by PyJWT.

https://www.rfc-editor.org/rfc/rfc8725 says what goes wrong with them: the algorithms are pinned here, and of the kind
that the key is of; a token cannot choose its own key or algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ....providers import checks
from ...agents.caller import Caller
from ...agents.errors import DefinitionError
from .keys import bearer
from .keysets import KeySet

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

MOST: Final = 16_384
"""Characters of a token."""

SHORTEST: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes of a shared secret (RFC 7518): with fewer it can be tried out."""

_SYMMETRIC: Final = tuple(SHORTEST)
_ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


class Jwt:
    """Says by a signed token who asks: ``serve(agency, authenticate=Jwt(jwks_url="https://…", issuer=…, audience=…))``.

    A token has to have an expiry and a user. A caller holds the scopes that the token says: ``admin`` and ``owner``
    among them, so name a claim that only means this application.

    Args:
        secret: shared with whoever signs; at least 32 bytes (48 for HS384, 64 for HS512).
        public_key: of whoever signs, as PEM.
        jwks_url: where their public keys are, https; read once, and again from time to time and for a key nobody knows.
            One of the three is given.
        issuer: who must have signed it; None for whoever has the key.
        audience: whom the token must be for; with None it must be for nobody in particular.
        algorithms: with which it may be signed; by default HS256 with a secret, otherwise RS256 and ES256.
        leeway: seconds by which clocks may differ.
        user, tenant, scopes: the claims that say who asks; with dots for one within another (``realm_access.roles``).
            Scopes are a list, or a text with spaces between.

    Raises:
        DefinitionError: something of it is wrong.
    """

    def __init__(
        self,
        *,
        issuer: str | None,
        audience: str | None,
        secret: str | bytes = "",
        public_key: str | bytes = "",
        jwks_url: str = "",
        algorithms: Sequence[str] = (),
        leeway: float = 0.0,
        user: str = "sub",
        tenant: str = "tenant",
        scopes: str = "scope",
    ) -> None:
        if sum(map(bool, (secret, public_key, jwks_url))) != 1:
            raise DefinitionError("Jwt: give one of secret, public_key and jwks_url")
        for name, given in (("issuer", issuer), ("audience", audience)):
            if given is not None and not (isinstance(given, str) and given):
                raise DefinitionError(f"Jwt: the {name} is a text, or None for any, not {given!r:.80}")
        claims = {"user": user, "tenant": tenant, "scopes": scopes}
        checks.require(
            DefinitionError,
            "Jwt",
            leeway=(leeway, checks.SECONDS),
            **{name: (given, checks.NAME) for name, given in claims.items()},
        )
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway
        self._claims = claims
        self._algorithms = _pinned(algorithms, _SYMMETRIC if secret else _ASYMMETRIC)
        self._key = _key(secret, public_key, self._algorithms)
        self._keys = KeySet(jwks_url) if jwks_url else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(issuer={self._issuer!r}, audience={self._audience!r})"

    async def __call__(self, connection: HTTPConnection) -> Caller | None:
        """Who asks; None where the request brings no token that holds.

        Raises:
            Refused: the keys of whoever signs cannot be read.
        """
        import jwt

        token = bearer(connection)
        if token.count(".") != 2 or len(token) > MOST:
            return None
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:
                return None
            key = self._key if self._keys is None else await self._keys.find(header.get("kid"), header["alg"])
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options={"require": ["exp"], "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            return None
        return self._caller(claims)

    def _caller(self, claims: Mapping[str, Any]) -> Caller | None:
        user, tenant, scopes = (_claim(claims, self._claims[name]) for name in ("user", "tenant", "scopes"))
        if isinstance(scopes, str):
            scopes = scopes.split()
        if tenant is None:
            tenant = ""
        if scopes is None:
            scopes = ()
        held = isinstance(scopes, list | tuple) and all(isinstance(scope, str) for scope in scopes)
        if not (isinstance(user, str) and user and isinstance(tenant, str) and held):
            return None
        return Caller(user, tenant, frozenset(scopes))


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the names of those that it stands in."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _pinned(given: Sequence[str], possible: tuple[str, ...]) -> list[str]:
    algorithms = (given,) if isinstance(given, str) else tuple(given)
    wrong = next((each for each in algorithms if each not in possible), None)
    if wrong is not None:
        raise DefinitionError(f"Jwt: with such a key the algorithms are of {', '.join(possible)}, not {wrong!r:.40}")
    return list(algorithms) or (["HS256"] if possible is _SYMMETRIC else ["RS256", "ES256"])


def _key(secret: str | bytes, public_key: str | bytes, algorithms: list[str]) -> Any:
    """The key that was given, ready for use; None where there is none."""
    import jwt

    if secret:
        shared = secret.encode() if isinstance(secret, str) else secret
        least = max(SHORTEST[each] for each in algorithms)
        if not isinstance(shared, bytes) or len(shared) < least or b"-----BEGIN" in shared:
            raise DefinitionError(f"Jwt: the secret is a text or bytes of at least {least} bytes, and no public key")
        return shared
    if not public_key:
        return None
    for algorithm in algorithms:
        made = jwt.get_algorithm_by_name(algorithm)
        with suppress(jwt.PyJWTError, ValueError, TypeError):
            key = made.prepare_key(public_key)
            if "PUBLIC" in (public_key if isinstance(public_key, str) else public_key.decode()):
                return key
    raise DefinitionError(f"Jwt: the public key is no PEM of a public key for {' or '.join(algorithms)}")
