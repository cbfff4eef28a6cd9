"""Models of several packages against one DFT method: labels of a test split, phonons, pictures.

    python benchmarks/models.py wse2-mace 7net-l3i5 7net-0 chgnet --dataset wse2-pbe@1 --out figures

Each model relaxes the DFT phonon's unit cell with the vacuum fixed and has its phonons computed in
DFT's own supercell. Models with another zero of energy are judged by energies after the best shift
per element; a model trained on other data than these has seen none of them, as far as is known.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from forcebase.actions.datasets import structures_of
from forcebase.actions.phonons import compute_phonon, reference_phonon
from forcebase.actions.predictions import predict
from forcebase.cli.console import open_database
from forcebase.comparison import Selection, compare_labels, compare_phonons, join
from forcebase.comparison.energies import compared_kind
from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.physics.reference_energies import fit_e0s
from forcebase.physics.spectra import spectra_of
from forcebase.physics.vibrations import Bands
from forcebase.records import Dataset, ModelMethod, Phonon
from forcebase.report.style import (
    BLUE,
    GREEN,
    ORANGE,
    REFERENCE,
    VERMILLION,
    in_house_style,
    new_figure,
    png,
)
from forcebase.units import THZ_TO_CM1
from machine import Conditions

COLORS = (VERMILLION, BLUE, GREEN, ORANGE)


def main() -> None:
    arguments = parse()
    with open_database() as db:
        dataset = db.resolve(arguments.dataset, "datasets")[1]
        models = {name: db.require_model(name) for name in arguments.models}
        rows, phonons = [], {}
        for name, model in models.items():
            conditions = Conditions()
            row, phonon = judge(db, model, dataset, arguments.split)
            rows.append({"model": name, **row, **conditions.as_dict()})
            phonons[name] = phonon
            print(json.dumps(rows[-1], indent=2), flush=True)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "models.json").write_text(json.dumps(rows, indent=2) + "\n")
        drawn = draw_bands(db, phonons, reference_phonon(db))
        (arguments.out / "models_bands.png").write_bytes(png(drawn))
        drawn = draw_errors(db, models, dataset, arguments.split)
        (arguments.out / "models_labels.png").write_bytes(png(drawn))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="ids or names of models in the database")
    parser.add_argument("--dataset", required=True, help="as wse2-pbe@1")
    parser.add_argument("--split", default="test")
    parser.add_argument("--out", type=Path, default=Path("models"))
    return parser.parse_args()


def judge(
    db: Database, model: ModelMethod, dataset: Dataset, split: str
) -> tuple[dict[str, Any], Phonon]:
    reference = db.methods.get(dataset.method)
    started = time.perf_counter()
    predict(db, model, structures_of(db, dataset, split))
    predicted = time.perf_counter()
    dft = reference_phonon(db, reference)
    cell = db.structures.get(dft.structure)
    phonon = compute_phonon(db, model, cell, dft.supercell_matrix)
    finished = time.perf_counter()
    labels = compare_labels(db, model, reference, Selection(dataset, split)).metrics["overall"]
    bands = compare_phonons(db, phonon, dft).metrics
    relaxed = db.structures.get(phonon.structure)
    return {
        "title": model.title,
        "dtype": model.dtype,
        "package": model.package,
        "n_structures": labels["n_structures"],
        "energy_aligned": labels["energy_aligned"],
        "forces": labels["forces"],
        "stress": labels["stress"],
        "phonons": bands,
        "lattice_A": float(relaxed.to_atoms().cell.lengths()[0]),
        "lattice_dft_A": float(cell.to_atoms().cell.lengths()[0]),
        "findings": list(phonon.findings),
        "seconds_labels": predicted - started,
        "seconds_phonon": finished - predicted,
    }, phonon


@in_house_style
def draw_bands(db: Database, phonons: dict[str, Phonon], dft: Phonon) -> Figure:
    """One panel a model: its bands over DFT's."""
    figure = new_figure(3.6)
    panels = figure.subplots(1, len(phonons), sharey=True, squeeze=False)[0]
    for axes, color, (name, phonon) in zip(panels, COLORS, phonons.items(), strict=False):
        spectra = spectra_of(crystal_of(db, phonon), crystal_of(db, dft))
        for bands, line, shade in (
            (spectra.reference_bands, "-", REFERENCE),
            (spectra.model_bands, "--", color),
        ):
            x = bands.path.distances
            axes.plot(x, bands.frequencies * THZ_TO_CM1, line, color=shade, linewidth=1.0)
        _mark_points(axes, spectra.model_bands)
        errors = compare_phonons(db, phonon, dft).metrics
        axes.set_title(f"{name}\n{errors['band_mae_THz']:.2f} THz", color=color)
    panels[0].set_ylabel("frequency, cm$^{-1}$")
    return figure


def _mark_points(axes: Any, bands: Bands) -> None:
    path = bands.path
    at = path.label_distances
    axes.set_xticks(
        at, ["$\\Gamma$" if label in ("G", "GAMMA") else label for label in path.labels]
    )
    axes.set_xlim(at[0], at[-1])
    for x in at:
        axes.axvline(x, color="#e3e3e3", linewidth=0.7, zorder=0)


@in_house_style
def draw_errors(
    db: Database, models: dict[str, ModelMethod], dataset: Dataset, split: str
) -> Figure:
    """Forces and shifted energies of each model over DFT's."""
    figure = new_figure(5.4)
    reference = db.methods.get(dataset.method)
    rows = db.members.raw.find({"dataset": dataset.id, "split": split}, {"calculation": 1})
    query = {"_id": {"$in": [row["calculation"] for row in rows]}}
    panels = figure.subplots(2, len(models), squeeze=False, sharex="row", sharey="row")
    for column, color, (name, model) in zip(panels.T, COLORS, models.items(), strict=False):
        pairs = join(db, model, reference, query).read(db, compared_kind(db, model))
        dft = pairs.reference
        shift = fit_e0s(dft.numbers, dft.owners, pairs.model.energies - dft.energies)
        shifts = np.array([sum(shift[s] for s in atoms.symbols) for atoms in dft.atoms()])
        zero = (dft.energies / dft.n_atoms).min()
        energies = [
            1000 * (energies / dft.n_atoms - zero)
            for energies in (dft.energies, pairs.model.energies - shifts)
        ]
        for axes, x, y in ((column[0], dft.forces, pairs.model.forces), (column[1], *energies)):
            axes.plot(np.ravel(x), np.ravel(y), "o", color=color, markersize=3, alpha=0.6)
            axes.axline((0, 0), slope=1, color=REFERENCE, linewidth=0.8)
        column[0].set_title(name, color=color)
        column[0].set_xlabel("DFT force, eV/Å")
        column[1].set_xlabel("DFT energy, meV/atom")
    panels[0, 0].set_ylabel("model, eV/Å")
    panels[1, 0].set_ylabel("model, shifted, meV/atom")
    return figure


if __name__ == "__main__":
    main()
