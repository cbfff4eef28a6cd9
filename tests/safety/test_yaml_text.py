"""YAML is plain data, and what is more than that is refused before anything is built of it."""

import os

import pytest
import yaml

from forcebase.errors import InputError
from forcebase.safety.yaml_text import parse_yaml, read_yaml

RUNS = "!!python/object/apply:os.system ['touch {}']"


def test_plain_yaml_is_what_pyyaml_makes_of_it():
    text = "a: {b: [1, 2.5, true, null, text]}\nc: &c {d: 1e-3}\ne: *c\nf: {<<: *c, g: 2}\n"
    assert parse_yaml(text, "plain.yaml") == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    ["a: {}", "{}", "a: 1\nb: {{c: [1, {}]}}", "? {}\n: 1", "&x {}", "a: 1\n---\n{}"],
)
def test_a_tag_is_refused_and_runs_nothing(tmp_path, text):
    mark = tmp_path / "ran"
    with pytest.raises(InputError, match="tag"):
        parse_yaml(text.format(RUNS.format(mark)), "evil.yaml")
    assert not mark.exists()


@pytest.mark.parametrize("tag", ["!!str", "!local", "!", "!<tag:yaml.org,2002:int>", "!!binary"])
def test_harmless_tags_are_refused_too(tag):
    with pytest.raises(InputError, match=r"line 2"):
        parse_yaml(f"a: 1\nb: {tag} 12\n", "tagged.yaml")


def test_a_key_twice_is_refused_with_its_line():
    with pytest.raises(InputError, match=r"'functional' twice, in line 3"):
        parse_yaml("method:\n  functional: PBE\n  functional: PBEsol\n", "method.yaml")
    assert parse_yaml("a: {x: 1}\nb: {x: 1}\n", "fine.yaml")["b"] == {"x": 1}


def test_an_alias_bomb_is_refused_by_its_size():
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(InputError, match=r"values; the limit is"):
        parse_yaml("\n".join(["a0: &a0 [1]", *rows]), "bomb.yaml")


def test_an_alias_of_what_it_is_in_is_refused():
    with pytest.raises(InputError, match="alias of what it is in"):
        parse_yaml("a: &a [1, *a]", "circle.yaml")


@pytest.mark.parametrize("text", ["[" * 200 + "]" * 200, "[" * 50_000, "- " * 50_000, "{a: " * 999])
def test_deep_nesting_is_refused(text):
    with pytest.raises(InputError):
        parse_yaml(text, "deep.yaml")


def test_a_limit_is_named_and_can_be_raised(monkeypatch):
    text = "[" * 60 + "]" * 60
    monkeypatch.setenv("FORCEBASE_LIMIT_DEPTH", "50")
    with pytest.raises(InputError, match="FORCEBASE_LIMIT_DEPTH"):
        parse_yaml(text, "deep.yaml")
    monkeypatch.setenv("FORCEBASE_LIMIT_DEPTH", "60")
    assert parse_yaml(text, "deep.yaml")


@pytest.mark.parametrize("data", [b"a: \xff\xfe", b"a: 2024-13-45", b"\x00", b"a: b: c"])
def test_what_is_no_yaml_is_one_line(tmp_path, data):
    (tmp_path / "bad.yaml").write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.yaml"):
        read_yaml(tmp_path / "bad.yaml")


def test_a_cut_inside_the_last_number_is_refused_where_the_end_counts(tmp_path):
    (tmp_path / "method.yaml").write_text("spacing_per_A: 0.3")  # of 0.38
    with pytest.raises(InputError, match="cut short"):
        read_yaml(tmp_path / "method.yaml", whole=True)


@pytest.mark.parametrize(
    "text",
    [
        'a: 1\n"a": 2\n',
        "'a': 1\na: 2\n",
        "&k a: 1\n*k : 2\n",
        "1: a\n0x1: b\n",
        "yes: a\ntrue: b\n",
        "{a: 1, ? a : 2}",
    ],
)
def test_one_key_spelled_in_two_ways_is_refused(text):
    with pytest.raises(InputError, match="twice"):
        parse_yaml(text, "method.yaml")


@pytest.mark.parametrize("text", ['1: a\n"1": b\n', "a: {<<: {b: 1}, b: 2}", "a: 1\nA: 2\n"])
def test_keys_that_are_not_one_are_let_pass(text):
    assert parse_yaml(text, "fine.yaml") == yaml.safe_load(text)


@pytest.mark.parametrize("number", ["1" + ":1" * 200_000, "1" + ":1" * 200_000 + ".5", "9" * 500])
def test_a_number_as_long_as_a_book_is_refused(number):
    with pytest.raises(InputError, match="number of"):
        parse_yaml(f"a: {number}\n", "long.yaml")
    assert parse_yaml(f"a: '{number}'\n", "text.yaml") == {"a": number}


def test_a_device_or_a_pipe_is_no_file(tmp_path):
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("device.yaml", "pipe.yaml"):
        with pytest.raises(InputError, match="not a plain file"):
            read_yaml(tmp_path / name)
