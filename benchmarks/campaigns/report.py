"""What a soak has found, in words and as a verdict."""

from __future__ import annotations

from callboard.actors.bench.columns import aligned

from .account import Account
from .chaos import Chaos
from .ledger import Ledger, Run
from .leftovers import Memory
from .team import Person

MOST_SHOWN = 10


class Report:
    """Made when the load has ended; `account` and `leftovers` come when all has stopped.

    Args:
        seconds: of load.
        ledger, chaos, person, memory: what they say at the end.
        used: share of a core that was used.
    """

    def __init__(
        self, seconds: float, ledger: Ledger, chaos: Chaos, person: Person, memory: Memory, used: float
    ) -> None:
        self.seconds = seconds
        self.totals = ledger.totals
        self._kills = ledger.kills
        self.chaos = chaos
        self.decided = person.decided
        self.memory = memory
        self.used = used
        self.account: Account | None = None
        self.leftovers: list[str] = []
        self.hanging: list[str] = []

    def hang(self, run: Run) -> None:
        """A run had no outcome in the end."""
        self.hanging.append(run.story(self._kills))

    def violations(self) -> list[str]:
        """What must not be, a line each; empty where all is well."""
        found = []
        if self.hanging:
            found.append(f"every run has an outcome: {len(self.hanging)} have none")
        found += [f"{sentence}: {times} times" for sentence, times in sorted(self.totals.wrongs.items())]
        if self.account is not None:
            found += [f"the books agree: {rest}" for rest in self.account.broken]
        if not self.memory.flat:
            found.append(f"memory is flat: {self.memory.warm / 1e6:.1f} MB, then {self.memory.last / 1e6:.1f} MB")
        found += [f"nothing is left: {what}" for what in self.leftovers]
        return found

    def text(self) -> str:
        """The tables and the verdict."""
        runs = self.totals.outcomes.total()
        lines = [
            f"{runs} runs in {self.seconds:.0f} s, {self.totals.effects} effects, {self.used:.2f} of a core",
            f"killed: {', '.join(f'{n} {what}' for what, n in self.chaos.counts.most_common())}; "
            f"{self.chaos.crashed.total()} crashes, {self.chaos.restarted} restarts",
            f"memory: {self.memory.warm / 1e6:.1f} MB after the warm-up, {self.memory.last / 1e6:.1f} MB at the end",
            f"decisions: {', '.join(f'{n} {what}' for what, n in self.decided.most_common())}",
            f"tools reported interrupted that never began: {self.totals.never_begun}",
            "",
        ]
        kinds = sorted({kind for kind, _ in self.totals.outcomes})
        ends = sorted({end for _, end in self.totals.outcomes})
        table = [["runs", *ends], *([kind, *(str(self.totals.outcomes[kind, end]) for end in ends)] for kind in kinds)]
        lines += [*aligned(table, left=(0,)), ""]
        lines += [f"{times:6} × {error}" for error, times in self.totals.errors.most_common(12)]
        if self.account is not None:
            lines += [
                *aligned([("tokens (a million is a dollar)", "", "of served"), *self.account.rows()], left=(0,)),
                "",
            ]
            calls = ", ".join(f"{n} {what}" for what, n in self.account.calls.items())
            lines += [f"calls: {calls}", ""]
        for story in self.hanging[:MOST_SHOWN]:
            lines.append(f"no outcome: {story}")
        for sentence, examples in sorted(self.totals.wrong.items()):
            lines += [f"not so: {sentence} ({self.totals.wrongs[sentence]} times)", *(f"    {one}" for one in examples)]
        found = self.violations()
        lines += ["", *(f"VIOLATED {line}" for line in found)] if found else ["", "nothing was violated"]
        return "\n".join(lines)
