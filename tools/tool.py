"""A tool: what a model may call, with its schema, its limits and its hooks."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

from ..actors.core.base.errors import named
from ..actors.core.base.foreign import is_ours
from ..providers.checks import COUNT, FLAG, MAYBE_FUNCTION, SOME_SECONDS, TEXT, TOOL_NAME, one_of, require
from ..providers.messages import Labels, ToolSpec, labels_of_tool
from .calls.invocation import Invocation
from .calls.slots import Slots
from .context import CallContext
from .errors import InvalidResult, MissingContext, ToolCrashed, ToolDefinitionError, ToolError, ToolTimeout
from .preview import Change, Preview, as_changes, asked
from .result import ToolResult, parts_of
from .scopes import Scopes, as_scopes
from .signatures.returned import ANYTHING, Returned
from .signatures.schema import Bound, Signature
from .threads import in_thread

if TYPE_CHECKING:
    from decimal import Decimal

logger = logging.getLogger(__name__)

Risk: TypeAlias = Literal["safe", "risky"]
Autonomy: TypeAlias = Literal["manual", "supervised", "autonomous"]
"""How far an agent may go without a person; see `Agent`."""

Approval: TypeAlias = "Literal['always', 'never'] | Autonomy | Collection[Autonomy]"
"""At which levels of autonomy a call waits for a person."""


BeforeCall: TypeAlias = Callable[
    [dict[str, Any]], "Mapping[str, Any] | ToolResult | Awaitable[Mapping[str, Any] | ToolResult | None] | None"
]
OnSuccess: TypeAlias = Callable[[dict[str, Any], ToolResult], "ToolResult | Awaitable[ToolResult | None] | None"]
OnError: TypeAlias = Callable[[dict[str, Any], ToolError], "ToolResult | Awaitable[ToolResult | None] | None"]

_SAFE: frozenset[Autonomy] = frozenset({"manual"})
_RISKY: frozenset[Autonomy] = frozenset({"manual", "supervised"})
_RISKS = one_of(*get_args(Risk))
_TIMEOUT = SOME_SECONDS.or_none("for no limit")
_CONCURRENCY = COUNT.or_none("for any number")
_DEFER = FLAG.or_none("for what the agent says")
_PREVIEW = 10.0
_ERROR_SHOWN = 4_000  # an error must stay readable where results are kept short


class Tool:
    """What a model may call. Usually made by `tool`, from a function, or from a `BaseTool`.

    Args:
        signature: what it takes and how it is called. The call may return an awaitable; when ``sync``, it is made in
            a thread, so that the loop goes on.
        name: letters, digits, ``_`` and ``-``, at most 64.
        description: what it does, for the model; empty takes it from the docstring.
        risk: ``safe``, or ``risky``: to be approved where an agent is supervised. What nobody declared is risky.
        idempotent: a call that was interrupted may be made again.
        resumable: all that a call does to the world it does by `ToolContext.call`: one that was interrupted is begun
            again, and those calls are answered from what was recorded of them.
        scope: who may use it, as one scope or several, of which one suffices: ``all``, the agent's ``owner``, an
            ``admin``, or scopes of one's own. `Agent` says how they are held.
        approval: at which levels of an agent's autonomy a call waits for a person: one or several of ``manual``,
            ``supervised`` and ``autonomous``, or ``always`` or ``never``. By default what ``risk`` says: a risky one
            where it is supervised or manual, a safe one where it is manual.
        approved_by: the scopes of those who may approve a call, in place of whoever asked for the run and the scope
            ``approvals``. Unless ``approval`` says when, a call always waits then.
        timeout: seconds a call may take; None for no limit. Waiting for a thread does not count.
        max_concurrency: how many calls may run at once in one event loop; those above wait in order. None: any number.
        max_result: characters of the result's text; a longer one is cut in the middle, and says so. Errors may
            always have 4,000. Pictures, files and sounds do not count.
        response: the type that the return value must fit; it is checked, converted, and sent to the model as JSON.
        before_call: called with the checked arguments. It may return others (they are checked too), or a `ToolResult`
            that stands for the call; raising refuses the call.
        on_success: called with the arguments and the result, which it may replace by returning another.
        on_error: called with the arguments (empty if they did not fit) and the error; it may return a result instead.
        preview: says what a call with these arguments would change, for whoever is to approve it: a `Change`, or
            several, or None. It changes nothing. A plain function is called in a thread.
        defer: whether an agent's model is shown the tool only once it has looked for it; by default as its agent says.
        trusted: nobody outside has a say in what it returns, nor in how it is described; see `LabelPolicy`.
        confidential: as what its results are confidential: one or several texts, or True for ``confidential``.
        sends: what it is called with leaves for somebody outside: with a request, a mail, a message.
        foreign: somebody outside has described it, so that a model that is offered it has read untrusted text. Its
            results are from ``foreign tool …``, since it may be called as one of yours is.
        sync: the call blocks.

    The three hooks may be ``async``; a plain one runs in the loop and must be quick. Their time counts as the call's.
    """

    price: Decimal | None = None
    """US dollars of a call; see `pricing`."""

    _preview: Preview | None = None

    def __init__(
        self,
        signature: Signature,
        *,
        name: str,
        description: str = "",
        risk: Risk = "risky",
        idempotent: bool = False,
        resumable: bool = False,
        scope: Scopes = "all",
        approval: Approval | None = None,
        approved_by: Scopes | None = None,
        timeout: float | None = 60.0,
        max_concurrency: int | None = None,
        max_result: int = 100_000,
        response: Any = None,
        before_call: BeforeCall | None = None,
        on_success: OnSuccess | None = None,
        on_error: OnError | None = None,
        preview: Preview | None = None,
        defer: bool | None = None,
        trusted: bool = False,
        confidential: bool | str | Iterable[str] = (),
        sends: bool = False,
        foreign: bool = False,
        sync: bool = False,
    ) -> None:
        if not TOOL_NAME.fits(name):
            raise ToolDefinitionError(f"tool name {name!r:.80}: use {TOOL_NAME.text}")
        require(
            ToolDefinitionError,
            f"tool {name!r}",
            description=(description, TEXT),
            risk=(risk, _RISKS),
            idempotent=(idempotent, FLAG),
            resumable=(resumable, FLAG),
            timeout=(timeout, _TIMEOUT),
            max_concurrency=(max_concurrency, _CONCURRENCY),
            max_result=(max_result, COUNT),
            before_call=(before_call, MAYBE_FUNCTION),
            on_success=(on_success, MAYBE_FUNCTION),
            on_error=(on_error, MAYBE_FUNCTION),
            preview=(preview, MAYBE_FUNCTION),
            defer=(defer, _DEFER),
            trusted=(trusted, FLAG),
            sends=(sends, FLAG),
            foreign=(foreign, FLAG),
            sync=(sync, FLAG),
        )
        self.name = name
        self.risk: Risk = risk
        self.idempotent = idempotent
        self.resumable = resumable
        self.scope = as_scopes(scope, f"tool {name!r}", ToolDefinitionError)
        self.approved_by: frozenset[str] = frozenset()
        if approved_by is not None:
            self.approved_by = as_scopes(approved_by, f"tool {name!r}, approved_by", ToolDefinitionError)
        if approval is None and not self.approved_by:
            self.approval = _RISKY if risk == "risky" else _SAFE
        else:
            self.approval = _levels("always" if approval is None else approval, name)
        self.timeout = timeout
        self.max_result = max_result
        self.defer = defer
        self._signature = signature
        self._sync = sync
        self._slots = None if max_concurrency is None else Slots(max_concurrency)
        self._known = _Known(description, response, _own_labels(name, trusted, confidential, foreign), sends, foreign)
        self._before_call = before_call
        self._on_success = on_success
        self._on_error = on_error
        if preview is not None:  # few have one, and each attribute makes all of them larger
            self._preview = preview

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self.risk})>"

    @property
    def spec(self) -> ToolSpec:
        """What the model is told: name, description, JSON schema.

        Raises:
            ToolDefinitionError: a parameter's type has no schema.
        """
        spec = self._known.spec
        if spec is None:
            _ = self.context  # what is wrong with it is said before the first call
            description = self._known.description or self._signature.documentation.description
            spec = self._known.spec = ToolSpec(self.name, description, self._signature.parameters)
        return spec

    @property
    def labels(self) -> Labels:
        """Where its results are from, and what of them must not go everywhere."""
        own = self._known.own_labels
        return labels_of_tool(self.name) if own is None else own

    @property
    def own_labels(self) -> Labels | None:
        """Its `labels`, where results of a tool do not have them anyway; None otherwise."""
        return self._known.own_labels

    @property
    def sends(self) -> bool:
        """Whether what it is called with leaves for somebody outside."""
        return self._known.sends

    @property
    def foreign(self) -> bool:
        """Whether somebody outside has described it."""
        return self._known.foreign

    @property
    def context(self) -> type[CallContext] | None:
        """The class of the context that a call is to be handed, if it is to be.

        Raises:
            ToolDefinitionError: an annotation cannot be resolved.
        """
        return self._signature.context

    @property
    def response_schema(self) -> Mapping[str, Any] | None:
        """The JSON schema of the return value, where a response type was declared."""
        schema: Mapping[str, Any] | None = None if self._known.response is None else self._adapter.json_schema()
        return schema

    @property
    def callees(self) -> Collection[Tool]:
        """The tools that it tells the model of, since its calls may call them."""
        return ()

    def narrowed(self, usable: Callable[[Tool], bool]) -> Tool:
        """The tool for somebody who may not use every tool: without those of its callees that are not usable."""
        return self

    @property
    def returned(self) -> Returned:
        """What a call gives to a program: what was declared, or else what is annotated; anything where neither says."""
        known = self._known
        if known.returned is None:
            known.returned = self._returned()
        return known.returned

    def _returned(self) -> Returned:
        declared = self.response_schema
        return ANYTHING if declared is None else Returned(self._known.response, declared)

    def check(self, arguments: str | Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments, checked and converted, without calling.

        Raises:
            InvalidArguments: they do not fit the schema.
        """
        return self._signature.bind(self.name, arguments).values

    async def preview(self, arguments: str | Mapping[str, Any]) -> tuple[Change, ...] | None:
        """What a call would change, as things are now. It is not made, and its hooks are not called.

        Args:
            arguments: JSON text or a mapping.

        Returns:
            the changes; None where the tool has no ``preview`` that could say.

        Raises:
            InvalidArguments: they do not fit the schema.
            ToolError: what the call would probably end in; or the preview failed, or took longer than 10 seconds.
        """
        preview = self._preview
        if preview is None:
            return None
        values = dict(self.check(arguments))
        task = asyncio.current_task()
        try:
            async with asyncio.timeout(_PREVIEW):
                plain = not inspect.iscoroutinefunction(preview)
                given = await in_thread(partial(asked, preview, values)) if plain else preview(values)
                return as_changes(await settled(given))
        except TimeoutError:
            raise ToolTimeout(f"the preview of {self.name!r} did not end within {_PREVIEW:g} seconds") from None
        except ToolError:
            raise
        except BaseException as error:
            if is_ours(error, task):
                raise
            logger.warning("the preview of tool %s raised %s", self.name, type(error).__name__, exc_info=error)
            raise ToolCrashed(f"the preview of {self.name!r} failed: {named(error)}") from error

    async def run(self, arguments: str | Mapping[str, Any] = "{}", *, context: CallContext | None = None) -> ToolResult:
        """Call the tool.

        Args:
            arguments: JSON text or a mapping.
            context: for a tool that takes one; an agency makes one itself.

        Returns:
            The result. A failure of any kind, the timeout included, is a result with ``is_error`` and a text from which
            the model can repair its call.

        Raises:
            asyncio.CancelledError: the caller was cancelled; the call has been stopped.
        """
        ended: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()
        invocation = self.start(arguments, ended.set_result, context)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            invocation.cancel()
            # Bounded by the grace period; a second cancel stops only this waiting.
            await asyncio.wait({ended})
            raise

    def start(
        self,
        arguments: str | Mapping[str, Any],
        on_end: Callable[[ToolResult], object],
        context: CallContext | None = None,
    ) -> Invocation:
        """Start a call, or let it wait for its turn; ``on_end`` gets the result, exactly once, in the loop."""

        def body(invocation: Invocation) -> Coroutine[Any, Any, ToolResult]:
            return self._run(arguments, context, invocation)

        invocation = Invocation(self.name, body, self.timeout, on_end, self._slots)
        if context is not None:
            context.invocation = invocation
        return invocation

    async def _run(
        self, arguments: str | Mapping[str, Any], context: CallContext | None, invocation: Invocation
    ) -> ToolResult:
        values: dict[str, Any] = {}
        task = asyncio.current_task()
        try:
            bound = self._signature.bind(self.name, arguments)
            values = bound.values
            result: ToolResult | None = None
            if self._before_call is not None:
                answer = await settled(self._before_call(dict(values)))
                if isinstance(answer, ToolResult):
                    result = answer
                elif answer is not None:
                    bound = self._signature.bind(self.name, answer)
                    values = bound.values
            if result is None:
                result = self._as_result(await self._call(bound, context, invocation))
            if self._on_success is not None and not result.is_error:
                result = _answered("on_success", await settled(self._on_success(dict(values), result))) or result
            if invocation.verdict is not None:  # it swallowed its cancellation: what comes now comes too late
                raise invocation.verdict
        except asyncio.CancelledError:
            if invocation.verdict is None:
                return await self._failed(values, ToolCrashed(f"{self.name!r} cancelled itself"), context, invocation)
            if self._on_error is None:
                raise
            return await self._failed(values, invocation.verdict, context, invocation)
        except ToolError as error:
            return await self._failed(values, error, context, invocation)
        except BaseException as error:
            # SystemExit too: raised in a task it would end the loop, and every other actor with it.
            if is_ours(error, task):
                raise
            _log_crash(self.name, error, context)
            crash = ToolCrashed(named(error))
            crash.__cause__ = error
            return await self._failed(values, crash, context, invocation)
        return _without_secrets(result, context).shortened(self.max_result)

    async def _call(self, bound: Bound, context: CallContext | None, invocation: Invocation) -> Any:
        invoke = bound.invoke
        wanted = self._signature.context
        if wanted is not None:
            if not isinstance(context, wanted):
                given = "none was given" if context is None else f"a {type(context).__name__} was given"
                raise MissingContext(
                    f"{self.name!r} takes a {wanted.__name__}, and {given}: run(…, context={wanted.__name__}(…))"
                )
            invoke = partial(invoke, context)
        value = await in_thread(invoke, invocation) if self._sync else invoke()
        return await value if inspect.isawaitable(value) else value

    def _as_result(self, value: Any) -> ToolResult:
        if isinstance(value, ToolResult):
            return value
        if self._known.response is None:
            return ToolResult.returned(value)
        from pydantic import ValidationError

        try:
            checked = self._adapter.validate_python(value, from_attributes=True)
        except ValidationError as error:
            raise InvalidResult(f"what {self.name!r} returned does not fit its response type: {error}") from error
        text = self._adapter.dump_json(checked).decode()
        return ToolResult(parts_of(checked) or text, value=checked, from_value=True)

    @property
    def _adapter(self) -> Any:
        known = self._known
        if known.adapter is None:
            from pydantic import TypeAdapter

            known.adapter = TypeAdapter(known.response)
        return known.adapter

    async def _failed(
        self, values: dict[str, Any], error: ToolError, context: CallContext | None, invocation: Invocation
    ) -> ToolResult:
        result: ToolResult | None = None
        if self._on_error is not None:
            invocation.start_over()
            task = asyncio.current_task()
            try:
                result = _answered("on_error", await settled(self._on_error(dict(values), error)))
            except BaseException as raised:
                if is_ours(raised, task):
                    raise
                _log_crash(f"{self.name}, whose own error is reported: its on_error", raised, context)
        result = _without_secrets(result or ToolResult.failure(error), context)
        return result.shortened(max(self.max_result, _ERROR_SHOWN))


