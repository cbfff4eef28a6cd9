"""Labelled structures, as ASE reads them from extxyz files and databases."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian
from numpy.typing import NDArray

from forcebase.digest import bytes_digest, content_digest
from forcebase.errors import ForcebaseError, InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.codes.code_output import mesh_spacing
from forcebase.ingest.described_method import MOMENTS, said_by_atoms
from forcebase.ingest.description import FileDescription, describe
from forcebase.ingest.label_checks import FROZEN_HINT
from forcebase.ingest.label_keys import chosen_keys, is_free_energy, label
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.reasons import in_words
from forcebase.physics.energy_kinds import EnergyKind, told_apart
from forcebase.physics.isolated_atoms import ISOLATED, boxed, is_isolated
from forcebase.records import Calculation, DFTMethod, Structure
from forcebase.safety.ase_files import read_images
from forcebase.safety.files import below
from forcebase.safety.limits import ARCHIVE_BYTES, ARCHIVE_FILES, FILE_BYTES
from forcebase.safety.names import fill_name
from forcebase.safety.tar_files import open_tar
from forcebase.units import voigt

SMALLEST_MOMENT = 1e-3
"""muB; smaller ones are none."""
NO_LABEL = "Name the keys in method.yaml, or leave this structure out."


def frames_batch(path: Path, frames: list[Atoms], options: ImportOptions) -> Batch:
    """Turn every frame into a structure and a calculation.

    Raises:
        InputError: a frame has no energy or forces, forces of the wrong shape, or NaN, the
            message names the frame; or labels stand under several names. Nothing is written then.
    """
    description = describe(path, options.description)
    keys = chosen_keys(path, frames, {**description.keys, **options.keys})
    batch = Batch(methods=[description.method])
    logs = dict(_logs(path, description))
    root = _family_root(path, description)
    for index, atoms in enumerate(frames):
        try:
            _add_frame(batch, atoms, description, keys, logs, root)
        except ForcebaseError as error:
            raise InputError(
                f"{path.name}, frame {index}: {error.message}", hint=error.hint
            ) from None
        except Exception as error:  # whatever text stands where a number is meant
            raise InputError(
                f"{path.name}, frame {index} cannot be used: {in_words(error)}",
                hint="Look at its keys, and at what method.yaml says of them.",
            ) from None
    return batch


def read_frames(path: Path) -> list[Atoms]:
    """Read all frames of an extxyz file.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        frames = read_images(path, "extxyz")
    except InputError:
        raise
    except Exception as error:  # whatever ASE makes of foreign text
        raise InputError(f"{path.name} cannot be read as extxyz: {in_words(error)}") from None
    if not frames:
        raise InputError(f"{path.name} holds no structure.")
    return frames


def _add_frame(
    batch: Batch,
    atoms: Atoms,
    description: FileDescription,
    keys: dict[str, str | None],
    logs: dict[str, bytes],
    root: str | None,
) -> None:
    energy, kind, free_energy = _energies(atoms, description, keys)
    alone = is_isolated(
        len(atoms), atoms.cell.array, atoms.pbc, str(atoms.info.get("config_type", ""))
    )
    forces, stress = (label(atoms, name, keys) for name in ("forces", "stress"))
    if forces is None and not alone:
        raise InputError(
            f"there are no forces under the key {keys.get('forces') or 'forces'!r}.", hint=NO_LABEL
        )
    method = description.method
    if alone:  # nothing pulls at it
        forces, stress = (np.zeros((1, 3)) if forces is None else forces), None
        method = _method_of_atoms(atoms, description)
        atoms = _boxed(atoms)
        if method.id not in {known.id for known in batch.methods}:
            batch.methods.append(method)
    if not alone:
        _refuse_unsaid_spin(atoms, method)
    _refuse_constrained(atoms, np.asarray(forces, dtype=float))
    structure = Structure.from_atoms(
        atoms,
        family=root or _drawn_family(atoms, description),
        kind=ISOLATED if alone else str(atoms.info.get("kind", description.kind)),
        recipe=_recipe(atoms, description),
    )
    log = _log(atoms, description, logs)
    if log:
        batch.blobs.append(log)
    calculation = Calculation.of(
        structure,
        method,
        energy=energy,
        energy_kind=kind,
        free_energy=free_energy,
        forces=forces,
        stress=_tensor(stress),
        k_mesh=(mesh := _k_mesh(atoms, description)),
        k_spacing=mesh_spacing(atoms, mesh),
        convergence=description.convergence,
        wall_time=_number(atoms.info.get("wall_s")),
        log=bytes_digest(log) if log else None,
        **description.described.fields(
            structure.elements, said_by_atoms(atoms, description.method)
        ),
    )
    batch.structures.append(structure)
    batch.calculations.append(calculation)
    batch.tags.extend((tag, "calculations", calculation.id) for tag in description.tags)


def _energies(
    atoms: Atoms, description: FileDescription, keys: dict[str, str | None]
) -> tuple[float, EnergyKind | None, float | None]:
    """The energy, its kind, and the free energy where it is another."""
    energy, free = (label(atoms, name, keys) for name in ("energy", "free_energy"))
    if is_free_energy(keys["energy"]):
        energy, free = None, energy
    if energy is None and free is None:
        raise InputError(
            f"there is no energy under the key {keys.get('energy') or 'energy'!r}, and no free "
            "energy.",
            hint=NO_LABEL,
        )
    energy, kind, free = told_apart(
        None if energy is None else float(energy), None if free is None else float(free)
    )
    told = str(atoms.info.get("energy_kind", ""))  # as an export writes it
    if kind is None and description.energy_kind is None and told in tuple(EnergyKind):
        kind = EnergyKind(told)
    return energy, kind or description.energy_kind, free


