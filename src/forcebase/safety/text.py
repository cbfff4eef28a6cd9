"""Text from elsewhere before people see it: control characters made visible, names checked."""

from __future__ import annotations

import html
import re
import unicodedata

HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
"""Unicode's categories of what is not a letter, mark, number or sign: escapes, turns of direction,
halves of surrogates, line ends."""


def readable(text: str, keep: str = "") -> str:
    """The text with what is not a printable character spelled out, as `\\x1b`.

    A terminal obeys escape sequences, which may move the cursor, retitle the window or hide text.

    Args:
        text: from elsewhere.
        keep: characters that stay, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(
        _spelled(letter)
        if unicodedata.category(letter) in HIDDEN and letter not in keep
        else letter
        for letter in text
    )


def _spelled(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode("ascii")


def is_utf8(text: str) -> bool:
    """Whether a name of a file can be written as UTF-8: Python keeps other bytes as surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def markdown_text(value: object) -> str:
    """The value as words in Markdown, and in the HTML made of it: no tags, links, pictures, tables.

    Digests and such that are to be code stand between backticks that the caller sets.
    """
    text = readable(str(value)).replace("\\", "\\\\")
    text = html.escape(text, quote=False)
    return re.sub(r"([\[\]|`*!])", r"\\\1", text)


def figure_text(value: object) -> str:
    """The value as words in a figure: dollar signs would begin a formula."""
    return readable(str(value)).replace("$", r"\$")


def html_text(value: object) -> str:
    """The value as words in HTML, in text and in attributes."""
    return html.escape(readable(str(value)), quote=True)
