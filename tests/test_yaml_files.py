"""A YAML file of settings is read strictly, and settings change it key by key."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit import yaml_files
from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import load_recipe, parse_recipe, recipe_folder
from mmctr_kit.yaml_files import apply_setting, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e-5", {"a": 1e-5}),  # YAML itself reads a text
        ("a: [1, b]", {"a": [1, "b"]}),
        ("", None),
    ],
)
def test_a_text_is_read_as_people_mean_it(text: str, value: Any) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\na: 2", "key a twice in the block that begins in line 1"),
        ("a: [1", "not readable YAML"),
        ("- 1", "expected a block of recipe keys, found a list"),
        ("", "found nothing"),
        ("a: " + "[" * 100_000, "nested more than 50 deep"),
        ("a: &a " + "[" * 40 + "1" + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40, "50 deep"),
        ("a: &a [*a]", "an alias stands for a block or list that it is in"),
        ("a: 0b_", r"line 1, column 4: '0b_' is no value of the type int"),
        ("a: 2025-13-45", "'2025-13-45' is no value of the type timestamp"),
        ("a: !!int foo", "'foo' is no value of the type int"),
        ("a: !!bool maybe", "'maybe' is no value of the type bool"),
        ("a: !!timestamp x", "'x' is no value of the type timestamp"),
        ("a: !!map 3", "expected a mapping node, but found scalar"),
        ("a: " + "1" * 5_000, "is no value of the type int"),
        (
            "a0: &a0 [1, 1]\n"
            + "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)),
            "more than 100,000 values",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_one_line(
    tmp_path: Path, text: str, fault: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=fault) as e:
        read_yaml(path, "recipe")
    assert "\n" not in str(e.value)


def test_a_setting_gives_a_key_of_a_block_or_a_whole_block() -> None:
    content: dict[str, Any] = {"a": {"b": 1}}
    assert apply_setting(content, "a.c=[2, x]") == ["a.c"]
    assert apply_setting(content, "d={e: 3}") == ["d", "d.e"]
    assert content == {"a": {"b": 1, "c": [2, "x"]}, "d": {"e": 3}}


@pytest.mark.parametrize(
    ("setting", "fault"),
    [("a", "expected KEY=VALUE"), ("=1", "expected KEY=VALUE"), ("a.b.c=1", "b is 1, not a block")],
)
def test_a_setting_that_cannot_be_applied_is_refused(setting: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        apply_setting({"a": {"b": 1}}, setting)


_RECIPES = [path.read_text("utf-8") for path in sorted(recipe_folder().rglob("*.yaml"))]
_CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1), st.integers(0, 3), st.text("[]{}:,-?&*!|>'\"%@`#\n\t ab01.~é", max_size=3)
    ),
    max_size=4,
)


@given(st.sampled_from(_RECIPES), _CHANGES)
def test_a_text_means_the_same_with_libyaml_and_without_it(text: str, changes: list[Any]) -> None:
    # The lines of values: most of a recipe's file are comments.
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for place, removed, inserted in changes:
        at = int(place * len(text))
        text = text[:at] + inserted + text[at + removed :]
    read = [_outcome(text)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", False)
        patch.setattr(yaml_files, "_yaml_loaders", yaml_files._yaml_loaders.__wrapped__)
        read.append(_outcome(text))
    assert read[0] == read[1]


def _outcome(text: str) -> str:
    try:
        return repr(parse_yaml(text))
    except ValueError as e:
        return f"refused: {e}"


def test_the_recipe_of_a_run_is_read_by_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [load_recipe(str(path)) for path in sorted(recipe_folder().rglob("*.yaml"))]
    if yaml.__with_libyaml__:
        monkeypatch.setattr(yaml.SafeLoader, "get_single_node", None)
    for recipe in recipes:
        assert parse_recipe(parse_yaml(recipe.to_yaml()), "it") == recipe