class CallingTool(Tool):
    """A tool all of whose calls make others, for which they need a context."""

    async def _call(self, bound: Bound, context: CallContext | None, invocation: Invocation) -> Any:
        if context is None and self.context is CallContext:
            context = CallContext()
        return await super()._call(bound, context, invocation)


def _answered(hook: str, given: Any) -> ToolResult | None:
    """What a hook returned in place of a result, if it did.

    Raises:
        TypeError: it is something else.
    """
    if given is None or isinstance(given, ToolResult):
        return given
    raise TypeError(f"{hook} returned {type(given).__name__}, not a ToolResult or None")


class _Known:
    """What is worked out once, for all tools that are made alike, and what of. A tool that is made again is a copy
    of some twenty attributes: two more would make it twice as large.

    Attributes:
        own_labels, sends, foreign: where its results are from, its arguments go, and its description is from.
        spec: what the model is told.
        adapter: what checks the return value.
        returned: what programs get.
    """

    __slots__ = ("adapter", "description", "foreign", "own_labels", "response", "returned", "sends", "spec")

    def __init__(self, description: str, response: Any, own_labels: Labels | None, sends: bool, foreign: bool) -> None:
        self.description = description
        self.response = response
        self.own_labels = own_labels
        self.sends = sends
        self.foreign = foreign
        self.spec: ToolSpec | None = None
        self.adapter: Any = None
        self.returned: Returned | None = None


