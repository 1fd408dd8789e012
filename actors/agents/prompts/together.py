"""Several prompt functions that make one step: an agent's own, and those of its skills."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, NamedTuple

from ..caller import Caller
from .prompt import Prompt, as_prompt
from .references import Reference, ToolReference
from .spec import PromptSpec
from .templates.rendered import RenderedTemplate
from .unfinished import Unfinished


class Contributor(NamedTuple):
    """One of several prompt functions.

    Args:
        spec: it.
        usable: whether it is called for a caller.
    """

    spec: PromptSpec
    usable: Callable[[Caller], bool]


def together(contributors: Sequence[Contributor], whose: str) -> PromptSpec:
    """One function of several, which are called one after the other with the same prompt.

    Args:
        contributors: in the order in which they are called.
        whose: they are, for errors.

    Raises:
        PromptError: the plugins that they use do not fit together.
    """
    kinds = dict.fromkeys(each.spec.kind for each in contributors)
    plugins = [one for one in kinds if not any(other is not one and issubclass(other, one) for other in kinds)]

    def fn(prompt: Prompt) -> Any:
        return _from(0, prompt)

    def _from(index: int, prompt: Prompt) -> Any:
        caller = prompt.context.caller
        for at in range(index, len(contributors)):
            spec, usable = contributors[at]
            if not usable(caller):
                continue
            made = spec.fn(prompt)
            if isawaitable(made):
                return Unfinished(_rest(at, prompt, made), made)
            if not _is_nothing(made):
                return made  # which is refused, as it is of one alone
        return None

    async def _rest(at: int, prompt: Prompt, made: Awaitable[Any]) -> Any:
        returned = await made
        if not _is_nothing(returned):
            return returned
        following = _from(at + 1, prompt)
        return await following if isawaitable(following) else following

    first = contributors[0].spec
    kind = as_prompt(fn, [plugin for plugin in plugins if plugin is not Prompt], whose).kind
    return PromptSpec(fn, kind, first.name, first.file, first.line)


def _is_nothing(made: object) -> bool:
    return made is None or isinstance(made, Reference | ToolReference | RenderedTemplate)
