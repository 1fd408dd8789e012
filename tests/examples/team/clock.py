"""An MCP server with one tool."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("clock")


@server.tool()
def opening_hours(day: str) -> str:
    """When the shop is open on a day."""
    return f"On {day} from nine to five."


if __name__ == "__main__":
    server.run()
