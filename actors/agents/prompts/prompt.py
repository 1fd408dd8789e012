"""What a prompt function is given: it defines what the model sees and may call in one step.

A prompt function runs before each completion of a run. What it defines counts for that step; what it must remember is
state, which the conversation keeps. Plugins are subclasses of `Prompt` with methods of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast, overload

from ....providers.messages import Message, Part
from ....providers.shapes import wrong_message
from ....tools.errors import ToolDefinitionError
from ....tools.function_tool import Alike, FunctionOptions, as_tool, known_tool, offered_tool
from ....tools.tool import Tool, check_options
from ..errors import PromptError, said
from .attributes import no_attribute
from .effects import Effect, EffectCallback, dependencies_of
from .parts import Parts
from .references import Reference, ToolReference, check_name
from .spec import PromptSpec, specified
from .state.cells import StateSetter
from .state.serializing import ANY, SCALARS, NotPlain, kind_of
from .subagents import AgentOptions, AllAgentOptions, SubAgent, SubAgents
from .templates.rendered import RenderedTemplate
from .templates.template import Template
from .yamls import as_yaml

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..context import RequestContext

T = TypeVar("T")
P = TypeVar("P", bound="Prompt")
I = TypeVar("I")  # noqa: E741


class Prompt:
    """Defines one step of a run; see the page for what each part becomes."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Parts) -> None:
        self._parts: Parts | None = parts

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._parts.name}>" if self._parts else f"<{type(self).__name__}, over>"

    def _over(self, method: str) -> NoReturn:
        raise PromptError(
            f"prompt.{method} was called after the prompt function had returned: define everything in it; setters "
            "and references stay of use"
        )

    if not TYPE_CHECKING:  # to which it would say that there is every attribute

        def __getattr__(self, name: str) -> NoReturn:
            parts = None if name.startswith("_") else self._parts
            raise no_attribute(self, name, parts.name if parts is not None else "", Prompt)

    @property
    def context(self) -> RequestContext:
        """The request context of the run: who asks, for what.

        Raises:
            PromptError: the prompt function has returned.
        """
        return (self._parts or self._over("context")).request

    # -- state and effects ---------------------------------------------------------------------------------------------

    @overload
    def state(self, key: str, initial: T) -> tuple[T, StateSetter[T]]: ...
    @overload
    def state(self, key: str, initial: T, value_type: type[T]) -> tuple[T, StateSetter[T]]: ...
    @overload
    def state(self, key: str, initial: Any, value_type: Any) -> tuple[Any, StateSetter[Any]]: ...
    def state(self, key: str, initial: Any, value_type: Any = None) -> tuple[Any, StateSetter[Any]]:
        """A value that the conversation keeps.

        Args:
            key: by which it is kept.
            initial: what it is at first in a conversation.
            value_type: the type it comes back as; by default that of ``initial``.

        Returns:
            The value, a copy of one's own, and what sets it: called in a tool or an effect with the new value, or with
            a pure function of the value before, it returns the new one.

        Raises:
            PromptError: the key was used already in this step, or the value cannot be kept.
        """
        parts = self._parts or self._over("state")
        if not isinstance(key, str) or not key:
            raise PromptError(f"{parts.name}: the key of a state is a text, not {key!r:.80}")
        if key in parts.keys:
            raise parts.twice("state", key)
        parts.keys.add(key)
        try:
            kind = ANY if value_type is None and type(initial) in SCALARS else kind_of(initial, value_type)
            return parts.cells.read(key, kind, initial, parts.before)
        except NotPlain as wrong:
            raise PromptError(f"{parts.name}: state {key!r}: {wrong}") from wrong

    def effect(self, callback: EffectCallback, dependencies: Sequence[Any] | None = None) -> None:
        """Run something after the prompt function and before the completion.

        Args:
            callback: called with the `EffectContext` and the `StepModifier`, or as many of them as it requires; may be
                async.
            dependencies: plain data: it runs where they differ from those of its last run in the conversation; ``[]``
                runs it once. None runs it each step.

        Raises:
            PromptError: it cannot be called so, or a dependency is no plain data.
        """
        parts = self._parts or self._over("effect")
        if not callable(callback):
            raise PromptError(f"{parts.name}: an effect is a function, not {callback!r:.80}")
        _, _, _, identity, taken = parts.look_at(callback)
        text = None
        if dependencies is not None:
            text = dependencies_of(dependencies, callback, parts.name)
            parts.depending.append(identity)
            if parts.cells.effects.get(identity) == text:  # what it depends on is what it was when it ran last
                return
        parts.effects.append(Effect(callback, identity, text, taken))

    # -- the system prompt ---------------------------------------------------------------------------------------------

    def system(self, name: str, text: str) -> Reference:
        """Tell the model something: ``<name>text</name>`` in the system prompt.

        Raises:
            PromptError: it is no name or no text, or there is a part of that name.
        """
        parts = self._parts or self._over("system")
        if (made := parts.last.get(name) if type(name) is str else None) is not None:
            named = parts.named
            if type(text) is str and made.value == text and name not in named:  # as in the step before
                made.marks = parts.marks
                named[name] = made
                parts.systems.append(made)
                return made
        return parts.add(parts.systems, name, text if isinstance(text, str) else _no_text(text, name, parts, "system"))

    def define(self, name: str, text: str) -> Reference:
        """Give the model a text to use: ``<name>text</name>`` in the system prompt, behind what `system` tells.

        Raises:
            PromptError: it is no name or no text, or there is a part of that name.
        """
        parts = self._parts or self._over("define")
        if (made := parts.last.get(name) if type(name) is str else None) is not None:
            named = parts.named
            if type(text) is str and made.value == text and name not in named:  # as in the step before
                made.marks = parts.marks
                named[name] = made
                parts.variables.append(made)
                return made
        return parts.add(
            parts.variables, name, text if isinstance(text, str) else _no_text(text, name, parts, "define")
        )

    def define_data(self, name: str, data: Any) -> Reference:
        """Give the model data to use, as YAML.

        Args:
            name: the part's.
            data: plain data, or what pydantic makes such: models, dataclasses.

        Raises:
            PromptError: it is no name or no data, or there is a part of that name.
        """
        parts = self._parts or self._over("define_data")
        try:
            text = as_yaml(data)
        except NotPlain as wrong:
            raise PromptError(f"{parts.name}: define_data({name!r:.80}): {wrong}") from wrong
        return parts.add(parts.variables, name, text)

    def reminded_items(self) -> tuple[Reference, ...]:
        """The parts of which the model is reminded in this step, so far."""
        return tuple((self._parts or self._over("reminded_items")).marks.reminded.values())

    # -- messages ------------------------------------------------------------------------------------------------------

    def message(self, role: Literal["user", "assistant"], content: str | Sequence[Part]) -> None:
        """Have a message stand before the conversation, in this step alone.

        Args:
            role: who speaks.
            content: the text, or parts in order.

        Raises:
            PromptError: it is no message.
        """
        parts = self._parts or self._over("message")
        if role not in ("user", "assistant"):
            raise PromptError(
                f"{parts.name}: message({role!r:.40}, …): role is 'user' or 'assistant'; for instructions "
                "use prompt.system"
            )
        made = tuple(content) if isinstance(content, list) else content
        message = Message(role, cast(Any, made))
        if wrong := wrong_message(message, "message"):
            raise PromptError(f"{parts.name}: {wrong}")
        parts.messages.append(message)

    def user(self, text: str) -> None:
        """Have a message of the user's stand before the conversation, in this step alone.

        Raises:
            PromptError: it is no text.
        """
        self.message("user", text)

    def template(self, template: Template, /, **variables: Any) -> RenderedTemplate:
        """Say what a template says: its system text as a part of the system prompt with the template's name, its
        examples and the user's message before the conversation. The version, chosen by the conversation, is noted in
        the answer.

        Args:
            template: one of a `TemplateFolder`.
            variables: their values, which are written as they are.

        Returns:
            What it has made of them.

        Raises:
            TemplateError: a variable is missing, not declared or of the wrong type, or a text cannot be rendered.
            PromptError: it is no template, or there is a part of that name.
        """
        parts = self._parts or self._over("template")
        if not isinstance(template, Template):
            raise PromptError(
                f"{parts.name}: template(…) takes what folder.template('name') returns, not {type(template).__name__}"
            )
        made = template.render(variables, parts.request.conversation)
        if made.system:
            self.system(made.name, made.system)
        parts.messages += made.few_shot
        if made.user:
            self.user(made.user)
        parts.notes.append(made.note)
        return made

    # -- tools and sub-agents ------------------------------------------------------------------------------------------

    @overload
    def tool(
        self, declared: Tool | type | Callable[..., Any], /, **options: Unpack[FunctionOptions]
    ) -> ToolReference: ...
    @overload
    def tool(self, /, **options: Unpack[FunctionOptions]) -> Callable[[Callable[..., Any]], ToolReference]: ...
    def tool(self, declared: Any = None, /, **options: Any) -> Any:
        """Offer a tool in this step: a function, a `Tool` or a `BaseTool`; as a decorator too.

        Args:
            declared: it.
            options: those of `callboard.tool`, for a function.

        Returns:
            The reference; as a text it is the tool's name.

        Raises:
            PromptError: it is no tool, an option is wrong, or there is something of that name.
        """
        parts = self._parts or self._over("tool")
        frame = sys._getframe(1)
        if type(declared) is FunctionType and (made := known_tool(declared, options, frame)) is not None:
            like = made[0]
            name = like.name
            if name in parts.tools or name in parts.agents:
                raise parts.twice("tool or sub-agent", name)
            parts.tools[name] = made
            parts.likes.append(like)
            return ToolReference(name)
        if declared is None:
            return lambda function: _offered(self._parts or self._over("tool"), function, options, frame)
        return _offered(parts, declared, options, frame)

    @overload
    def agent(
        self,
        name: str,
        description: str,
        input: type[I],
        fn: Callable[[P, I], object],
        *,
        plugins: type[P],
        **options: Unpack[AgentOptions],
    ) -> ToolReference: ...
    @overload
    def agent(
        self,
        name: str,
        description: str,
        input: type[I],
        fn: Callable[[Prompt, I], object],
        **options: Unpack[AgentOptions],
    ) -> ToolReference: ...
    @overload
    def agent(
        self,
        name: str,
        description: str,
        input: Mapping[str, Any],
        fn: Callable[[Any, Any], object],
        *,
        plugins: type[Prompt] | Sequence[type[Prompt]] = (),
        **options: Unpack[AgentOptions],
    ) -> ToolReference: ...
    def agent(self, name: str, description: str, input: Any, fn: Any, **options: Any) -> ToolReference:
        """Offer an agent with a prompt function of its own as a tool, in this step; see `SubAgent` for the arguments.

        Raises:
            PromptError: something of it is wrong, or there is something of that name.
        """
        parts = self._parts or self._over("agent")
        check_options(options, AllAgentOptions, f"{parts.name}: a sub-agent", PromptError)
        made = SubAgent(name, description, input, fn, **options)
        prompt_of(made)
        parts.offer(made)
        return ToolReference(name)

    def agents(self, name: str, description: str, members: Sequence[SubAgent]) -> ToolReference:
        """Offer sub-agents that one call asks side by side, in this step.

        Raises:
            PromptError: something of them is wrong, or there is something of that name.
        """
        parts = self._parts or self._over("agents")
        made = SubAgents(name, description, members)
        for member in made.members:
            prompt_of(member)
        parts.offer(made)
        return ToolReference(name)


