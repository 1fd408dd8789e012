"""Tools from a JSON schema and a function that takes what fits it."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from ..providers.checks import MAPPING, TEXT, require
from .context import CallContext, context_type
from .errors import InvalidArguments, ToolDefinitionError
from .signatures.schema import Bound, OpenSignature, body_of, expected, hints_of, name_of
from .tool import Tool, ToolSettings, check_options

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

logger = logging.getLogger(__name__)

_SHOWN = 300  # characters of one misfit: jsonschema quotes the whole value
_LISTED = 10  # misfits


class SchemaSignature(OpenSignature):
    """A signature given as a JSON schema, which the arguments are checked against before the call is made.

    By `jsonschema`, which knows every draft, and not by what makes code of a schema (fastjsonschema): schemas come from
    MCP servers, too. Formats and keywords of one's own are passed over, and no reference is fetched from elsewhere.
    With a schema that is none nothing is checked: that is left to whoever runs the tool.
    """

    @functools.cached_property
    def _validator(self) -> Validator | None:
        try:
            return validator_of(self.parameters)
        except ToolDefinitionError as error:
            logger.warning("arguments are not checked here: %s", error)
            return None

    def bind(self, name: str, arguments: str | Mapping[str, Any]) -> Bound:
        bound = super().bind(name, arguments)
        validator = self._validator
        if validator is None:
            return bound
        from referencing.exceptions import Unresolvable

        try:
            misfits = sorted(
                validator.iter_errors(bound.values), key=lambda misfit: list(map(str, misfit.absolute_path))
            )
        except (Unresolvable, RecursionError) as error:
            logger.warning("arguments of tool %s are not checked here: %s", name, error)
            return bound
        if misfits:
            lines = [f"the arguments of {name!r} do not fit its schema:", *map(_explained, misfits[:_LISTED])]
            raise InvalidArguments("\n".join(lines) + expected(self.parameters))
        return bound


def tool_from_schema(
    *,
    name: str,
    description: str,
    schema: Mapping[str, Any],
    handler: Callable[..., Any],
    **options: Unpack[ToolSettings],
) -> Tool:
    """A tool whose arguments are described by a JSON schema: from a file, a database, another program.

    Args:
        name: letters, digits, ``_`` and ``-``, at most 64.
        description: what it does, for the model.
        schema: of an object. The arguments are checked against it; what does not fit is told to the model with its
            place.
        handler: called with the arguments, a dictionary; a first parameter annotated with `ToolContext` gets the
            context of the call. A plain ``def`` runs in a thread, an ``async def`` in the loop.
        options: as for `tool`.

    Raises:
        ToolDefinitionError: the schema is none, or not of an object; the handler takes something else; or the name or
            an option is wrong.
    """
    check_options(options, ToolSettings, "a tool from a schema")
    if not MAPPING.fits(schema) or schema.get("type", "object") != "object":
        raise ToolDefinitionError(f"tool {name!r}: its schema is one of an object, not {schema!r:.200}")
    if not callable(handler) or isinstance(handler, type):
        raise ToolDefinitionError(f"tool {name!r}: handler is a function of the arguments, not {handler!r:.80}")
    require(ToolDefinitionError, f"tool {name!r}", description=(description, TEXT))
    try:
        validator_of(schema)
    except ToolDefinitionError as error:
        raise ToolDefinitionError(f"tool {name!r}: {error}") from error
    context = _context_of(handler)
    signature = SchemaSignature(handler, {"type": "object", **schema}, description, lambda: context)
    sync = not inspect.iscoroutinefunction(body_of(handler))
    return Tool(signature, name=name, description=description, sync=sync, **options)


def validator_of(schema: Mapping[str, Any]) -> Validator:
    """What checks against a schema, by the draft that it names.

    Raises:
        ToolDefinitionError: it is no JSON schema.
    """
    from jsonschema import Draft202012Validator, SchemaError  # not at the top: it takes 100 ms, and few need it
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind: Any = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        place = ".".join(map(str, error.absolute_path)) or "its top"
        raise ToolDefinitionError(f"the schema is no JSON schema at {place}: {error.message[:_SHOWN]}") from None
    made: Validator = kind(schema, registry=Registry())  # an empty one of our own: the default fetches references
    return made


def _explained(misfit: ValidationError) -> str:
    """What is wrong, and where, so that a model can repair it: of several forms the one that was likely meant."""
    from jsonschema.exceptions import best_match

    misfit = best_match([misfit]) or misfit
    place = ".".join(map(str, misfit.absolute_path))
    text = misfit.message
    if len(text) > _SHOWN:
        text = f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"
    return f"- {place}: {text}" if place else f"- {text}"


def _context_of(handler: Callable[..., Any]) -> type[CallContext] | None:
    """The class of the context that a handler takes before the arguments, if it does.

    Raises:
        ToolDefinitionError: it takes something else.
    """
    parameters = list(inspect.signature(handler).parameters.values())
    needed = [one.name for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    wanted = context_type(hints_of(handler).get(parameters[0].name)) if len(parameters) > 1 else None
    if len(needed) != (1 if wanted is None else 2):
        raise ToolDefinitionError(
            f"{name_of(handler)} takes {', '.join(needed) or 'nothing'}; a handler takes the arguments, a dictionary, "
            "and before it, if it likes, the call's context, annotated with ToolContext"
        )
    return wanted
