"""Rendering prompt functions: before each completion, and before calls go on that an earlier incarnation left open.

What a step is made of is worked out elsewhere, from values alone. Here it is called at the right moment, and what it
has set is held until it is recorded with what comes of the step.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from ......providers.messages import Message
from .....core.base.events import Outcome
from .....core.base.send_context import active as active_context
from ....errors import PromptError, RunFailed, said
from ....prompts.rendering import Rendered, StepFacts, render
from ....prompts.state.cells import RENDER, Cells
from ....prompts.unfinished import Unfinished
from ....turns.history import last_tool, repaired
from ....turns.steps import CompletionFailed, Restore
from ..calling import called, raised_by
from ..handoffs.subagents import know_sub_agents
from ..reports import PromptRendered, PromptRestored
from ..session import Happened, Session

Then: TypeAlias = Callable[[Session, Happened], None]


def render_step(session: Session, happened: Happened, then: Then) -> None:
    """Have the prompt function say what the next completion is asked with, and go on with ``then``.

    What is `async` of it runs beside the mailbox; `prompt_rendered` takes it then.
    """
    made = _rendered(session, effects=True)
    if isinstance(made, Outcome):
        _take(session, made, happened, then)
    else:
        session.ask = session.actor.pipe(made, lambda outcome: PromptRendered(session, outcome))


def prompt_rendered(message: PromptRendered, happened: Happened, then: Then) -> None:
    """Go on once an `async` prompt function has said what the completion is asked with."""
    session, outcome = message
    session.ask = None
    _take(session, outcome, happened, then)


def restore(session: Session, command: Restore, happened: Happened) -> None:
    """Have the prompt function say again what the calls of the step under way call: from what was there when the step
    was rendered, and without effects, whose time was then."""
    made = _rendered(session, effects=False)
    if isinstance(made, Outcome):
        session.send(PromptRestored(session, made))
    else:
        session.ask = session.actor.pipe(made, lambda outcome: PromptRestored(session, outcome))


def adopt(session: Session, outcome: Outcome[Rendered]) -> None:
    """Take over what a prompt function has defined for the step.

    Raises:
        RunFailed: it raised, or what it defined cannot be.
    """
    cells = session.cells
    assert cells is not None
    try:
        rendered = outcome.unwrap()
        run = session.run
        if session.input is not None and run.handoff is not None and not (rendered.before or run.messages):
            rendered = rendered._replace(before=(Message("user", run.handoff.task),))
        shown = session.state.turn.history if rendered.messages is None else repaired(rendered.messages)
        if not (shown or rendered.before or rendered.after):
            raise PromptError(f"{_name(session)} says nothing to the model, and nobody else does: call prompt.user(…)")
        before = session.prepared
        session.prepared = session.base.with_prompt(rendered, run.caller, None if before is session.base else before)
        session.shown.own = rendered.messages is not None
        if rendered.agents or rendered.functions:
            know_sub_agents(session, rendered)
        if rendered.agents or before.agents:  # else they are what they were: 5 µs a step
            session.look_at_rules()
        session.changed = cells.take(RENDER, session.blot())
    except KeyboardInterrupt:
        raise
    except RunFailed:
        cells.drop(RENDER)
        raise
    except BaseException as error:
        cells.drop(RENDER)
        if isinstance(error, PromptError):
            raise RunFailed(said(error)) from error
        raise raised_by(_name(session), error) from error


def _take(session: Session, outcome: Outcome[Rendered], happened: Happened, then: Then) -> None:
    try:
        adopt(session, outcome)
    except RunFailed as error:
        happened(session, CompletionFailed(error))
    else:
        then(session, happened)


def _rendered(session: Session, *, effects: bool) -> Outcome[Rendered] | Coroutine[Any, Any, Rendered]:
    """How calling the prompt function ended, or what is still to be awaited."""
    spec, remembered, turn = session.prompt, session.state.prompt, session.state.turn
    assert spec is not None
    if session.cells is None:
        session.cells = Cells(remembered.state, remembered.effects)
    history, external = turn.history, session.run.external
    specs = session.base.specs + external if external else session.base.specs
    step = turn.steps + 1 if effects else turn.steps
    facts = StepFacts(history.as_tuple(), step, last_tool(history, turn.start), session.context, specs)
    before = None if effects else remembered.shown(len(history))
    token = active_context.set(session.send_context)
    try:
        made = render(spec, session.cells, facts, before=before, input=session.input)
        if isinstance(made, Rendered):
            return Outcome(made, None)
        return Unfinished(called(_name(session), lambda: made), made)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Outcome(None, error)
    finally:
        active_context.reset(token)


def _name(session: Session) -> str:
    assert session.prompt is not None
    return f"the prompt function {session.prompt.name}"
