"""The model itself: a pure function from a request to a completion."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..messages import Completion, FinishReason, Message, Request, ToolCall, ToolSpec, Usage, shown
from ..tokens import FALLBACK, estimate
from . import text
from .arguments import Source, fill
from .rules import Rule, clause_rule, whole_task_rule
from .steps import Call, Plan, Result, failure, one
from .toolbox import Handoff, Toolbox, likeness, open_toolbox, properties, resolved

MODEL = "offline"
NOTE = "answered by rules, not by a language model"
_CONTEXT = re.compile(r"\n\n(?:Context|What was done so far|Input):\n", re.IGNORECASE)
_DELEGATES = re.compile(
    r"\b(do none of it yourself|delegat\w*|hand (?:it|them|off|over|the)|coordinat\w*|assign (?:it|them|the|work))\b",
    re.I,
)
_GREETING = re.compile(r"\W*(hi|hello|hey|thanks?|thank you|good (morning|evening|day)|bye)\b.{0,20}$", re.I)


def complete(request: Request) -> Completion:
    """Answer a request by rules. The same request always gets the same answer."""
    at = max((place for place, message in enumerate(request.messages) if message.role == "user"), default=-1)
    task = request.messages[at].text.strip() if at >= 0 else ""
    calls, answer = _advance(_plan(task, request, at), _past(request.messages[at + 1 :]))
    forced = request.tool_choice not in ("auto", "none")
    if request.tool_choice == "none":
        calls = []
        answer = answer or "I was told to call no tool, and without one I have nothing to say."
    elif forced and not any(message.role == "tool" for message in request.messages[at + 1 :]):
        calls = _forced(request, task, calls)
    if not request.parallel_tool_calls:
        calls = calls[:1]
    if not calls and request.response_schema is not None:
        answer = json.dumps(_shaped(request.response_schema, answer, task, request.response_schema), ensure_ascii=False)
    return _completion(request, calls, answer)


def _completion(request: Request, calls: Sequence[Call], answer: str) -> Completion:
    made = sum(len(message.tool_calls) for message in request.messages)
    tool_calls = tuple(
        ToolCall(f"call_{made + index}", call.name, json.dumps(call.arguments, ensure_ascii=False))
        for index, call in enumerate(calls)
    )
    finish: FinishReason = "tool_calls" if calls else "stop"
    for stop in request.stop:
        answer = answer.partition(stop)[0]
    if request.max_tokens is not None and FALLBACK.count(answer) > request.max_tokens and not calls:
        answer = answer.encode()[: request.max_tokens * 4].decode("utf-8", "ignore")
        finish = "length"
    said = "" if calls else answer
    spent = FALLBACK.count(said) + sum(FALLBACK.count(call.name + call.arguments) for call in tool_calls)
    return Completion(
        Message("assistant", said, tool_calls=tool_calls),
        finish,
        Usage(estimate(request), spent),
        model=MODEL,
        provider="offline",
        notes=(NOTE,),
    )


def _past(messages: Sequence[Message]) -> list[tuple[Call, Result]]:
    """The calls made since the last request, each with its result."""
    results = {message.tool_call_id: message for message in messages if message.role == "tool"}
    past = []
    for message in messages:
        for call in message.tool_calls:
            try:
                arguments = call.parsed()
            except ValueError:
                arguments = {}
            found = results.get(call.id)
            content = shown(found.content) if found is not None else "error: no result came"
            past.append((Call(call.name, arguments), Result(call.name, content, found is None or found.is_error)))
    return past


def _advance(plan: Plan, past: Sequence[tuple[Call, Result]]) -> tuple[list[Call], str]:
    """Run the plan over the results that are there; what it wants next, or its answer.

    Results of calls that it would not have made (another model had the conversation before) are passed over.
    """
    try:
        wanted = next(plan)
        have: list[Result] = []
        for call, result in past:
            if len(have) < len(wanted) and call == wanted[len(have)]:
                have.append(result)
            while len(have) == len(wanted):
                wanted, have = plan.send(have), []
    except StopIteration as end:
        return [], str(end.value)
    return wanted[len(have) :], ""


def _plan(task: str, request: Request, at: int) -> Plan:
    box = open_toolbox(request.tools)
    instructions = "\n".join(message.text for message in request.messages if message.role == "system")
    request_itself, *context = _CONTEXT.split(task, maxsplit=1)
    earlier = next((m.text for m in reversed(request.messages[: max(at, 0)]) if m.role == "assistant" and m.text), "")
    if not task or _GREETING.fullmatch(task) or not request.tools:
        return _say(_about(request_itself, box))
    rule = whole_task_rule(request_itself)
    if box.handoffs and _DELEGATES.search(instructions):
        return _hand_over(request_itself, box, "\n".join(context))
    if rule is not None:
        if box.has(*rule.needs):
            return rule.plan(box)
        if box.handoffs:
            return _hand_over(request_itself, box, "\n".join(context))
        if rule.lesser and box.has(*rule.lesser) and (box.has("glob") or box.has("list") or "search" in rule.lesser):
            return rule.plan(box)
    return _by_clauses(request_itself, box, "\n".join(context) or earlier, parallel=request.parallel_tool_calls)


def _say(answer: str) -> Plan:
    return answer
    yield []


def _hand_over(task: str, box: Toolbox, context: str) -> Plan:
    """Give a task to the agent that fits it, or its steps to the agents that fit them."""
    shares: list[tuple[Handoff, str]] = []
    if len(box.handoffs) > 1:
        for clause in text.clauses(task):
            agent = _fitting(clause, box) or (shares[-1][0] if shares else None)
            if agent is None:
                continue
            if shares and shares[-1][0] == agent:
                shares[-1] = (agent, f"{shares[-1][1]}. {clause}")
            else:
                shares.append((agent, clause))
    if len(shares) < 2:
        shares = [(shares[0][0] if shares else _fitting(task, box) or box.handoffs[0], task)]
    answers: list[str] = []
    for agent, share in shares:
        before = "\n\n".join([context, *answers]).strip()
        result = yield from one(Call(agent.tool, agent.arguments(share, before)))
        answers.append(failure(result) if result.failed else f"{agent.agent} answered:\n{result.content}")
    return "\n\n".join(answers)


def _fitting(task: str, box: Toolbox) -> Handoff | None:
    """The agent whose name and description share the most words with a task; None if none shares any."""
    wanted = text.stems(task)
    scored = [(len(wanted & text.stems(agent.about)), -place) for place, agent in enumerate(box.handoffs)]
    best = max(scored, default=(0, 0))
    return box.handoffs[-best[1]] if best[0] else None


def _by_clauses(task: str, box: Toolbox, context: str, *, parallel: bool) -> Plan:
    """Do a request step by step: each by a rule for files, by the tool whose words fit, or by another agent."""
    answers: list[str] = []
    previous = context
    for clause in text.clauses(task) or [task]:
        rule = clause_rule(clause, previous)
        if rule is not None and box.has(*rule.needs):
            answer = yield from rule.plan(box)
        else:
            answer = yield from _by_words(clause, rule, box, previous)
        if answer:
            answers.append(answer)
            previous = answer
    if answers:
        return "\n\n".join(answers)
    return _about(task, box)


def _by_words(clause: str, rule: Rule | None, box: Toolbox, previous: str) -> Plan:
    wanted = text.words(clause)
    scored = [(likeness(spec, wanted), -place, spec) for place, spec in enumerate(box.tools.values())]
    scored.sort(key=lambda one: one[:2], reverse=True)
    unfilled = ""
    agent = _fitting(clause, box)
    for score, _, spec in scored:
        if score < 2 or (rule is not None and agent is not None):
            break
        source = Source(clause, previous)
        arguments, missing = fill(spec, source)
        if missing:
            unfilled = unfilled or f"{spec.name} fits, but the request does not say its {' and '.join(missing)}."
            continue
        batch = [Call(spec.name, arguments), *_repeats(spec, source, arguments)]
        results: list[Result] = yield batch
        return "\n".join(failure(result) if result.failed else result.content for result in results)
    if agent is not None:
        return (yield from _hand_over(clause, box, previous))
    return unfilled


def _repeats(spec: ToolSpec, source: Source, arguments: Mapping[str, Any]) -> list[Call]:
    """The same call for each further name, path or quoted text: "the weather in Paris and in Oslo" is two calls."""
    changing = [name for name, value in arguments.items() if isinstance(value, str)]
    if len(changing) != 1:
        return []
    (name,) = changing
    options = properties(spec)[name].get("enum")
    for kind, used in (("names", text.names), ("paths", text.paths), ("quoted", text.quoted), ("urls", text.urls)):
        if arguments[name] in used(source.clause):
            further = [value for value in source.peek(kind) if options is None or value in options]
            return [Call(spec.name, {**arguments, name: value}) for value in further]
    return []


def _forced(request: Request, task: str, calls: list[Call]) -> list[Call]:
    """Calls for a request that demands one: the plan's where they fit, else the best tool with what can be filled."""
    name = request.tool_choice
    fitting = [call for call in calls if name in ("required", call.name)]
    if fitting:
        return fitting
    candidates = [spec for spec in request.tools if name in ("required", spec.name)]
    if not candidates:
        return calls
    best = max(candidates, key=lambda spec: likeness(spec, text.words(task)))
    source = Source(task)
    arguments, missing = fill(best, source)
    for left in missing:
        arguments[left] = _shaped(properties(best)[left], task, task, best.parameters)
    return [Call(best.name, arguments)]


