"""What may be asked: a text, messages, or the dictionaries that OpenAI's chat completions take; all else is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ....providers.checks import SAYABLE, TEXT, TOOL_NAME, Wish
from ....providers.messages import Message, ToolSpec
from ....providers.shapes import wrong_message
from ..errors import DefinitionError
from ..wishes import define

Said: TypeAlias = "Message | Mapping[str, Any]"
"""A message, or its dictionary in OpenAI's chat completions."""
Question: TypeAlias = "str | Said | Sequence[Said]"

_KINDS = ("text", "image_url", "input_audio", "file")
"""What the parts of a message may be, in OpenAI's words."""
_WANTED = (
    "a question is a text, a Message or an OpenAI message ({'role': …, 'content': …}), or several of the latter two"
)


_PARAMETERS = Wish(
    "a JSON schema of an object",
    lambda given: SAYABLE.fits(given) and given.get("type", "object") == "object",
)


def as_messages(given: object) -> tuple[Message, ...]:
    """What somebody says as messages.

    Raises:
        DefinitionError: it is something else, or there is nothing in it.
    """
    if isinstance(given, str):
        return (Message("user", given),)
    if not isinstance(given, list | tuple):
        if isinstance(given, Message | Mapping):
            given = (given,)
        if not isinstance(given, Iterable) or isinstance(given, bytes):
            raise DefinitionError(f"{_WANTED}, not {type(given).__name__}")
    messages = tuple(given)
    if any(type(message) is not Message and isinstance(message, Mapping) for message in messages):
        messages = _read(messages)
    for index, message in enumerate(messages):
        if not isinstance(message, Message):
            kind = "a bare text" if isinstance(message, str) else f"of type {type(message).__name__}"
            hint = "; write Message(role, content)" if isinstance(message, str) else ""
            raise DefinitionError(f"message {index} is {kind}{hint}: {_WANTED}")
        _check(message, index)
    if not messages:
        raise DefinitionError("there is nothing to ask: no message was given")
    return messages


def check_question(messages: Sequence[Message], *, alone: bool) -> None:
    """Look whether a model can answer something.

    Args:
        messages: what is asked.
        alone: whether nothing can have been said before.

    Raises:
        DefinitionError: nobody asks anything, or the result of a call comes without its call.
    """
    if not any(message.role in ("user", "tool") for message in messages):
        roles = " and ".join(dict.fromkeys(message.role for message in messages))
        raise DefinitionError(
            f"there is nothing to ask: no message of a user and no result of a call, only {roles} messages"
        )
    if alone and (lost := without_call(messages)) is not None:
        raise not_open(lost)


def without_call(messages: Iterable[Message], waiting: Iterable[str] = ()) -> Message | None:
    """The first result among messages whose call is not open; None where there is none.

    Args:
        messages: in order.
        waiting: ids of the calls that are open before them.
    """
    waits = set(waiting)
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in waits:
                return message
            waits.discard(message.tool_call_id)
        waits.update(call.id for call in message.tool_calls)
    return None


def not_open(result: Message) -> DefinitionError:
    """What is wrong with a result whose call is not open."""
    return DefinitionError(
        f"no call {result.tool_call_id!r:.80} waits for a result: give the assistant's message with that call before "
        "it, or name the conversation in which it was made and is open"
    )


def as_tools(given: object) -> tuple[ToolSpec, ...]:
    """Tools that the caller runs, as `ToolSpec`s or the dictionaries of OpenAI's chat completions.

    Raises:
        DefinitionError: it is something else, or two have one name.
    """
    if given == ():
        return ()
    wanted = "tools are ToolSpecs or OpenAI tools ({'type': 'function', 'function': {'name': …, 'parameters': …}})"
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence):
        raise DefinitionError(f"{wanted}, in a list, not {given!r:.80}")
    tools = tuple(_tool(tool, index, wanted) for index, tool in enumerate(given))
    names = [tool.name for tool in tools]
    if len(set(names)) != len(names):
        raise DefinitionError(f"two of the tools have one name: {', '.join(names)}")
    return tools


