"""A calculation in a few lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from forcebase.database.database import Database
from forcebase.records import Calculation
from forcebase.report.summaries.words import listed, reference, settings
from forcebase.units import EV_A3_TO_GPA


def summarise_calculation(db: Database, record: Calculation) -> list[tuple[str, str]]:
    """Energy, forces and stress, how they were computed, and where they are used."""
    forces = np.linalg.norm(record.forces, axis=1)
    datasets = db.members.raw.find({"calculation": record.id}, {"dataset": 1, "split": 1})
    energy = f"{record.energy:.6f} eV, {record.energy / record.n_atoms:.6f} eV/atom"
    return [
        ("structure", f"{record.formula} ({record.structure[:10]})"),
        ("method", reference(db, record.method)),
        ("energy", energy + (f", {record.energy_kind}" if record.energy_kind else "")),
        ("forces", f"largest {forces.max():.4f}, mean {forces.mean():.4f} eV/A"),
        ("stress", _stress(record)),
        ("converged", "" if record.converged else "no"),
        ("k-mesh", _mesh(record)),
        ("code version", str(record.code_version or "")),
        ("charge", f"{record.charge:+g} |e|" if record.charge else ""),
        ("magnetic", _magnetic(dict(record.magnetic or {}))),
        ("Hubbard U", settings(dict(record.plus_u or {}))),
        ("took", f"{record.wall_time:.1f} s" if record.wall_time else ""),
        ("findings", "; ".join(record.findings or ())),
        ("in datasets", listed(f"{reference(db, m['dataset'])}: {m['split']}" for m in datasets)),
    ]


def _stress(record: Calculation) -> str:
    if record.stress is None:
        return ""
    told = " ".join(f"{EV_A3_TO_GPA * x:.3f}" for x in record.stress)
    return f"{told} GPa (xx yy zz yz xz xy, tension positive)"


def _mesh(record: Calculation) -> str:
    mesh = "x".join(map(str, record.k_mesh or ()))
    spacing = f", {record.k_spacing:.3f} 1/A" if mesh and record.k_spacing else ""
    return mesh + spacing


def _magnetic(found: dict[str, Any]) -> str:
    if found.get("order", "none") == "none":
        return ""
    total = found.get("total")
    return found["order"] + (f", {total:.2f} muB" if total is not None else "")
