"""What ``callboard eval`` and ``callboard bench`` take."""

from __future__ import annotations

from pathlib import Path

from ..parts.folders import existing, team_file


def evaluate(
    cases: Path,
    team: Path,
    /,
    *,
    only: tuple[str, ...] = (),
    repeat: int | None = None,
    concurrency: int = 4,
    json: Path | None = None,
    compare: Path | None = None,
    folder: Path = Path(),
    import_from: Path | None = None,
) -> int:
    """Ask a team the cases of a file, and report how it does. What the team's journal keeps is left alone. The exit
    status is 1 where a case fails; with --compare, where one has become worse.

    Args:
        cases: the file of cases: what is asked, and what is expected then.
        team: the team file, or an llm.yaml: then one plain agent answers with its models.
        only: the name of a case; given several times, several of them. By default: all.
        repeat: how many times each case is asked that says nothing else; by default as the file says.
        concurrency: how many are asked at once.
        json: a file to write the report into, with what was answered.
        compare: the report of an earlier evaluation, written with --json.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that the files name, such as their own.
    """
    from ..parts.team import look_in
    from .evaluate import evaluate

    look_in(import_from)
    return evaluate(cases, team_file(team), existing(folder), only, repeat, concurrency, json, compare)


def bench(
    *what: str,
    also: tuple[str, ...] = (),
    concurrency: str = "1,10,100",
    rate: str = "",
    duration: float = 30.0,
    rounds: int = 3,
    ask: tuple[str, ...] = (),
    questions: Path | None = None,
    agent: str = "",
    model: str = "",
    timeout: float = 60.0,
    json: Path | None = None,
    plot: Path | None = None,
    compare: Path | None = None,
    folder: Path = Path(),
    import_from: Path | None = None,
) -> int:
    """Put load on teams and servers, and report throughput, latency, time to first token, errors, tokens, cost, CPU
    and memory. Several are measured in turns, beside each other; --also compares settings of a team's pool. With
    --compare the exit status is 1 where a figure has become worse.

    Args:
        what: team files, addresses of servers (http://127.0.0.1:8000/Clerk), or module:name of agencies.
        also: settings to measure each team with besides, as in routing=weighted,hedge.budget=0.2; given several times,
            each is one more subject. They are called as in a team file, with dots between; values are YAML, null for
            none, and * is every provider: providers.*.limits.concurrency=8.
        concurrency: clients that ask again once they are answered, as in 1,10,100: one load after the other.
        rate: questions a second, whatever becomes of them, as in 5,50: further loads.
        duration: seconds for each subject and load.
        rounds: how many rounds that makes, whose spread is told.
        ask: a question; given several times, several, asked in turns. By default: "Say hello."
        questions: a file with a question on each line.
        agent: who is asked; by default a team's first agent.
        model: the model that a server is asked for; by default the last part of its address.
        timeout: seconds after which a question counts as failed.
        json: a file to write the report into.
        plot: a picture to draw: a .png, or an .html page that needs nothing beside it.
        compare: the report of an earlier run, written with --json.
        folder: the folder that the team's file tools are confined to.
        import_from: a folder to look in for the modules that are named.
    """
    from .bench import Wanted, bench

    wanted = Wanted(
        *(what, also, concurrency, rate, duration, rounds, ask, questions, agent, model, timeout),
        *(json, plot, compare, existing(folder), import_from),
    )
    return bench(wanted)
