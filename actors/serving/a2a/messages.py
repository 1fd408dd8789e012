"""The protocol's messages and parts, and ours. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from ....providers.messages import Audio, File, Image, Message, Part, Text
from ....providers.wire.fitting.letters import mended

INPUT_MODES: Final = ("text/plain", "application/json", "image/png", "image/jpeg", "application/pdf", "audio/wav")
OUTPUT_MODES: Final = ("text/plain", "application/json")

YES: Final = re.compile(r"\s*(?:yes|ok|okay|approve|approved|confirm|confirmed|allow)[\s.!]*", re.IGNORECASE)
"""What a person says who approves; all else is why not."""

_MEDIA: Final = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}(?: *; *[\w.+-]+=[\w.+-]+)*", re.ASCII)


def asked(message: pb.Message) -> Message:
    """What a client says.

    Raises:
        InvalidParamsError: it says nothing, or is not the user's.
    """
    if message.role not in (pb.Role.ROLE_USER, pb.Role.ROLE_UNSPECIFIED):
        raise InvalidParamsError("message.role: what a client says is the user's: ROLE_USER")
    parts = tuple(_part(part, index) for index, part in enumerate(message.parts))
    if all(isinstance(part, Text) and not part.text.strip() for part in parts):
        raise InvalidParamsError("message.parts: it says nothing: give a part with a text")
    texts = [part.text for part in parts if isinstance(part, Text)]
    return Message("user", "\n".join(texts) if len(texts) == len(parts) else parts)


def _part(part: pb.Part, index: int) -> Part:
    kind = part.WhichOneof("content")
    media = part.media_type
    if media and not (len(media) < 300 and _MEDIA.fullmatch(media)):
        raise InvalidParamsError(f"message.parts[{index}].mediaType is a type, such as image/png")
    if kind == "text":
        return Text(part.text)
    if kind == "data":
        return Text(json.dumps(MessageToDict(part.data), ensure_ascii=False))
    if kind == "raw":
        media = media or "application/octet-stream"
        return _file(f"data:{media};base64,{base64.b64encode(part.raw).decode()}", media, part.filename)
    if kind == "url":
        if not part.url.startswith("https://"):
            raise InvalidParamsError(f"message.parts[{index}].url begins with https://")
        return _file(part.url, media, part.filename)
    raise InvalidParamsError(f"message.parts[{index}]: give one of text, raw, url and data")


def _file(url: str, media: str, name: str) -> Part:
    if media.startswith("image/"):
        return Image(url)
    if media.startswith("audio/") and url.startswith("data:"):
        return Audio(url)
    return File(url, name)


def said(message_id: str, task: str, context: str, messages: Iterable[Message]) -> list[pb.Message]:
    """What a client has said, as a task's history has it."""
    return [
        pb.Message(message_id=message_id, task_id=task, context_id=context, role=pb.Role.ROLE_USER, parts=_parts(one))
        for one in messages
        if one.role == "user"
    ]


def _parts(message: Message) -> list[pb.Part]:
    if isinstance(message.content, str):
        return [pb.Part(text=mended(message.content))]
    return [_out(part) for part in message.content]


def _out(part: Part) -> pb.Part:
    """A part, of which another protocol may have brought what does not fit here."""
    if isinstance(part, Text):
        return pb.Part(text=mended(part.text))
    head, comma, data = part.url.partition(",")
    name = mended(part.name) if isinstance(part, File) else ""
    if head.startswith("data:") and comma:
        try:
            raw = base64.b64decode(data)
        except (binascii.Error, ValueError):
            raw = data.encode(errors="replace")
        return pb.Part(raw=raw, media_type=mended(head[5:].partition(";")[0]), filename=name)
    return pb.Part(url=mended(part.url), filename=name, media_type="image/*" if isinstance(part, Image) else "")


def tells(task: str, context: str, text: str, data: Any = None) -> pb.Message:
    """What an agent says of a task, such as what it waits for.

    Args:
        task, context: of which.
        text: for people.
        data: for programs; None for nothing.
    """
    parts = [pb.Part(text=mended(text))]
    if data is not None:
        parts.append(pb.Part(data=value_of(data), media_type="application/json"))
    return pb.Message(
        message_id=f"{task}-status", task_id=task, context_id=context, role=pb.Role.ROLE_AGENT, parts=parts
    )


def value_of(data: Any) -> struct_pb2.Value:
    """Plain data as the protocol's; as JSON in a text where they are nested deeper than that can be."""
    try:
        return ParseDict(mended(data), struct_pb2.Value())
    except ParseError:
        return struct_pb2.Value(string_value=json.dumps(mended(data), ensure_ascii=False))


def decisions(message: pb.Message, waiting: list[str]) -> dict[str, tuple[bool, str]]:
    """What a message decides, by approval: whether it is approved, and why not. Data say it of each, text of all.

    Raises:
        InvalidParamsError: it says nothing, or of something else.
    """
    decided: dict[str, tuple[bool, str]] = {}
    texts: list[str] = []
    for part in message.parts:
        kind = part.WhichOneof("content")
        if kind == "text":
            texts.append(part.text)
        elif kind == "data":
            data = MessageToDict(part.data)
            given = data.get("approvals") if isinstance(data, dict) else None
            if not isinstance(given, dict) or not given:
                raise InvalidParamsError('data: {"approvals": {id: true or false}} says what is approved')
            for approval, verdict in given.items():
                if approval not in waiting:
                    raise InvalidParamsError(f"data.approvals: {approval:.80} does not wait for you")
                if not isinstance(verdict, bool):
                    raise InvalidParamsError(f"data.approvals.{approval:.80} is true or false")
                decided[approval] = (verdict, "")
    text = "\n".join(texts).strip()
    if decided:
        return {approval: (yes, "" if yes else text) for approval, (yes, _) in decided.items()}
    if not text:
        raise InvalidParamsError("message.parts: it says nothing: approve, or say why not")
    return {approval: (bool(YES.fullmatch(text)), text) for approval in waiting}