def _shaped(schema: Any, answer: str, task: str, root: Mapping[str, Any]) -> Any:
    """A value that fits a schema, with the answer in its texts and the request's numbers in its numbers."""
    schema = resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        said = text.stems(f"{task} {answer}")
        return next((option for option in schema["enum"] if text.stems(str(option)) & said), schema["enum"][0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return {name: _shaped(item, answer, task, root) for name, item in (schema.get("properties") or {}).items()}
    if kind == "array":
        lines = [line.removeprefix("- ") for line in answer.splitlines() if line.strip()]
        return [_shaped(schema.get("items") or {}, line, task, root) for line in lines[: schema.get("maxItems", 20)]]
    if kind in ("integer", "number"):
        found = text.numbers(answer) or text.numbers(task) or [0.0]
        number = max(schema.get("minimum", found[0]), min(found[0], schema.get("maximum", found[0])))
        return int(number) if kind == "integer" else number
    if kind == "boolean":
        return not re.search(r"\b(no|not|none|failed)\b", answer, re.IGNORECASE)
    if kind == "null":
        return None
    return answer[: schema["maxLength"]] if "maxLength" in schema else answer


def _about(task: str, box: Toolbox) -> str:
    """What there is to say without a tool."""
    shown = " ".join(task.split())
    shown = shown if len(shown) <= 120 else shown[:119] + "…"
    lines = ["I am the offline model: a set of rules, no language model, so I can only use tools by the words I find."]
    if box.tools or box.handoffs:
        lines.append(f"Nothing in {shown!r} fits what I have:")
        lines += [f"- {spec.name}: {spec.description.partition(chr(10))[0]}" for spec in box.tools.values()]
        lines += [f"- {agent.tool}: {agent.agent}" for agent in box.handoffs]
    elif shown:
        lines.append(f"I have no tools here; you said: {shown}")
    lines.append(
        "To talk to a real model, set OPENAI_API_KEY or ANTHROPIC_API_KEY, and name no provider or model offline."
    )
    return "\n".join(lines)
