"""What importing the library costs and shows: no SDK, each public name once, one direction between the layers."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT, Installed

PUBLIC = ("callboard", "callboard.actors", "callboard.providers", "callboard.tools")
HEAVY = (
    "anthropic",
    "cyclopts",
    "genai_prices",
    "httpx",
    "httpx2",
    "hypothesis",
    "jinja2",
    "litellm",
    "mcp",
    "openai",
    "opentelemetry.sdk",
    "prompt_toolkit",
    "pytest",
    "ray",
    "rich",
    "starlette",
    "uvicorn",
)


def library_sources() -> Iterator[Path]:
    for part in ("actors", "providers", "tools"):
        yield from (ROOT / part).rglob("*.py")


@pytest.mark.parametrize("module", PUBLIC)
def test_importing_the_library_loads_no_heavy_package(from_wheel: Installed, module: str) -> None:
    printed = from_wheel.run(
        f"import json, sys, {module}; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    )
    assert json.loads(printed) == []


def test_asking_the_command_line_for_help_loads_no_sdk(from_wheel: Installed) -> None:
    sdks = ("openai", "anthropic", "genai_prices", "litellm", "mcp", "uvicorn", "prompt_toolkit")
    printed = from_wheel.run(
        "import contextlib, io, json, sys\n"
        "from callboard.actors.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        f"print(json.dumps([m for m in {sdks!r} if m in sys.modules]))"
    )
    assert json.loads(printed) == []


@pytest.mark.parametrize("module", PUBLIC)
def test_each_public_name_is_listed_once_and_exists(module: str) -> None:
    package = importlib.import_module(module)
    listed = list(package.__all__)
    assert [name for name, count in Counter(listed).items() if count > 1] == []
    assert [name for name in listed if not hasattr(package, name)] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_no_public_name_is_left_out_of_the_list(module: str) -> None:
    package = importlib.import_module(module)
    shown = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and name not in ("annotations", "TYPE_CHECKING", "Any")
    }
    # There by their names, once they were asked for, and not for a star.
    needs_an_extra = {
        "ApiKeys",
        "AuditEntry",
        "AuditLog",
        "AuditPage",
        "JournalSaver",
        "Jwt",
        "Payments",
        "PublishedAgent",
        "Registry",
        "RequestLimit",
        "UnknownKey",
        "Webhooks",
        "WrongReturn",
        "dashboard",
        "serve",
        "usage_records",
    }
    assert shown - set(package.__all__) - needs_an_extra == set()


def test_a_name_means_the_same_thing_in_every_public_package() -> None:
    meaning: dict[str, object] = {}
    for module in PUBLIC:
        package = importlib.import_module(module)
        for name in package.__all__:
            found = getattr(package, name)
            assert meaning.setdefault(name, found) is found, f"{module}.{name} is another {name}"


def test_library_code_imports_itself_relatively_only() -> None:
    absolute = []
    for path in library_sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            if any(name.partition(".")[0] == "callboard" for name in names):
                absolute.append(f"{path.relative_to(ROOT)}:{node.lineno}")  # type: ignore[attr-defined]
    assert absolute == []
