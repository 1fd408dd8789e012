"""``callboard tree`` and ``callboard top``: running agencies, seen from another terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...agents.overview.overview import ActorView, Overview, shown_actors
from ...agents.overview.sockets import Looking, NothingRuns, forget, nothing_runs, programs, several_run
from ..parts.flow import make_console
from ..parts.printed import plain
from .waiting import until_q

if TYPE_CHECKING:
    from rich.console import Group

    from ...agents.runs.runtime.under_way import RunUnderWay
    from ...core.system import System


def read_trees(process: int | None = None) -> list[str]:
    """The trees of this user's programs that let themselves be seen, as text.

    Args:
        process: the number of one process; all of them by default.

    Raises:
        NothingRuns: there is none.
    """
    found: list[str] = []
    for path in programs(process):
        try:
            with Looking(path) as looking:
                overview = looking.read()
        except ConnectionRefusedError:  # its program has been killed
            forget(path)
        except OSError:
            found.append(f"process {plain(path.stem)} does not answer")
        else:
            found.append(
                "\n".join([f"{plain(overview.name)} (process {overview.process})", *tree_lines(overview.actors)])
            )
    if not found:
        raise nothing_runs(process)
    return found


def lines(system: System) -> Iterator[str]:
    """The actors of a system of this process, one a line, children below their parents."""
    yield f"{system.name} (process {os.getpid()})"
    yield from tree_lines(shown_actors(system.tree(), {})[0])


def tree_lines(actors: tuple[ActorView, ...]) -> Iterator[str]:
    """Actors, one a line, children below their parents; without what a terminal would obey."""
    lasts = [False] * len(actors)
    seen: dict[int, bool] = {}
    for place in range(len(actors) - 1, -1, -1):  # from below: whether a sibling follows
        depth = actors[place].depth
        lasts[place] = not seen.get(depth, False)
        seen = {level: there for level, there in seen.items() if level <= depth}
        seen[depth] = True
    above: list[bool] = []
    for actor, last in zip(actors, lasts, strict=True):
        del above[actor.depth :]
        indent = "".join("    " if over else "│   " for over in above)
        yield f"{indent}{'└── ' if last else '├── '}{plain(actor.path.rpartition('/')[2])}  {plain(_state(actor))}"
        above.append(last)


def _state(actor: ActorView) -> str:
    said = [actor.kind]
    if actor.phase != "running":
        said.append(actor.phase)
    if actor.waiting:
        age = f" for {actor.age:.1f} s" if actor.age >= 0.1 else ""
        said.append(f"{actor.waiting} waiting{age}")
    if actor.restarts:
        said.append(f"restarted {actor.restarts}×")
    if actor.crash:
        said.append(f"crashed: {actor.crash}")
    if actor.left_out:
        said.append(f"and {actor.left_out:,} below")
    return ", ".join(said)


def top(process: int | None, interval: float, once: bool, say: Callable[[str], None]) -> int:
    """Show what an agency does, until q or Ctrl-C, or until it ends; one that does not answer is looked at again.

    Args:
        process: the number of its process; None where only one lets itself be seen.
        interval: seconds between two looks.
        once: show it once, and end.
        say: prints a text.

    Returns:
        0.

    Raises:
        NothingRuns: there is none, or several, or it does not answer.
    """
    if not interval >= 0.1:
        raise NothingRuns(f"--interval is a number of seconds from 0.1 on, not {interval}")
    looking = _one(process)
    console = make_console()
    with looking:
        if once or not console.is_terminal:
            console.print(_screen(_read(looking), None))
            return 0
        from rich.console import Group
        from rich.live import Live
        from rich.text import Text

        with until_q() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                try:
                    screen = _screen(looking.read(), console.height)
                except TimeoutError:
                    screen = Group(Text("it does not answer now: it is stopped, or its event loop is blocked"))
                except OSError as error:
                    live.stop()
                    say(str(error))
                    return 0
                live.update(screen, refresh=True)
                if pressed(interval):
                    return 0


def _one(process: int | None) -> Looking:
    """The program to look at, of those that are alive."""
    found: list[tuple[str, Looking]] = []
    for path in programs(process):
        try:
            found.append((path.stem, Looking(path)))
        except ConnectionRefusedError:
            forget(path)
        except OSError:
            continue
    if not found:
        raise nothing_runs(process)
    if len(found) > 1:
        for _, looking in found:
            looking.close()
        raise several_run("top", [name for name, _ in found])
    return found[0][1]


def _read(looking: Looking) -> Overview:
    try:
        return looking.read()
    except OSError as error:
        raise NothingRuns(f"it does not answer: {error}") from None


def _screen(overview: Overview, height: int | None) -> Group:
    """What is shown, within so many lines; None for all of it."""
    from rich.console import Group
    from rich.text import Text

    cost = _dollars(overview.cost_a_minute)
    rate = cost and f"{cost} a minute  "
    head = (
        f"{plain(overview.name)} (process {overview.process})  {overview.all_actors:,} actors  "
        f"{len(overview.runs)} runs  {rate}{overview.dead_letters} dead letters"
    )
    parts: list[Any] = [Text(head, style="bold")]
    left = None if height is None else max(4, height - 2)
    for table in (_runs(overview, left), _waiting(overview, left), _endpoints(overview, left)):
        if table is not None:
            parts += [Text(""), table]
    used = sum(3 + part.row_count for part in parts if hasattr(part, "row_count"))
    lines = list(tree_lines(overview.actors))
    room = None if left is None else max(3, left - used - 1)
    if room is not None and len(lines) > room:
        lines = [*lines[: room - 1], f"… and {len(lines) - room + 1:,} more"]
    parts += [Text(""), Text("\n".join(lines))]
    if overview.last_dead_letters and height is None:
        parts += [Text(""), Text("\n".join(plain(one) for one in overview.last_dead_letters), style="dim")]
    return Group(*parts)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], room: int | None) -> Any:
    from rich.table import Table

    if not rows:
        return None
    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < 3 else "right", no_wrap=True)
    most = len(rows) if room is None else max(1, room // 4)
    for row in rows[:most]:
        table.add_row(*(_text(cell) for cell in row))
    if len(rows) > most:
        table.add_row(_text(f"… and {len(rows) - most:,} more"))
    return table


def _runs(overview: Overview, room: int | None) -> Any:
    rows = [
        (
            run.agent,
            run.conversation,
            _at(run),
            " of ".join(filter(None, (run.user, run.tenant))),
            f"{run.steps}",
            f"{run.tokens:,}",
            _dollars(run.cost),
            f"{run.seconds:.1f}",
            f"{run.idle:.1f}",
        )
        for run in overview.runs
    ]
    return _table(("agent", "conversation", "at", "user", "steps", "tokens", "cost", "seconds", "idle"), rows, room)


def _at(run: RunUnderWay) -> str:
    if run.doing == "limits":
        return "person: more than its limits"
    return ": ".join(filter(None, ("" if run.doing == "tools" else run.doing, ", ".join(run.calls))))


def _waiting(overview: Overview, room: int | None) -> Any:
    rows = [
        (one.agent, one.tool or "more than its limits", one.conversation, f"{one.seconds:.0f}")
        for one in overview.waiting
    ]
    return _table(("waits for a person", "to call", "conversation", "seconds"), rows, room)


def _endpoints(overview: Overview, room: int | None) -> Any:
    rows = [
        (
            one.name,
            one.state,
            one.reason,
            f"{one.in_flight}",
            f"{one.latency:.2f}",
            f"{one.error_rate:.0%}",
            f"{one.answered:,}",
            f"{one.tokens:,}",
            _dollars(one.cost),
        )
        for one in overview.endpoints
    ]
    return _table(
        ("provider", "breaker", "", "in flight", "latency s", "errors", "answered", "tokens", "cost"), rows, room
    )


def _dollars(cost: float) -> str:
    """What something has cost; nothing where it has cost nothing, or has no price that is known."""
    return f"${cost:.4f}" if cost else ""


def _text(cell: str) -> Any:
    from rich.text import Text

    return Text(plain(cell))