class ToolSettings(TypedDict, total=False):
    """The options of `Tool` that a declaration may set, but for its name and description."""

    risk: Risk
    idempotent: bool
    resumable: bool
    scope: Scopes
    approval: Approval | None
    approved_by: Scopes | None
    timeout: float | None
    max_concurrency: int | None
    max_result: int
    response: Any
    before_call: BeforeCall | None
    on_success: OnSuccess | None
    on_error: OnError | None
    preview: Preview | None
    defer: bool | None
    trusted: bool
    confidential: bool | str | Iterable[str]
    sends: bool
    foreign: bool


class ToolOptions(ToolSettings, total=False):
    """The options of `Tool` that a declaration may set."""

    name: str
    description: str


def check_options(
    given: Mapping[str, Any], options: Any, whose: str, error: type[Exception] = ToolDefinitionError
) -> None:
    """Raises an error where one is given that is none of those of a `TypedDict`."""
    there = options.__required_keys__ | options.__optional_keys__
    unknown = sorted(given.keys() - there)
    if unknown:
        raise error(f"{whose} has no option {', '.join(map(repr, unknown))}; there are {', '.join(sorted(there))}")


def _own_labels(name: str, trusted: bool, confidential: object, foreign: bool) -> Labels | None:
    kinds = () if confidential is False else "confidential" if confidential is True else confidential
    try:
        labels = Labels(
            frozenset() if trusted else frozenset({f"foreign tool {name}" if foreign else f"tool {name}"}),
            frozenset({kinds}) if isinstance(kinds, str) else kinds,  # type: ignore[arg-type]  # it is looked at there
        )
    except ValueError:
        raise ToolDefinitionError(
            f"tool {name!r}: confidential is True or False, a text, or several, not {confidential!r:.80}"
        ) from None
    return None if labels == labels_of_tool(name) else labels


def _levels(approval: object, name: str) -> frozenset[Autonomy]:
    known: tuple[Autonomy, ...] = get_args(Autonomy)
    given = () if approval == "never" else known if approval == "always" else approval
    levels = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if (not levels and approval != "never") or any(level not in known for level in levels):
        raise ToolDefinitionError(
            f"tool {name!r}: approval is 'always', 'never', or one or several of {', '.join(known)}, not {approval!r}"
        )
    return frozenset(levels)


def _without_secrets(result: ToolResult, context: CallContext | None) -> ToolResult:
    """Before it is shortened: a part of a secret is not known for one."""
    return context.secrets.blot_result(result) if context is not None and context.secrets else result


def _log_crash(name: str, error: BaseException, context: CallContext | None) -> None:
    if context is None or not context.secrets:
        logger.warning("tool %s raised %s", name, type(error).__name__, exc_info=error)
        return
    told = context.secrets.blot("".join(traceback.format_exception(error)))
    logger.warning("tool %s raised %s\n%s", name, type(error).__name__, told)


async def settled(value: Any) -> Any:
    """What something is, once it is there: it may be awaitable."""
    return await value if inspect.isawaitable(value) else value
