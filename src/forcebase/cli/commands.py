"""The kind of group that all commands are in: how their help is laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class CommandGroup(typer.Typer):
    """A group of commands whose help keeps examples as they are written: one to a line.

    Errors are not decorated, and nothing in a help text is read as markup.
    """

    def __init__(self, help: str | None = None, *, no_args_is_help: bool = True) -> None:
        super().__init__(
            cls=_Group,
            help=help,
            no_args_is_help=no_args_is_help,
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
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
