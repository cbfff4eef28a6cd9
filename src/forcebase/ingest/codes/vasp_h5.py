"""VASP's vaspout.h5: the arrays by h5py, INCAR, KPOINTS and POTCAR by pymatgen.

pymatgen's own Vaspout knows the energies of relaxations and single points only, not those of
molecular dynamics, and holds every array of the file as nested lists.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import CodeOutput, IonicStep
from forcebase.ingest.codes.telling import plain
from forcebase.ingest.codes.vasp_output import k_mesh, potcar_hashes, with_moments
from forcebase.ingest.codes.vasp_run import AtomType, element_of, is_polarised, vasp_fields
from forcebase.ingest.plain_file import plain_file
from forcebase.safety.hdf5 import has_item, own_item
from forcebase.safety.json_text import parse_json
from forcebase.safety.limits import FILE_BYTES
from forcebase.units import stress_from_kbar_pressure

COUNTS = "results/positions/number_ion_types"
POINTS = "results/electron_eigenvalues/kpoint_coords"
DYNAMICS = "intermediate/ion_dynamics"
ZERO_WIDTH = ("energy(sigma->0)",)
FREE = ("free energy TOTEN", "ion-electron TOTEN")


def read_vaspout(path: Path) -> CodeOutput:
    """Read vaspout.h5: the same labels and the same method as of the vasprun.xml of the run.

    Raises:
        InputError: it was not written to its end, holds no ionic step, or does not tell its
            POTCAR, its cutoff or which steps VASP's own force field predicted.
    """
    import h5py

    with plain_file(path) as plain_path:
        try:
            file = h5py.File(plain_path, "r")
        except OSError:
            raise InputError(
                "it is no whole HDF5 file.", hint="The run was killed, or the file cut off."
            ) from None
        with file:
            return _run(file)


def _run(file: Any) -> CodeOutput:
    asked = _incar(own_item(file, "input/incar"))
    if plain(asked.get("ML_LMLFF", False)) is True:
        raise InputError(
            "its steps of DFT and of VASP's own force field (ML_LMLFF) are not told apart in it.",
            hint="Import the run's vasprun.xml, or its ML_AB.",
        )
    types, cutoff = _types(file)
    tags = {"ENCUT": cutoff, **asked}
    parts = (own_item(file, f"version/{part}") for part in ("major", "minor", "patch"))
    number = ".".join(str(_value(part)) for part in parts)
    fields = vasp_fields(tags, asked, types, number)
    if plain(asked.get("PSTRESS", 0.0)):
        raise InputError("its energies may hold PSTRESS.", hint="Import its vasprun.xml.")
    mesh, shift, points = _points(file)
    steps = _steps(file, types, asked)
    moments = _moments(file, len(steps)) if is_polarised(tags) else []
    return CodeOutput(
        steps=with_moments(steps, moments),
        k_mesh=mesh,
        k_shift=shift,
        k_points=points,
        convergence={"energy_eV": float(plain(asked.get("EDIFF", 1e-4)))},
        **fields,
    )


def _incar(group: Any) -> dict[str, Any]:
    """Tags of the INCAR; logicals are written as whole numbers."""
    from pymatgen.io.vasp.inputs import Incar

    found = {name.upper(): _value(own_item(group, name)) for name in group}
    kinds = _kinds(Incar)
    logical = {name for name in found if kinds.get(name, _by_name(name)) == "bool"}
    return {
        name: value == 1 if name in logical and value in (0, 1) else value
        for name, value in found.items()
    }


def _by_name(tag: str) -> str:
    """Of a tag that pymatgen does not know: VASP's logicals begin with L."""
    return "bool" if tag.removeprefix("ML_").startswith("L") else "unknown"


def _kinds(incar: Any) -> dict[str, str]:
    """pymatgen's table of the kind of each tag."""
    table = Path(inspect.getfile(incar)).with_name("incar_parameters.json")
    return {name: str(entry.get("type")) for name, entry in parse_json(table.read_text()).items()}


def _steps(file: Any, types: list[AtomType], asked: Mapping[str, Any]) -> list[IonicStep]:
    group = own_item(file, DYNAMICS)
    tags = [" ".join(_text(tag).split()) for tag in _texts(own_item(group, "energies_tags"))]
    energies = _array(own_item(group, "energies"))
    column = {tag: energies[:, index] for index, tag in enumerate(tags)}
    free = next((column[tag] for tag in FREE if tag in column), None)
    wide = next((column[tag] for tag in ZERO_WIDTH if tag in column), free)
    if wide is None:
        raise InputError(f"its energies are called {', '.join(tags)}, none of which is known.")
    names = ("forces", "position_ions", "lattice_vectors")
    forces, positions, cells = (_array(own_item(group, name)) for name in names)
    stresses = _array(own_item(group, "stress")) if has_item(group, "stress") else None
    symbols = [t.symbol for t in types for _ in range(t.count)]
    scf = _electronic(group)
    limit = int(plain(asked.get("NELM", 60)))
    n = min(len(wide), len(forces), len(positions), len(cells))
    told = scf if scf is not None and len(scf) == n else None
    return [
        IonicStep(
            atoms=Atoms(symbols, scaled_positions=positions[i], cell=cells[i], pbc=True),
            energy=float(wide[i]),
            forces=forces[i],
            stress=None if stresses is None else stress_from_kbar_pressure(stresses[i]),
            converged=told is not None and told[i] < limit,
            index=i,
            free_energy=None if free is None else float(free[i]),
        )
        for i in range(n)
    ]


