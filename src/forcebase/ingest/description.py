"""The small YAML that stands beside files which do not say how their labels were made."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from forcebase.errors import InputError
from forcebase.ingest.described_method import GIVEN, Described, described_method
from forcebase.ingest.label_keys import NAMES
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.records import DFTMethod
from forcebase.safety.yaml_text import read_yaml

FILE_NAME = "method.yaml"


@dataclass(frozen=True)
class FileDescription:
    """What is to be known of one file beyond what it says.

    Attributes:
        described: the DFT method of all its labels, and what it gave for each of them.
        keys: names of `energy`, `free_energy`, `forces`, `stress` in the file; "" where ASE's own
            is meant, null for none.
        energy_kind: `free`, or `extrapolated` to zero width: of an energy beside which the file
            has no free one.
        isolated_atoms: fields of the method that are others for isolated atoms, as `spin`.
        convergence: criteria of the calculations.
        family_from: info keys whose values name the family (near copies share them).
        family_file: an extxyz file beside it, whose first structure is the family's root.
        recipe: {operation, parameters: [info keys], seed: info key}.
        kind: configuration kind, where the file has no `kind`.
        k_mesh: the mesh, where the file has no `kpts`.
        logs: {archive, member}: where the code's text output of each frame is.
        protocol: of a phonon.
        relaxation: of a phonon's unit cell.
        defect: of a phonon's unit cell: name, changes, centre, supercell_matrix, and host_file,
            whose first structure is the perfect crystal's unit cell.
        tags: put on every record.
    """

    described: Described
    keys: dict[str, str | None] = field(default_factory=dict)
    energy_kind: EnergyKind | None = None
    isolated_atoms: dict[str, Any] = field(default_factory=dict)
    convergence: dict[str, Any] = field(default_factory=dict)
    family_from: tuple[str, ...] = ()
    family_file: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    k_mesh: tuple[int, ...] = ()
    logs: dict[str, str] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    relaxation: dict[str, Any] = field(default_factory=dict)
    defect: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @property
    def method(self) -> DFTMethod:
        """The DFT method of all labels of the file."""
        return self.described.method


def describe(path: Path, otherwise: Path | None = None) -> FileDescription:
    """Read the description of `path` from the `method.yaml` in its folder, or another one.

    Raises:
        InputError: there is none, it cannot be read, or it lacks a field of the method.
    """
    source = path.parent / FILE_NAME
    if otherwise is not None and not source.is_file():
        source = otherwise
    if not source.is_file():
        raise InputError(
            f"{path.name} does not say how its labels were made, and there is no {FILE_NAME} "
            "beside it.",
            hint="Write one: see data/wse2_gpaw/method.yaml and docs/import.md.",
        )
    return read_description(source, path.name)


def read_description(source: Path, name: str, listed: bool = True) -> FileDescription:
    """Read what the description `source` says of the file of this name.

    Args:
        source: the description.
        name: of the file.
        listed: refuse a file that is not among the `files`, where it has some: the description may
            be cut short, and what it said of this one lost.

    Raises:
        InputError: it cannot be read, lacks a field of the method, or leaves out the file.
    """
    try:
        content = read_yaml(source, whole=True)
        if not isinstance(content, dict) or not isinstance(content.get("method"), dict):
            raise ValueError("it has no `method` with fields.")
        _refuse_misplaced(content, name)
        described = described_method(content["method"], content.get("calculation"))
        files = content.get("files") or {}
        if listed and files and name not in files:
            raise ValueError(f"its `files` leave out {name}. Add `{name}: {{}}` to them.")
        if not isinstance(files, dict) or not isinstance(files.get(name) or {}, dict):
            raise ValueError(f"`files` does not say `{name}: {{...}}`.")
        entry = dict(files.get(name) or {})
        _refuse_unknown(entry, name)
        for key in ("family_from", "k_mesh", "tags"):
            if key in entry:
                if not isinstance(entry[key], list):
                    raise ValueError(f"`{key}` of {name} is not a list.")
                entry[key] = tuple(entry[key])
        if kind := entry.get("energy_kind"):
            if kind not in tuple(EnergyKind):
                raise ValueError(f"`energy_kind` of {name} is {kind}: it is free or extrapolated.")
            entry["energy_kind"] = EnergyKind(kind)
        return FileDescription(described=described, **entry)
    except Exception as error:
        raise InputError(
            f"{source.name} beside {name} cannot be used: {error}",
            hint="data/wse2_gpaw/method.yaml is an example.",
        ) from None


def _refuse_misplaced(content: dict[str, Any], name: str) -> None:
    """Refuse what is said beside `method` where it would be lost.

    Raises:
        ValueError: it belongs below another key.
    """
    of_files = {one.name for one in fields(FileDescription)} - {"described"}
    for key in content:
        if key in of_files:
            raise ValueError(f"`{key}` stands at its top: put it below `files: {{{name}: ...}}`.")
        if key in GIVEN:
            raise ValueError(f"`{key}` stands at its top: put it below `calculation`.")


def _refuse_unknown(entry: dict[str, Any], name: str) -> None:
    """Refuse what is said of a file under a key that nothing reads.

    Raises:
        ValueError: with the keys that there are.
    """
    known = [one.name for one in fields(FileDescription) if one.name != "described"]
    if strange := sorted(set(entry) - set(known)):
        raise ValueError(
            f"of {name} it says {', '.join(map(str, strange))}, which nothing reads. It may say "
            f"{', '.join(known)}."
        )
    keys = entry.get("keys") or {}
    if not isinstance(keys, dict) or set(keys) - set(NAMES):
        raise ValueError(f"`keys` of {name} name other labels than {', '.join(NAMES)}.")


def archives_of_logs(folder: Path) -> set[Path]:
    """Archives that the description in a folder names as logs of its files.

    What they hold is kept with the calculations that it belongs to, and is not imported by itself.
    A description that cannot be read names none here; `describe` says what is wrong with it.
    """
    try:
        files = read_yaml(folder / FILE_NAME)["files"].values()
        return {folder / entry["logs"]["archive"] for entry in files if entry.get("logs")}
    except (AttributeError, InputError, KeyError, TypeError, ValueError):
        return set()
