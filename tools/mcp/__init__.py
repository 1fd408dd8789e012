"""What lives in a server of the Model Context Protocol: tools, resources, prompts. Needs the extra ``mcp``, imported on
connecting."""

from __future__ import annotations

from .client import McpServer
from .listed import McpPrompt, McpResource

__all__ = ["McpPrompt", "McpResource", "McpServer"]
