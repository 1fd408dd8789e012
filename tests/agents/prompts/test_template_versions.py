"""Versions of a template side by side: which one a conversation gets, and what happens when files change."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import TemplateError, TemplateFolder

from .folders import written


def version(label: str, weight: float, text: str = "") -> str:
    return f"version: '{label}'\nweight: {weight}\nsystem: '{text or label}'\n"


def folder_of(path: Path, weights: dict[str, float]) -> TemplateFolder:
    return TemplateFolder(written(path, {f"t@{label}.yaml": version(label, w) for label, w in weights.items()}))


def test_each_conversation_keeps_its_version(tmp_path: Path) -> None:
    weights = {"1": 3.0, "2": 1.0}
    template, again = (folder_of(tmp_path, weights).template("t") for _ in range(2))
    assert template.weights == weights
    chosen = [template.render({}, f"c{n}").version for n in range(50)]
    assert chosen == [again.version_for(f"c{n}") for n in range(50)]
    assert set(chosen) == {"1", "2"}


def test_a_version_can_be_asked_for_by_hand_also_one_that_is_never_chosen(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"1": 1, "2": 0})
    assert {folder.template("t").render({}, f"c{n}").version for n in range(100)} == {"1"}
    made = folder.template("t@2").render({}, "c1")
    assert (made.version, made.system, made.note) == ("2", "2", "template t@2")


@given(
    weights=st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), st.integers(0, 9).map(float), min_size=1).filter(
        lambda weights: any(weights.values())
    ),
    seed=st.integers(0, 1000),
)
def test_versions_are_chosen_as_their_weights_say(
    tmp_path_factory: pytest.TempPathFactory, weights: dict[str, float], seed: int
) -> None:
    template = folder_of(tmp_path_factory.mktemp("f"), weights).template("t")
    many = 1000
    seen = Counter(template.version_for(f"{seed}-{n}") for n in range(many))
    for label, weight in weights.items():
        share = weight / sum(weights.values())
        # Six standard deviations: once in five hundred million draws.
        assert abs(seen[label] - many * share) <= 6 * (many * share * (1 - share)) ** 0.5


@given(
    before=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    heavier=st.integers(0, 3),
    conversations=st.lists(st.text(max_size=8), min_size=1, max_size=30),
)
def test_a_heavier_weight_only_wins_conversations(
    tmp_path_factory: pytest.TempPathFactory, before: list[int], heavier: int, conversations: list[str]
) -> None:
    weights = {str(n): float(weight) for n, weight in enumerate(before)}
    label = str(heavier % len(before))
    path = tmp_path_factory.mktemp("f")
    old = folder_of(path, weights).template("t")
    new = folder_of(path, {**weights, label: weights[label] + 3}).template("t")
    for conversation in conversations:
        was, is_now = old.version_for(conversation), new.version_for(conversation)
        assert is_now in (was, label)


def test_templates_are_chosen_independently(tmp_path: Path) -> None:
    files = {f"{name}@{n}.yaml": version(str(n), 1) for name in ("a", "b") for n in (1, 2)}
    folder = TemplateFolder(written(tmp_path, files))
    pairs = {
        (folder.template("a").render({}, f"c{n}").version, folder.template("b").render({}, f"c{n}").version)
        for n in range(60)
    }
    assert len(pairs) == 4


def test_a_prompt_needs_what_any_version_that_may_be_chosen_needs(tmp_path: Path) -> None:
    two = "weight: 1\nvariables: {x: }\nsystem: '{{ x }}'\n"
    folder = TemplateFolder(written(tmp_path, {"t@1.yaml": version("1", 1), "t@2.yaml": two}))
    with pytest.raises(TemplateError, match=r"^t@2\.yaml, line 2: the variable 'x' is missing"):
        folder.prompt("t")
    folder.prompt("t@1")


def test_a_changed_file_is_read_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    written(tmp_path, {"t.yaml": version("1", 1, "old")})
    still, live = TemplateFolder(tmp_path), TemplateFolder(tmp_path, reload=True)
    template = live.template("t")
    assert template.render({}).system == "old"
    written(tmp_path, {"t.yaml": version("2", 1, "new"), "u.yaml": version("1", 1)})
    assert (template.render({}).system, template.render({}).version) == ("new", "2")
    assert live.names == ("t", "u")
    assert still.template("t").render({}).system == "old"
    assert still.names == ("t",)


def test_a_broken_change_keeps_what_there_was_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = TemplateFolder(
        written(tmp_path, {"t.yaml": version("1", 1, "old"), "u.yaml": version("1", 1)}), reload=True
    )
    template = folder.template("t")
    written(tmp_path, {"t.yaml": "version: 2\nsystem: '{{ x }}'\n", "u.yaml": version("2", 1)})
    with caplog.at_level(logging.WARNING, "callboard"):
        assert [template.render({}).system for _ in range(3)] == ["old"] * 3
    assert folder.template("u").render({}).version == "1"  # not half of the change either
    (said,) = [record.getMessage() for record in caplog.records]
    assert "stay as they were: t.yaml, line 2: the variable 'x' is used" in said
    written(tmp_path, {"t.yaml": version("2", 1, "new")})
    assert template.render({}).system == "new"


def test_a_folder_that_goes_away_keeps_what_there_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = TemplateFolder(written(tmp_path / "prompts", {"t.yaml": version("1", 1, "old")}), reload=True)
    (tmp_path / "prompts").rename(tmp_path / "gone")
    with caplog.at_level(logging.WARNING, "callboard"):
        assert [folder.template("t").render({}).system for _ in range(3)] == ["old"] * 3
    (said,) = [record.getMessage() for record in caplog.records]
    assert "there is no such folder" in said
    (tmp_path / "gone").rename(tmp_path / "prompts")
    assert folder.template("t").render({}).system == "old"
    (tmp_path / "prompts").rename(tmp_path / "gone")
    assert folder.template("t").render({}).system == "old"
    assert len(caplog.records) == 2, "what is wrong again is told again"


def test_a_template_that_is_taken_away_is_named(tmp_path: Path) -> None:
    folder = TemplateFolder(written(tmp_path, {"t.yaml": version("1", 1), "u.yaml": version("1", 1)}), reload=True)
    template = folder.template("t")
    (tmp_path / "t.yaml").unlink()
    with pytest.raises(TemplateError, match="no template 't'; there are u"):
        template.render({})


def test_threads_never_see_half_a_change(tmp_path: Path) -> None:
    few = "version: {0}\nsystem: '{0}'\nfew_shot:\n- user: '{0}'\n  assistant: '{0}'\nuser: '{0}'\n"
    folder = TemplateFolder(written(tmp_path, {"t.yaml": few.format(0)}), reload=True)
    template = folder.template("t")
    seen: list[set[str]] = []

    def look() -> None:
        for _ in range(30):
            made = template.render({})
            seen.append({made.version, made.system, made.user, *(message.text for message in made.few_shot)})

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(1, 30):
        fresh = tmp_path / ".new"
        fresh.write_text(few.format(n))
        fresh.replace(tmp_path / "t.yaml")
    for thread in threads:
        thread.join()
    assert len(seen) == 120
    assert all(len(texts) == 1 for texts in seen)


def test_a_file_says_its_version_by_its_name_or_in_itself(tmp_path: Path) -> None:
    files = {
        "t.yaml": version("1", 1, "first"),
        "t@2.yaml": "weight: 0\nsystem: second\n",
        "t@3.yaml": version("3", 0, "third"),
    }
    folder = TemplateFolder(written(tmp_path, files))
    said = {label: folder.template(f"t@{label}").render({}).system for label in "123"}
    assert said == {"1": "first", "2": "second", "3": "third"}
