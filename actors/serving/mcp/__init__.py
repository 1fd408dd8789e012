"""The Model Context Protocol: agents and tools as a server of it. Needs the extra ``mcp``, imported when first asked.

https://modelcontextprotocol.io/specification, the revisions 2025-11-25 (and those before it) and 2026-07-28.
"""
