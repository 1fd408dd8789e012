"""``callboard bench``: load on teams, agencies and servers. The report goes to stdout, progress to stderr."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ....providers.config.changes import changes_of
from ....providers.config.yamlfile import ConfigError
from ...agents.agency import Agency
from ...agents.errors import DefinitionError
from ...agents.evaluation.reportfile import check_place
from ...agents.plaindata import imported, wrong_kind
from ...bench.drawing import chart, check_picture, save_picture
from ...bench.load import Ask, Closed, Load, Open
from ...bench.measure import measure
from ...bench.report import Report, differences, differences_table, matching, read_report
from ...bench.targets import NotMeasured, agency_target, server_target
from ..parts.flow import make_console
from ..parts.folders import team_file
from ..parts.printed import progress, say, verdict
from ..parts.team import look_in, started

TITLE: Final = "callboard bench"
MOST: Final = 100_000
"""Clients, or questions a second; more is a slip of the pen."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was told.

    Args:
        what: team files, addresses of servers, or module:name of agencies.
        also: settings of pools, see `changes_of`: with each of them a team is one more subject.
        concurrency: numbers of clients, as text.
        rate: questions a second, as text; empty for none.
        duration: seconds for each subject and load.
        rounds: how many rounds that makes.
        ask: questions; empty for those of the file.
        questions: a file with one question a line; None for none.
        agent, model: who is asked, and which model a server is asked for; empty for the first.
        timeout: seconds after which a question has failed.
        report, picture, compare: files; None for none.
        folder: what a team's file tools are confined to.
        import_from: a folder to look in for modules.
    """

    what: tuple[str, ...]
    also: tuple[str, ...]
    concurrency: str
    rate: str
    duration: float
    rounds: int
    ask: tuple[str, ...]
    questions: Path | None
    agent: str
    model: str
    timeout: float
    report: Path | None
    picture: Path | None
    compare: Path | None
    folder: Path
    import_from: Path | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What load is put on.

    Args:
        what: as in `Wanted`.
        also: the settings that are changed; empty for none.
    """

    what: str
    also: str = ""

    def __str__(self) -> str:
        return f"{self.what} with {self.also}" if self.also else self.what


def bench(wanted: Wanted) -> int:
    """Measure, and print what was.

    Returns:
        0; 1 where no question was answered, or with an earlier report where a figure has become worse.

    Raises:
        CallboardError: what was told is wrong, or a subject is not there.
    """
    look_in(wanted.import_from)
    look_in(Path())  # as Python does for a program of one's own
    subjects = _subjects(wanted)
    loads = _loads(wanted)
    questions = _questions(wanted)
    earlier = None if wanted.compare is None else read_report(wanted.compare)
    if earlier is not None:
        matching(earlier, [str(one) for one in subjects], [str(load) for load in loads])
    _check_places(wanted)
    report = asyncio.run(_measured(wanted, subjects, loads, questions))
    try:  # first: printing may fail
        if wanted.report is not None:
            report.save(wanted.report)
        if wanted.picture is not None:
            save_picture(chart(report, TITLE), wanted.picture, TITLE, report.table())
    except DefinitionError:
        say(report.table())
        raise
    answered = any(
        throughput.high > 0 for result in report.results if (throughput := result.figures.get("throughput")) is not None
    )
    if earlier is None or not answered:
        return verdict(int(not answered), report.table())
    found = differences(earlier, report)
    return verdict(int(any(one.worse for one in found)), f"{report.table()}\n\n{differences_table(found)}")


async def _measured(
    wanted: Wanted, several: Sequence[Subject], loads: Sequence[Load], questions: Sequence[str]
) -> Report:
    console = make_console(stderr=True)
    async with AsyncExitStack() as stack:
        subjects: dict[str, Ask] = {}
        for one in several:
            subjects[str(one)] = await _asked(one, wanted, stack)
        with console.status("") as status:

            def told(line: str) -> None:
                status.update(line)
                if not console.is_terminal:
                    progress(line)

            return await measure(
                subjects,
                loads,
                questions,
                seconds=wanted.duration,
                rounds=wanted.rounds,
                timeout=wanted.timeout,
                told=told,
            )


