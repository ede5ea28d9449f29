"""YAML as people write it: one key once, names as they stand there, a mistake one line with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from utils import yamlfile
from utils.errors import UserError


def said(folder: Path, content: str | bytes, **more: Any) -> Any:
    """What a file of this text says."""
    file = folder / "x.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return yamlfile.load(file, "x.yaml", **more)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("OPTIM: {LR: 1}\nTRAIN: {EMA: 1}\nOPTIM: {NAME: sgd}\n", "OPTIM stands twice, in lines 1 and 3"),
        ("OPTIM:\n  LR: 1\n  NAME: sgd\n  LR: 2\n", "OPTIM.LR stands twice, in lines 2 and 4"),
        ("OPTIM: {LR: 1, LR: 1}", "OPTIM.LR stands twice, in line 1"),
        ("OPTIM.LR: 1\nSEED: 1\nOPTIM:\n  LR: 2\n", "OPTIM.LR stands twice, in lines 1 and 4"),
        ("a: [{x: 1}, {b: 1,\n b: 2}]", "a[1].b stands twice, in lines 1 and 2"),
        ("a: 1\r'a': 2\r", "a stands twice, in lines 1 and 2"),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2, b: 3}", "c.b stands twice, in line 2"),
    ],
)
def test_key_that_stands_twice(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        said(tmp_path, text)
    assert str(told.value) == f"x.yaml: {says}: leave one of them out"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
        ("a: &x {b: 1}\nd: *x", {"a": {"b": 1}, "d": {"b": 1}}),
        ("OPTIM.LR: 1\nOPTIM: {NAME: sgd}", {"OPTIM.LR": 1, "OPTIM": {"NAME": "sgd"}}),
        ("a: [{b: 1}, {b: 2}]", {"a": [{"b": 1}, {"b": 2}]}),
        ("no: 1\n1.0: 2\n", {"no": 1, "1.0": 2}),
        ("", None),
        ("# nothing\n", None),
        ("[1, b]", [1, "b"]),
        ("\ufeffa: ü\r\nb: 1\r\n".encode("utf-16"), {"a": "ü", "b": 1}),
    ],
)
def test_what_is_allowed(text: str | bytes, tree: Any, tmp_path: Path) -> None:
    assert said(tmp_path, text) == tree


WORDS = ["no", "null", "~", "1.0", "on", "2024-01-01", "1e3", "0o7", "010", "1_000", "12:30", "yes", ".nan", "0x1f"]


@pytest.mark.parametrize("text", [f"names: [{', '.join(WORDS)}]", "\n- ".join(["names:", *WORDS])])
def test_words_of_yaml_stay_what_was_written(text: str, tmp_path: Path) -> None:
    assert said(tmp_path, f"{text}\nother: [no]", text=("names",)) == {"names": WORDS, "other": [False]}


def test_nothing_is_no_word(tmp_path: Path) -> None:
    found = said(tmp_path, "a: null\nb:\nc:\n-\n- x", text=("a", "b", "c"))
    assert found == {"a": None, "b": None, "c": [None, "x"]}


LEVELS = (f"l{i}: &l{i} [{','.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 8))
BOMB = "\n".join(["l0: &l0 [x, x, x, x, x, x, x, x, x, x]", *LEVELS])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:\n\t- b", "x.yaml, line 2: no valid YAML: a tab in front; YAML wants blanks there"),
        ("a: 1\nb: [1", "x.yaml, line 2: no valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb: c: d", "x.yaml, line 2: no valid YAML: mapping values are not allowed here"),
        ("a: 1\nb: \x07", "x.yaml, line 2: no valid YAML: the character U+0007"),
        ("a: 1\n---\nb: 1", "x.yaml, line 2: no valid YAML: a second document begins there (---)"),
        ("a: &x {b: *x}", "x.yaml: a part of it has itself as a part (an alias *name inside &name)"),
        ("[a]: 1", "x.yaml, line 1: a name is needed in front of a colon, not a list"),
        ("a: 2024-13-45", "x.yaml: no valid YAML: month must be in 1..12"),
        ("a: !!python/name:os.system x", "x.yaml, line 1: no valid YAML: could not determine a constructor"),
        ("[" * 3000, "x.yaml: no valid YAML: too many levels"),
        (BOMB, "x.yaml: more than 100000 values, aliases *name counted"),
    ],
)
def test_what_is_no_yaml(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        said(tmp_path, text)
    assert str(told.value).startswith(says) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: !!int ''", "line 2: '' is no int"),
        ("a: !!float _", "line 1: '_' is no float"),
        ("a: !!bool perhaps", "line 1: 'perhaps' is no bool"),
        ("a: !!timestamp soon", "line 1: 'soon' is no timestamp"),
        ("a: 1" + ":1" * 99, "line 1: a value of 199 letters, '1:1:1:1:1:1:1:1:1:1:'...; quote it as text"),
        ("a: 1" + ":1" * 300 + ".5", "quote it as text"),
        ("a: 0x" + "f" * 99, "quote it as text"),
        (
            "a:\n" + "".join(f"{' ' * k}{'k' * 900}{k}:\n" for k in range(1, 14)),
            "a name of more than 10000 letters",
        ),
    ],
)
def test_values_that_ask_for_too_much(text: str, says: str, tmp_path: Path) -> None:
    """PyYAML takes a tag at its word, and numbers to the base of 60 as long as they are."""
    with pytest.raises(UserError) as told:
        said(tmp_path, text)
    assert says in str(told.value) and str(told.value).startswith("x.yaml, line ") and "\n" not in str(told.value)


def test_tags_that_are_right(tmp_path: Path) -> None:
    text = "[!!float 3, !!int 0x1f, !!bool yes, !!timestamp 2024-01-02, 12:30, !!str 7, '1:1:1']"
    three, hexadecimal, yes, day, sixty, seven, quoted = said(tmp_path, text)
    assert (three, hexadecimal, yes, sixty, seven, quoted) == (3.0, 31, True, 750, "7", "1:1:1")
    assert isinstance(three, float) and day.year == 2024
