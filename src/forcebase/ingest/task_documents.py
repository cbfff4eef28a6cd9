"""Task documents of DFT static jobs: from the JobStore, or from files that keep them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from forcebase.errors import ForcebaseError, InputError
from forcebase.ingest.atoms import plain_atoms
from forcebase.ingest.batch import Batch
from forcebase.ingest.codes.code_output import mesh_spacing
from forcebase.ingest.described_method import described_method
from forcebase.ingest.drawn import DRAWN
from forcebase.ingest.reasons import in_words
from forcebase.physics.energy_kinds import told_apart
from forcebase.records import Calculation, Structure
from forcebase.records.structure import defect_as_field
from forcebase.safety.json_text import read_json

REQUIRED = ("method", "structure", "energy", "forces", "stress", "converged", "k_mesh")


def is_task_document(output: dict[str, Any]) -> bool:
    """Whether this is the output of a static maker that describes its DFT method."""
    return all(name in output for name in REQUIRED)


def task_document_batch(output: dict[str, Any], drawn: dict[str, Any]) -> Batch:
    """Turn a task document into a structure, a DFT method and a calculation.

    Args:
        output: the document, as `forcebase.makers.gpaw.GPAWTaskDocument`.
        drawn: family, kind, recipe and defect of the structure, where a job made it.

    Raises:
        InputError: a label cannot be used.
    """
    if not isinstance(output["converged"], bool):  # any text would count as true
        raise InputError(f"`converged` is {output['converged']!r}, neither true nor false.")
    described = described_method(output["method"], _given(output))
    structure = Structure.from_atoms(
        plain_atoms(output["structure"]), **{key: drawn[key] for key in DRAWN if key in drawn}
    )
    energy, kind, free_energy = told_apart(
        _number("energy", output["energy"]),
        None
        if output.get("free_energy") is None
        else _number("free_energy", output["free_energy"]),
    )
    calculation = Calculation.of(
        structure,
        described.method,
        energy=energy,
        energy_kind=kind,
        free_energy=free_energy,
        forces=output["forces"],
        stress=output["stress"],
        converged=output["converged"],
        k_mesh=(mesh := [int(n) for n in output["k_mesh"]]),
        k_spacing=mesh_spacing(structure.to_atoms(), mesh),
        convergence=output.get("convergence") or {},
        wall_time=output.get("wall_time"),
        **described.fields(structure.elements),
    )
    return Batch(structures=[structure], methods=[described.method], calculations=[calculation])


def _number(name: str, value: Any) -> float:
    """A number of the document; text and booleans would pass for one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"`{name}` is {str(value)[:40]!r}, which is not a number.")
    return float(value)


def _given(output: dict[str, Any]) -> dict[str, Any]:
    """What the document says of the calculation; one of before schema 9 has its setups."""
    if "given" in output:
        return dict(output["given"])
    setups = output.get("setups") or {}
    return {
        "potentials": {
            symbol: {"name": re.sub(r"\.gz$", "", s["file"]), "hash": s["fingerprint"]}
            for symbol, s in setups.items()
            if {"file", "fingerprint"} <= set(s)
        }
    }


def read_task_document(path: Path) -> Batch:
    """Read a JSON file that holds {output, metadata} of a static job, or its output alone.

    Raises:
        InputError: the file is not JSON, or no such document.
    """
    document = read_json(path)
    output = _output_of(document)
    if output is None:
        raise InputError(
            f"{path.name} is not a task document of a static DFT job.",
            hint=f"It must have {', '.join(REQUIRED)}.",
        )
    try:
        return task_document_batch(output, drawn_of(document))
    except ForcebaseError as error:
        raise InputError(f"{path.name}: {error.message}", hint=error.hint) from None
    except Exception as error:  # whatever else stands under the names that it must have
        raise InputError(f"{path.name} cannot be used: {in_words(error)}") from None


def _output_of(document: Any) -> dict[str, Any] | None:
    """The document itself, or its `output`; a task document has a part of that name, too."""
    for found in (document, document.get("output") if isinstance(document, dict) else None):
        if isinstance(found, dict) and is_task_document(found):
            return found
    return None


def drawn_of(document: dict[str, Any]) -> dict[str, Any]:
    """Family, kind, recipe and defect that a labelling flow put beside a job."""
    found = (document.get("metadata") or {}).get("forcebase")
    return defect_as_field(found) if isinstance(found, dict) else {}
