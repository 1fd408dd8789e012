"""What an agent is: a plain description. Agencies make actors of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias, TypeVar, get_args

from ...providers.checks import FLAG, FUNCTION, LIST, MAYBE_FUNCTION, TEXT, Wish
from ...tools import Tool, ToolDefinitionError, as_tool
from ...tools.scopes import ALL, Scopes, as_scopes, may_use
from ...tools.tool import Autonomy
from ..core.refs.ref import ActorRef
from .caller import Caller, as_owner
from .classfields import SaysFields, fields_of_class
from .context import Deps, RequestContext
from .errors import DefinitionError, PromptError
from .guardrails.labels import LabelPolicy
from .handoffs.offer import HandoffTool, as_handoffs
from .handoffs.target import Target
from .hooks import Hook, Hooks, as_hooks, only
from .memory.context.strategy import ContextStrategy
from .output import Output
from .plaindata import Known, Misread, read_fields
from .prompts.prompt import Prompt, as_prompt
from .prompts.spec import PromptSpec
from .prompts.together import Contributor, together
from .skills.skill import Skill, in_order
from .turns.loop.stopping import PrepareStep, StopWhen, check_condition
from .turns.rules import Limits, check_limits
from .wishes import AGENT_NAME, MODEL, all_are, check_settings, define

if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Self

    import typing_extensions

    Out = typing_extensions.TypeVar("Out", default=Any)
else:  # defaults come with Python 3.13, and only type checkers need this one
    Out = TypeVar("Out")

Instructions: TypeAlias = "str | Callable[[RequestContext], str]"


@fields_of_class
@dataclass(eq=False)
class Agent(SaysFields, Generic[Deps, Out]):
    """An agent: a name, instructions, and what it may use.

    Type checkers may be told what its tools depend on and what it answers: ``Agent[Database, Report]("Analyst", …)``.

    A class of one's own may say any of it: ``class Writer(Agent): name = "Writer"; tools = [look_up]``; what its
    instances are given goes before that. `instructions` may be a method of it, of the request context.

    Args:
        name: 1 to 48 letters, digits, ``_`` and ``-``.
        instructions: the system message, or a function of the request context that returns it.
        model: a model's name, empty for the provider's default, or an actor that answers `Request`.
        tools: tools, `BaseTool` classes, or functions with type hints, which are made tools.
        handoffs: agents (or their names) it may delegate to, and what `handoff` returns. The model reaches plain
            agents by one tool, ``SendMessage(target_agent, message, context)``; what `handoff` returns is its own tool.
        description: one sentence for the agents that may hand off to it.
        limits: what one run may use.
        autonomy: what waits for a person: all tool calls and handoffs (``manual``), risky tool calls (``supervised``),
            nothing (``autonomous``); a tool may say otherwise of itself (``approval=``). But for the last, the model
            is told so.
        output_type: the type the final answer must fit; the answer's ``value`` then has it.
        settings: fields of `Request` to set: ``temperature``, ``max_tokens``, ``reasoning_effort``…; and ``batch``:
            whether its requests may wait to go out together with others, where the pool batches (not streams).
        hooks: functions that see and may change what a run does, and guardrails; see `hooks` and `Guardrail`.
        skills: tools, hooks, handoffs and prompts that belong together.
        defer_tools: whether the model is shown a search in place of the tools, which loads what it finds: for many
            tools. A tool may say otherwise (``@tool(defer=False)``).
        stop_when: ends a run with what there is: looked at after each step, when every call has its result. One of
            `AfterTool`, `AfterSteps` and `TextMatches`, put together by ``|``, or a function of the `RunSoFar`.
        prepare_step: a function of the `RunSoFar`, called before each completion; returns the `StepPlan` of that one
            step, or None. After a crash it is called again for the step that was under way.
        prompt: a prompt function, called with a `Prompt` before each completion: it defines what the model is told and
            may call in that step, besides all that stands here. It may be ``async``.
        plugins: subclasses of `Prompt` whose methods the prompt function uses.
        context: what of a long conversation the model is shown: `Window`, `DropToolOutput`, `KeepPriority`, `Summarize`
            and the like, put together by ``|``. None shows all, and leaves old tool output and then old messages out
            once a vendor has said that it is too long; `KeepAll` ends the run there. The history itself is kept whole.
        scope: who may ask it, in a run or by handing off to it: one scope or several, of which one suffices. ``all`` is
            everybody. Otherwise a caller needs one of them among its own (`Caller.scopes`), or ``admin``; the agent's
            owner holds ``owner``. So do tools, skills, hooks and handoffs: to others they are as if they were not
            there.
        label_policy: what text from outside may cause, and where confidential text may go; by default the agency's.
        owner: whose the agent is: a user's name, or a `Caller` where users belong to tenants.

    Raises:
        DefinitionError: the name, a setting, the autonomy, the scope or the owner is wrong, or two tools have one name;
            or a class of one's own has a method that nobody would call.
    """

    price: ClassVar[Decimal | None] = None
    """US dollars of an answer; see `pricing`."""

    name: str = ""
    instructions: Instructions = ""
    model: str | ActorRef[Any] = field(default="", kw_only=True)
    tools: Sequence[Tool | Callable[..., Any]] = field(default=(), kw_only=True)
    handoffs: Sequence[Target | str | HandoffTool] = field(default=(), kw_only=True)
    description: str = field(default="", kw_only=True)
    limits: Limits = field(default=Limits(), kw_only=True)
    autonomy: Autonomy = field(default="autonomous", kw_only=True)
    output_type: type[Out] | Any = field(default=None, kw_only=True)
    settings: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    hooks: Hooks = field(default=(), kw_only=True)
    skills: Sequence[Skill] = field(default=(), kw_only=True)
    defer_tools: bool = field(default=False, kw_only=True)
    stop_when: StopWhen | None = field(default=None, kw_only=True)
    prepare_step: PrepareStep | None = field(default=None, kw_only=True)
    prompt: Callable[[Any], object] | None = field(default=None, kw_only=True)
    plugins: Sequence[type[Prompt]] | type[Prompt] = field(default=(), kw_only=True)
    context: ContextStrategy | None = field(default=None, kw_only=True)
    scope: Scopes = field(default=ALL, kw_only=True)
    owner: Caller | str | None = field(default=None, kw_only=True)
    label_policy: LabelPolicy | None = field(default=None, kw_only=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _NEVER_CALLED:
            if name in vars(cls):
                raise DefinitionError(
                    f"{cls.__name__}.{name}: an agent is a description, and nobody calls that; what it does is said by "
                    "its instructions, tools, hooks and handoffs"
                )

    def __post_init__(self) -> None:
        self.check_class_fields()
        if not AGENT_NAME.fits(self.name):
            raise DefinitionError(f"agent name {self.name!r:.80}: use {AGENT_NAME.text}")
        whose = f"agent {self.name}"
        if self.autonomy not in get_args(Autonomy):
            raise DefinitionError(
                f"agent {self.name}: autonomy is {self.autonomy!r}; use manual, supervised or autonomous"
            )
        check_limits(self.limits)
        check_condition(self.stop_when)
        define(
            whose,
            instructions=(self.instructions, _INSTRUCTIONS),
            model=(self.model, MODEL),
            tools=(self.tools, LIST),
            description=(self.description, TEXT),
            defer_tools=(self.defer_tools, FLAG),
            prepare_step=(self.prepare_step, MAYBE_FUNCTION),
            context=(self.context, CONTEXT),
            label_policy=(self.label_policy, _LABEL_POLICY),
        )
        self.scope = as_scopes(self.scope, whose, DefinitionError)
        self.owner = as_owner(self.owner, self.name)
        self.tools = as_tools(self.tools, self.name)
        self.handoffs = as_handoffs(self.handoffs, whose)
        self.hooks = as_hooks(self.hooks, whose)
        self.skills = all_are(Skill, self.skills, whose, "skills", "Skills")
        try:
            self.all_skills = tuple(in_order(self.skills))
        except DefinitionError as error:
            raise DefinitionError(f"{whose}: {error}") from None
        self.opened_skills = tuple(skill for skill in self.all_skills if skill.opens)
        from_skills = (tool for skill in self.all_skills for tool in skill.tools)
        self.all_tools = as_tools((*self.tools, *from_skills), self.name)
        self.output = _output(self.output_type, self.name)
        self.prompt_spec = self._prompt_spec(whose)
        check_settings(self.settings, whose)

    def _prompt_spec(self, whose: str) -> PromptSpec | None:
        """Its own prompt function, with those of its skills after it."""
        taught = [(skill, skill.prompt_spec) for skill in self.all_skills if skill.prompt_spec is not None]
        if self.prompt is None and self.plugins:
            raise PromptError(f"{whose}: plugins are for a prompt function; give one: prompt=…")
        if self.prompt is None and not taught:
            return None
        if getattr(self, "answer", None) is not None:
            raise PromptError(f"{whose}: it answers by itself, so nothing asks its prompt function; leave one away")
        if not taught:
            return as_prompt(self.prompt, self.plugins, whose)
        made: list[Contributor] = []
        if self.prompt is not None:
            made.append(Contributor(as_prompt(self.prompt, self.plugins, whose), lambda caller: True))
        made.extend(Contributor(spec, partial(self._may_use_skill, skill)) for skill, spec in taught)
        return together(made, whose)

    def _may_use_skill(self, skill: Skill, caller: Caller) -> bool:
        """Whether a caller may use a skill and all that it builds on."""
        by_name = {each.name: each for each in self.all_skills}
        return self.may_use(caller, skill.scope) and all(
            self._may_use_skill(by_name[name], caller) for name in skill.required
        )

    @classmethod
    def from_config(
        cls,
        data: Mapping[str, Any],
        *,
        tools: Known = (),
        hooks: Known = (),
        skills: Known = (),
    ) -> Self:
        """An agent from plain data, such as a file's. Team files are read with it, too.

        Args:
            data: any fields of the agent. Tools, hooks and skills stand there by name, or as ``module:name``, which is
                imported; handoffs by the agent's name; ``limits`` as a mapping; ``output_type``, ``stop_when``,
                ``prepare_step``, ``prompt`` and ``context`` as ``module:name``, ``plugins`` as a list of such. A
                ``role`` takes the instructions from a file where there are none. Objects are taken as they are.
            tools, hooks, skills: what names stand for: a mapping, or things that have a name (a `ToolRegistry`). Skills
                are found by their names besides, see `find_skill`.

        Raises:
            DefinitionError: a field or a name is not there, or of the wrong kind, with those there are; or as `Agent`.
        """
        try:
            said = read_fields(data, [each.name for each in fields(cls) if each.init], tools, hooks, skills)
        except Misread as wrong:
            who = data.get("name", "") if isinstance(data, Mapping) else ""
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in wrong.at)
            raise Misread(f"agent {who}{where}: {wrong}", *wrong.at) from wrong.__cause__
        return cls(**said)

    def may_be_asked_by(self, caller: Caller) -> bool:
        """Whether a caller has the scope for it."""
        return self.may_use(caller, self.scope)

    def may_use(self, caller: Caller, scope: Scopes) -> bool:
        """Whether a caller may use something of this agent's.

        Args:
            caller: who asks.
            scope: the thing's.
        """
        owner = as_owner(self.owner, self.name)
        return may_use(caller.holds(owner), as_scopes(scope, self.name, DefinitionError))

    @property
    def all_handoffs(self) -> tuple[Target | str | HandoffTool, ...]:
        """Its own handoffs and those of its skills."""
        return (*self.handoffs, *(item for skill in self.all_skills for item in skill.handoffs))

    @property
    def all_hooks(self) -> tuple[Hook, ...]:
        """Its own hooks and those of its skills."""
        return (*only(self.hooks), *(item for skill in self.all_skills for item in only(skill.hooks)))


_NEVER_CALLED = ("on_receive", "on_start", "on_stop", "on_failure", "run", "run_streaming", "process")
"""What people write who take an agent for an actor or an agency."""

CONTEXT: Final = Wish(
    "a context strategy, such as Window(tokens=8000), or None",
    lambda given: given is None or isinstance(given, ContextStrategy),
)
_INSTRUCTIONS = Wish(
    "a text, or a function of the request context", lambda given: TEXT.fits(given) or FUNCTION.fits(given)
)
_LABEL_POLICY = Wish("a LabelPolicy, or None", lambda given: given is None or isinstance(given, LabelPolicy))


def _output(kind: Any, agent: str) -> Output | None:
    if kind is None:
        return None
    try:
        return Output(kind)
    except Exception as error:
        raise DefinitionError(
            f"agent {agent}: output_type {kind!r:.80} is no type that pydantic knows: {error!s:.300}"
        ) from error


def as_tools(given: Iterable[Tool | Callable[..., Any]], agent: str) -> tuple[Tool, ...]:
    """Tools as they are, `BaseTool` classes and functions made tools.

    Raises:
        DefinitionError: something cannot be a tool, or two have one name.
    """
    made: dict[str, Tool] = {}
    for item in given:
        if not isinstance(item, Tool):
            try:
                item = as_tool(item)
            except ToolDefinitionError as error:
                raise DefinitionError(f"agent {agent}: {error}") from error
        if item.name in made:
            raise DefinitionError(f"agent {agent}: two tools are called {item.name!r}; rename one with @tool(name=…)")
        made[item.name] = item
    return tuple(made.values())
