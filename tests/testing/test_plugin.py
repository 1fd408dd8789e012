"""The pytest plugin, tried on small test files of a user's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

USER_TEST = """
import asyncio
from callboard.actors import Actor

class Register(Actor):
    value = 0
    def on_receive(self, message):
        if message is not None:
            self.value = message
        return self.value

def make(workers, extra):
    async def scenario(sim):
        register = sim.system.spawn(Register, name="register")
        async def add():
            await asyncio.sleep(0)
            await register.ask(await register.ask(None) + 1)
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(add(), name=f"worker{number}")
        sim.mark("extra", extra=extra)
        if extra:
            assert await register.ask(None) == workers, "an addition is lost"
    return scenario

def test_additions(simulation):
    simulation(make(2, EXTRA), seeds=SEEDS)
"""


# Not all there are: some take seconds to load.
LOADED = ("callboard.actors.testing.plugin", "_hypothesis_pytestplugin", "pytest_asyncio.plugin", "no:cacheprovider")
PLUGINS = [word for name in LOADED for word in ("-p", name)]


@pytest.fixture
def user(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "300")  # room for the summary's lines
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nasyncio_default_fixture_loop_scope = 'function'\n")
    return pytester


def write(user: pytest.Pytester, *, extra: object = 1, seeds: int = 20) -> None:
    user.makepyfile(USER_TEST.replace("EXTRA", repr(extra)).replace("SEEDS", str(seeds)))


def token_of(result: pytest.RunResult) -> str:
    found = re.search(r"--sim-replay=(\S+)", result.stdout.str())
    assert found is not None, "the failure shows no token"
    return found.group(1)


def run(user: pytest.Pytester, *options: str) -> pytest.RunResult:
    return user.runpytest_inprocess(*PLUGINS, *options)


def test_a_failure_shows_the_report_and_the_token(user: pytest.Pytester) -> None:
    write(user)
    result = run(user)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*an addition is lost*", "*--sim-replay=sim1-*"])


def printed(result: pytest.RunResult) -> str:
    """What is printed of the one failure, without its title and the summary."""
    return re.split(r"={10,} (?:FAILURES|short test summary info) =+\n", result.stdout.str())[1].partition("\n")[2]


def test_the_report_stands_first_and_then_the_reader_s_own_code_where_it_failed(user: pytest.Pytester) -> None:
    write(user)
    text = printed(run(user))
    report, frame, call = re.split(r"^    or: pytest .*\n|^test_\S+: AssertionError\n", text, flags=re.MULTILINE)
    assert report.startswith("AssertionError: an addition is lost\n")
    assert '>           assert await register.ask(None) == workers, "an addition is lost"' in frame.splitlines()
    assert re.match(r"\S+test_\w+\.py:\d+: simulated here\s*simulated in 1 test: ", call)


def test_no_code_of_the_library_is_printed_with_a_failure(user: pytest.Pytester) -> None:
    write(user)
    result = run(user, "-rf")
    assert not [line for line in printed(result).splitlines() if ".src/callboard" in line or line.startswith("_ _")]
    result.stdout.fnmatch_lines(["FAILED *::test_additions - AssertionError: an addition is lost"])


GROUP = """
import asyncio

def test_group(simulation):
    async def fail():
        raise RuntimeError("lost")
    async def scenario(sim):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
    simulation(scenario)
"""


def test_a_group_of_failures_is_printed_with_each_place_and_the_report_once(user: pytest.Pytester) -> None:
    user.makepyfile(GROUP)
    text = printed(run(user))
    assert text.startswith("ExceptionGroup: unhandled errors in a TaskGroup\n")
    assert text.count("replay: simulate(") == 1
    assert re.search(r"\| +raise RuntimeError", text)
    assert "Traceback" in text
    assert "asyncio/taskgroups.py" not in text


def test_hypothesis_example_stands_with_the_report_without_the_library_s_lines(user: pytest.Pytester) -> None:
    user.makepyfile(
        """
from hypothesis import given, strategies as st
from callboard.testing import simulate

