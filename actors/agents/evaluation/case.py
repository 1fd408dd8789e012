"""Cases: what is asked, and what is expected of the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ....providers.checks import AMOUNT, COUNT, FLAG, MAPPING, NAME, SHARE, TEXT
from ..answer import Answer
from ..caller import Caller
from ..errors import DefinitionError
from ..output import Output
from ..wishes import define

Code: TypeAlias = Callable[[Answer], Any]
"""Judges an answer, also as an async function: True or None is a yes; False, a text that says what is wrong, and an
`AssertionError` are a no."""


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """A tool that must have been called.

    Args:
        tool: its name.
        arguments: with these among its arguments; others may be beside them.

    Raises:
        DefinitionError: an argument is of the wrong type.
    """

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        define("an expected call", tool=(self.tool, NAME), arguments=(self.arguments, MAPPING))

    def __str__(self) -> str:
        return f"{self.tool}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of an answer; what is left out is not looked at.

    Args:
        equals: the text, without white space around it.
        contains: each of them stands in the text; capital letters count as small ones.
        lacks: none of them does.
        matches: a regular expression that is found in the text.
        value: the structured answer as plain data; of a text, as JSON reads it. None is not looked at.
        type: what the text reads as, as JSON: any type that pydantic knows, or a `JsonSchema`.
        agent: the name of the agent that answered.
        tools: called in this order, by whichever agent; others may come between. A name, or an `ExpectedCall`.
        no_tools: names of tools that were not called; ``"*"`` for none at all.
        handoffs: names of agents to which work was handed on, in this order; others may come between.
        error: the name of the error that the run ends in. The rest is looked at in what it had done until then.
        steps, tokens, cost, seconds: at most so many: completions of all agents, tokens in and out, US dollars (what
            the judge costs is beside it), seconds from the question to the answer.
        judge: rules, as sentences, of which a model says how well the answer keeps them.
        code: functions that judge it.

    Raises:
        DefinitionError: an argument is of the wrong type or a text of a list is empty, or nothing is expected.
    """

    equals: str | None = None
    contains: Sequence[str] = ()
    lacks: Sequence[str] = ()
    matches: str = ""
    value: Any = None
    type: Any = None
    agent: str = ""
    tools: Sequence[str | ExpectedCall] = ()
    no_tools: Sequence[str] = ()
    handoffs: Sequence[str] = ()
    error: str = ""
    steps: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    judge: Sequence[str] = ()
    code: Sequence[Code] = ()
    _output: Output | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        whose = "what is expected"
        define(whose, equals=(self.equals, TEXT.or_none()), matches=(self.matches, TEXT), error=(self.error, TEXT))
        define(whose, agent=(self.agent, TEXT), steps=(self.steps, COUNT.or_none()), tokens=(self.tokens, _WHOLE))
        define(whose, cost=(self.cost, AMOUNT.or_none()), seconds=(self.seconds, AMOUNT.or_none()))
        for name in ("contains", "lacks", "no_tools", "handoffs", "judge"):
            object.__setattr__(self, name, _texts(getattr(self, name), f"{whose}: {name}"))
            _no_blanks(getattr(self, name), f"{whose}: {name}", spaces_count=name in ("contains", "lacks"))
        object.__setattr__(self, "tools", _calls(self.tools))
        object.__setattr__(self, "code", _several(self.code, callable, f"{whose}: code", "functions of an Answer"))
        if self.matches:
            try:
                re.compile(self.matches)
            except (re.error, RecursionError, OverflowError) as error:
                raise DefinitionError(f"{whose}: matches is no regular expression: {error}") from None
        if self.type is not None:
            try:
                object.__setattr__(self, "_output", Output(self.type))
            except Exception as error:  # pydantic has many errors for what is no type
                raise DefinitionError(f"{whose}: type is one that pydantic knows, not {self.type!r:.80}") from error
        said = (getattr(self, name) not in (None, "", ()) for name in self.__dataclass_fields__)
        if self.equals is None and not any(said):  # of a text, none is expected, too
            raise DefinitionError(f"{whose}: say something of it; there are {', '.join(names_of_expected())}")

    @property
    def calls(self) -> tuple[ExpectedCall, ...]:
        """The calls of tools."""
        return _calls(self.tools)

    @property
    def output(self) -> Output | None:
        """The type, ready to read texts."""
        return self._output


def names_of_expected() -> tuple[str, ...]:
    """What can be expected."""
    return tuple(name for name in Expected.__dataclass_fields__ if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class Case:
    """Something that an agency is asked, and what is expected then.

    Args:
        name: what it is called in reports.
        ask: the question; of several, each is asked when the one before is answered, in one conversation. What is
            expected of the text holds for the last answer, what is expected of calls and costs for all of them.
        expect: what is expected.
        agent: who is asked; the agency's first agent by default.
        repeat: how many times it is asked; None for as many as `evaluate` is told.
        at_least: the share of these that must be as expected, above 0 and up to 1.
        caller: whom it is for; None for nobody named.
        approve: whether calls that wait for a person are approved; otherwise they are denied.

    Raises:
        DefinitionError: an argument is of the wrong type.
    """

    name: str
    ask: str | Sequence[str]
    expect: Expected
    agent: str = ""
    repeat: int | None = None
    at_least: float = 1.0
    caller: Caller | None = None
    approve: bool = False

    def __post_init__(self) -> None:
        define("a case", name=(self.name, NAME))
        whose = f"case {self.name!r:.80}"
        asked = _texts(self.ask, f"{whose}: ask")
        if not asked or not all(text.strip() for text in asked):
            raise DefinitionError(f"{whose}: ask has no words; say what is asked")
        object.__setattr__(self, "ask", asked)
        if not isinstance(self.expect, Expected):
            raise DefinitionError(f"{whose}: expect is an Expected, not {self.expect!r:.80}")
        if self.caller is not None and not isinstance(self.caller, Caller):
            raise DefinitionError(f"{whose}: caller is a Caller, not {self.caller!r:.80}")
        define(whose, agent=(self.agent, TEXT), repeat=(self.repeat, COUNT.or_none()), approve=(self.approve, FLAG))
        define(whose, at_least=(self.at_least, SHARE))
        if self.at_least == 0:
            raise DefinitionError(f"{whose}: at_least is above 0: what may always fail is no case")

    @property
    def questions(self) -> tuple[str, ...]:
        """What is asked, one after the other."""
        return tuple(self.ask)


_WHOLE = COUNT.or_none()


def _several(given: Any, fits: Callable[[Any], bool], whose: str, wanted: str) -> tuple[Any, ...]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence) or not all(map(fits, given)):
        raise DefinitionError(f"{whose}: a list of {wanted}, not {given!r:.80}")
    return tuple(given)


def _texts(given: Any, whose: str) -> tuple[str, ...]:
    """A text, or several."""
    if isinstance(given, str):
        return (given,)
    return _several(given, lambda one: isinstance(one, str), whose, "texts")


def _no_blanks(texts: Sequence[str], whose: str, *, spaces_count: bool) -> None:
    """So that nothing is expected which always holds, or never."""
    for text in texts:
        if not (text if spaces_count else text.strip()):
            raise DefinitionError(f"{whose}: an empty text says nothing; leave it out, or write what is meant")


def _calls(given: Any) -> tuple[ExpectedCall, ...]:
    if isinstance(given, str | ExpectedCall):
        given = (given,)
    wanted = "names of tools, or ExpectedCalls"
    several = _several(given, lambda one: isinstance(one, str | ExpectedCall), "what is expected: tools", wanted)
    return tuple(ExpectedCall(one) if isinstance(one, str) else one for one in several)
