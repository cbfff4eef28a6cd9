"""All files of a folder, symbolic links followed: each folder once, and no loop for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

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
    _seen: set[tuple[int, int]] = field(default_factory=set, repr=False)

    def files(self, folder: Path) -> list[Path]:
        """All files below a folder, by name; those behind links under the name of the link."""
        return list(self._files(folder, ()))

    def _files(self, folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
        try:
            place = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            self.failed.append((str(folder), f"it cannot be read: {error.strerror or error}."))
            return
        here = (place.st_dev, place.st_ino)
        self._seen.add(here)
        # folders of their own come before links to them, so that files have their own names
        for entry in sorted(entries, key=lambda entry: entry.is_symlink()):
            path = folder / entry.name
            if entry.is_symlink() and not self._is_followed(path, (*above, here)):
                continue
            if path.is_dir():
                yield from self._files(path, (*above, here))
            elif path.is_file():
                yield path

    def _is_followed(self, link: Path, above: tuple[tuple[int, int], ...]) -> bool:
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
