"""File tools over a folder that is a dictionary, and the turn loop of an agent that uses them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from typing import Any

from callboard.providers.messages import Message, Request, ToolCall, ToolSpec
from callboard.providers.offline import complete

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}


def spec(name: str, description: str, required: list[str] | None = None, **properties: Any) -> ToolSpec:
    wanted = list(properties) if required is None else required
    return ToolSpec(name, description, {"type": "object", "properties": properties, "required": wanted})


class Folder:
    """File tools over a dictionary, named as coding agents name them."""

    def __init__(self, **files: str) -> None:
        self.files = {name.replace("__", "/").replace("_dot_", "."): content for name, content in files.items()}
        self.specs = {
            "LS": spec("LS", "List what a folder holds.", [], path=TEXT),
            "Glob": spec("Glob", "Find files by name.", ["pattern"], pattern=TEXT, path=TEXT),
            "Grep": spec(
                "Grep", "Search file contents by regular expression.", ["pattern"], pattern=TEXT, path=TEXT, glob=TEXT
            ),
            "Read": spec("Read", "Read a text file.", ["file_path"], file_path=TEXT),
            "Write": spec("Write", "Write a text file.", file_path=TEXT, content=TEXT),
            "Edit": spec("Edit", "Replace a text in a file.", file_path=TEXT, old_string=TEXT, new_string=TEXT),
        }

    def run(self, call: ToolCall) -> str:
        arguments = call.parsed()
        return str(getattr(self, call.name.lower())(**arguments))

    def ls(self, path: str = ".") -> str:
        return "\n".join(sorted({name.split("/")[0] for name in self.files}))

    def glob(self, pattern: str, path: str = ".") -> str:
        found = [
            name
            for name in sorted(self.files)
            if pattern == "**/*" or fnmatch.fnmatch(name, pattern.replace("**/", "*"))
        ]
        return "\n".join(found) or "(no file fits)"

    def grep(self, pattern: str, path: str = ".", glob: str = "*") -> str:
        found = [
            f"{name}:{number}:{line}"
            for name, content in sorted(self.files.items())
            for number, line in enumerate(content.splitlines(), 1)
            if re.search(pattern, line) and fnmatch.fnmatch(name, glob) and (path == "." or name.startswith(path))
        ]
        return "\n".join(found) or "(no match)"

    def read(self, file_path: str) -> str:
        if file_path not in self.files:
            raise FileNotFoundError(file_path)
        return "\n".join(f"{n:6}\t{line}" for n, line in enumerate(self.files[file_path].splitlines(), 1))

    def write(self, file_path: str, content: str) -> str:
        self.files[file_path] = content
        return f"wrote {file_path}"

    def edit(self, file_path: str, old_string: str, new_string: str) -> str:
        self.files[file_path] = self.files[file_path].replace(old_string, new_string)
        return "done"


def converse(
    task: str,
    specs: list[ToolSpec],
    run: Callable[[ToolCall], str],
    *,
    system: str = "",
    parallel: bool = True,
    earlier: tuple[Message, ...] = (),
) -> tuple[str, list[ToolCall]]:
    """The turn loop of an agent: the answer, and the calls that led to it."""
    messages = [Message("system", system)] if system else []
    messages += [*earlier, Message("user", task)]
    made: list[ToolCall] = []
    for _ in range(20):
        completion = complete(Request(tuple(messages), tools=tuple(specs), parallel_tool_calls=parallel))
        messages.append(completion.message)
        if not completion.message.tool_calls:
            assert completion.finish_reason == "stop"
            return completion.message.text, made
        assert completion.finish_reason == "tool_calls"
        assert parallel or len(completion.message.tool_calls) == 1
        for call in completion.message.tool_calls:
            made.append(call)
            try:
                messages.append(Message("tool", run(call), tool_call_id=call.id, name=call.name))
            except Exception as error:
                failed = Message("tool", f"{error!r}", tool_call_id=call.id, name=call.name, is_error=True)
                messages.append(failed)
    raise AssertionError(f"no end: {[call.name for call in made]}")
