"""Sixty tools as MCP servers have them: four services, with schemas of the usual size."""

from __future__ import annotations

from typing import Any

from callboard.tools import Tool, tool_from_schema

SERVICES = {
    "github": ("repository", "issue", "pull_request", "release", "workflow"),
    "mail": ("message", "draft", "folder", "label", "attachment"),
    "calendar": ("event", "reminder", "room", "invitation", "calendar"),
    "drive": ("file", "document", "spreadsheet", "comment", "permission"),
}
DOES = {
    "create": "Create a new {thing} in {service} and return its id and its address.",
    "list": "List the {thing}s in {service} that match a filter, page by page, the newest first.",
    "delete": "Delete a {thing} from {service} for good; this cannot be undone.",
}


def schema(verb: str, thing: str) -> dict[str, Any]:
    owner = {"type": "string", "description": f"The account or organisation that the {thing} belongs to."}
    properties: dict[str, Any] = {"owner": owner}
    if verb == "list":
        properties |= {
            "filter": {"type": "string", "description": "Words that have to occur, or field:value pairs."},
            "state": {
                "type": "string",
                "enum": ["open", "closed", "all"],
                "description": "Which of them.",
                "default": "open",
            },
            "page": {"type": "integer", "minimum": 1, "description": "Which page of the results."},
            "per_page": {"type": "integer", "minimum": 1, "maximum": 100, "description": "Results on a page."},
        }
    elif verb == "create":
        properties |= {
            "title": {"type": "string", "description": f"The title of the {thing}, in one line."},
            "body": {"type": "string", "description": "What it says, as Markdown."},
            "labels": {"type": "array", "items": {"type": "string"}, "description": "Labels to put on it."},
            "assignees": {"type": "array", "items": {"type": "string"}, "description": "Who is to look after it."},
        }
    else:
        properties["id"] = {"type": "string", "description": f"The id of the {thing}."}
    return {"type": "object", "properties": properties, "required": ["owner"], "additionalProperties": False}


def many_tools() -> list[Tool]:
    """All sixty. Each answers with its name and what it was given."""
    made: list[Tool] = []
    for service, things in SERVICES.items():
        for thing in things:
            for verb, about in DOES.items():
                name = f"{service}_{verb}_{thing}"

                async def handler(arguments: dict[str, Any], name: str = name) -> str:
                    return f"{name} {arguments}"

                description = about.format(thing=thing.replace("_", " "), service=service)
                risk: Any = "safe" if verb == "list" else "risky"
                made.append(
                    tool_from_schema(
                        name=name, description=description, schema=schema(verb, thing), handler=handler, risk=risk
                    )
                )
    return made
