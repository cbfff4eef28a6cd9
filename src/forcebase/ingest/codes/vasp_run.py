"""What VASP's rules gave for one structure: potentials, U, charge, moments, k-points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.ingest.codes.hubbard import join
from forcebase.ingest.codes.telling import plain
from forcebase.ingest.codes.vasp_settings import require_ground_state, vasp_rules

Tags = Mapping[str, Any]
NO_L = -1


@dataclass(frozen=True)
class AtomType:
    """Atoms of one POTCAR.

    Attributes:
        symbol: of the element.
        count: how many in the cell.
        valence: electrons of each; None where it was not told.
        title: of the POTCAR.
        hash: of the POTCAR; None where it was not there.
    """

    symbol: str
    count: int
    valence: float | None
    title: str
    hash: str | None = None


def element_of(title: str) -> str:
    """The element that a POTCAR's title names: Zr of "PAW_PBE Zr_sv 04Jan2005"."""
    words = title.split()
    return re.sub(r"[^A-Za-z].*", "", words[1] if len(words) > 1 else "")


def vasp_fields(tags: Tags, asked: Tags, types: Sequence[AtomType], version: str) -> dict[str, Any]:
    """Arguments of a `CodeOutput` that follow from VASP's tags: the method, and what it gave.

    Args:
        tags: all in force.
        asked: those of the INCAR.
        types: in the order of the POTCARs.
        version: of VASP.

    Raises:
        InputError: it is not a self-consistent ground state, or does not say its cutoff.
    """
    tags = {name.upper(): value for name, value in tags.items()}
    asked = {name.upper(): value for name, value in asked.items()}
    require_ground_state({**tags, **asked})
    plus_u = hubbard_terms(tags, types)
    if not plus_u:  # switched on for none of the elements here
        tags["LDAU"] = False
    return {
        "method": vasp_rules(tags, asked, [t.title for t in types], version),
        "code_version": version,
        "potentials": potentials_of(types),
        "plus_u": plus_u,
        "charge": total_charge(tags, asked, types),
        "asked_moments": asked_moments(tags, sum(t.count for t in types)),
        "asked_total": _constrained(tags),
        "k_rule": _spacing_rule(asked),
    }


def potentials_of(types: Sequence[AtomType]) -> dict[str, dict[str, Any]]:
    """Symbol -> title of its POTCAR, and its hash where that is known."""
    found: dict[str, dict[str, Any]] = {}
    for kind in types:
        entry = {"name": kind.title, **({"hash": kind.hash} if kind.hash else {})}
        join(found, kind.symbol, entry)
    return found


def hubbard_terms(tags: Tags, types: Sequence[AtomType]) -> dict[str, dict[str, Any]]:
    """Symbol -> u_eV, j_eV and l of its Hubbard term; elements without one are left out."""
    if plain(tags.get("LDAU", False)) is not True:
        return {}
    columns = [_numbers(tags.get(name)) for name in ("LDAUU", "LDAUJ", "LDAUL")]
    found: dict[str, dict[str, Any]] = {}
    for index, kind in enumerate(types):
        u, j, shell = (
            column[index] if index < len(column) else default
            for column, default in zip(columns, (0.0, 0.0, 2.0), strict=True)
        )
        if int(shell) != NO_L and (u or j):
            join(found, kind.symbol, {"u_eV": u, "j_eV": j, "l": int(shell)})
    return found


def total_charge(tags: Tags, asked: Tags, types: Sequence[AtomType]) -> float | None:
    """|e|: valence electrons less NELECT; None where NELECT was set and valences are not told."""
    valences = [t.valence for t in types]
    electrons = plain(tags.get("NELECT", 0))
    if types and isinstance(electrons, float) and electrons > 0 and None not in valences:
        whole = sum(t.count * float(t.valence or 0) for t in types)
        return round(whole - electrons, 4) + 0.0
    return None if "NELECT" in asked else 0.0