@given(st.lists(st.integers(0, 9)))
def test_words(words):
    async def scenario(sim):
        assert len(words) < 2, "too many words"
    simulate(scenario, seeds=1)
"""
    )
    text = printed(run(user))
    assert text.startswith("AssertionError: too many words\n")
    assert "    words=[0, 0]," in text.splitlines()
    assert ".src/callboard" not in text


@pytest.mark.parametrize("options", [("--tb=native",), ("--full-trace",)])
def test_python_s_own_traceback_can_be_asked_for(user: pytest.Pytester, options: tuple[str, ...]) -> None:
    write(user)
    result = run(user, *options)
    result.assert_outcomes(failed=1)
    assert not printed(result).startswith("AssertionError")


def test_the_printed_command_replays_the_failure_alone(user: pytest.Pytester) -> None:
    user.makepyfile(
        USER_TEST.replace("def test_additions", "import pytest\n\ndef test_other(): pass\n\n"
        "@pytest.mark.parametrize('word', ['a b'])\ndef test_additions").replace("(simulation)", "(simulation, word)")
        .replace("EXTRA", "1").replace("SEEDS", "20")
    )  # fmt: skip
    found = re.search(r"or: (pytest .*)", run(user).stdout.str())
    assert found is not None
    _, *command = shlex.split(found.group(1))
    result = run(user, *command)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*replayed.*"])


def test_the_token_replays_the_failure(user: pytest.Pytester) -> None:
    write(user)
    token = token_of(run(user))
    result = run(user, f"--sim-replay={token}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*an addition is lost*", "replayed.*"])


def test_the_token_is_refused_when_the_code_has_changed(user: pytest.Pytester) -> None:
    write(user)
    token = token_of(run(user))
    write(user, extra="")
    result = run(user, f"--sim-replay={token}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TokenRefused*has changed*"])


RARE = """
from hypothesis import Phase, given, settings, strategies as st
from callboard.testing import simulate

@settings(max_examples=1000)
@given(st.lists(st.integers(0, 10**6), min_size=1), st.text())
def test_rare(numbers, text):
    async def scenario(sim):
        sim.mark("numbers", sum=sum(numbers))
        assert sum(numbers) < 4711, "a rare one"
    simulate(scenario, seeds=2)

@given(st.booleans())
def test_other(it):
    pass
"""


def command_of(result: pytest.RunResult) -> list[str]:
    """The arguments of the printed command."""
    found = re.search(r"or: (pytest .*)", result.stdout.str())
    assert found is not None, "the failure shows no command"
    return shlex.split(found.group(1))[1:]


def test_the_printed_command_has_the_example_drawn_again_that_chance_would_not(user: pytest.Pytester) -> None:
    user.makepyfile(RARE)
    command = command_of(run(user))
    for _ in range(2):
        result = run(user, *command)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["AssertionError: a rare one", "replayed.*", "    numbers=[[]4711[]],"])
        assert command_of(result) == command
    # Of a whole file it is refused where it does not belong, and other tests are not touched.
    other = RARE.replace("test_rare", "test_again").replace("(it):\n    pass", "(it):\n    assert it in (True, False)")
    user.makepyfile(test_second=other)
    result = run(user, command[0])
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(["TokenRefused: the token was made by the scenario *"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("st.integers(0, 10**6), min_size=1", "st.text(), min_size=99", "Hypothesis cannot draw the token's example*"),
        ("sum=sum(numbers)", "sum=sum(numbers) + 1", "*they differ after event 0*has changed*"),
    ],
)
def test_the_token_of_an_example_is_refused_when_the_test_has_changed(
    user: pytest.Pytester, old: str, new: str, said: str
) -> None:
    user.makepyfile(RARE)
    command = command_of(run(user))
    user.makepyfile(RARE.replace(old, new))
    result = run(user, *command)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"TokenRefused: {said}"])
    assert "plugin.py" not in printed(result)


def test_a_replayed_example_passes_when_only_what_failed_is_mended(user: pytest.Pytester) -> None:
    rare = RARE.replace("seeds=2", "seeds=2, invariants=[lambda trace: sum(numbers) < 4711]")
    user.makepyfile(rare.replace("        assert", "        #"))
    command = command_of(run(user))
    user.makepyfile(RARE.replace("        assert", "        #"))
    run(user, *command).assert_outcomes(passed=1)


def test_a_token_of_another_version_of_hypothesis_replays(
    user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.makepyfile(RARE)
    with monkeypatch.context() as patched:
        patched.setattr("hypothesis.__version__", "6.1.0")
        command = command_of(run(user))
    result = run(user, *command)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["AssertionError: a rare one"])


INSIDE = """
from hypothesis import given, settings, strategies as st
from callboard.testing import simulate

