"""Plugins: methods of one's own on the prompt."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import pytest

from callboard import Agent, Functions, Prompt, PromptError, TaskGraph, TaskList
from tests.agents.prompts.steps import Conversation


class Counting(Prompt):
    def counted(self, name: str = "count") -> int:
        count, set_count = self.state(name, 0)

        async def more() -> int:
            """Count on."""
            return set_count(lambda before: before + 1)

        self.tool(more, name=f"more_{name}", risk="safe")
        return count


class Greeting(Prompt):
    def greeting(self) -> str:
        return "Hello"


class LoudGreeting(Greeting):
    def greeting(self) -> str:
        return super().greeting().upper()


class Both(Counting, LoudGreeting): ...


async def test_a_plugins_methods_define_as_the_function_itself_does() -> None:
    conversation = Conversation()

    def fn(prompt: Counting) -> None:
        prompt.system("counts", f"{prompt.counted('a')} {prompt.counted('b')}")

    rendered = conversation.step(fn, Counting)
    await conversation.call(rendered, "more_a")
    assert conversation.step(fn, Counting).system == "<counts>\n1 0\n</counts>"


class Tickets(Prompt):
    def close(self, ticket: str) -> str:
        return f"closed {ticket}"

    def end(self) -> str:
        return "ended"


def test_a_plugins_methods_may_have_any_name_that_a_prompt_has_not() -> None:
    def fn(prompt: Tickets) -> None:
        prompt.system("a", f"{prompt.close('7')}, {prompt.end()}")

    assert Conversation().step(fn, Tickets).system == "<a>\nclosed 7, ended\n</a>"


@pytest.mark.parametrize("plugins", [Both, [Both], [Counting, LoudGreeting], (Counting, LoudGreeting)])
def test_several_plugins_are_one_class_in_the_order_given(plugins: Any) -> None:
    def fn(prompt: Any) -> None:
        prompt.system("a", f"{prompt.greeting()} {prompt.counted()}")

    assert Conversation().step(fn, plugins).system == "<a>\nHELLO 0\n</a>"


class Politely(Counting, Greeting):
    def polite(self) -> str:
        return f"{self.greeting()}, {self.counted()}"


class Louder(Prompt):
    def greeting(self) -> str:
        return "HEY"


@pytest.mark.parametrize(
    "plugins", [Politely, [Counting, Greeting], [Greeting, Counting], [Louder, Counting, Greeting]]
)
def test_a_function_may_take_a_class_that_is_made_of_the_plugins(plugins: Any) -> None:
    def fn(prompt: Politely) -> None:
        prompt.system("a", f"{prompt.polite()} {isinstance(prompt, Politely)} {isinstance(prompt, Louder)}")

    louder = isinstance(plugins, list) and Louder in plugins
    assert Conversation().step(fn, plugins).system == f"<a>\nHello, 0 True {louder}\n</a>"


T = TypeVar("T")


class Keeping(Prompt, Generic[T]):
    def kept(self, first: T) -> T:
        value: T = self.state("kept", first)[0]
        return value


@pytest.mark.parametrize("plugins", [Keeping, Keeping[int], [Greeting, Keeping[int]]])
def test_a_plugin_may_be_generic(plugins: Any) -> None:
    def fn(prompt: Keeping[int]) -> None:
        prompt.system("a", f"{prompt.kept(3)}")

    assert Conversation().step(fn, plugins).system == "<a>\n3\n</a>"


def test_a_function_may_take_one_of_several_plugins() -> None:
    def fn(prompt: Greeting | Louder) -> None:
        prompt.system("a", prompt.greeting())

    assert Conversation().step(fn, Louder).system == "<a>\nHEY\n</a>"


def test_two_plugins_override_each_other_in_the_order_given() -> None:
    class Silent(Prompt):
        def greeting(self) -> str:
            return ""

    def fn(prompt: Any) -> None:
        prompt.system("a", prompt.greeting())

    said = [Conversation().step(fn, plugins).system for plugins in ([Silent, Greeting], [Greeting, Silent])]
    assert said == ["<a>\n\n</a>", "<a>\nHello\n</a>"]


class WithInit(Prompt):
    def __init__(self) -> None:
        raise AssertionError


class OfOneWithInit(WithInit): ...


def takes_both(prompt: Both) -> None: ...


class OwnInit(Counting, Greeting):
    def __init__(self) -> None: ...


def takes_own_init(prompt: OwnInit) -> None: ...
def takes_counting(prompt: Counting) -> None: ...
def takes_text(prompt: str) -> None: ...
def takes_nothing() -> None: ...
def takes_two(prompt: Prompt, more: int) -> None: ...
def needs_a_name(*, prompt: Prompt) -> None: ...
def plain(prompt: Prompt) -> None: ...


def yields(prompt: Prompt) -> Any:
    yield 3


WRONG: list[tuple[Any, Any, str]] = [
    (plain, int, "a plugin is a subclass of Prompt, not <class 'int'>"),
    (plain, [Counting, "text"], "a plugin is a subclass of Prompt, not 'text'"),
    (plain, 3, "a plugin is a subclass of Prompt, not 3"),
    (plain, WithInit, r"WithInit has an __init__; write methods, and keep what must be kept in self\.state"),
    (plain, OfOneWithInit, "OfOneWithInit has an __init__"),
    (plain, [Prompt, Counting], "the plugins Prompt, Counting do not fit together in this order"),
    (takes_counting, (), "takes_counting takes a Counting, and its plugins give a Prompt: give plugins=Counting"),
    (takes_both, [Counting, Greeting], r"takes a Both, and its plugins give a Counting\+Greeting: give plugins=Both"),
    (takes_both, LoudGreeting, "takes a Both, and its plugins give a LoudGreeting: give plugins=Both"),
    (takes_own_init, [Counting, Greeting], "the plugin OwnInit has an __init__"),
    (plain, "Counting", "a plugin is a subclass of Prompt, not 'Counting'"),
    (takes_text, (), "takes_text takes a str; its first parameter is the prompt: Prompt"),
    (takes_nothing, (), r"takes_nothing takes \(\); a prompt function takes \(prompt\)"),
    (takes_two, (), r"takes_two takes \(prompt, more\); a prompt function takes \(prompt\)"),
    (needs_a_name, (), r"needs_a_name takes \(prompt\)"),
    (yields, (), "yields yields; a prompt function returns"),
    (Counting, (), "a prompt function is a function that takes the prompt, not <class"),
    ("text", (), "a prompt function is a function that takes the prompt, not 'text'"),
    (max, (), r"max does not say what it takes; a prompt function takes \(prompt\)"),
]


@pytest.mark.parametrize(("fn", "plugins", "said"), WRONG)
def test_a_function_that_does_not_fit_is_refused_as_the_agent_is_made(fn: Any, plugins: Any, said: str) -> None:
    with pytest.raises(PromptError, match=f"^agent '?A'?: .*{said}"):
        Agent("A", prompt=fn, plugins=plugins)


def test_a_function_that_became_a_method_says_how_a_class_has_one() -> None:
    class Clerk(Agent):
        name = "Clerk"
        prompt = plain  # type: ignore[assignment]

    with pytest.raises(
        PromptError, match=r"plain takes \(\); .*in a class it is a method with self .*or a staticmethod"
    ):
        Clerk()


def test_an_object_and_a_method_may_be_prompt_functions() -> None:
    class Told:
        def __init__(self, text: str) -> None:
            self.text = text

        def say(self, prompt: Prompt) -> None:
            prompt.system("a", self.text)

        def __call__(self, prompt: Prompt) -> None:
            prompt.system("b", self.text)

    assert Conversation().step(Told("x").say).system == "<a>\nx\n</a>"
    assert Conversation().step(Told("x")).system == "<b>\nx\n</b>"


WITHOUT: list[tuple[Any, str]] = [
    (lambda prompt: prompt.task_list(["a"]), "Prompt has no 'task_list': give plugins=TaskList"),
    (lambda prompt: prompt.task_graph(), "Prompt has no 'task_graph': give plugins=TaskGraph"),
    (lambda prompt: prompt.function(len), "Prompt has no 'function': give plugins=Functions"),
    (lambda prompt: prompt.function_bounds(timeout=1), "Prompt has no 'function_bounds': give plugins=Functions"),
    (
        lambda prompt: prompt.task_lst(["a"]),
        r"Prompt has no 'task_lst': did you mean 'task_list'\? give plugins=TaskList",
    ),
    (lambda prompt: prompt.polite(), "Prompt has no 'polite': give plugins=Politely"),
    (lambda prompt: prompt.sytem("a", "b"), r"Prompt has no 'sytem': did you mean 'system'\?"),
    (lambda prompt: prompt.zzz, "Prompt has no 'zzz': there are agent, agents, context, define, "),
]


@pytest.mark.parametrize(("fn", "said"), WITHOUT)
def test_a_method_that_a_prompt_does_not_have_is_named_with_the_plugin_that_has_it(fn: Any, said: str) -> None:
    with pytest.raises(PromptError, match=f"lambda>: {said}"):
        Conversation().step(fn)


def test_a_prompt_can_be_asked_whether_it_has_something() -> None:
    seen: list[Any] = []

    def fn(prompt: Prompt) -> None:
        seen.extend([hasattr(prompt, "task_list"), hasattr(prompt, "system"), getattr(prompt, "__nothing__", 3)])
        with pytest.raises(AttributeError, match="'Prompt' object has no attribute '_own'"):
            prompt._own  # type: ignore[attr-defined]  # noqa: B018

    Conversation().step(fn)
    assert seen == [False, True, 3]


def test_the_librarys_own_plugins_have_the_methods_they_are_named_with() -> None:
    for method, plugin in {"task_list": TaskList, "task_graph": TaskGraph, "function": Functions}.items():
        assert method in vars(plugin)
