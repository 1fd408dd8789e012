"""What is known of each run, from every side: its caller, its tools, the providers, the event bus.

A run is folded into `Totals` some seconds after its end: what is kept does not grow with the length of the campaign, or
the memory that the campaign measures would be its own.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from callboard import Answer

from .plans import Plan, root_of
from .servers import Books, Bought

Kills: TypeAlias = Callable[[float, float], list[tuple[float, str]]]
"""What was killed between two times: when, and what."""

GRACE = 1.0
"""Seconds after its end within which a cancelled run may still be seen to begin something."""

FOLD_AFTER = 4.0
HANGS = "no outcome"
"""The outcome of a run that has none."""
SHOWN = 5
REMEMBERED = 2_000
"""Runs whose end is still known in words after they have been folded."""


@dataclass(slots=True)
class Effect:
    """One tool call."""

    tool: str
    begun: int = 0
    ended: int = 0
    last: float = 0.0


@dataclass(slots=True, eq=False)
class Run:
    """One run of a caller's."""

    plan: Plan
    kind: str
    began: float
    outcome: str = ""
    ended: float = 0.0
    text: str = ""
    told: int | None = None
    told_cost: float = 0.0
    effects: dict[str, Effect] = field(default_factory=dict)
    bought: dict[str, Bought] = field(default_factory=dict)
    lately: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=10))

    @property
    def cancelled(self) -> bool:
        return self.outcome == "cancelled"

    def story(self, kills: Kills) -> str:
        """Its last events, and what was killed beside them."""
        first = self.lately[0][0] if self.lately else self.began
        last = self.lately[-1][0] if self.lately else self.began
        killed = ((at, f"-- {what}") for at, what in kills(first - 0.05, last + 0.5))
        told = sorted((*self.lately, *killed))
        return "\n".join(
            [f"{self.kind} {self.plan.text}", *(f"        {at - self.began:9.4f} s {w}" for at, w in told)]
        )


