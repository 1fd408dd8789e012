"""What a program uses that passes its check, but is beyond the sandbox: found before any of it runs. Pure.

The check knows Python's own library; the sandbox has a part of it. Whether it has a module, and what is used of one, is
found by asking it: `Use.code` is run in a sandbox of its own. What it does not take as arguments is a list here.
"""

from __future__ import annotations

import ast
from typing import Final, NamedTuple

MODULES: Final = frozenset(
    (
        *(
            "asyncio",
            "base64",
            "binascii",
            "bisect",
            "collections",
            "copy",
            "csv",
            "dataclasses",
            "datetime",
            "decimal",
        ),
        *("functools", "hashlib", "itertools", "json", "math", "os", "pathlib", "posixpath", "random", "re", "sys"),
        *("time", "tomllib", "typing", "unicodedata"),
    )
)
"""The modules that the sandbox has."""

_BUILTIN: Final = frozenset({"bool", "bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"})
_WITHOUT: Final = {
    "asyncio.gather": {"return_exceptions"},
    "json.dump": {"cls", "default", "check_circular"},
    "json.dumps": {"cls", "default", "check_circular"},
    "json.load": {"cls", "object_hook", "object_pairs_hook"},
    "json.loads": {"cls", "object_hook", "object_pairs_hook"},
    "dataclasses.dataclass": {"order", "unsafe_hash", "match_args", "weakref_slot"},
}
"""Keywords that the sandbox does not know, by function."""
_INSTEAD: Final = {"asyncio.gather": "; catch errors within what is gathered"}


class Use(NamedTuple):
    """One thing that a program uses.

    Args:
        line: where, from 1.
        code: a line of Python that raises where the sandbox has it not.
    """

    line: int
    code: str


class Uses(NamedTuple):
    """What a program uses of Python's library.

    Args:
        known: what the sandbox is asked for.
        beyond: what it certainly does not do, as a sentence with the line; nothing if there is none.
    """

    known: tuple[Use, ...] = ()
    beyond: str = ""


def uses_of(code: str) -> Uses:
    """What a program uses of Python's library; nothing where it cannot be read, which its check finds better."""
    try:
        found = _Found()
        found.visit(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Uses()
    return Uses(tuple(dict.fromkeys(found.known)), found.beyond)


class _Found(ast.NodeVisitor):
    def __init__(self) -> None:
        self.known: list[Use] = []
        self.beyond = ""
        self._named: dict[str, str] = {}
        self._functions: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._named[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
            self._use(node, f"import {alias.name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if node.level or alias.name == "*" or node.module is None:
                continue
            self._named[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            self._use(node, f"from {node.module} import {alias.name}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.add(node.name)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self._named:
            module = self._named[node.value.id]
            if "." not in module:
                self._use(node, f"import {module}; {module}.{node.attr}")

    def visit_Call(self, node: ast.Call) -> None:
        called = self._dotted(node.func)
        given = {keyword.arg for keyword in node.keywords} & _WITHOUT.get(called, set())
        if given and not self.beyond:
            names = ", ".join(sorted(map(str, given)))
            instead = _INSTEAD.get(called, "")
            self.beyond = f"main.py:{node.lineno}: {called} has no {names} in the sandbox{instead}"
        if called in ("re.sub", "re.subn") and len(node.args) > 1 and not self.beyond:
            by = node.args[1]
            if isinstance(by, ast.Lambda) or (isinstance(by, ast.Name) and by.id in self._functions):
                self.beyond = f"main.py:{node.lineno}: {called} takes a text to put in, no function, in the sandbox"
        self.visit(node.func)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            if isinstance(argument, ast.Attribute) and isinstance(argument.value, ast.Name):
                name = argument.value.id
                if name in _BUILTIN and name not in self._named:
                    self._use(argument, f"{name}.{argument.attr}")
            self.visit(argument)

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self._named.get(node.id, "")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in self._named:
            return f"{self._named[node.value.id]}.{node.attr}"
        return ""

    def _use(self, node: ast.stmt | ast.expr, code: str) -> None:
        self.known.append(Use(node.lineno, code))
