"""The kind of group that all commands are in: how their help is laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class CommandGroup(typer.Typer):
    """A group of commands whose help keeps examples as they are written: one to a line.

    Errors are not decorated, and nothing in a help text is read as markup.

    Args:
        **settings: of typer's own; without `help`, that is the docstring of the group's callback.
    """

    def __init__(self, *, no_args_is_help: bool = True, **settings: Any) -> None:
        super().__init__(
            cls=_Group,
            no_args_is_help=no_args_is_help,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[..., Any]:
        """Decorate the function of a command."""
        return super().command(name, cls=_Command, **settings)


class _Command(TyperCommand):
    def __init__(self, *args: Any, help: str | None = None, **settings: Any) -> None:
        super().__init__(*args, help=_with_examples(help), **settings)


class _Group(TyperGroup):
    def __init__(self, *args: Any, help: str | None = None, **settings: Any) -> None:
        super().__init__(*args, help=_with_examples(help), **settings)


def _with_examples(help: str | None) -> str | None:
    """Mark the paragraph of examples as one that is not to be filled."""
    return help and help.replace("\n\nExample", "\n\n\b\nExample")
