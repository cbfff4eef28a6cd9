"""YAML as plain data, and the only place that loads it: no tags, no bombs, no key twice.

PyYAML's full loader, which phonopy uses, runs what a tag such as `!!python/object/apply` names.
Here a file with any tag is refused before anything is built of it.
"""

from __future__ import annotations

import stat
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from forcebase.errors import InputError
from forcebase.safety.limits import DEPTH, NODES, TEXT_BYTES

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

Tree = Any
"""Of dicts, lists, text, numbers, dates, booleans and None."""
LONGEST_NUMBER = 400
"""Letters; YAML's `1:59:59` is a number to the base 60, and takes minutes where it is long."""
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path, *, whole: bool = False) -> Tree:
    """Read a YAML file as plain data.

    Args:
        path: not compressed.
        whole: refuse text whose last line has no end: it may be cut inside a number.

    Raises:
        InputError: it cannot be read, is not YAML, or is none of plain data; see `parse_yaml`.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a device has no end
            raise InputError(f"{path} is not a plain file.")
        TEXT_BYTES.check(found.st_size, path.name)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if whole and data.strip() and not data.endswith((b"\n", b"\r")):
        raise InputError(
            f"{path.name} may be cut short: its last line has no end.",
            hint="Look at its end; put a line break there if it is whole.",
        )
    return parse_yaml(data, path.name)


def parse_yaml(text: str | bytes, name: str) -> Tree:
    """Turn YAML into plain data.

    Raises:
        InputError: it is not YAML, has a tag, a key twice, an alias inside what it stands for, or
            more values or levels than the limits; the message names it and the line.
    """
    TEXT_BYTES.check(len(text), name)
    try:
        _check(text, name)
        return yaml.load(text, Loader=SafeLoader)
    except yaml.YAMLError as error:
        words = " ".join(str(error).split())[:200]
        raise InputError(f"{name} is not YAML: {words}") from None
    except (ValueError, RecursionError) as error:  # as of a date that there is not
        raise InputError(f"{name} cannot be read: {error}") from None


@dataclass
class _Collection:
    """A mapping or sequence that is not at its end yet.

    Attributes:
        keys: those of a mapping so far; None of a sequence.
        anchor: name by which aliases mean it.
        size: values in it so far, aliases written out.
        at_key: whether a mapping's next value is a key.
    """

    keys: set[Hashable] | None
    anchor: str | None
    size: int = 1
    at_key: bool = True


@dataclass
class _Reading:
    name: str
    open: list[_Collection] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    texts: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Of scalars that have an anchor: text, and whether it is plain, without quotes."""

    def take(self, size: int, key: tuple[str, bool] | None, line: int) -> None:
        """Count a finished value into what it stands in."""
        if not self.open:
            NODES.check(size, self.name)
            return
        within = self.open[-1]
        within.size += size
        NODES.check(within.size, self.name)
        if within.keys is not None:
            if within.at_key and key is not None:
                value = _key(*key)
                if value in within.keys:
                    raise InputError(
                        f"{self.name} has the key {key[0][:80]!r} twice, in line {line}.",
                        hint="Keep one of them.",
                    )
                within.keys.add(value)
            within.at_key = not within.at_key


def _check(text: str | bytes, name: str) -> None:
    """Look at the events of the parser, which builds nothing."""
    reading = _Reading(name)
    for event in _events(text):
        line = event.start_mark.line + 1
        if tag := getattr(event, "tag", None):
            raise InputError(
                f"{name} has the tag {tag[:80]!r} in line {line}: YAML with tags is not read.",
                hint="A tag can run code. Plain data needs none.",
            )
        if isinstance(event, yaml.CollectionStartEvent):
            mapping = isinstance(event, yaml.MappingStartEvent)
            reading.open.append(_Collection(set() if mapping else None, event.anchor))
            DEPTH.check(len(reading.open), name)
        elif isinstance(event, yaml.CollectionEndEvent):
            done = reading.open.pop()
            if done.anchor is not None:
                reading.sizes[done.anchor] = done.size
            reading.take(done.size, None, line)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in reading.sizes:
                raise InputError(f"{name} has an alias of what it is in, in line {line}.")
            reading.take(reading.sizes[event.anchor], reading.texts.get(event.anchor), line)
        elif isinstance(event, yaml.ScalarEvent):
            text_and_style = event.value, not event.style
            if len(event.value) > LONGEST_NUMBER and _tag(*text_and_style) in NUMBERS:
                raise InputError(
                    f"{name} has a number of {len(event.value):,} letters in line {line}."
                )
            if event.anchor is not None:
                reading.sizes[event.anchor] = 1
                reading.texts[event.anchor] = text_and_style
            reading.take(1, text_and_style, line)


def _events(text: str | bytes) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=SafeLoader)


def _tag(text: str, plain: bool) -> str:
    """What YAML takes a scalar for, as `tag:yaml.org,2002:int`."""
    return str(yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (plain, not plain)))


@lru_cache(maxsize=4096)
def _key(text: str, plain: bool) -> Hashable:
    """The key that a mapping gets, whatever way it is spelled: `a` and "a" are one."""
    tag = _tag(text, plain)
    if tag == MERGE:
        return (tag,)
    try:
        key: Hashable = yaml.SafeLoader("").construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, yaml.YAMLError):  # the loader says what is wrong
        return text
    return key
