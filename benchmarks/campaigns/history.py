"""What happened over many processes, as lines in one file: written with O_APPEND, so that a kill loses none; and what
must hold of it.

A line is ``SECONDS PID WORD …``; the seconds are CLOCK_MONOTONIC, which all processes of a machine share:

============================ ==================================================================================
``ask KEY``                  the run was asked for, for the first time or again
``buy STEP``                 the model completed a step
``begin TOOL KEY``, ``end``  a tool acted
``cancelled KEY``            the caller has cancelled the run, and was told so
``done KEY OUTCOME``         the caller has the outcome: ``answered``, ``wrong``, or an error's name
``over KEY OUTCOME``         the run told on its event bus that it had ended
``kill PID``, ``stop PID``, ``cont PID``  the parent did so
============================ ==================================================================================
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .plans import root_of

GRACE = 1.0
"""Seconds in which a cancelled run may still be seen to begin something."""
WINDOW = 1.0
"""Seconds before a kill in which a completion may be lost with it: on its way, or in the transaction that keeps it."""


class Log:
    """Appends lines to the file.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def write(self, *words: object) -> None:
        """One line, in one write."""
        os.write(self._file, f"{time.monotonic():.4f} {os.getpid()} {' '.join(map(str, words))}\n".encode())

    def close(self) -> None:
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class Line:
    """One line read back."""

    at: float
    pid: int
    word: str
    rest: tuple[str, ...]


def read(path: Path) -> list[Line]:
    """All lines in the order of the file."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        at, pid, word, *rest = text.split()
        found.append(Line(float(at), int(pid), word, tuple(rest)))
    return found


@dataclass(slots=True)
class Findings:
    """What a history shows.

    Args:
        counts: how often what happened.
        violations: what must not be, by sentence, each with its examples.
        interrupted: calls of answered runs that never began.
    """

    counts: Counter[str] = field(default_factory=Counter)
    violations: dict[str, list[str]] = field(default_factory=dict)

    def violated(self, sentence: str, example: str) -> None:
        self.violations.setdefault(sentence, []).append(example)


def check(lines: Sequence[Line], keys: Iterable[str]) -> Findings:
    """Look at a whole history.

    Args:
        lines: of the file.
        keys: of all runs that were to be done.
    """
    found = Findings()
    by_word: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_word[line.word].append(line)
    found.counts.update({word: len(some) for word, some in by_word.items()})
    _outcomes(found, by_word, keys)
    cancelled = {line.rest[0]: line.at for line in reversed(by_word["cancelled"])}
    _effects(found, by_word, cancelled)
    _completions(found, by_word, cancelled)
    return found


def _outcomes(found: Findings, by_word: dict[str, list[Line]], keys: Iterable[str]) -> None:
    told: dict[str, list[Line]] = defaultdict(list)
    for line in (*by_word["done"], *by_word["cancelled"]):
        told[line.rest[0]].append(line)
    over: dict[str, set[str]] = defaultdict(set)
    for line in by_word["over"]:
        over[line.rest[0]].add(line.rest[1])
    for key in keys:
        if not told[key]:
            found.violated("every turn has an outcome", f"{key} has none (over: {', '.join(over[key]) or 'never'})")
    for key, some in told.items():
        ends = {line.rest[1] if line.word == "done" else "cancelled" for line in some}
        for end in ends:
            found.counts[f"outcome {end}"] += 1
        if "wrong" in ends:
            found.violated("a run answers what it was asked", key)
        if len(ends) > 1:
            found.violated("a run ends once", f"{key} is {' and '.join(sorted(ends))}")
        elif len(over[key]) > 1:
            found.violated("a run ends once", f"{key} told that it is {' and '.join(sorted(over[key]))}")


def _effects(found: Findings, by_word: dict[str, list[Line]], cancelled: dict[str, float]) -> None:
    begun: dict[str, list[Line]] = defaultdict(list)
    ended = {line.rest[1]: line.at for line in by_word["end"]}
    for line in by_word["begin"]:
        tool, key = line.rest
        at = cancelled.get(root_of(key))
        if at is not None and line.at > at + GRACE:
            found.violated("nothing cancelled is executed", f"{tool} {key} began {line.at - at:.2f} s afterwards")
        if tool == "look":
            continue
        for earlier in begun[key][:1]:
            how = "it had ended" if ended.get(key, line.at) < line.at else "it was interrupted"
            found.violated(f"no effect twice (after {how})", f"{key}: by {earlier.pid}, then by {line.pid}")
        begun[key].append(line)


def _completions(found: Findings, by_word: dict[str, list[Line]], cancelled: dict[str, float]) -> None:
    blows: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for word in ("kill", "stop", "cont"):
        for line in by_word[word]:
            late = WINDOW if word == "cont" else 0.05  # what was on its way while the process was stopped comes then
            blows[int(line.rest[0])].append((line.at - WINDOW, line.at + late))
    bought: dict[str, list[Line]] = defaultdict(list)
    for line in by_word["buy"]:
        step = line.rest[0]
        at = cancelled.get(root_of(step.partition("/")[0]))
        if at is not None and line.at > at + GRACE:
            found.violated("nothing cancelled is bought", f"{step}, {line.at - at:.2f} s afterwards")
        bought[step].append(line)
    found.counts["completions needed"] = len(bought)
    found.counts["completions bought"] = len(by_word["buy"])
    for step, some in bought.items():
        for line in some[:-1]:
            if any(first <= line.at <= last for first, last in blows[line.pid]):
                found.counts["completions lost in a kill"] += 1
            else:
                found.violated("completions bought are those needed and those in flight at a kill", f"{step} again")
