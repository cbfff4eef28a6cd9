"""What the site has beside the files of docs/: the README, a page for each command, the Python API.

mkdocs calls these functions: `make docs`. Links to files of the repository lead to copies of them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import reference  # noqa: E402  docs/reference.py, which knows the commands

ROOMS = {
    "forcebase": ("forcebase",),
    "Session and results": ("forcebase.api",),
    "Use cases": ("forcebase.actions",),
    "Records": ("forcebase.records",),
    "Makers": ("forcebase.makers",),
    "Comparison": ("forcebase.comparison",),
    "Physics": ("forcebase.physics",),
    "Models": ("forcebase.models",),
}
"""Heading of an API page -> packages whose modules it shows, those below them left out."""
LINK = re.compile(r"\[((?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*)\]\(([^)\s]+)\)")
MOVED = {"index.md": ROOT / "README.md", "contributing.md": ROOT / "CONTRIBUTING.md"}
"""Pages that stand at the top of the repository, for those who look there."""
NOTEBOOK = ".ipynb"
"""A file of docs/ that is not a page: a copy of it can be taken."""
OUTSIDE = ("http://", "https://", "mailto:", "#")


def on_config(config: Any) -> Any:
    """Put the made pages into the navigation."""
    commands = [{name: place} for name, place, _ in command_pages()]
    api = [{heading: f"api/{slug(heading)}.md"} for heading in ROOMS]
    config.nav = [*config.nav, {"Commands": commands}, {"Python": api}]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the made pages, and copies of what is linked to."""
    texts = {place: path.read_text() for place, path in MOVED.items()}
    texts |= {place: text for _, place, text in command_pages()}
    texts |= {f"api/{slug(heading)}.md": api_page(heading) for heading in ROOMS}
    for place, text in texts.items():
        files.append(File.generated(config, place, content=text))
    for path in sorted(linked_files()):
        files.append(File.generated(config, copy_of(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Lead links to where the targets are in the site."""
    if page.file.src_uri.startswith(("api/", "commands/")):
        return markdown
    folder = ROOT if page.file.src_uri in MOVED else ROOT / "docs"

    def led(found: re.Match[str]) -> str:
        place = target(found[2], folder)
        return f"[{found[1]}]({place})" if place else found[1]

    return LINK.sub(led, markdown)


def target(link: str, folder: Path) -> str:
    """Where a link leads in the site; "" for a folder. What is nowhere stays, and is told."""
    if link.startswith(OUTSIDE):
        return link
    name, sign, anchor = link.partition("#")
    path = (folder / name).resolve()
    if path.is_relative_to(ROOT / "docs") and path.exists() and path.suffix != NOTEBOOK:
        return str(path.relative_to(ROOT / "docs")) + sign + anchor
    moved = {source: place for place, source in MOVED.items()}
    if path in moved:
        return moved[path] + sign + anchor
    if path.is_relative_to(ROOT) and path.is_dir():
        return ""
    return copy_of(path) if path.is_relative_to(ROOT) and path.is_file() else link


def linked_files() -> set[Path]:
    """Files of the repository outside docs/ that README and docs/ lead to; of a folder, a list."""
    found: set[Path] = set()
    for page in [*MOVED.values(), *(ROOT / "docs").glob("*.md")]:
        for _, link in LINK.findall(page.read_text()):
            path = (page.parent / link.partition("#")[0]).resolve()
            shown = path.is_relative_to(ROOT / "docs") and path.suffix != NOTEBOOK
            outside = not path.is_relative_to(ROOT) or shown
            if not link.startswith(OUTSIDE) and not outside and path.is_file():
                found.add(path)
    return found - set(MOVED.values())


def copy_of(path: Path) -> str:
    """Where the copy of a file of the repository lies in the site."""
    return f"repository/{path.relative_to(ROOT)}"


def command_pages() -> list[tuple[str, str, str]]:
    """Name, place and text of a page for each command; a group's has all of its commands."""
    pages: dict[str, list[str]] = {}
    for name, command in reference.commands():
        words = name.split()
        if len(words) > 1:
            pages.setdefault(words[1], []).append(page_of(name, command))
    return [(name, f"commands/{name}.md", "\n".join(texts)) for name, texts in pages.items()]


def page_of(name: str, command: Any) -> str:
    """What a command does, its options, and its examples."""
    text = reference.section((name, command)).replace("#### ", "## ").replace("### ", "# ")
    examples = (command.help or "").partition("\nExample")[2].partition("\n")[2]
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    if lines:
        text += "\n```sh\n" + "\n".join(lines) + "\n```\n"
    return re.sub(r"\]\((\w+\.md)", r"](../\1", text)


def api_page(heading: str) -> str:
    """The modules of some packages, for mkdocstrings to fill."""
    lines = [f"# {heading}", ""]
    for package in ROOMS[heading]:
        folder = ROOT / "src" / Path(*package.split("."))
        modules = [package] if package == "forcebase" else []
        if not modules:
            names = sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
            modules = [f"{package}.{name}" for name in names]
        lines += [f"::: {module}\n" for module in modules]
    return "\n".join(lines)


def slug(heading: str) -> str:
    """A heading as a file name."""
    return heading.lower().replace(" ", "_")
