"""What parsers of other packages raise, as a sentence that a person understands."""

from __future__ import annotations

LONGEST = 200
OF_CODE = (AttributeError, AssertionError, NotImplementedError, UnboundLocalError, IndexError)
"""Whose words are of the parser's own variables."""


def in_words(error: BaseException) -> str:
    """Say what an error of a foreign parser means for the file or document that it read.

    Args:
        error: whatever it raised.
    """
    words = " ".join(str(error).split())[:LONGEST]
    if isinstance(error, KeyError):
        named = words.strip("'\"")
        if len(named) > 1:
            return f"there is no {named!r} in it where one is needed."
        return f"{named!r} stands in it where a longer name is needed: it was cut."
    if isinstance(error, OF_CODE) or not words:
        return "it is not laid out as expected: it was cut off, changed or is of another version."
    if isinstance(error, TypeError):
        return f"something in it is missing or of the wrong kind ({_end(words)})."
    if isinstance(error, UnicodeError):
        return "it is not text, or of another encoding than UTF-8."
    return f"{_end(words)}."


def _end(words: str) -> str:
    return words.rstrip(". ")
