"""Runs that nobody waits for, and what is said to those under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, get_args, overload

from ....providers.checks import COUNT, one_of
from ..agent import Agent
from ..caller import Caller
from ..conversations.listing import list_runs
from ..conversations.view import RunPage
from ..errors import UnknownConversation
from ..runs.coordination.steering import steer
from ..runs.handle import RunHandle, Status, find_run, start_run
from ..runs.runtime.closing import ends_with_agency
from ..runs.runtime.under_way import RunUnderWay, under_way
from ..runs.validation import Asked, RunOptions, asked_for, check_id, check_type, new_run
from ..turns.questions import Question
from ..wishes import define
from .part import Part

if TYPE_CHECKING:
    from typing import Unpack

T = TypeVar("T")
_STATUS = one_of(*get_args(Status)).or_none("for all")
Whom: TypeAlias = "Agent[Any, Any] | str | None"


class BackgroundRuns(Part):
    """The part of an agency that has runs made in the background, and finds them again."""

    @overload
    async def start_run(
        self,
        question: Question,
        *,
        agent: Whom = None,
        output_type: type[T],
        stream: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunHandle[T]: ...

    @overload
    async def start_run(
        self,
        question: Question,
        *,
        agent: Agent[Any, T],
        output_type: None = None,
        stream: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunHandle[T]: ...

    @overload
    async def start_run(
        self,
        question: Question,
        *,
        agent: Whom = None,
        output_type: Any = None,
        stream: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunHandle[Any]: ...

    async def start_run(
        self,
        question: Question,
        *,
        agent: Whom = None,
        output_type: Any = None,
        stream: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunHandle:
        """Ask, and go on without waiting for the answer. (`start` starts the agency.)

        The arguments are those of `run`, and ``stream``: whether the model's text shall come in pieces, for
        `RunHandle.stream`. Returns once the run is accepted; with a durable journal: recorded. From then on it goes on
        whatever becomes of the caller, and, with a durable journal, of this process. A deadline of the `send_context`
        around it does not count for it.

        Raises:
            AgentError: it was not accepted, as `run`.
        """
        check_type(stream, bool, "stream", "True or False")
        return await self._started(asked_for(question, agent, output_type, options, stream=stream, background=True))

    @ends_with_agency
    async def _started(self, asked: Asked) -> RunHandle[Any]:
        return await start_run(self._runtime, *new_run(self._runtime, asked), asked_before=asked.run_id is not None)

    @ends_with_agency
    async def handle(self, run_id: str, *, caller: Caller | None = None) -> RunHandle:
        """A handle on a run that was started in the background or has a ``run_id`` of the caller's, in this process or
        any other that shares the journal, also if it ended long ago; or on one that is under way in this process.

        Args:
            run_id: the run's.
            caller: who wants it; None for the application itself, which may.

        Raises:
            UnknownRun: nothing is kept of such a run.
            NotAllowed: it is another's.
            AgencyClosed: the agency is not running.
            JournalError: its conversation cannot be read.
        """
        check_type(caller, Caller | None, "caller", "a Caller, or None for the application itself")
        return await find_run(self._runtime, run_id, caller)

    @ends_with_agency
    async def runs(
        self,
        *,
        agent: Agent | str | None = None,
        conversation: str | None = None,
        status: Status | None = None,
        user: str | None = None,
        tenant: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> RunPage:
        """The runs that are kept, of all processes that share the journal, page by page. Left out are those without a
        conversation that were not started in the background, what agents have among themselves, and conversations that
        cannot be read (a warning is logged). A page reads 500 conversations at most, and may be short for that.

        Args:
            agent: whose; None for all. One that is not in the team any more may be named, too.
            conversation: of this id; None for all.
            status: how far they are, see `RunHandle.status`; None for all.
            user, tenant: of the caller who began the conversation, empty for nobody named; None for all.
            after: the `next` of the page before; empty for the first one.
            limit: how many at most, from 1 on.

        Raises:
            DefinitionError: an argument is none of these.
            AgencyClosed: the agency is not running, or stopped meanwhile.
            JournalError: the journal cannot be read.
        """
        self._at_work(None)
        texts = {"conversation": conversation, "user": user, "tenant": tenant}
        for field, given in texts.items():
            check_type(given, str | None, field, "a text, or None")
        check_type(agent, Agent | str | None, "agent", "an Agent, its name, or None")
        check_type(after, str, "after", "the `next` of the page before")
        define("runs", limit=(limit, COUNT), status=(status, _STATUS))
        name = agent.name if isinstance(agent, Agent) else agent
        runtime = self._runtime
        return await list_runs(
            runtime.journal,
            agent=name,
            status=status,
            after=after,
            limit=limit,
            called=runtime.worker_name,
            **texts,
        )

    def under_way(self) -> tuple[RunUnderWay, ...]:
        """What the runs that have not ended do now: those of this process, with those that agents make for them, in the
        order in which they were asked for. It costs nothing but the call. On the loop's thread only.

        Raises:
            AgencyClosed: the agency is not running.
        """
        self._at_work(None)
        return under_way(self._runtime.register, self._runtime.time())

    @ends_with_agency
    async def steer(
        self,
        conversation: str,
        message: Question,
        *,
        agent: Agent | str | None = None,
        caller: Caller | None = None,
    ) -> None:
        """Say something to the run under way in a conversation, in whichever process it is worked on.

        The model sees it before its next completion, once every call under way has its result. In a conversation that
        was transferred it is told to the agent that has it now. Returns once it is recorded: it is heard once, also
        over crashes. Cancelled before, it may still be heard.

        Args:
            conversation: the conversation's id.
            message: a text, a message, or several messages, of the role user or system.
            agent: whose; the first agent's by default.
            caller: who says it; None for the application itself, which may.

        Raises:
            NotAllowed: the conversation is another's.
            ConversationIdle: no run is under way; ask with `run`.
            UnknownConversation: nothing is known of it.
            DefinitionError: the message is of the wrong shape.
            AgencyClosed: the agency is not running.
            JournalError: the conversation cannot be read.
        """
        check_id(conversation, "conversation", UnknownConversation)
        name = self._directory.name_of(agent)
        await self._check_whose(name, conversation, caller)
        await steer(self._runtime, name, conversation, message)
