"""What an earlier process left in a durable journal: found when an agency starts, before its agents do."""

from __future__ import annotations

from functools import partial

from ...core.mail.future import Future
from ...journal.store import Journal
from ..answer import Answer
from ..turns.records import Accepted, Ended, Run
from .register import RunRegister


def recover(journal: Journal, register: RunRegister) -> dict[str, Future[Answer]]:
    """Expect the runs that were not finished, or whose answer may not have reached its caller.

    The agents go on with the unfinished ones when they start. What other agents did for a run that has ended since is
    dropped.

    Returns:
        the futures of their answers, by run id.
    """
    taken: dict[str, Future[Answer]] = {}
    left: dict[str, list[Run]] = {}
    for stream in journal.streams():
        events = journal.load(stream)
        runs = left[stream] = [event.run for event in events if isinstance(event, Accepted)]
        outcomes = {event.run: event for event in events if isinstance(event, Ended)}
        for run in runs:
            ended = outcomes.get(run.id)
            if run.id != run.root or (ended is not None and not run.once):
                continue
            future = taken[run.id] = register.expect(run)
            future.add_done_callback(partial(_forget, register, run.id))
            if ended is not None:
                journal.drop(stream)
                _settle(future, ended)
    for stream, runs in left.items():
        if runs and all((run.once or run.fleeting) and run.root not in taken for run in runs):
            journal.drop(stream)
    return taken


def _settle(future: Future[Answer], ended: Ended) -> None:
    if ended.error is None:
        future.set(ended.answer)
    else:
        ended.error.partial = ended.answer
        future.set_exception(ended.error)


def _forget(register: RunRegister, run_id: str, _: Future[Answer]) -> None:
    register.forget(run_id)
