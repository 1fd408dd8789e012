"""The tools of an MCP server, which crashes: the call at work ends by name, and the next one has it started again."""

import asyncio
import sys
import tempfile
from pathlib import Path

from callboard import McpCallLost, McpServer

SERVER = """
import os
from mcp.server.mcpserver import MCPServer

server = MCPServer("clock")

@server.tool()
def hours(day: str) -> str:
    if day == "Doomsday":
        os._exit(1)
    return f"On {day} from nine to five."

server.run("stdio")
"""


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "server.py"
        script.write_text(SERVER)
        async with McpServer([sys.executable, str(script)], prefix="clock_") as server:
            (hours,) = server.tools
            print(hours.name)
            for day in ("Monday", "Doomsday", "Tuesday"):
                result = await hours.run({"day": day})
                print("lost" if isinstance(result.error, McpCallLost) else result.text)


if __name__ == "__main__":
    asyncio.run(main())