def _electronic(group: Any) -> list[int] | None:
    """Electronic steps of each ionic one; the first of each has the number 1."""
    if not has_item(group, "oszicar"):
        return None
    found: list[int] = []
    for number in _array(own_item(group, "oszicar"))[:, 0]:
        if number == 1 or not found:
            found.append(0)
        found[-1] = int(number)
    return found


def _moments(file: Any, n_steps: int) -> list[NDArray[np.float64]]:
    """(n,) or (n, 3) muB of each ionic step, where LORBIT had them written."""
    places = [f"{DYNAMICS}/magnetism/{end}" for end in ("spin_moments/values", "moments")]
    place = next((place for place in places if has_item(file, place)), None)
    if place is None:
        return []
    found = _array(own_item(file, place)).sum(
        axis=-1
    )  # (step, charge and components, atom), of s, p and d
    if found.ndim != 3 or len(found) != n_steps or found.shape[1] not in (2, 4):
        return []
    return [step[1] if len(step) == 2 else step[1:].T for step in found]


def _types(file: Any) -> tuple[list[AtomType], float | None]:
    """The POTCARs in the order of the atoms, and the cutoff that they ask for, eV."""
    from pymatgen.io.vasp.inputs import Potcar

    place = "input/potcar/content"
    content = _value(own_item(file, place)) if has_item(file, place) else ""
    if not content:
        raise InputError(
            "it does not say its POTCAR.", hint="Import the vasprun.xml of the same run."
        )
    potcar = Potcar.from_str(content)
    counts = [int(n) for n in _array(own_item(file, COUNTS)).ravel()]
    hashes = potcar_hashes([single.spec(extra_spec=[]) for single in potcar])
    if len(counts) != len(potcar):
        raise InputError(f"it has {len(counts)} kinds of atoms and {len(potcar)} POTCARs.")
    types = [
        AtomType(element_of(p.TITEL), count, float(p.ZVAL), p.TITEL, digest)
        for p, count, digest in zip(potcar, counts, hashes, strict=True)
    ]
    wanted = [float(p.keywords["ENMAX"]) for p in potcar if "ENMAX" in p.keywords]
    return types, max(wanted, default=None)


def _points(file: Any) -> tuple[tuple[int, ...], tuple[float, ...], list[list[float]]]:
    from pymatgen.io.vasp.inputs import Kpoints

    actual = _array(own_item(file, POINTS)).tolist() if has_item(file, POINTS) else []
    names = [f"input/kpoints/{name}" for name in ("nkpx", "nkpy", "nkpz")]
    if not all(has_item(file, name) for name in names):
        return (), (0.0, 0.0, 0.0), actual
    mesh = tuple(int(_value(own_item(file, name))) for name in names)
    mode = str(_value(own_item(file, "input/kpoints/mode"))).lower()[:1]
    shifts = [f"input/kpoints/shift{axis}" for axis in "xyz"]
    moved = tuple(float(_value(own_item(file, x))) if has_item(file, x) else 0.0 for x in shifts)
    style = Kpoints.supported_modes.Monkhorst if mode == "m" else Kpoints.supported_modes.Gamma
    return (*k_mesh(Kpoints(kpts=[mesh], style=style, kpts_shift=moved)), actual)


def _array(item: Any) -> NDArray[np.float64]:
    FILE_BYTES.check(item.size * 8, item.name)  # before it is unpacked
    return np.asarray(item[()], dtype=float)


def _texts(item: Any) -> list[Any]:
    FILE_BYTES.check(item.size * item.dtype.itemsize, item.name)
    return list(item[()])


def _value(item: Any) -> Any:
    """A number, a text, or a text of numbers as an INCAR has them."""
    FILE_BYTES.check(item.size * item.dtype.itemsize, item.name)
    found = item[()]
    if isinstance(found, (bytes, str)):
        return _text(found)
    if isinstance(found, np.ndarray) and found.dtype.kind in "SO":
        return " ".join(map(_text, found.ravel()))
    if isinstance(found, np.ndarray):
        return " ".join(map(str, found.ravel())) if found.size > 1 else found.ravel()[0].item()
    return found.item() if hasattr(found, "item") else found


def _text(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return re.sub(r"\x00", "", text).strip()
