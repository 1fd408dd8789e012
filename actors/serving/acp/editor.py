"""An agency as the agent of an editor: sessions are conversations of its first agent.

https://agentclientprotocol.com/protocol/overview
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import PurePath
from typing import Any, Final
from uuid import uuid4

from acp import PROTOCOL_VERSION, RequestError
from acp.schema import (
    AgentCapabilities,
    ClientCapabilities,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PromptCapabilities,
    PromptResponse,
    StopReason,
    Usage,
)

from ...agents.agency import Agency
from ...agents.answer import Answer
from ...agents.caller import Caller
from ...agents.errors import (
    AgentError,
    AnswerBlocked,
    ContextOverflow,
    GuardrailTripped,
    LimitReached,
    RunCancelled,
    UnknownConversation,
)
from ...agents.runs.handle import RunHandle
from ...journal.errors import JournalError
from ..problems import problem_of
from .content import as_message, as_updates
from .files import READ, WRITE, run_call, tools_of
from .turn import Turn

_REASONS: Final[tuple[tuple[type[Exception], StopReason], ...]] = (
    (RunCancelled, "cancelled"),
    (GuardrailTripped, "refusal"),
    (AnswerBlocked, "refusal"),
    (ContextOverflow, "max_tokens"),
    (LimitReached, "max_turn_requests"),
)
"""Ends of a run that the protocol has words for; all others are errors."""


SHOWN: Final = 30.0
"""Seconds in which an editor must have taken what happened in a run that is over."""

_CANCELLED: Final = "cancelled in the editor"


class Session:
    """A conversation that an editor has open.

    Args:
        roots: the folders that it is about.
    """

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = roots
        self.prompting = False
        self.cancelled = False
        self.handle: RunHandle | None = None
        self.followed: set[str] = set()
        """Runs that are shown and that nobody has asked for here."""


class Editor:
    """What an editor talks to; its methods are those of the protocol.

    Args:
        agency: which is running.
        caller: who uses the editor; None for whoever has started the program.
        version: of this library.
    """

    def __init__(self, agency: Agency, caller: Caller | None, version: str) -> None:
        self._agency = agency
        self._caller = caller
        self._version = version
        self._client: Any = None
        self._capabilities: ClientCapabilities | None = None
        self._sessions: dict[str, Session] = {}
        self._following: set[asyncio.Task[None]] = set()

    def on_connect(self, client: Any) -> None:
        """The connection is there."""
        self._client = client

    async def initialize(
        self, protocol_version: int, client_capabilities: ClientCapabilities | None = None, **_: Any
    ) -> InitializeResponse:
        """Say what each side can do."""
        self._capabilities = client_capabilities or ClientCapabilities()
        return InitializeResponse(
            protocol_version=PROTOCOL_VERSION,
            agent_capabilities=AgentCapabilities(
                load_session=self._agency.durable,
                prompt_capabilities=PromptCapabilities(image=True, audio=True, embedded_context=True),
            ),
            agent_info=Implementation(name="callboard", title=self._agency.entry, version=self._version),
            auth_methods=[],
        )

    async def new_session(
        self,
        cwd: str,
        additional_directories: list[str] | None = None,
        mcp_servers: list[Any] | None = None,
        **_: Any,
    ) -> NewSessionResponse:
        """Begin a conversation."""
        session = uuid4().hex
        self._open(session, cwd, additional_directories, mcp_servers)
        return NewSessionResponse(session_id=session)

    async def load_session(
        self,
        cwd: str,
        session_id: str,
        mcp_servers: list[Any] | None = None,
        additional_directories: list[str] | None = None,
        **_: Any,
    ) -> LoadSessionResponse:
        """Show a conversation again that the journal keeps. A run of it that is under way is shown on."""
        try:
            kept = await self._agency.conversation(session_id, caller=self._caller)
        except UnknownConversation:
            data = {"uri": session_id[:100], "code": "unknown_session", "details": "no such session is kept here"}
            raise RequestError(-32002, "Resource not found", data) from None
        except (AgentError, JournalError) as error:
            raise _refused(error) from None
        session = self._open(session_id, cwd, additional_directories, mcp_servers)
        for update in as_updates(kept.messages, session_id):
            await self._client.session_update(session_id, update)
        for run in kept.runs:
            own = session.handle is not None and session.handle.id == run.id
            if run.status in ("queued", "running", "waiting") and not own and run.id not in session.followed:
                session.followed.add(run.id)
                try:
                    handle = await self._agency.handle(run.id, caller=self._caller)
                except (AgentError, JournalError):  # it has ended meanwhile, and is not kept
                    continue
                turn = Turn(self._agency, self._client, session_id, run.id, self._caller)
                turn.begin(handle.so_far())
                task = asyncio.ensure_future(self._follow(session, turn, run.id))
                self._following.add(task)
                task.add_done_callback(self._following.discard)
        return LoadSessionResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        """Ask, and show what happens until the answer is there."""
        session = self._session(session_id)
        if not prompt:
            raise _invalid_params("empty_prompt", "prompt: there is nothing in it")
        if session.prompting:
            details = "a prompt of this session is under way: cancel it first"
            raise RequestError.invalid_request({"code": "prompt_under_way", "details": details})
        session.prompting, session.cancelled = True, False
        try:
            answer = await self._answered(session_id, session, as_message(prompt))
        except (AgentError, JournalError) as error:
            for kind, reason in _REASONS:
                if isinstance(error, kind):
                    return PromptResponse(stop_reason=reason)
            raise _refused(error) from None
        finally:
            session.prompting, session.handle = False, None
        if answer is None:
            return PromptResponse(stop_reason="cancelled")
        used = answer.usage
        usage = Usage(
            total_tokens=used.total_tokens,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            thought_tokens=used.reasoning_tokens or None,
            cached_read_tokens=used.cache_read_tokens or None,
            cached_write_tokens=used.cache_write_tokens or None,
        )
        return PromptResponse(stop_reason="end_turn", usage=usage)

    async def cancel(self, session_id: str, **_: Any) -> None:
        """Have the prompt under way ended, and what else is shown of the session."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        session.cancelled = True
        handles = [] if session.handle is None else [session.handle]
        for run in session.followed:
            with suppress(AgentError):
                handles.append(await self._agency.handle(run, caller=self._caller))
        for handle in handles:
            with suppress(AgentError):
                await handle.cancel(_CANCELLED)

    async def aclose(self) -> None:
        """The editor has gone."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    # -- within --------------------------------------------------------------------------------------------------------

    def _open(self, session: str, cwd: str, more: list[str] | None, servers: list[Any] | None) -> Session:
        if self._capabilities is None:
            raise RequestError.invalid_request({"code": "not_initialized", "details": "initialize comes first"})
        roots = (cwd, *(more or ()))
        for root in roots:
            if not PurePath(root).is_absolute():
                raise _invalid_params("relative_path", f"cwd: {root[:200]!r} is no absolute path")
        if servers:
            logging.getLogger("callboard").warning(
                "%s MCP servers of the editor are left out: a team has those that its file names", len(servers)
            )
        opened = self._sessions.setdefault(session, Session(roots))
        opened.roots = roots
        return opened

    def _session(self, session: str) -> Session:
        found = self._sessions.get(session)
        if found is None:
            details = f"there is no session {session[:100]!r}: begin one with session/new, or session/load"
            raise _invalid_params("unknown_session", details)
        return found

    async def _answered(self, id: str, session: Session, question: Any) -> Answer | None:
        """The answer; None where it was cancelled between two runs."""
        tools = tools_of(self._capabilities)
        while not session.cancelled:
            run = uuid4().hex
            turn = Turn(self._agency, self._client, id, run, self._caller)
            showing = asyncio.ensure_future(turn.show())
            try:
                session.handle = handle = await self._agency.start_run(
                    question, conversation=id, caller=self._caller, tools=tools, run_id=run, stream=True
                )
                if session.cancelled:
                    await handle.cancel(_CANCELLED)
                answer = await _shown(handle, showing)
            finally:
                showing.cancel()
                turn.close()
            calls = [call for call in answer.tool_calls if call.name in (READ, WRITE)]
            if not calls:
                return answer
            question = [await run_call(self._client, id, session.roots, call) for call in calls]
        return None

    async def _follow(self, session: Session, turn: Turn, run: str) -> None:
        """Show a run that nobody here has asked for, as far as it can be shown."""
        showing = asyncio.ensure_future(turn.show())
        try:
            with suppress(AgentError, JournalError):
                await _shown(await self._agency.handle(run, caller=self._caller), showing)
        finally:
            session.followed.discard(run)
            showing.cancel()
            turn.close()


async def _shown(handle: RunHandle, showing: asyncio.Future[None]) -> Answer:
    """The answer of a run, once its end is shown. Where the editor has gone before, nothing is waited for."""
    try:
        answer = await handle
    except (AgentError, JournalError):
        await asyncio.wait((showing,), timeout=SHOWN)
        raise
    await asyncio.wait((showing,), timeout=SHOWN)
    return answer


def _invalid_params(code: str, details: str) -> RequestError:
    return RequestError.invalid_params({"code": code, "details": details})


def _refused(error: Exception) -> RequestError:
    """What went wrong, as JSON-RPC has it."""
    problem = problem_of(error)
    data = {"details": problem.message, "code": problem.code}
    return RequestError.invalid_params(data) if problem.status < 500 else RequestError.internal_error(data)