def test_inside():
    @settings(database=None, deadline=None)
    @given(st.integers(0, 10**6))
    def check(number):
        async def scenario(sim):
            sim.mark("number", number=number)
            assert number < 4711
        simulate(scenario, seeds=1, replay=REPLAY)
    check()
"""


def test_where_the_plugin_does_not_reach_the_report_has_what_hypothesis_takes(user: pytest.Pytester) -> None:
    user.makepyfile(INSIDE.replace("REPLAY", "None"))
    found = re.search(r'replay: simulate\(scenario, replay=("\S+")\) under (@\S+ \S+)', text := printed(run(user)))
    assert found is not None, text
    assert "or: pytest" not in text
    token, decorator = found.groups()
    replayed = INSIDE.replace("REPLAY", token)
    user.makepyfile(replayed)
    refused = run(user)
    refused.assert_outcomes(failed=1)
    refused.stdout.fnmatch_lines([f"*TokenRefused: *has drawn another example*{decorator.replace('[', '[[]')}*"])
    user.makepyfile(
        replayed.replace(
            "    @settings", f"    from hypothesis import reproduce_failure\n    {decorator}\n    @settings"
        )
    )
    result = run(user)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["AssertionError: *", "replayed.*"])


def test_more_seeds_can_be_asked_for(user: pytest.Pytester) -> None:
    write(user, seeds=0, extra=0)
    run(user, "--sim-seeds=50").assert_outcomes(passed=1)


def test_with_no_seeds_only_the_ordinary_schedule_runs(user: pytest.Pytester) -> None:
    write(user)
    result = run(user, "--sim-seeds=0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*found with the ordinary schedule*"])


def test_a_test_without_simulation_is_not_touched_by_the_token(user: pytest.Pytester) -> None:
    user.makepyfile("def test_plain(): pass")
    run(user, "--sim-replay=sim1-nonsense").assert_outcomes(passed=1)


DRAWN = """
from hypothesis import given, settings, strategies as st
from callboard.actors import Actor
from callboard.actors.testing import Crash, Slow, simulate

class Register(Actor):
    def on_receive(self, message):
        return message

@settings(max_examples=30, derandomize=True)
@given(st.lists(st.integers(0, 9), max_size=3))
def test_register(messages):
    async def scenario(sim):
        register = sim.system.spawn(Register, name="register")
        for message in messages:
            register.tell(message)
    simulate(scenario, seeds=3, faults=[FAULT])
"""


def test_a_drawn_workload_too_small_for_a_fault_is_no_error_where_a_larger_one_has_it(user: pytest.Pytester) -> None:
    user.makepyfile(DRAWN.replace("FAULT", "Slow('register')"))
    run(user).assert_outcomes(passed=1)


def test_a_fault_that_struck_nothing_in_any_example_fails_the_test(user: pytest.Pytester) -> None:
    user.makepyfile(DRAWN.replace("FAULT", "Slow('registre'), Slow('register')"))
    result = run(user)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*FaultStruckNothing: struck nothing in any schedule of any example:",
            "*slow registre, any message*no actor 'registre'*Did you mean 'register'?*register (3)*",
        ]
    )
    result.stdout.no_fnmatch_line("*slow register, any message*")


def test_what_struck_in_one_test_does_not_count_in_the_next(user: pytest.Pytester) -> None:
    user.makepyfile(
        DRAWN.replace("FAULT", "Slow('register')")
        + DRAWN.replace("FAULT", "Slow('register')").replace("test_register", "test_silent").replace("messages:", "():")
    )
    run(user).assert_outcomes(passed=1, failed=1)


# -- Hypothesis --------------------------------------------------------------------------------------------------------

HELPER = """
import time
from callboard.testing import simulate

