"""All files of a folder, symbolic links followed: each folder once, and no loop for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Place = tuple[int, int]
"""Device and number of a folder."""
LOOP = "it is a link to a folder that it lies in, which is not followed again."
NOWHERE = "it is a link to what is not there."
SEEN = "it is a link to a folder that is read at another place."


@dataclass
class FolderWalk:
    """A way through folders.

    Attributes:
        notes: (path, what is to be known) of links that were not followed.
        failed: (path, reason) of folders that cannot be read.
    """

    notes: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    _seen: set[Place] = field(default_factory=set, repr=False)

    def files(self, folder: Path) -> list[Path]:
        """All files below a folder, by name; those behind links under the name of the link."""
        return list(self._files(folder))

    def _files(self, top: Path) -> Iterator[Path]:
        """By a stack of its own: folders may be deeper than Python may recurse."""
        open_: list[Iterator[os.DirEntry[str]]] = []
        above: list[Place] = []
        self._enter(top, open_, above)
        while open_:
            entry = next(open_[-1], None)
            if entry is None:
                open_.pop()
                above.pop()
                continue
            path = Path(entry.path)
            if entry.is_symlink() and not self._is_followed(path, above):
                continue
            if path.is_dir():
                self._enter(path, open_, above)
            elif path.is_file():
                yield path

    def _enter(
        self, folder: Path, open_: list[Iterator[os.DirEntry[str]]], above: list[Place]
    ) -> None:
        try:
            place = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.failed.append((str(folder), f"it cannot be read: {error.strerror or error}."))
            return
        here = (place.st_dev, place.st_ino)
        self._seen.add(here)
        above.append(here)
        # folders of their own come before links to them, so that files have their own names
        open_.append(iter(sorted(entries, key=lambda entry: entry.is_symlink())))

    def _is_followed(self, link: Path, above: Sequence[Place]) -> bool:
        try:
            target = link.stat()
        except OSError:  # nothing there, or links in a circle
            self.notes.append((str(link), NOWHERE))
            return False
        place = (target.st_dev, target.st_ino)
        if place in above:
            self.notes.append((str(link), LOOP))
            return False
        if link.is_dir() and place in self._seen:
            self.notes.append((str(link), SEEN))
            return False
        return True
