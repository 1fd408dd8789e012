"""Class-based tools: the arguments are pydantic fields."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Unpack

from pydantic import BaseModel, ConfigDict

from .errors import ToolDefinitionError
from .signatures.schema import ModelSignature
from .tool import Tool, ToolOptions, check_options


class BaseTool(BaseModel):
    """A tool as a class: its fields are the arguments, its docstring the description, ``run`` what it does.

    The options of `Tool` are given to the class::

        class Greet(BaseTool, risk="safe", timeout=5):
            '''Greet somebody.'''

            name: str = Field(description="whom to greet")

            async def run(self) -> str:
                return f"Hello, {self.name}"

    The tool's name is the class's, unless ``name=`` is given. Validators of the model take part in checking the
    arguments. ``run`` may be a plain ``def``; it is then called in a thread. It may take the context of its call:
    ``run(self, context: ToolContext)``.
    """

    model_config = ConfigDict(extra="forbid", val_json_bytes="base64", ser_json_bytes="base64")
    tool_options: ClassVar[ToolOptions] = {}
    made_tool: ClassVar[Tool]

    def __init_subclass__(cls, **options: Unpack[ToolOptions]) -> None:
        super().__init_subclass__()
        check_options(options, ToolOptions, cls.__name__)
        inherited = {key: value for key, value in cls.tool_options.items() if key != "name"}
        cls.tool_options = ToolOptions(**{**inherited, **options})  # type: ignore[typeddict-item]

    def run(self, *args: Any, **kwargs: Any) -> Any:  # so typed that a subclass may take the context, or wait
        """Do what the tool does, with the arguments in the fields, and return its result.

        Raises:
            ToolError: what went wrong, as a text for the model.
        """
        raise NotImplementedError

    @classmethod
    def as_tool(cls) -> Tool:
        """The tool that this class describes; the same object each time.

        Raises:
            ToolDefinitionError: the class has no ``run``, or its name or an option is wrong.
        """
        made: Tool | None = cls.__dict__.get("made_tool")
        if made is None:
            if cls.run is BaseTool.run:
                raise ToolDefinitionError(f"{cls.__name__} has no 'run' method")
            options: dict[str, Any] = {"name": cls.__name__, **cls.tool_options}
            made = cls.made_tool = Tool(ModelSignature(cls), sync=not inspect.iscoroutinefunction(cls.run), **options)
        return made
