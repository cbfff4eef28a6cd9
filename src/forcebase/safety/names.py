"""Names that people give: they stand in paths, tables and pages, so they are plain words."""

from __future__ import annotations

import re

from forcebase.errors import InputError

NAME_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}$(?!\n)"
"""Of a dataset: part of the names of exported files."""
NAME_OR_TAG_PATTERN = r"^[^\x00-\x1f\x7f]{1,1000}$(?!\n)"
"""Of a name or a tag: anything that is printed in one line."""
FIELDS = re.compile(r"\{[A-Za-z_]\w*(?::0?\d{0,2}[dsfg]?)?\}")


def fill_name(pattern: str, values: dict[str, object]) -> str:
    """Fill `{key}` and `{key:04d}` of a pattern that data gave; `str.format` would do far more.

    Raises:
        InputError: other braces stand in it, or a value is not there or of another kind.
    """
    rest = FIELDS.sub("", pattern)
    if "{" in rest or "}" in rest:
        raise InputError(
            f"{pattern!r} is not a pattern of names.", hint="Write {key} or {key:04d} for values."
        )
    try:
        return pattern.format(**values)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{pattern!r} cannot be filled: {error}") from None
