"""LiteLLM, an optional extra: the way to every vendor that has no provider of its own here."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..errors import (
    AuthenticationFailed,
    ConnectionLost,
    ContextTooLong,
    InvalidRequest,
    MalformedResponse,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
    StreamCut,
    UnknownModel,
)
from ..messages import Completion, Delta, Request
from ..provider import Provider
from ..wire import openai_chat
from ..wire.limits import retry_after
from ..wire.openai_chat import Dialect
from ..wire.secrets import shortened
from .extras import required

_DIALECT = Dialect(max_tokens="max_tokens", drops=frozenset())
# LiteLLM names its exceptions after OpenAI's. The status comes second: some carry a wrong one.
_BY_NAME: dict[str, type[ProviderError]] = {
    "AuthenticationError": AuthenticationFailed,
    "PermissionDeniedError": AuthenticationFailed,
    "NotFoundError": UnknownModel,
    "ContextWindowExceededError": ContextTooLong,
    "RateLimitError": RateLimited,
    "Timeout": ProviderTimeout,
    "APIConnectionError": ConnectionLost,
    "ServiceUnavailableError": ProviderOverloaded,
    "InternalServerError": ProviderOverloaded,
    "BadGatewayError": ProviderOverloaded,
    "APIResponseValidationError": MalformedResponse,
    "JSONSchemaValidationError": MalformedResponse,
    "BadRequestError": InvalidRequest,
    "UnprocessableEntityError": InvalidRequest,
    "ContentPolicyViolationError": InvalidRequest,
}


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
        await asyncio.to_thread(self.load)
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
            raise StreamCut(f"{self.spec.name} stopped in the middle of its answer", provider=self.spec.name)
        yield Delta(completion=replace(assembler.completion(), notes=tuple(notes)))

    def _origin(self, request: Request) -> str:
        """Whose state comes and goes: LiteLLM's form of it, and the vendor that the model's name begins with."""
        vendor, found, _ = self.spec.model_of(request).partition("/")
        return f"litellm:{vendor}" if found else "litellm"

    async def _call(self, request: Request, notes: list[str], *, stream: bool) -> Any:
        payload = openai_chat.to_payload(
            request,
            model=self.spec.model_of(request),
            stream=stream,
            dialect=_DIALECT,
            origin=self._origin(request),
            notes=notes,
        )
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

    def _problem(self, error: Exception) -> Exception:
        # In the middle of a stream LiteLLM wraps what happened in an error of its own.
        error = getattr(error, "original_exception", None) or error
        kind = _BY_NAME.get(type(error).__name__)
        status = getattr(error, "status_code", None)
        if not isinstance(status, int):
            status = None
        if kind is None and status is None:
            return (
                error
                if isinstance(error, ProviderError)
                else ProviderError(f"{self.spec.name}: {type(error).__name__}", provider=self.spec.name)
            )
        headers = getattr(error, "litellm_response_headers", None)
        headers = headers or getattr(getattr(error, "response", None), "headers", None) or {}
        text = shortened(str(getattr(error, "message", error)))
        if text.endswith("Connection error."):  # it calls that a server error too
            kind = ConnectionLost
        return (kind or (ProviderOverloaded if (status or 0) >= 500 else InvalidRequest))(
            f"{self.spec.name} failed: {text}",
            provider=self.spec.name,
            status=status,
            retry_after=retry_after(headers),
        )
