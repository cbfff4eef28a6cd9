"""README.md and docs/*.md as a reader takes them: blocks to type, and notes on how a test does.

A note is an HTML comment directly above a block, which no reader of the page sees:

    <!-- stand-in: --epochs 220 => --epochs 2; hours of training -->
    <!-- not run: apt install => needs root -->
    <!-- needs: model add chgnet => chgnet -->
    <!-- fails: forcebase compare => a part of the message -->
    <!-- prints: forcebase why => a part of what it prints -->
    <!-- fill in: RECORD => calculations kind=pristine-1x1 -->
    <!-- given: cp -r tests/data/codes runs -->
    <!-- file: recipe.yaml -->

Left of => is a part of the commands that the note is about. `given` is what the reader is taken to
have, `file` the name under which the reader saves the block.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTE = re.compile(r"<!--\s*([a-z -]+?):\s*(.*?)\s*-->", re.DOTALL)
RUN = ("sh", "python")
INVENTED = re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{6,}\b")
"""Digits that look like the id of a record."""
VERBS = ("stand-in", "not run", "needs", "fails", "prints", "fill in", "given", "file")


@dataclass(frozen=True)
class Note:
    """What a comment above a block says to the test."""

    verb: str
    about: str
    text: str

    @property
    def replacement(self) -> str:
        """What stands in, where the verb is stand-in."""
        return self.text.partition(";")[0].strip()

    @property
    def reason(self) -> str:
        """Why: behind the semicolon of a stand-in, all of the text elsewhere."""
        return self.text.partition(";")[2].strip() if self.verb == "stand-in" else self.text


@dataclass(frozen=True)
class Block:
    """A fenced block of a document, with the notes above it."""

    document: str
    line: int
    language: str
    text: str
    notes: tuple[Note, ...]

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"

    @cached_property
    def commands(self) -> list[str]:
        """A shell block's commands, each with its continuation lines; a Python block is one."""
        return split_commands(self.text) if self.language == "sh" else [self.text]

    def about(self, verb: str, command: str) -> list[Note]:
        """The notes of this verb on a command."""
        return [n for n in self.notes if n.verb == verb and n.about in command]

    def all(self, verb: str) -> list[Note]:
        return [note for note in self.notes if note.verb == verb]


def blocks_of(path: Path) -> list[Block]:
    """All fenced blocks of a document, in order."""
    found: list[Block] = []
    notes: list[Note] = []
    for token in MarkdownIt("commonmark").parse(path.read_text()):
        if token.type == "html_block":
            notes += _notes(token.content)
        elif token.type == "fence":
            line = (token.map or [0])[0] + 1
            language = token.info.strip()
            found.append(Block(path.name, line, language, token.content, tuple(notes)))
            notes = []
        else:
            notes = []
    return found


def indented_blocks(path: Path) -> list[str]:
    """Blocks of code without a fence, which no test runs."""
    tokens = MarkdownIt("commonmark").parse(path.read_text())
    return [token.content for token in tokens if token.type == "code_block"]


def inline_code(path: Path) -> list[str]:
    """What stands between backticks in prose and tables, line ends as spaces."""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text())
    spans = [child for token in tokens for child in token.children or ()]
    return [" ".join(span.content.split()) for span in spans if span.type == "code_inline"]


def _notes(html: str) -> list[Note]:
    found = []
    for verb, text in NOTE.findall(html):
        if verb not in VERBS:
            continue
        about, arrow, rest = text.partition("=>")
        found.append(Note(verb, about.strip(), rest.strip()) if arrow else Note(verb, "", text))
    return found


def split_commands(text: str) -> list[str]:
    """Commands of a shell block: a line each, unless it ends in a backslash or in a quote.

    Lines that are comments alone are not commands.
    """
    commands: list[str] = []
    waiting = ""
    for line in text.splitlines():
        waiting = f"{waiting}\n{line}" if waiting else line
        if line.endswith("\\") or not _is_whole(waiting):
            continue
        if shlex.split(waiting, comments=True):
            commands.append(waiting)
        waiting = ""
    assert not waiting, f"a quote that does not end: {waiting}"
    return commands


def _is_whole(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True
