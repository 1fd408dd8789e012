"""What waits for a person in an agency, and what the person decides."""

from __future__ import annotations

from ....tools.preview import Change
from ...core.mail.future import Future
from ..caller import Caller
from ..events import ApprovalRequested
from ..runs.coordination.elsewhere import decide_anywhere, waiting_anywhere, waits_anywhere
from ..runs.runtime.approvals import check_may_decide, may_decide
from ..runs.runtime.closing import ends_with_agency
from ..runs.validation import check_type
from ..turns.rules import Limits
from .part import Part


class Approvals(Part):
    """The part of an agency that asks people, and hears them."""

    @property
    def approvals(self) -> tuple[ApprovalRequested, ...]:
        """The calls that wait for a person in this process, in the order in which they were asked for."""
        return self._runtime.approvals.waiting

    @ends_with_agency
    async def pending_approvals(self, *, caller: Caller | None = None) -> tuple[ApprovalRequested, ...]:
        """The calls that wait for a person, in this process and in all that share its journal. Those of this process
        come first, as `approvals` has them; of the others ``at`` is 0.

        Args:
            caller: only those that this one may decide; None for the application itself, which may all.

        Raises:
            AgencyClosed: the agency is not running, or stopped meanwhile.
            JournalError: the journal cannot be read.
        """
        check_type(caller, Caller | None, "caller", "a Caller, or None for the application itself")
        found = await waiting_anywhere(self._runtime)
        if caller is None:
            return found
        return tuple(one for one in found if may_decide(caller, one.caller, one.approvers, one.owner))

    @ends_with_agency
    async def pending_approval(self, approval: str, *, caller: Caller | None = None) -> ApprovalRequested:
        """The call that waits under an id; otherwise as `pending_approvals`.

        Args:
            approval: the id.
            caller: who wants to know; None for the application itself.

        Raises:
            UnknownApproval: nothing waits under that id: it was decided, has expired, or never was.
            NotAllowed: the caller may not decide it.
            AgencyClosed, JournalError: as `pending_approvals`.
        """
        check_type(caller, Caller | None, "caller", "a Caller, or None for the application itself")
        check_type(approval, str, "approval", "the id of an approval")
        self._runtime.following.check()
        return await waits_anywhere(self._runtime, approval, caller)

    @ends_with_agency
    async def preview(
        self, approval: ApprovalRequested | str, *, arguments: str | None = None, caller: Caller | None = None
    ) -> tuple[Change, ...] | None:
        """What a call that waits for a person would change, as things are now; nothing of it is done.

        Args:
            approval: the event, or its ``approval`` id.
            arguments: JSON text in place of what the model wrote.
            caller: who wants to know; None for the application itself.

        Returns:
            the changes; None where the tool cannot say (see the ``preview`` of `Tool`), is not here, or it is no call
            that waits.

        Raises:
            UnknownApproval, NotAllowed, AgencyClosed, JournalError: as `pending_approval`.
            ToolError: the call would fail so, the arguments do not fit, or the preview itself fails.
        """
        asked = await self.pending_approval(approval, caller=caller) if isinstance(approval, str) else approval
        check_type(asked, ApprovalRequested, "approval", "an ApprovalRequested, or its id")
        check_may_decide(caller, asked.caller, asked)
        check_type(arguments, str | None, "arguments", "the text of a JSON object, or None")
        tool = self._runtime.approvals.tool_of(asked.agent, asked.tool)
        return None if tool is None else await tool.preview(asked.arguments if arguments is None else arguments)

    def approve(
        self,
        approval: ApprovalRequested | str,
        *,
        arguments: str | None = None,
        limits: Limits | None = None,
        caller: Caller | None = None,
    ) -> Future[None]:
        """Let a call run, or a run go on whose limits are spent.

        About one that waits in this process it is decided at once. About any other the decision is left in the
        journal, for whichever process works on the conversation.

        Args:
            approval: the event, or its ``approval`` id.
            arguments: JSON text in place of what the model wrote.
            limits: for a run with `Limits.ask` that waits for more: what it may use in all. Only what is spent is
                raised, and nothing lowered; if it is not enough, the run asks again.
            caller: who decides; None for the application itself, which may.

        Returns:
            done once it is decided, or the decision is in the journal. Only about a call that waits in another process
            need it be awaited, to learn of an error, which is logged, too.

        Raises (or the future does, about a call that waits in another process):
            UnknownApproval: nothing waits under that id: it was decided, has expired, or never was.
            NotAllowed: it is another's, and the caller has not the scope ``approvals``.
            DefinitionError: the arguments are not the text of a JSON object, or it is not limits that are wanted, or
                they are.
            UnfitArguments: the tool would refuse the arguments; the call waits on. In a process that has not the agent
                its schema says so.
            JournalError: the journal cannot be read or written.
            AgencyClosed: the agency is not running, or stopped meanwhile.
        """
        return decide_anywhere(self._runtime, approval, True, arguments, "", caller, limits)

    def deny(
        self, approval: ApprovalRequested | str, reason: str = "", *, caller: Caller | None = None
    ) -> Future[None]:
        """Refuse a call, or more to a run whose limits are spent; otherwise as `approve`.

        Args:
            approval: the event, or its ``approval`` id.
            reason: told to the model.
            caller: who decides; None for the application itself, which may.

        Returns:
            see `approve`, also for the errors.
        """
        return decide_anywhere(self._runtime, approval, False, None, reason, caller)
