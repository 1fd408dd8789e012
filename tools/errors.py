"""What tools raise, and what a failed call's result carries in ``ToolResult.error``.

ToolError                     base; its text is written for the model that made the call
├── ToolDefinitionError       (also ValueError)  a tool, or a set of tools, is declared wrongly
├── UnknownTool               (also LookupError) no tool of that name is available to the caller
├── InvalidArguments          (also ValueError)  the arguments do not fit the tool's schema
├── MissingContext            (also TypeError) the tool takes the context of its call, and was run without one
├── NoCredential              a secret that a tool asks for is not to be had for this caller
├── InvalidResult             what the tool returned does not fit its response schema
├── ToolTimeout               (also TimeoutError) the call took longer than the tool's timeout
├── ToolCancelled             the call was cancelled before it ended
├── NotPicklable              (also TypeError) what crosses over to a tool's own process cannot be sent
├── ProcessDied               the tool's own process died in the middle of the call
├── ToolCrashed               the tool's own code raised; the exception is the cause
├── CallChanged               a call that was begun again made other calls than before
├── FileError                 a file operation failed
│   ├── OutsideFolder         (also PermissionError) the path leaves the folder the tool is confined to
│   ├── NoSuchPath            (also FileNotFoundError) nothing is there
│   └── UnsuitableFile        it is there, but binary, too large, or not a regular file
├── CommandFailed             a command ended with a non-zero status
├── FetchFailed               a web page could not be fetched
├── CodeFailed                sandboxed code did not pass its type check, or raised
├── McpUnavailable            an MCP server cannot be connected to, or the connection has been closed
├── McpCallLost               the connection to an MCP server ended while a call was at work
├── TaskError                 a task list was asked for something that cannot be
└── MissingExtra              (also ImportError) an optional dependency is not installed; the text says which
"""

from __future__ import annotations

from ..actors.core.base.errors import CallboardError


class ToolError(CallboardError):
    """Base class of tool failures. A tool raises it for a text that the model should read as it stands."""


class ToolDefinitionError(ToolError, ValueError):
    """A tool, or a set of tools, is declared wrongly."""


class UnknownTool(ToolError, LookupError):
    """No tool of that name is available to the caller."""


class InvalidArguments(ToolError, ValueError):
    """The arguments do not fit the tool's schema; the text says which and what was expected."""


class MissingContext(ToolError, TypeError):
    """The tool takes the context of its call, and was run without one, or with one of another class."""


class NoCredential(ToolError):
    """A secret that a tool asks for is not to be had for this caller."""


class InvalidResult(ToolError):
    """What the tool returned does not fit its response schema."""


class ToolTimeout(ToolError, TimeoutError):
    """The call took longer than the tool's timeout."""


class ToolCancelled(ToolError):
    """The call was cancelled before it ended. It may have had effects."""


class NotPicklable(ToolError, TypeError):
    """The arguments or the result of a tool that runs in a process of its own cannot be sent there, or back."""


class ProcessDied(ToolError):
    """The tool's own process died in the middle of the call. It may have had effects."""


class ToolCrashed(ToolError):
    """The tool's own code raised; the exception is ``__cause__``."""


class CallChanged(ToolError):
    """A call that was begun again after a crash made another call within it than the one that was recorded."""


class FileError(ToolError):
    """A file operation failed."""


class OutsideFolder(FileError, PermissionError):
    """The path leaves the folder that the tool is confined to."""


class NoSuchPath(FileError, FileNotFoundError):
    """Nothing is there."""


class UnsuitableFile(FileError):
    """It is there, but binary, too large, or not a regular file."""


class CommandFailed(ToolError):
    """A command ended with a non-zero status."""


class FetchFailed(ToolError):
    """A web page could not be fetched."""


class CodeFailed(ToolError):
    """Sandboxed code did not pass its type check, raised, or went over a limit."""


class McpUnavailable(ToolError):
    """An MCP server cannot be connected to, or the connection has been closed."""


class McpCallLost(ToolError):
    """The connection to an MCP server ended while the call was at work. It may have had its effect."""


class TaskError(ToolError):
    """A task list was asked for something that cannot be: an unknown task, a cycle."""


class MissingExtra(ToolError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs an optional dependency: pip install 'callboard[{extra}]'")