# By this clock each example takes a minute: nobody waits, and any deadline is over.
now = 0.0
time.perf_counter = lambda: now

def check(words):
    global now
    now += 60.0
    async def scenario(sim):
        assert len(words) < LONGEST, "too many words"
    simulate(scenario, seeds=1)
"""
GIVEN = """
from hypothesis import given, settings, strategies as st

@given(st.lists(st.integers(0, 9)))
def test_words(words):
    CHECK
"""
SIMULATED: dict[str, str] = {
    "imports simulate": "from callboard.testing import simulate\n" + GIVEN,
    "imports the package": "import callboard.testing\n" + GIVEN,
    "has a helper that simulates": "from helper import check\n" + GIVEN,
    "has a helper module": "import helper\n" + GIVEN,
    "takes the fixture": GIVEN.replace("test_words(words)", "test_words(simulation, words)"),
    "is a method": "from callboard.testing import simulate\n"
    + GIVEN.replace("@given", "class TestWords:\n  @given")
    .replace("def test_words(words)", "  def test_words(self, words)")
    .replace("    CHECK", "        CHECK"),
    "has settings of its own": "from callboard.testing import simulate\n"
    + GIVEN.replace("@given", "@settings(max_examples=20)\n@given"),
}


def apart(user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *, longest: int, **files: str) -> pytest.RunResult:
    """Run in a process of its own, where Hypothesis has its usual profile and not ours, or that for CI."""
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)
    user.makepyfile(
        helper=HELPER.replace("LONGEST", str(longest)),
        conftest="from hypothesis import settings\nsettings.load_profile('default')\n",
        **{name: text.replace("CHECK", "__import__('helper').check(words)") for name, text in files.items()},
    )
    return user.runpytest_subprocess(*PLUGINS)


def test_a_drawn_test_that_simulates_has_no_deadline(user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    apart(user, monkeypatch, longest=10**6, test_it=SIMULATED["imports simulate"]).assert_outcomes(passed=1)


def test_drawn_tests_that_simulate_fail_for_no_deadline_and_keep_no_examples(
    user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"test_{name.replace(' ', '_')}": text for name, text in SIMULATED.items()}
    result = apart(user, monkeypatch, longest=2, **files)
    result.assert_outcomes(failed=len(files))
    for name in files:
        result.stdout.fnmatch_lines([f"FAILED {name}.py::*too many words*"])
    result.stdout.no_fnmatch_line("*DeadlineExceeded*")
    assert kept(user) == []


def test_other_drawn_tests_keep_their_deadline_and_their_examples(
    user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = GIVEN.replace("CHECK", "clock.append(60.0 * len(clock))")
    plain = "import time\nclock = [0.0]\ntime.perf_counter = lambda: clock[-1]\n" + plain
    result = apart(user, monkeypatch, longest=2, test_it=plain)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*DeadlineExceeded*"])
    assert kept(user) != []


def test_a_deadline_or_database_given_by_hand_stays(user: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = GIVEN.replace(
        "@given", "@settings(deadline=1000, database=DirectoryBasedExampleDatabase('mine'))\n@given"
    )
    by_hand = (
        "from hypothesis.database import DirectoryBasedExampleDatabase\nfrom callboard.testing import simulate\n"
        + by_hand
    )
    result = apart(user, monkeypatch, longest=10**6, test_it=by_hand)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*DeadlineExceeded*1000*"])
    assert (user.path / "mine").exists()
    assert kept(user) == []


def kept(user: pytest.Pytester) -> list[Path]:
    """The examples in the database."""
    return [path for path in (user.path / ".hypothesis" / "examples").rglob("*") if path.is_file()]


# -- pages of failing runs ---------------------------------------------------------------------------------------------


def test_a_page_of_each_failing_run_is_written_into_a_folder_and_named(user: pytest.Pytester) -> None:
    write(user)
    for _ in range(2):  # again: the same page
        result = run(user, "--sim-html=deep/pages")
        result.assert_outcomes(failed=1)
        (path,) = (user.path / "deep" / "pages").iterdir()
        result.stdout.fnmatch_lines([f"page: {path}"])
        assert "an addition is lost" in path.read_text(encoding="utf-8")


def test_no_page_is_written_where_nothing_fails(user: pytest.Pytester) -> None:
    write(user, extra=0)
    run(user, "--sim-html=pages").assert_outcomes(passed=1)
    assert not (user.path / "pages").exists()


COVERED = """
import pytest
from callboard.actors import Actor
from callboard.actors.testing import Slow, simulate

