"""Text from elsewhere in terminals, pages and pictures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from forcebase.cli.console import note, say
from forcebase.cli.tables import print_table
from forcebase.errors import InputError
from forcebase.safety.names import fill_name
from forcebase.safety.text import html_text, is_utf8, markdown_text, readable

SCRIPT = "<script>alert(1)</script>"


@given(st.text())
def test_readable_text_is_printable_and_plain_text_stays(text):
    assert readable(text).isprintable() or any(c.isspace() for c in readable(text))
    assert "\x1b" not in readable(text)
    if text.isprintable():
        assert readable(text) == text
    assert is_utf8(readable(text))


def test_directions_and_escapes_are_spelled_out():
    assert readable("a\x1b[2Jb\u202ec\udcff") == r"a\x1b[2Jb\u202ec\udcff"
    assert readable("ä ₂ 中 é") == "ä ₂ 中 é"


def test_terminals_get_no_escapes_in_lines_titles_or_cells(capsys):
    evil = "x\x1b]0;owned\x07\x1b[31m\u202e"
    say(f"line {evil}")
    note(f"line {evil}")
    print_table(evil, [evil], [[evil]])
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed
    assert printed.count(r"\x1b]0;owned\x07") == 5


@pytest.mark.parametrize(
    "evil",
    [
        SCRIPT,
        "![x](http://e.org/x.png)",
        "[x](http://e.org)",
        "<http://e.org>",
        "a|b",
        "`x`",
        "&lt;",
    ],
)
def test_markdown_made_of_data_is_words(evil):
    page = (
        MarkdownIt("commonmark")
        .enable("table")
        .render(f"| a | b |\n| --- | --- |\n| {markdown_text(evil)} | c |\n")
    )
    assert page.count("<td>") == 2
    for part in ("<script", "<img", "<a ", "<code"):
        assert part not in page
    assert f"<td>{html_text(evil)}</td>" in page


def test_attributes_are_escaped():
    assert html_text("\"><b onload='x'>") == "&quot;&gt;&lt;b onload=&#x27;x&#x27;&gt;"


@pytest.mark.parametrize(
    "pattern",
    [
        "{a.__class__}",
        "{a[0]}",
        "{a:>9999999999}",
        "{a!r}",
        "{}",
        "{0}",
        "{a:{b}}",
        "{",
        "{missing}",
    ],
)
def test_patterns_of_names_do_no_more_than_fill_in(pattern):
    with pytest.raises(InputError):
        fill_name(pattern, {"a": 1, "b": 2})


def test_a_pattern_of_a_name_is_filled():
    assert fill_name("logs/{index:04d}-{kind}.txt", {"index": 7, "kind": "x"}) == "logs/0007-x.txt"
    assert json.dumps(fill_name("plain", {})) == '"plain"'