def asked_moments(tags: Tags, n_atoms: int) -> NDArray[np.float64] | None:
    """(n,) or (n, 3) muB that MAGMOM gives each atom; 1, and 1 along each axis, are VASP's own.

    None without spin.
    """
    if not is_polarised(tags):
        return None
    noncollinear = _is_noncollinear(tags)
    shape = (n_atoms, 3) if noncollinear else (n_atoms,)
    given = np.array(_numbers(tags.get("MAGMOM")), dtype=float)
    if given.size == 0:
        return np.ones(shape)
    return given.reshape(shape) if given.size == np.prod(shape) else None


def is_polarised(tags: Tags) -> bool:
    """Whether a run has moments at all."""
    return _is_noncollinear(tags) or plain(tags.get("ISPIN", 1)) == 2


def _is_noncollinear(tags: Tags) -> bool:
    return any(plain(tags.get(name, False)) is True for name in ("LNONCOLLINEAR", "LSORBIT"))


def found_moments(outcar: str, n_atoms: int) -> list[NDArray[np.float64]]:
    """(n,) or (n, 3) muB of each table of moments that an OUTCAR prints, for LORBIT from 10 on."""
    axes = []
    for axis in "xyz":
        tables = re.findall(
            rf"^ *magnetization \({axis}\)\s*\n\s*\n?# of ion.*\n-+\n((?: *\d+ +.*\n)+)",
            outcar,
            re.MULTILINE,
        )
        axes.append([np.array([float(r.split()[-1]) for r in t.splitlines()]) for t in tables])
    x, y, z = axes
    if y and len(x) == len(y) == len(z):
        found = [np.stack(parts, axis=1) for parts in zip(x, y, z, strict=True)]
    else:
        found = x
    return [moments for moments in found if len(moments) == n_atoms]


def total_moment(outcar: str) -> float | None:
    """muB of the cell, at the end of a collinear run."""
    found = re.findall(r"number of electron +[\d.]+ +magnetization +(-?[\d.]+) *$", outcar, re.M)
    return float(found[-1]) if found else None


def moments_beside(path: Path, n_atoms: int) -> tuple[list[NDArray[np.float64]], float | None]:
    """Moments of the OUTCAR of the same run beside a vasprun.xml, which has none itself."""
    name = re.sub(r"\.(gz|bz2|xz)$", "", path.name)
    name = name.replace("vasprun.xml", "OUTCAR") if "vasprun.xml" in name else "OUTCAR"
    names = (path.with_name(f"{name}{end}") for end in ("", ".gz", ".bz2", ".xz"))
    file = next((name for name in names if name.is_file()), None)
    if file is None:
        return [], None
    text = "".join(_of_moments(file))
    return found_moments(text, n_atoms), total_moment(text)


def _of_moments(outcar: Path) -> Iterator[str]:
    """Its lines that tell moments: an OUTCAR may be larger than memory."""
    from forcebase.safety.files import unpacked_lines

    inside = False
    for line in unpacked_lines(outcar):
        inside = inside or line.lstrip().startswith(b"magnetization (")
        if inside or b"number of electron" in line:
            yield line.decode(errors="replace")
        if inside and line.startswith(b"tot"):
            inside = False


def _constrained(tags: Tags) -> float | None:
    held = plain(tags.get("NUPDOWN", -1))
    return held if isinstance(held, float) and held >= 0 else None


def _spacing_rule(asked: Tags) -> dict[str, Any]:
    spacing = plain(asked.get("KSPACING"))
    if not isinstance(spacing, float):
        return {}
    gamma = plain(asked.get("KGAMMA", True)) is True
    where = "with Gamma" if gamma else "Monkhorst-Pack"
    return {"rule": f"KSPACING, {where}", "spacing_per_A": spacing}


def _numbers(value: Any) -> list[float]:
    """All numbers of a tag; 3*1.0 counts three times."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return []
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        return [float(x) for x in np.ravel(np.asarray(value, dtype=float))]
    found: list[float] = []
    for word in str(value).split():
        times, star, number = word.partition("*")
        found += [float(number)] * int(times) if star else [float(word)]
    return found
