"""What a text uses, found without rendering it: variables, pieces, filters; each with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple

from jinja2 import TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator, Frame

from ...errors import TemplateError
from .near import meant
from .sandbox import Sandbox


class Use(NamedTuple):
    """A piece that a text includes or imports.

    Args:
        piece: its name.
        line: where, in the text.
        given: the names that the text has made until there, which the piece sees as well.
        context: whether the piece sees the variables.
        names: what is imported from it; empty for an include.
        target: the name that all of it is imported as; empty if it is not.
    """

    piece: str
    line: int
    given: frozenset[str]
    context: bool
    names: tuple[str, ...] = ()
    target: str = ""


class Text(NamedTuple):
    """What is known of a text.

    Args:
        path: its file.
        line_of: from a line of the text to the line of the file.
        uses: the variables it needs, with the lines where they first come up.
        pieces: what it includes and imports.
        exported: what it defines that others may import.
        attributes: which attributes of what was imported as a whole it names, with the line.
        code: what it is compiled to.
    """

    path: str
    line_of: Callable[[int], int]
    uses: dict[str, int]
    pieces: tuple[Use, ...]
    exported: frozenset[str]
    attributes: tuple[tuple[str, str, int], ...]
    code: CodeType

    def error(self, message: str, line: int = 1) -> TemplateError:
        return TemplateError(message, path=self.path, line=self.line_of(line))


def analyse(sandbox: Sandbox, source: str, path: str, line_of: Callable[[int], int], label: str) -> Text:
    """Look through one text.

    Args:
        sandbox: where it is to be rendered.
        source: the text.
        path: its file.
        line_of: from a line of the text to the line of the file.
        label: by what a traceback names it.

    Raises:
        TemplateError: it is not jinja2, or uses something that is not there or not allowed; with the line.
    """
    try:
        tree = sandbox.parse(source)
        for message, line in _refused(sandbox, tree):
            raise TemplateError(message, path=path, line=line_of(line))
        looked = _Looking(sandbox)
        looked.visit(tree)
        code = sandbox.compile(source, filename=label)
    except TemplateSyntaxError as error:
        raise TemplateError(_plainly(error), path=path, line=line_of(error.lineno)) from None
    except TemplateError:
        raise
    except (ValueError, RecursionError, MemoryError, SyntaxError, OverflowError) as error:
        what = "it is nested too deeply" if not isinstance(error, ValueError) else "it cannot be compiled"
        raise TemplateError(f"not valid jinja2: {what}", path=path, line=line_of(1)) from None
    sandbox.words |= _words(tree)
    targets = {use.target for use in looked.pieces if use.target}
    attributes = tuple(
        (node.node.name, node.attr, node.lineno)
        for node in tree.find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name in targets
    )
    return Text(path, line_of, looked.uses, tuple(looked.pieces), _exported(tree), attributes, code)


def _plainly(error: TemplateSyntaxError) -> str:
    return f"not valid jinja2: {error.message or 'a syntax error'}"


def _exported(tree: nodes.Template) -> frozenset[str]:
    made = {node.name for node in tree.body if isinstance(node, nodes.Macro)}
    for node in tree.body:
        if isinstance(node, nodes.Assign | nodes.AssignBlock):
            made |= {
                name.name for name in (node.target, *node.target.find_all(nodes.Name)) if isinstance(name, nodes.Name)
            }
    return frozenset(name for name in made if not name.startswith("_"))


def _refused(sandbox: Sandbox, tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """What is wrong in a text that jinja2 would only find when it gets there, or not at all."""
    for node in tree.find_all(nodes.Node):
        if isinstance(node, nodes.Filter) and node.name not in sandbox.filters:
            yield f"unknown filter {node.name!r}; {meant(node.name, sandbox.filters)}", node.lineno
        elif isinstance(node, nodes.Test) and node.name not in sandbox.tests:
            yield f"unknown test {node.name!r}; {meant(node.name, sandbox.tests)}", node.lineno
        elif isinstance(node, nodes.Name) and node.name in ("self", "super"):
            yield f"{node.name} is for blocks, which are not for prompts", node.lineno
        elif isinstance(node, nodes.Extends | nodes.Block):
            yield "extends and block are not for prompts: use include, or a macro", node.lineno
        elif isinstance(node, nodes.EvalContextModifier | nodes.ScopedEvalContextModifier):
            yield "nothing is escaped in a prompt: leave autoescape out", node.lineno
        elif isinstance(node, nodes.Include | nodes.Import | nodes.FromImport):
            if not isinstance(node.template, nodes.Const) or not isinstance(node.template.value, str):
                yield "the name of a piece stands there as a text, as in {% include 'tone.jinja' %}", node.lineno
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            yield f"the attribute {node.attr!r} is private: templates cannot reach it", node.lineno


def _words(tree: nodes.Template) -> set[str]:
    words = {node.attr for node in tree.find_all(nodes.Getattr)} | {node.name for node in tree.find_all(nodes.Name)}
    return words | {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}


class _Looking(CodeGenerator):
    """jinja2's own compiler, which knows what a name means where it stands; what it writes is thrown away."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, "<text>", "<text>", optimized=False)
        self.uses: dict[str, int] = {}
        self.pieces: list[Use] = []

    def write(self, x: str) -> None:
        """Nothing is compiled here."""

    def visit_Name(self, node: nodes.Name, frame: Frame) -> None:  # noqa: N802
        if node.ctx == "load":
            self._used(node.name, node.lineno, frame)
        super().visit_Name(node, frame)

    def visit_NSRef(self, node: nodes.NSRef, frame: Frame) -> None:  # noqa: N802
        self._used(node.name, node.lineno, frame)
        super().visit_NSRef(node, frame)

    def visit_Include(self, node: nodes.Include, frame: Frame) -> None:  # noqa: N802
        self._piece(node, frame)
        super().visit_Include(node, frame)

    def visit_Import(self, node: nodes.Import, frame: Frame) -> None:  # noqa: N802
        self._piece(node, frame, target=node.target)
        super().visit_Import(node, frame)

    def visit_FromImport(self, node: nodes.FromImport, frame: Frame) -> None:  # noqa: N802
        self._piece(node, frame, tuple(name if isinstance(name, str) else name[0] for name in node.names))
        super().visit_FromImport(node, frame)

    def _used(self, name: str, line: int, frame: Frame) -> None:
        load = frame.symbols.find_load(frame.symbols.ref(name))
        while load is not None and load[0] == "alias":
            load = frame.symbols.find_load(load[1])
        if load is not None and load[0] == "resolve" and name not in self.environment.globals:
            self.uses[name] = min(line, self.uses.get(name, line))

    def _piece(self, node: Any, frame: Frame, names: tuple[str, ...] = (), target: str = "") -> None:
        given = frozenset(frame.symbols.dump_stores())
        self.pieces.append(Use(node.template.value, node.lineno, given, node.with_context, names, target))