@dataclass(slots=True)
class Totals:
    """All runs that have been folded."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    effects: int = 0
    never_begun: int = 0
    """Calls of answered runs that had no effect at all: interrupted before they began, as the model was told."""
    served: Counter[str] = field(default_factory=Counter)
    """Tokens by what became of them: ``""`` for those that a run reported."""
    completions: Counter[str] = field(default_factory=Counter)
    received: int = 0
    told: int = 0
    told_cost: float = 0.0
    untold: int = 0
    """Tokens that runs used which gave no account: the caller cancelled, and got none."""
    misreported: int = 0
    """Tokens by which accounts differ from the completions that their runs reported one by one."""
    wrong: dict[str, list[str]] = field(default_factory=dict)
    """What must not be, by sentence."""
    wrongs: Counter[str] = field(default_factory=Counter)

    def violated(self, sentence: str, example: str) -> None:
        """Note what must not be."""
        self.wrongs[sentence] += 1
        examples = self.wrong.setdefault(sentence, [])
        if len(examples) < SHOWN:
            examples.append(example)


class Ledger(Books):
    """Told of everything; on the loop's thread but for `open` and `close`.

    Args:
        kills: what was killed when.
        clock: seconds; the loop's.
    """

    def __init__(self, kills: Kills = lambda _begin, _end: [], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.kills = kills
        self.totals = Totals()
        self.runs: dict[str, Run] = {}
        self._by_id: dict[str, Bought] = {}
        self._roots: dict[str, str] = {}
        self._strays: deque[tuple[Bought, str]] = deque()
        self._ended: OrderedDict[str, str] = OrderedDict()

    # -- the caller ------------------------------------------------------------------------------------------------

    def open(self, plan: Plan, kind: str) -> Run:
        """A run begins."""
        run = self.runs[plan.key] = Run(plan, kind, self._clock())
        return run

    def fail(self, run: Run, error: Exception) -> None:
        """Its caller has an error."""
        self.totals.errors[f"{type(error).__name__}: {error}".split(" (")[0][:100]] += 1
        self.close(run, type(error).__name__, getattr(error, "partial", None))

    def close(self, run: Run, outcome: str, answer: Answer | None = None, text: str = "") -> None:
        """Its caller has its outcome: ``answered``, ``cancelled``, or the name of an error."""
        if run.outcome == HANGS:
            return  # the end of the campaign has ended it
        if run.outcome:
            self.totals.violated("a run has one outcome", f"{run.plan.text}: {run.outcome}, then {outcome}")
            return
        run.ended, run.outcome = self._clock(), outcome
        if answer is not None:
            self._account(run, answer)
        run.text = text or run.text

    def _account(self, run: Run, answer: Answer) -> None:
        run.told, run.told_cost, run.text = answer.usage.total_tokens, answer.cost, answer.text

    # -- the tools -------------------------------------------------------------------------------------------------

    def began(self, tool: str, key: str) -> None:
        """A tool began to act."""
        self.totals.effects += 1
        run = self.runs.get(root_of(key))
        if run is None:
            self.totals.violated("nothing is executed after a run's end", f"{tool} {key}, {self._how(key)}")
            return
        effect = run.effects.setdefault(key, Effect(tool))
        effect.begun += 1
        effect.last = self._clock()
        if tool != "look" and effect.begun > 1:
            how = "after it had ended" if effect.ended else "after it was interrupted"
            self.totals.violated(f"no effect twice ({how})", f"{key} of {run.story(self.kills)}")

    def ended(self, tool: str, key: str) -> None:
        """A tool has acted."""
        run = self.runs.get(root_of(key))
        if run is not None and key in run.effects:
            run.effects[key].ended += 1

    # -- the providers ---------------------------------------------------------------------------------------------

    def bought(self, bought: Bought) -> None:
        """A provider made a completion."""
        self._by_id[bought.id] = bought
        if bought.step is None:
            self._strays.append((bought, "health probes"))
            return
        run = self.runs.get(root_of(bought.step.key))
        if run is None:
            how = f"{bought.step.name}, {self._how(bought.step.key)}"
            self.totals.violated("nothing is bought after a run's end", how)
            self._strays.append((bought, "for runs long ended"))
            return
        run.bought[bought.id] = bought

    def received(self, id: str) -> None:
        """A provider's actor has it whole."""
        if id in self._by_id:
            self._by_id[id].received = True
            self.totals.received += self._by_id[id].tokens

    # -- the event bus ---------------------------------------------------------------------------------------------

    def event(self, event: Any) -> None:
        """A run has told something."""
        kind = type(event).__name__
        if kind == "RunStarted" and event.text.startswith("#"):
            self._roots.setdefault(event.root, root_of(event.text[1:].split()[0]))
        run = self.runs.get(self._roots.get(event.root, ""))
        if kind == "CompletionFinished":
            bought = self._by_id.get(event.model)
            if bought is not None:
                if bought.reported:
                    self.totals.violated("a run books a completion once", event.model)
                bought.reported = True
                if run is None and bought.step is not None:
                    run = self.runs.get(root_of(bought.step.key))
        if run is None:
            return
        run.lately.append((event.at, f"{kind} {event.agent} {event.run}"))
        if kind == "RunFinished" and event.root == event.run and event.answer is not None and run.told is None:
            self._account(run, event.answer)  # for callers that are given the text alone

    # -- folding ---------------------------------------------------------------------------------------------------

    def sweep(self, age: float = FOLD_AFTER) -> None:
        """Fold the runs that ended ``age`` seconds ago."""
        now = self._clock()
        for key, run in self.runs.copy().items():  # threads open runs meanwhile, and only a copy is made in one step
            if run.outcome and now - run.ended >= age:
                del self.runs[key]
                self._fold(run)
        folded = {root for root, key in self._roots.items() if key not in self.runs}
        for root in folded:
            del self._roots[root]
        while self._strays and now - self._strays[0][0].ended >= age:
            bought, item = self._strays.popleft()
            self._count(bought, f"{item}, {'received' if bought.received else 'given up on the way'}")

    def _how(self, key: str) -> str:
        return self._ended.get(root_of(key), "of a run that ended long ago")

    def _count(self, bought: Bought, item: str) -> None:
        del self._by_id[bought.id]
        self.totals.served[item] += bought.tokens
        self.totals.completions[item] += 1

    def _fold(self, run: Run) -> None:
        totals = self.totals
        totals.outcomes[run.kind, run.outcome] += 1
        self._ended[run.plan.key] = f"{self._clock() - run.ended:.1f} s after {run.kind} {run.plan.text} {run.outcome}"
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        if run.outcome == "answered":
            if run.text != run.plan.answer:
                totals.violated("a run answers what it was asked", f"{run.text!r:.80} by {run.story(self.kills)}")
            for number, step in enumerate(run.plan.steps):
                if step in ("work", "sign+") and f"{run.plan.key}.{number}" not in run.effects:
                    totals.never_begun += 1
        if run.cancelled:
            for key, effect in run.effects.items():
                if effect.last > run.ended + GRACE:
                    how = f"{key} began {effect.last - run.ended:.2f} s after the end of {run.story(self.kills)}"
                    totals.violated("nothing cancelled is executed", how)
        reported = sum(bought.tokens for bought in run.bought.values() if bought.reported)
        if run.told is None or run.cancelled:  # who cancels is given no account
            totals.untold += reported
        else:
            totals.told += run.told
            totals.told_cost += run.told_cost
            totals.misreported += reported - run.told
            if reported != run.told:
                totals.violated(
                    f"a run's account is what it bought ({run.outcome})", f"{run.plan.text}: {run.told} of {reported}"
                )
        for bought in list(run.bought.values()):
            self._count(bought, self._item(run, bought))

    def _item(self, run: Run, bought: Bought) -> str:
        """What became of a completion: empty if its run has reported it."""
        if bought.reported:
            return ""
        if not bought.received and bought.fault in ("cut", "malformed", "stream_error"):
            return "cut and malformed bodies"
        how = "received" if bought.received else "given up on the way"
        assert bought.step is not None
        others = [b for b in run.bought.values() if b is not bought and b.step is not None and b.step == bought.step]
        if any(other.began < bought.ended and bought.began < other.ended for other in others):
            return f"hedge losers, {how}"
        if run.cancelled and bought.ended > run.ended - 1.0:
            return f"cancelled calls, {how}"
        if any(other.began >= bought.ended for other in others) or self.kills(bought.began, bought.ended + 1.0):
            return f"asked by actors that were killed, {how}"
        if bought.fault == "trickle" and not bought.received:
            return "slow bodies given up"
        # The only one of its step: on a starved machine it may have been given up, and not asked for again by the end.
        if not others and not bought.received and run.cancelled:
            return f"cancelled calls, {how}"
        if bought.ended > run.ended - 1.0 or (not others and not bought.received and run.outcome != "answered"):
            return f"for runs that ended meanwhile, {how}"
        return f"unexplained, {how}"
