"""The offline model, driven as an agent would drive it, with tools over a folder that is a dictionary."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callboard.providers.messages import Completion, Message, Request, ToolCall, ToolSpec
from callboard.providers.offline import complete

from .folder import NUMBER, TEXT, Folder, converse, spec

PROJECT = {
    "README_dot_md": "# Widget\nSee `docs/guide.md` and [licence](LICENSE).\nRun `make demo` or `make fly`.\n"
    "Call `spin_up()` or `tear_down()`.\n\n```python\nfrom widget import Widget, Gadget, Colour\n```\n",
    "LICENSE": "free\n",
    "Makefile": "demo: build\n\tpython -m widget\n",
    "widget__init_dot_py": "class Widget:  # TODO: Colours\n    def spin_up(self): ...\n",
    "widget__more_dot_py": "x = 1\n\n# TODO later\n# FIXME now\n",
}


def test_every_todo_is_listed_with_file_and_line_and_the_report_is_written() -> None:
    folder = Folder(**PROJECT)
    answer, calls = converse(
        "List every TODO with its file and line, and write a report to report.md", [*folder.specs.values()], folder.run
    )
    assert [call.name for call in calls] == ["Grep", "Write"]
    report = folder.files["report.md"]
    assert "widget/init.py | 1" in report
    assert "widget/more.py | 3" in report
    assert "FIXME" not in report
    assert "report.md" in answer
    assert "2 places" in answer


def test_a_second_run_does_not_count_its_own_report() -> None:
    folder = Folder(**PROJECT)
    task = "Find all FIXME comments and save them in out/fixme.md"
    first = converse(task, [*folder.specs.values()], folder.run)[0]
    assert converse(task, [*folder.specs.values()], folder.run)[0] == first


def test_what_the_readme_promises_and_the_files_do_not_hold_is_found() -> None:
    folder = Folder(**PROJECT)
    answer, calls = converse(
        "Find what the README promises that its files do not contain and write it to gaps.md",
        [*folder.specs.values()],
        folder.run,
    )
    missing = [line for line in answer.splitlines() if line.startswith("- ")]
    assert [name for line in missing for name in re.findall(r"`(.+?)`", line)] == [
        "docs/guide.md",
        "fly",
        "tear_down",
        "Gadget",
        "Colour",
    ]
    assert "README.md:2" in missing[0]
    assert "gaps.md" in answer
    assert "LICENSE" in folder.files["gaps.md"]
    assert len(calls) > 4


def test_what_is_an_example_or_is_made_by_a_program_is_no_promise() -> None:
    readme = "Open `.site/index.html`, see `docs/no.md`.\n\nFor example `a/b.py`.\n\nAll of `src/*.c`.\n"
    folder = Folder(**{"README.md": readme, ".gitignore": ".site/\n"})
    answer, _ = converse("What does the README promise that is not there?", [*folder.specs.values()], folder.run)
    assert [line for line in answer.splitlines() if line.startswith("- ")] == [
        "- README.md:1: `docs/no.md`: no such file or folder"
    ]


def test_calls_are_made_one_at_a_time_where_parallel_ones_are_not_wanted() -> None:
    task = "Find what the README promises that its files do not contain"
    folder = Folder(**PROJECT)
    one = converse(task, [*folder.specs.values()], folder.run, parallel=False)
    assert one[0] == converse(task, [*folder.specs.values()], folder.run)[0]


def test_a_missing_tool_narrows_the_work_and_the_answer_says_so() -> None:
    folder = Folder(**PROJECT)
    answer, _ = converse("List every TODO and write a report to report.md", [folder.specs["Grep"]], folder.run)
    assert "2 places" in answer
    assert "not written" in answer


SEND = spec(
    "SendMessage",
    "Hand a task to another agent and get its answer. Agents: Developer: searches, writes files; Poet: writes verse.",
    ["target_agent", "message"],
    target_agent={"type": "string", "enum": ["Developer", "Poet"]},
    message=TEXT,
    context=TEXT,
)


def test_work_that_the_own_tools_do_not_fit_is_handed_to_the_agent_it_fits() -> None:
    folder = Folder(**PROJECT)
    developer = [*folder.specs.values()]

    def run(call: ToolCall) -> str:
        assert call.name == "SendMessage"
        assert call.parsed()["target_agent"] == "Developer"
        return converse(call.parsed()["message"], developer, folder.run)[0]

    answer, calls = converse("List every TODO of the files in report.md", [folder.specs["LS"], SEND], run)
    assert len(calls) == 1
    assert "widget/init.py:1" in answer


def test_an_agent_told_to_delegate_delegates_even_what_it_could_do() -> None:
    folder = Folder(**PROJECT)
    answer, calls = converse(
        "List the files", [folder.specs["LS"], SEND], lambda call: "a.py", system="You plan; do none of it yourself."
    )
    assert [call.name for call in calls] == ["SendMessage"]
    assert "a.py" in answer


def test_an_agent_with_fitting_tools_works_itself() -> None:
    folder = Folder(**PROJECT)
    _, calls = converse("List the files", [folder.specs["LS"], SEND], folder.run)
    assert [call.name for call in calls] == ["LS"]


def test_steps_go_to_the_agents_that_fit_them_with_what_came_before() -> None:
    tools = [
        spec(
            "delegate_to_Researcher",
            "Hand a task to Researcher. Searches facts.",
            ["message"],
            message=TEXT,
            context=TEXT,
        ),
        spec("handoff_to_writer", "Writes articles and summaries", ["task"], task=TEXT),
    ]
    answer, calls = converse(
        "Research facts about whales, then write a summary", tools, lambda call: f"<{call.name} done>"
    )
    assert [call.name for call in calls] == ["delegate_to_Researcher", "handoff_to_writer"]
    assert "<delegate_to_Researcher done>" in calls[1].parsed()["task"]
    assert "<handoff_to_writer done>" in answer


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("Add 17 and 25", [("add", {"a": 17, "b": 25})]),
        ("Add 1 and 2, then multiply 2.5 by 4", [("add", {"a": 1, "b": 2}), ("multiply", {"x": 2.5, "y": 4})]),
        (
            "What is the weather in Paris and in Oslo?",
            [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"})],
        ),
        ("Tell me the weather in new york please", [("get_weather", {"city": "new york"})]),
        ("Search the web for python actor frameworks", [("web_search", {"query": "python actor frameworks"})]),
        ("Search the web for 'rate limits', first 5", [("web_search", {"query": "rate limits", "limit": 5})]),
        ("Fetch https://example.org/a?b=1.", [("fetch_url", {"url": "https://example.org/a?b=1"})]),
        (
            'Send an email to bob@example.org saying "lunch?"',
            [("send_email", {"to": "bob@example.org", "body": "lunch?"})],
        ),
        ('Count the words of "to be"', [("word_count", {"text": "to be"})]),
        ("Set the lights to bright", [("set_lights", {"level": "bright"})]),
        ("What are the opening hours on Sunday?", [("opening_hours", {"day": "Sunday"})]),
        (
            "What are the opening hours on Saturday and on Sunday in Oslo?",
            [("opening_hours", {"day": "Saturday"}), ("opening_hours", {"day": "Sunday"})],
        ),
        ("Search the web for Oslo", [("web_search", {"query": "Oslo"})]),
    ],
)
def test_any_tool_is_picked_by_words_and_filled_from_the_text(task: str, expected: list[Any]) -> None:
    tools = [
        spec("get_weather", "Current weather of a city.", city=TEXT),
        spec("add", "Add two numbers.", a={"type": "integer"}, b={"type": "integer"}),
        spec("multiply", "Multiply two numbers.", x=NUMBER, y=NUMBER),
        spec("web_search", "Search the web for pages.", ["query"], query=TEXT, limit={"type": "integer"}),
        spec("fetch_url", "Fetch a web page.", url=TEXT),
        spec("send_email", "Send an email.", to=TEXT, body=TEXT),
        spec("word_count", "Count the words of a text.", text=TEXT),
        spec("set_lights", "Set the lights.", level={"anyOf": [{"enum": ["dim", "bright"]}, {"type": "null"}]}),
        spec("opening_hours", "When the shop is open.", day={"enum": ["weekday", "Saturday", "Sunday"]}),
    ]
    answer, calls = converse(task, tools, lambda call: f"{call.name}: fine")
    assert [(call.name, call.parsed()) for call in calls] == expected
    for name, _ in expected:
        assert f"{name}: fine" in answer


def test_files_are_read_written_and_changed() -> None:
    folder = Folder(a_dot_txt="hello\n")
    specs = [*folder.specs.values()]
    assert "hello" in converse("Show me a.txt", specs, folder.run)[0]
    converse('Replace "hello" with "bye" in a.txt', specs, folder.run)
    assert folder.files["a.txt"] == "bye\n"
    converse("Create b.txt with the content 'new'", specs, folder.run)
    assert folder.files["b.txt"] == "new\n"
    said = (Message("user", "?"), Message("assistant", "the long answer"))
    converse("Write that to c.txt", specs, folder.run, earlier=said)
    assert folder.files["c.txt"] == "the long answer\n"


def test_a_failing_tool_is_named_in_the_answer() -> None:
    folder = Folder()
    assert "Read failed" in converse("Show me gone.txt", [folder.specs["Read"]], folder.run)[0]


def test_it_says_of_itself_that_it_is_rules_and_what_to_do() -> None:
    for tools in ([], [SEND]):
        text = complete(Request((Message("user", "Hello"),), tools=tuple(tools))).message.text
        assert "offline model" in text
        assert "OPENAI_API_KEY" in text
    assert complete(Request((Message("user", "x"),))).model == "offline"
    assert any("rules" in note for note in complete(Request((Message("user", "x"),))).notes)


def test_tool_choice_is_obeyed() -> None:
    tools = (spec("add", "Add.", a=NUMBER, b=NUMBER), spec("look", "Look something up.", what=TEXT))
    request = Request((Message("user", "Add 1 and 2"),), tools=tools, tool_choice="none")
    assert not complete(request).message.tool_calls
    request = Request((Message("user", "whatever comes"),), tools=tools, tool_choice="required")
    assert complete(request).message.tool_calls
    request = Request((Message("user", "Add 1 and 2"),), tools=tools, tool_choice="look")
    assert [call.name for call in complete(request).message.tool_calls] == ["look"]


def test_structured_output_fits_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 20},
            "count": {"type": "integer", "minimum": 1, "maximum": 3},
            "kind": {"enum": ["small", "large"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "sure": {"type": "boolean"},
            "inner": {"$ref": "#/$defs/Inner"},
        },
        "$defs": {"Inner": {"type": "object", "properties": {"value": {"type": "number"}}}},
    }
    request = Request((Message("user", "The large one has 7 parts"),), response_schema=schema)
    value = json.loads(complete(request).message.text)
    assert len(value["title"]) <= 20
    assert value["count"] == 3
    assert value["kind"] == "large"
    assert value["inner"] == {"value": 7.0}


def test_limits_on_the_answer_are_kept() -> None:
    completion = complete(Request((Message("user", "Hello"),), max_tokens=3))
    assert completion.finish_reason == "length"
    assert completion.usage.output_tokens <= 3
    assert complete(Request((Message("user", "Hello"),), stop=("offline",))).message.text == "I am the "


def test_results_of_calls_that_another_model_made_do_not_confuse_it() -> None:
    folder = Folder(**PROJECT)
    strange = ToolCall("x", "Glob", '{"pattern": "*.nothing"}')
    request = Request(
        (
            Message("user", "List every TODO"),
            Message("assistant", tool_calls=(strange,)),
            Message("tool", "(no file fits)", tool_call_id="x"),
        ),
        tools=tuple(folder.specs.values()),
    )
    assert [call.name for call in complete(request).message.tool_calls] == ["Grep"]


schemas = st.dictionaries(
    st.sampled_from(["path", "query", "n", "flag", "items", "mode", "content", "old", "new", "to", "url"]),
    st.sampled_from(
        [
            TEXT,
            NUMBER,
            {"type": "boolean"},
            {"type": "array", "items": TEXT},
            {"enum": ["a", "b"]},
            {},
            {"type": "object"},
        ]
    ),
    max_size=4,
)
tools = st.lists(
    st.builds(
        lambda name, about, properties: spec(name, about, None, **properties),
        st.sampled_from(["Grep", "read_file", "write", "search", "handoff_to_x", "list_dir", "calc", "SendMessage"]),
        st.text(max_size=30),
        schemas,
    ),
    max_size=4,
    unique_by=lambda tool: tool.name,
)
TOKENS = """
find list every TODO in README.md write report to out.md and then replace 'a' with "b" read src/ *.py promises not
contain add 2 3 Paris https://x.org ; . , hello ```code``` () [x](y.md)
"""
phrases = st.lists(st.sampled_from(TOKENS.split()) | st.text(max_size=8), max_size=14).map(" ".join)
replies = st.text(max_size=60) | st.sampled_from(["a.py:3:TODO x", "README.md\nsrc/a.py", "Error: no", "     1\t`x_y`"])


@example(
    "find 'a'",
    [spec("Grep", "", None, **{name: {"type": "string"} for name in ("path", "query", "n")})],
    [("", False)],
    "",
)
@given(phrases, tools, st.lists(st.tuples(replies, st.booleans()), min_size=1, max_size=4), st.text(max_size=40))
def test_any_request_ends_in_an_answer_and_is_answered_alike_each_time(
    task: str, offered: list[ToolSpec], answers: list[tuple[str, bool]], system: str
) -> None:
    messages = [Message("system", system), Message("user", task)]
    names: Mapping[str, ToolSpec] = {tool.name: tool for tool in offered}
    for turn in range(60):
        request = Request(tuple(messages), tools=tuple(offered))
        completion: Completion = complete(request)
        assert complete(request) == completion
        messages.append(completion.message)
        if not completion.message.tool_calls:
            return
        for call in completion.message.tool_calls:
            assert set(names[call.name].parameters["required"]) <= set(call.parsed())
            content, failed = answers[turn % len(answers)]
            messages.append(Message("tool", content, tool_call_id=call.id, name=call.name, is_error=failed))
    raise AssertionError("the plan has no end")


@pytest.mark.parametrize("text", ["a, then b; and c. Then d", "First line.\nSecond line", "note: write it to b.md"])
def test_quoted_text_is_written_whole(text: str) -> None:
    folder = Folder()
    converse(f'Write "{text}" to q.md', list(folder.specs.values()), folder.run)
    assert folder.files["q.md"].strip() == text


def test_quoted_text_is_searched_whole() -> None:
    folder = Folder(a_dot_txt="one, then two\n")
    assert "1 place" in converse('Find "one, then two" in the files', list(folder.specs.values()), folder.run)[0]


def test_a_report_of_what_nobody_has_found_out_is_not_written() -> None:
    folder = Folder()
    task = "Say something nice, and write the report to out.md."
    answer, _ = converse(task, list(folder.specs.values()), folder.run)
    assert folder.files == {}
    assert "Nothing in 'Say something nice" in answer