def end(prompt: Prompt) -> None:
    """The prompt function has returned."""
    prompt._parts = None


def as_prompt(fn: object, plugins: object, whose: str, *, takes: int = 1) -> PromptSpec:
    """Look at a prompt function.

    Args:
        fn: it.
        plugins: a subclass of `Prompt`, or several.
        whose: it is, for errors.
        takes: how many arguments it is called with: 1, the prompt; or 2, for a sub-agent's input.

    Raises:
        PromptError: it cannot be called so, or does not fit the plugins.
    """
    return specified(fn, plugins, whose, Prompt, takes)


def prompt_of(sub: SubAgent) -> PromptSpec:
    """Look at the prompt function of a sub-agent.

    Raises:
        PromptError: it cannot be called with the prompt and the input, or does not fit the plugins.
    """
    return as_prompt(sub.fn, sub.plugins, f"sub-agent {sub.name!r}", takes=2)


def _offered(parts: Parts, declared: Any, options: dict[str, Any], frame: Any) -> ToolReference:
    try:
        made: Tool | Alike
        if type(declared) is not FunctionType and isinstance(declared, (type, Tool)):
            if options:
                raise PromptError(
                    f"{parts.name}: {', '.join(options)} of {declared!r:.80}: a tool that is made already has its own "
                    "options; give them where it is made"
                )
            made = as_tool(declared)
        else:
            made = offered_tool(declared, options, frame)
    except ToolDefinitionError as error:
        raise PromptError(f"{parts.name}: {said(error)}") from error
    parts.offer(made)
    return ToolReference(made.name)


def _no_text(given: object, name: object, parts: Parts, method: str) -> NoReturn:
    check_name(name, parts.name)
    raise PromptError(
        f"{parts.name}: {method}({name!r:.80}, …) takes a text, not {type(given).__name__}; for data use define_data"
    )