async def _asked(subject: Subject, wanted: Wanted, stack: AsyncExitStack) -> Ask:
    what = subject.what
    if _is_address(what):
        return await stack.enter_async_context(server_target(what, wanted.model))
    if wanted.model:
        raise NotMeasured(f"--model is for servers; {what} says itself which models its agents have")
    if _is_file(what):
        changes = changes_of(subject.also) if subject.also else None
        try:
            agency = await stack.enter_async_context(
                started(team_file(Path(what)), wanted.folder, changes, journal=None)
            )
        except ConfigError as error:
            if not subject.also:
                raise
            raise NotMeasured(f"--also {subject.also}: {error.message}") from None
    else:
        found = imported(what)
        if not isinstance(found, Agency):
            raise wrong_kind(what, "an Agency, a team file, or the address of a server", found)
        agency = found if found.system is not None else await stack.enter_async_context(found)
    return agency_target(agency, wanted.agent)


def _is_address(what: str) -> bool:
    return what.startswith(("http://", "https://"))


def _is_file(what: str) -> bool:
    return ":" not in what or Path(what).exists()


def _subjects(wanted: Wanted) -> list[Subject]:
    if not wanted.what:
        raise NotMeasured("name what is measured: a team file, the address of a server, or module:name of an Agency")
    settings = [" ".join(text.split()) for text in wanted.also]
    for text in settings:
        try:
            changes_of(text)
        except ConfigError as error:
            raise NotMeasured(f"--also {text.partition('=')[0]}: {error.message}") from None
    for what in wanted.what if settings else ():
        if _is_address(what) or not _is_file(what):
            whose = "a server, whose pool is its own" if _is_address(what) else "an Agency, which has its pool already"
            raise NotMeasured(f"--also is for team files; {what} is {whose}")
    found = [Subject(what, also) for what in wanted.what for also in ("", *settings)]
    if len(set(found)) < len(found):
        raise NotMeasured("two subjects have one name; reports tell them apart by it")
    return found


def _loads(wanted: Wanted) -> list[Load]:
    for name, value in (("--duration", wanted.duration), ("--timeout", wanted.timeout)):
        if not 0 < value < math.inf:
            raise NotMeasured(f"{name} is a number of seconds above 0, not {value}")
    if not 1 <= wanted.rounds <= 1_000:
        raise NotMeasured(f"--rounds is a number from 1 to 1,000, not {wanted.rounds}")
    closed = [Closed(int(number)) for number in _numbers("--concurrency", wanted.concurrency, whole=True)]
    return [*closed, *(Open(number) for number in _numbers("--rate", wanted.rate, whole=False))]


def _numbers(option: str, text: str, *, whole: bool) -> list[float]:
    found: list[float] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            number = int(part) if whole else float(part)
        except ValueError:
            number = math.nan
        if not 0 < number <= MOST:
            kind = "whole numbers" if whole else "numbers"
            raise NotMeasured(f"{option} has {kind} from above 0 to {MOST:,} with commas between, not {part!r:.40}")
        if number in found:
            raise NotMeasured(f"{option} has {part} twice")
        found.append(number)
    return found


def _questions(wanted: Wanted) -> list[str]:
    questions = list(wanted.ask)
    if wanted.questions is not None:
        try:
            questions += wanted.questions.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise NotMeasured(f"{wanted.questions} cannot be read: {error}") from None
    elif not questions:
        questions = ["Say hello."]
    questions = [question for question in questions if question.strip()]
    if not questions:
        raise NotMeasured("there are no questions; give --ask, or a file with one a line")
    return questions


def _check_places(wanted: Wanted) -> None:
    """So that a report which cannot be written is said before anything is paid for."""
    for path in (wanted.report, wanted.picture):
        if path is not None:
            check_place(path)
    if wanted.picture is not None:
        check_picture(wanted.picture)
        if wanted.report is not None and wanted.report.absolute() == wanted.picture.absolute():
            raise NotMeasured("--json and --plot name one file")