def _boxed(atoms: Atoms) -> Atoms:
    """An isolated atom in a box, for one that came without a cell."""
    made = atoms.copy()
    made.set_cell(boxed(atoms.cell.array))
    return made


def _method_of_atoms(atoms: Atoms, description: FileDescription) -> DFTMethod:
    """The method of an isolated atom: with spin, where the frame or the description says so."""
    method, changed = description.method, dict(description.isolated_atoms)
    if method.spin == "none" and "spin" not in changed and _has_spin(atoms):
        changed["spin"] = "collinear"
    if not changed:
        return method
    return DFTMethod(identity=method.identity, **{**method.rules(), **changed}).sealed()


def _has_spin(atoms: Atoms) -> bool:
    return max(
        _largest_moment(atoms), float(np.abs(atoms.get_initial_magnetic_moments()).max())
    ) > (SMALLEST_MOMENT)


def _largest_moment(atoms: Atoms) -> float:
    """muB, of all that a frame says were found; 0 where it says none."""
    results = atoms.calc.results if atoms.calc is not None else {}
    moments = [results.get("magmom"), results.get("magmoms")]
    moments += [atoms.info.get(key) for key in ("magmom", "total_magmom", "REF_magmom")]
    moments += [atoms.arrays.get(key) for key in MOMENTS]
    sizes = [np.abs(np.asarray(m, dtype=float)).max() for m in moments if m is not None]
    return float(max(sizes, default=0.0))


def _refuse_unsaid_spin(atoms: Atoms, method: DFTMethod) -> None:
    """A frame with moments is of no method without spin.

    Raises:
        InputError: it would lose its moments.
    """
    moment = _largest_moment(atoms)
    if method.spin == "none" and moment > SMALLEST_MOMENT:
        raise InputError(
            f"it has magnetic moments (up to {moment:.3g} muB), and its method is without spin.",
            hint="Write `spin: collinear` in method.yaml, or describe these structures apart.",
        )


def _refuse_constrained(atoms: Atoms, forces: NDArray[np.float64]) -> None:
    """Of atoms that the file says are fixed, zeros are the constraint's and no label."""
    fixed = {
        int(index)
        for constraint in atoms.constraints
        if isinstance(constraint, (FixAtoms, FixCartesian))
        for index in constraint.get_indices()
    }
    if forces.shape != (len(atoms), 3) or not forces.any():
        return
    zero = [i for i in sorted(fixed) if not forces[i].any()]
    if zero:
        raise InputError(
            f"{len(zero)} of {len(atoms)} atoms (as {zero[0]}) are fixed, and their forces are "
            "exactly zero: the constraint's, not the calculation's.",
            hint=FROZEN_HINT,
        )


def _tensor(stress: Any) -> Any:
    """Six numbers, from a (3, 3) matrix or nine of them too."""
    if stress is not None and np.size(stress) == 9:
        return voigt(np.asarray(stress, dtype=float).reshape(3, 3))
    return stress


def _family_root(path: Path, description: FileDescription) -> str | None:
    if not description.family_file:
        return None
    return Structure.geometry_id(
        read_frames(below(path.parent, description.family_file, "The family file"))[0]
    )


def _drawn_family(atoms: Atoms, description: FileDescription) -> str | None:
    """Frames of one draw of random numbers are near copies: they share a family."""
    values = [atoms.info.get(key) for key in description.family_from]
    if not values or any(value is None for value in values):
        return None
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    return content_digest([list(description.family_from), plain])


def _recipe(atoms: Atoms, description: FileDescription) -> dict[str, Any]:
    if not description.recipe:
        return {}
    info = atoms.info
    seed = info.get(description.recipe.get("seed", ""))
    return {
        "operation": _operation(description.recipe["operation"], str(info.get("kind", ""))),
        "parameters": {
            key: _number(info[key]) for key in description.recipe["parameters"] if key in info
        },
        "seed": None if seed is None else int(seed),
        "parent": None,
    }


def _operation(given: Any, kind: str) -> str:
    """One operation for all frames, or one for each beginning of a kind."""
    if isinstance(given, str):
        return given
    return next((text for start, text in given.items() if kind.startswith(start)), "unknown")


def _k_mesh(atoms: Atoms, description: FileDescription) -> list[int]:
    text = atoms.info.get("kpts")
    return [int(n) for n in str(text).split("x")] if text else list(description.k_mesh)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _logs(path: Path, description: FileDescription) -> Iterator[tuple[str, bytes]]:
    if not description.logs:
        return
    archive = below(path.parent, str(description.logs["archive"]), "The archive of logs")
    if not archive.is_file():
        raise InputError(f"{archive.name}, named as the logs of {path.name}, is not there.")
    try:
        with open_tar(archive) as files:
            total = 0
            for n, entry in enumerate(files):
                FILE_BYTES.check(entry.size, entry.name)
                ARCHIVE_FILES.check(n, archive.name)
                ARCHIVE_BYTES.check(total := total + entry.size, archive.name)
                stream = files.extractfile(entry)
                if stream is not None:
                    yield entry.name, stream.read()
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{archive.name}, the logs of {path.name}, is broken: {reason}") from None


def _log(atoms: Atoms, description: FileDescription, logs: dict[str, bytes]) -> bytes | None:
    if not logs:
        return None
    return logs.get(fill_name(str(description.logs["member"]), atoms.info))