class Register(Actor):
    def on_receive(self, message):
        return message

@pytest.mark.parametrize("times", [1, 2])
def test_register(times):
    async def scenario(sim):
        await sim.system.spawn(Register, name="register").ask("hello")
    for _ in range(times):
        simulate(scenario, order="asyncio", faults=[Slow("register")])

def test_plain(): pass
"""


def test_the_summary_says_what_was_simulated(user: pytest.Pytester) -> None:
    user.makepyfile(COVERED)
    result = run(user)
    result.assert_outcomes(passed=3)
    # The ordinary schedule, and the fault at its message and at the one after.
    result.stdout.fnmatch_lines(["simulated in 2 tests: 9 schedules (9 distinct), 2 edges; 2 of 2 faults struck"])
    result.stdout.no_fnmatch_line("*test_register*")


def test_it_says_so_of_each_test_where_that_is_asked_for(user: pytest.Pytester) -> None:
    user.makepyfile(COVERED)
    line = "*::test_register*2*: 6 schedules, 2 orders of messages, 1 edge, 1 of 1 faults struck"
    result = run(user, "-v")
    result.stdout.fnmatch_lines(["*= simulations =*", line])
    result.stdout.no_fnmatch_line("*struck in*")
    result = run(user, "--sim-coverage")
    result.stdout.fnmatch_lines(
        ["*= simulations =*", line, "  slow register, any message (seconds=10.0): struck in 2 of 6, at 2 of 2 places"]
    )


EXPLORED = """
import asyncio
import pytest
from callboard.actors import Actor
from callboard.actors.testing import explore

class Register(Actor):
    last = None

    def on_receive(self, message):
        self.last, before = message, self.last
        return before

@pytest.mark.parametrize("fails", [False, True])
def test_register(fails):
    async def scenario(sim):
        register = sim.system.spawn(Register, name="register")
        async def say(word):
            await register.ask(word)
        await asyncio.gather(say("a"), say("b"))
        assert not fails, "on purpose"
    assert explore(scenario).complete
"""


def test_what_explore_has_run_counts_too(user: pytest.Pytester) -> None:
    user.makepyfile(EXPLORED)
    result = run(user, "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*= simulations =*", "*::test_register?False?: all 1 schedule, 1 order of messages, *"]
    )
    result.stdout.fnmatch_lines(["*::test_register?True?: 1 schedule, 1 order of messages, *"])
    result.stdout.fnmatch_lines(["simulated in 2 tests: 2 schedules *"])


def test_it_says_nothing_where_nothing_was_simulated(user: pytest.Pytester) -> None:
    user.makepyfile("def test_plain(): pass")
    result = run(user, "-v", "--sim-coverage")
    result.stdout.no_fnmatch_line("simulated in *")
    result.stdout.no_fnmatch_line("*= simulations =*")


def test_a_failing_test_counts_too(user: pytest.Pytester) -> None:
    write(user)
    result = run(user, "-v")
    result.stdout.fnmatch_lines(["test_a_failing*::test_additions: 1 schedule, 1 order of messages, 5 edges"])
