"""The kind of group that all commands are in: how their help is laid out."""

from __future__ import annotations

import inspect
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


class _KeepsExamples:
    """A command, or a group, that lays its help out."""

    help: str | None

    def format_help_text(self, _: Any, formatter: Any) -> None:
        """Fill all paragraphs but that of the examples, which typer would fill too."""
        text = inspect.cleandoc(self.help or "")
        if text:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text.replace("\n\nExample", "\n\n\b\nExample"))


class _Command(_KeepsExamples, TyperCommand):
    pass


class _Group(_KeepsExamples, TyperGroup):
    pass