def _tool(tool: object, index: int, wanted: str) -> ToolSpec:
    if isinstance(tool, Mapping):
        from ....providers.wire.fields import WrongField
        from ....providers.wire.openai_parts import read_function

        if tool.get("type") != "function" or not isinstance(tool.get("function"), Mapping):
            raise DefinitionError(f"tool {index} is no function: {wanted}")
        try:
            tool = read_function(tool["function"], f"tools[{index}].function")
        except WrongField as wrong:
            raise DefinitionError(f"{wrong}: {wanted}") from None
    if not isinstance(tool, ToolSpec):
        raise DefinitionError(f"{wanted}, not {tool!r:.80}; tools that run here belong to the agent")
    define(f"tool {index}", name=(tool.name, TOOL_NAME))
    define(f"tool {tool.name!r}", description=(tool.description, TEXT), parameters=(tool.parameters, _PARAMETERS))
    return tool


def _read(messages: Sequence[object]) -> tuple[object, ...]:
    """The messages with dictionaries among them read."""
    from ....providers.wire.fields import WrongField
    from ....providers.wire.openai_chat import read_message

    names: dict[str, str] = {}
    read: list[object] = []
    for index, message in enumerate(messages):
        if isinstance(message, Mapping):
            at = f"messages[{index}]"
            _check_dictionary(message, at)
            try:
                message = read_message(message, at, names)
            except (WrongField, ValueError) as wrong:
                raise DefinitionError(str(wrong)) from None
        elif isinstance(message, Message):
            names.update({call.id: call.name for call in message.tool_calls})
        read.append(message)
    return tuple(read)


def _check_dictionary(message: Mapping[Any, Any], at: str) -> None:
    """What the protocol's reader takes for something of a vendor's own, or for nothing, is a mistake here."""
    role, content = message.get("role"), message.get("content")
    if "role" not in message:
        raise DefinitionError(f"{at} has no role: {_WANTED}")
    if content is None and not (role == "assistant" and any(message.get(one) for one in ("tool_calls", "refusal"))):
        raise DefinitionError(f"{at}.content: expected a text or a list of parts, and there is none")
    if role == "assistant":
        calls = message.get("tool_calls")
        if not (calls is None or isinstance(calls, list | tuple)):
            raise DefinitionError(f"{at}.tool_calls: expected a list of calls, not {type(calls).__name__}")
        for number, call in enumerate(calls or ()):
            named = isinstance(call, Mapping) and isinstance(call.get("function"), Mapping)
            if not named or not call["function"].get("name"):
                raise DefinitionError(f"{at}.tool_calls[{number}]: expected {{'id': …, 'function': {{'name': …}}}}")
    if isinstance(content, str) or content is None:
        return
    if not isinstance(content, list | tuple):
        raise DefinitionError(f"{at}.content: expected a text or a list of parts, not {type(content).__name__}")
    for number, part in enumerate(content):
        where = f"{at}.content[{number}]"
        kind = part.get("type") if isinstance(part, Mapping) else None
        kinds = (*_KINDS, "refusal") if role == "assistant" else _KINDS
        if kind not in kinds:
            shown = f"{kind!r:.40}" if isinstance(part, Mapping) else type(part).__name__
            raise DefinitionError(f"{where}: expected a part of type {', '.join(kinds)}, not {shown}")
        if part.get(kind) is None:
            raise DefinitionError(f"{where}.{kind}: there is none")


def _check(message: Message, index: int) -> None:
    if wrong := wrong_message(message, f"messages[{index}]"):
        raise DefinitionError(wrong)
    if isinstance(message.content, list) or isinstance(message.tool_calls, list):
        name = "content" if isinstance(message.content, list) else "tool_calls"
        raise DefinitionError(f"messages[{index}].{name}: expected a tuple, not list")
    if message.role == "tool" and message.tool_call_id is None:
        raise DefinitionError(f"message {index} is a tool's result: its tool_call_id says of which call")
