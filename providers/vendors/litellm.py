"""LiteLLM, an optional extra: the way to every vendor that has no provider of its own here."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..checks import HEADERS
from ..errors import (
    ConnectionLost,
    ContextTooLong,
    InvalidRequest,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
)
from ..messages import Completion, Delta, Request
from ..provider import Provider
from ..shapes import unwritable
from ..wire import openai_chat
from ..wire.failures import cut, from_status
from ..wire.fitting.letters import sendable
from ..wire.limits import retry_after
from ..wire.openai_chat import Dialect
from ..wire.secrets import shortened
from .extras import required

_DIALECT = Dialect(max_tokens="max_tokens", drops=frozenset(), stops=0)
# What LiteLLM's names say more of than the status beside them; the vendor's own words and status decide all else.
_BY_NAME: dict[str, type[ProviderError]] = {
    "ContextWindowExceededError": ContextTooLong,
    "ContentPolicyViolationError": InvalidRequest,
    "Timeout": ProviderTimeout,
    "APIConnectionError": ConnectionLost,
    "APIResponseValidationError": MalformedResponse,
    "JSONSchemaValidationError": MalformedResponse,
}
# Its own refusals, made without a vendor.
_WITHOUT_STATUS: dict[str, int] = {
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "RateLimitError": 429,
    "ServiceUnavailableError": 503,
    "InternalServerError": 500,
    "BadGatewayError": 502,
    "BadRequestError": 400,
    "UnprocessableEntityError": 422,
}
_PREFIX = re.compile(r"(?:(?:litellm\.)?\w*(?:Error|Timeout): )*(?:\w+(?:Exception|Error)(?: \w+Error)? - )?")
"""What it puts before a vendor's words: ``litellm.BadRequestError: GroqException - ``."""
_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


class LiteLLMProvider(Provider):
    """Sends requests through LiteLLM, which takes keys from its own environment variables or from the spec."""

    _litellm: Any = None

    @classmethod
    def load(cls) -> None:
        # Without this LiteLLM fetches its price list from the network at import.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        with suppress(ImportError):
            importlib.import_module("litellm")

    async def on_start(self) -> None:
        self._interruptible = True
        await asyncio.to_thread(self.load)
        self._interruptible = False
        self._litellm = required("litellm", "litellm", self.spec.name)
        self._litellm.suppress_debug_info = True

    async def complete(self, request: Request) -> Completion:
        notes: list[str] = []
        response = await self._call(request, notes, stream=False)
        completion = openai_chat.from_response(
            response.model_dump(), provider=self.spec.name, origin=self._origin(request)
        )
        return replace(completion, notes=tuple(notes))

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        notes: list[str] = []
        assembler = openai_chat.Assembler(provider=self.spec.name, origin=self._origin(request))
        response = await self._call(request, notes, stream=True)
        problem: Exception | None = None
        try:
            async for chunk in response:
                for delta in assembler.feed(chunk.model_dump()):
                    yield delta
        except ProviderError:
            raise
        except Exception as error:
            problem = self._problem(error)
        finally:
            close = getattr(response, "aclose", None)
            if close is not None:
                await close()
        if problem is not None:
            raise problem
        # LiteLLM puts "stop" at the end of a stream that was cut; only its own notes tell what really came.
        if not getattr(response, "received_finish_reason", "?") and not getattr(
            response, "intermittent_finish_reason", ""
        ):
            raise cut(provider=self.spec.name)
        yield Delta(completion=replace(assembler.completion(), notes=tuple(notes)))

    def _origin(self, request: Request) -> str:
        """Whose state comes and goes: LiteLLM's form of it, and the vendor that the model's name begins with."""
        vendor, found, _ = self.spec.model_of(request).partition("/")
        return f"litellm:{vendor}" if found else "litellm"

    async def _call(self, request: Request, notes: list[str], *, stream: bool) -> Any:
        try:
            payload = openai_chat.to_payload(
                request,
                model=self.spec.model_of(request),
                stream=stream,
                dialect=_DIALECT,
                origin=self._origin(request),
                notes=notes,
            )
            payload = sendable(payload, notes)  # LiteLLM would call what it cannot send the vendor's failure
        except Exception as error:
            raise unwritable(request, error, self.spec.name) from None
        settings: dict[str, Any] = {
            "num_retries": 0,
            "max_retries": 0,
            "timeout": self.spec.timeout,
            "drop_params": True,
        }
        if self.spec.secret:
            settings["api_key"] = self.spec.secret
        if self.spec.base_url:
            settings["api_base"] = self.spec.base_url
        if not HEADERS.fits(request.headers):
            raise InvalidRequest(f"headers: expected {HEADERS.text}", provider=self.spec.name)
        headers = {**self.spec.headers, **request.headers}
        if headers:
            settings["extra_headers"] = headers
        problem: Exception
        try:
            return await self._litellm.acompletion(**payload, **settings)
        except Exception as error:
            problem = self._problem(error)
        # Outside of the handler: the cause may hold the key among its request's headers.
        raise problem

    def secrets(self) -> tuple[str, ...]:
        """Also what LiteLLM may have read from the environment by itself."""
        around = (value for name, value in os.environ.items() if value and _SECRET_VARIABLE.search(name))
        return (*super().secrets(), *around)

    def _problem(self, error: Exception) -> Exception:
        # In the middle of a stream LiteLLM wraps what happened in an error of its own.
        error = getattr(error, "original_exception", None) or error
        name = self.spec.name
        if isinstance(error, ProviderError):
            return error
        known = type(error).__name__
        kind = _BY_NAME.get(known)
        status = getattr(error, "status_code", None)
        if not isinstance(status, int):
            status = _WITHOUT_STATUS.get(known)
        headers = getattr(error, "litellm_response_headers", None)
        headers = headers or getattr(getattr(error, "response", None), "headers", None) or {}
        text = str(getattr(error, "message", error))
        if text.endswith("Connection error."):  # it calls that a server error too
            kind = ConnectionLost
        if kind is not None:
            waiting = retry_after(headers)
            return kind(f"{name} failed: {shortened(text)}", provider=name, status=status, retry_after=waiting)
        if status is None:
            return ProviderError(f"{name}: {known}", provider=name)
        return from_status(status, _words(error, text), headers, provider=name)


def _words(error: Exception, text: str) -> str:
    """What the vendor said, of an error: the body of its answer, or what LiteLLM has made of that."""
    with suppress(Exception):  # the body may not have been read, and then cannot be
        body = error.response.text  # type: ignore[attr-defined]
        if isinstance(body, str) and body.strip():
            return body
    found = getattr(error, "body", None)
    if isinstance(found, Mapping):
        return json.dumps({"error": dict(found)}, default=str)
    prefix = _PREFIX.match(text)
    said = text[prefix.end() if prefix else 0 :].strip()
    with suppress(ValueError):
        _, end = json.JSONDecoder().raw_decode(said)
        return said[:end]  # behind it stands LiteLLM's advice
    return said
