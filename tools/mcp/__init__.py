"""Tools that live in a server of the Model Context Protocol. Needs the extra ``mcp``, imported on connecting."""

from __future__ import annotations

from .client import McpServer

__all__ = ["McpServer"]
