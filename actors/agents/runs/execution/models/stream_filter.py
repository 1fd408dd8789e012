"""What of a streamed completion is shown, and when: as it comes, as far as guardrails let it through, or, where one of
them needs the whole, once that has passed."""

from __future__ import annotations

import asyncio

from ......providers.messages import Completion, Delta
from .....core.base.foreign import is_ours
from ....errors import GuardrailTripped, said
from ....events import ReasoningDelta, TextDelta
from ....hooks import Hook, HookContext, TextStream
from ...runtime.spoken import Spoken
from ..session import Session
from .partial import Partial


class StreamFilter:
    """One streamed completion on its way to those who watch.

    Args:
        session: the run.
    """

    __slots__ = ("_held", "_hooks", "_partial", "_reasoning", "_session", "_text", "_whole")

    def __init__(self, session: Session) -> None:
        hooks = session.prepared.hooks
        judges = [item for item in hooks.get("response", ()) if item.guardrail]
        self._session = session
        self._whole = any(item.stream is None for item in judges)
        chunks = [item for item in hooks.get("chunk", ()) if item.stream is not None]
        self._hooks: list[Hook] = chunks if self._whole else [*chunks, *judges]
        self.begin()

    def begin(self) -> None:
        """Begin, or begin anew: what came before is void."""
        session = self._session
        session.spoken = Spoken(session.state.turn.steps + 1)
        self._held: list[Delta] = []
        self._text = self._streams()
        self._reasoning = self._streams()
        self._partial = Partial(session) if session.output is not None and not self._whole else None

    def _streams(self) -> list[tuple[Hook, TextStream]]:
        session = self._session
        made = []
        for item in self._hooks:
            assert item.stream is not None
            context = HookContext(item.event, session.context, session.hook_state, emit=session.emit)
            made.append((item, item.stream(context)))
        return made

    async def take(self, delta: Delta) -> None:
        """Take a piece, and show what may be shown.

        Raises:
            GuardrailTripped: a guardrail refused what has come.
        """
        if self._text:
            # Each text is judged on its own until its end: what comes of one between two pieces of the other is not in
            # between where the whole is read.
            text = await _through(self._text, delta.text) if delta.text else ""
            reasoning = await _through(self._reasoning, delta.reasoning) if delta.reasoning else ""
            delta = Delta(text, reasoning)
        if self._whole:
            self._held.append(delta)
        else:
            self._show(delta)

    async def end(self) -> None:
        """Show what was held back because more might have come.

        Raises:
            GuardrailTripped: a guardrail refused it.
        """
        if self._text:
            text = await _through(self._text, "", last=True)
            delta = Delta(text, await _through(self._reasoning, "", last=True))
            if self._whole:
                self._held.append(delta)
            else:
                self._show(delta)
        if self._partial is not None:
            self._partial.tell()

    def passed(self, completion: Completion, *, changed: bool) -> None:
        """Show what was held back as a whole: guardrails have let it pass.

        Args:
            completion: as hooks have left it.
            changed: whether they have made another one of it.
        """
        if changed and self._whole:
            self._held = [Delta(completion.message.text, completion.message.reasoning)]
        for delta in self._held:
            show(self._session, delta)

    def _show(self, delta: Delta) -> None:
        show(self._session, delta)
        if self._partial is not None and delta.text:
            self._partial.take(delta.text)


def show(session: Session, delta: Delta) -> None:
    """Tell of a piece of text and of reasoning."""
    if session.spoken is None:
        session.spoken = Spoken(session.state.turn.steps + 1)
    if delta.text or delta.reasoning:
        session.spoken.pieces.append(delta)
    if delta.text:
        session.emit(TextDelta, text=delta.text)
    if delta.reasoning:
        session.emit(ReasoningDelta, text=delta.reasoning)


async def _through(streams: list[tuple[Hook, TextStream]], piece: str, *, last: bool = False) -> str:
    """What all of them, one after another, let through of a piece."""
    task = asyncio.current_task()
    for item, stream in streams:
        if not (piece or last):
            break
        try:
            piece = await stream.take(piece, last=last)
        except BaseException as error:
            if is_ours(error, task) or isinstance(error, GuardrailTripped):
                raise
            raise GuardrailTripped(f"guardrail {item.name} refused ({item.event}): {said(error)}") from error
    return piece
