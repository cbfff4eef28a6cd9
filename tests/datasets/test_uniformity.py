"""One set-up a dataset: unlike ones are an error that names fields, or findings with figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from forcebase.actions.datasets import build_dataset, dataset_recipe
from forcebase.comparison.labels import Selection, compare_labels, select_pairs
from forcebase.comparison.noise import noise_floors
from forcebase.curation.alike import Alike
from forcebase.curation.recipe import CurationRecipe, parse_step
from forcebase.curation.steps import OneMethod
from forcebase.database.equivalences import equate
from forcebase.database.reading import read_frames
from forcebase.errors import InputError, MixedMethodsError
from forcebase.ingest.batch import Batch
from forcebase.ingest.importing import import_paths
from forcebase.physics.magnetic_state import described
from forcebase.provenance.taint import remove_taint, set_taint, stale_among
from forcebase.records import Activity, Calculation, DFTMethod, Structure
from forcebase.units import voigt

CASES = Path(__file__).parents[1] / "data" / "cases"
RULES = {
    "code": "vasp",
    "functional": "PBE",
    "basis": {"type": "plane waves", "cutoff_eV": 400.0},
    "pseudopotentials": {"type": "PAW", "library": "PAW_PBE"},
    "smearing": {"type": "Gaussian", "width_eV": 0.05},
    "spin": "collinear",
    "dispersion": "none",
    "spin_orbit": False,
}


@pytest.fixture
def cases(db):
    """Imports cases by their names, and gives what a build would take of them."""

    def load(*names):
        report = import_paths(db, [CASES / name for name in names])
        assert report.failed == []
        return read_frames(db, {})

    return load


def recipe(db, frames, *steps):
    plan = CurationRecipe(steps=(OneMethod(), *map(parse_step, steps)))
    return dataset_recipe(db, "d", {}, frames, plan)


def test_unlike_charges_are_named_with_counts_and_short_ids(db, cases):
    frames = cases("vasp_base", "vasp_charged")
    with pytest.raises(MixedMethodsError) as failure:
        recipe(db, frames)
    assert "charge: +1 (1, as " in failure.value.message
    assert "0 (1, as " in failure.value.message
    assert max(map(len, failure.value.message.split())) < 30, "no digests"


@pytest.mark.parametrize(("asked", "dropped"), [("0", 1), ("1", 1), ("any", 0), ("0/1", 0)])
def test_charges_are_taken_as_asked(db, cases, asked, dropped):
    frames = cases("vasp_base", "vasp_charged")
    found = recipe(db, frames, f"alike:charge={asked}")
    step = next(step for step in found.steps if isinstance(step, Alike))
    assert len(step.apply(frames, np.ones(len(frames), bool))) == dropped


@pytest.mark.parametrize("wrong", ["alike:charge=plus", "alike:magnetic=up"])
def test_charges_and_orders_that_are_none_are_refused(wrong):
    with pytest.raises(InputError):
        parse_step(wrong)


def test_unlike_magnetic_orders_are_an_error_unless_asked_for(db, cases):
    frames = cases("vasp_mag_afm", "vasp_mag_fm")
    with pytest.raises(MixedMethodsError, match=r"magnetic order: antiferromagnetic \(1, as"):
        recipe(db, frames)
    recipe(db, frames, "alike:magnetic=any")
    (step,) = [
        s for s in recipe(db, frames, "alike:magnetic=ferromagnetic").steps if isinstance(s, Alike)
    ]
    assert len(step.apply(frames, np.ones(len(frames), bool))) == 1


def test_unlike_methods_are_named_by_the_rules_in_which_they_differ(db, cases):
    frames = cases("vasp_hse25", "vasp_hse35", "vasp_base")
    with pytest.raises(MixedMethodsError) as failure:
        recipe(db, frames)
    assert "labelled by 3 methods" in failure.value.message
    assert "functional_parameters.exchange_fraction: 0.25 (1 of " in failure.value.message
    assert max(map(len, failure.value.message.split())) < 50


@pytest.fixture
def made(db):
    """Writes calculations of small cells and gives the frames of all."""
    method = DFTMethod.of_rules(**RULES)

    def make(*entries, of=method):
        batch = Batch(methods=[of])
        for n, (atoms, energy, given) in enumerate(entries):
            structure = Structure.from_atoms(atoms)
            batch.structures.append(structure)
            stress = given.pop("stress", [0.0] * 6)
            given = {
                "charge": 0.0,
                "magnetic": described(None, np.ones(len(atoms))),
                "potentials": {"Si": {"name": "PAW_PBE Si 05Jan2001"}},
                "k_mesh": [4, 4, 4],
                **given,
            }
            batch.calculations.append(
                Calculation.of(
                    structure,
                    of,
                    energy=energy,
                    forces=np.full((len(atoms), 3), 1e-4 * n),
                    stress=stress,
                    **given,
                )
            )
        batch.write(db, Activity(id=f"made:{len(entries)}:{of.id}", kind="import", name="made"))
        return read_frames(db, {})

    return make


SMALL, LARGE = bulk("Si", a=5.43), bulk("Si", a=5.43, cubic=True)


def test_unlike_potentials_and_u_are_an_error(db, made):
    other = {"potentials": {"Si": {"name": "PAW_PBE Si_sv"}}, "plus_u": {"Si": {"u_eV": 2.0}}}
    frames = made((SMALL, -10.0, {}), (LARGE, -40.0, other))
    with pytest.raises(MixedMethodsError) as failure:
        recipe(db, frames, "alike:charge=any")
    assert "potential of Si (name): PAW_PBE Si 05Jan2001 (1, as" in failure.value.message
    assert "U of Si: none (1, as" in failure.value.message
    assert "potentials.Si.name=TITLE" in failure.value.hint
    assert "charge" not in failure.value.hint


def test_a_hash_that_only_some_have_tells_nothing_apart(db, made):
    known = {"potentials": {"Si": {"name": "PAW_PBE Si 05Jan2001", "hash": "a"}}}
    unlike = {"potentials": {"Si": {"name": "PAW_PBE Si 05Jan2001", "hash": "b"}}}
    frames = made((SMALL, -10.0, {}), (LARGE, -40.0, known))
    recipe(db, frames)
    frames = made((SMALL, -10.1, unlike), (LARGE, -40.1, known), (LARGE, -40.2, {}))
    with pytest.raises(MixedMethodsError, match=r"potential of Si \(hash\)"):
        recipe(db, frames)


def test_one_crystal_whose_cells_disagree_is_a_finding_with_figures(db, made):
    frames = made((SMALL, -10.0, {}), (LARGE, -40.02, {"stress": [1e-3] * 6}))
    (energy, stress) = recipe(db, frames).findings
    assert "2.5 meV/atom apart" in energy
    assert "(2 atoms, 4x4x4)" in energy
    assert "1.00 meV/A^3 apart" in stress


@pytest.mark.parametrize("component", [0, 5])
def test_stresses_of_one_crystal_are_compared_by_component(db, made, component):
    """A shear has no mean, and xx may be off while yy and zz make up for it."""
    stress = np.zeros(6)
    stress[component] = 1e-3
    if component == 0:
        stress[1:3] = -5e-4
    frames = made((SMALL, -10.0, {}), (LARGE, -40.0, {"stress": stress.tolist()}))
    (finding,) = recipe(db, frames).findings
    assert f"1.00 meV/A^3 apart ({'xx' if component == 0 else 'xy'})" in finding


def test_stresses_of_turned_cells_are_compared_by_what_turning_leaves(db, made):
    """A uniaxial stress along x in one cell is one along another axis in a turned one."""
    turned = LARGE.copy()
    turned.rotate(30, (1, 1, 0), rotate_cell=True)
    tensor = np.diag([3e-3, 0, 0])
    rotation = np.linalg.solve(LARGE.cell.array, turned.cell.array)
    same = voigt(rotation.T @ tensor @ rotation)
    stress = {"stress": [3e-3, 0, 0, 0, 0, 0]}
    frames = made((SMALL, -10.0, stress), (turned, -40.0, {"stress": same.tolist()}))
    assert "findings" not in recipe(db, frames).query
    other = {"stress": (2 * same).tolist()}
    frames = made((SMALL, -10.0, stress), (turned, -40.001, other))
    assert any("(principal values, for the cells" in said for said in recipe(db, frames).findings)


def test_one_crystal_whose_cells_agree_is_no_finding(db, made):
    frames = made((SMALL, -10.0, {}), (LARGE, -40.002, {"stress": [4e-4] * 6}))
    assert "findings" not in recipe(db, frames).query


def test_meshes_of_one_cell_are_compared_too(db, made):
    frames = made((SMALL, -10.0, {}), (SMALL, -10.1, {"k_mesh": [2, 2, 2]}))
    (finding,) = recipe(db, frames).findings
    assert "50.0 meV/atom" in finding
    assert "2x2x2" in finding


def test_mixed_versions_spacings_and_lost_orders_are_said(db, made):
    strained = LARGE.copy()
    strained.set_cell(strained.cell * 1.02, scale_atoms=True)
    frames = made(
        (SMALL, -10.0, {"code_version": "5.4.4", "k_spacing": 0.2}),
        (strained, -40.0, {"code_version": "6.4.2", "k_spacing": 0.5, "findings": ["it left"]}),
    )
    findings = recipe(db, frames).findings
    assert findings[0] == "versions of the code are mixed: 5.4.4 (1), 6.4.2 (1)"
    assert "more than a factor of 2" in findings[1]
    assert "1 calculations left the magnetic order" in findings[2]
    wider = recipe(db, frames, "alike:k_spacing_factor=3").findings
    assert len(wider) == 2


def test_only_calculations_alike_in_all_are_replicates(db, made):
    frames = made(
        (SMALL, -10.0, {}),
        (SMALL, -10.5, {"charge": 1.0}),
        (LARGE, -40.0, {}),
        (LARGE, -40.1, {}),
    )
    method = db.methods.get(str(frames.methods[0]))
    with pytest.raises(InputError, match=r"unlike charges \+0, \+1"):
        select_pairs(db, method, method, Selection())
    pairs = select_pairs(db, method, method, Selection(query={"charge": 0.0}))
    assert (pairs.model.ids == pairs.reference.ids).all()
    (floor,) = noise_floors(db, method, method, pairs)
    assert floor.errors.n_structures == 1
    assert floor.errors.energy.mae == pytest.approx(100 / 8)


def test_states_that_were_not_recorded_are_no_replicates(db, made):
    made((SMALL, -10.0, {"charge": None}), (SMALL, -10.5, {"charge": None}))
    method = db.methods.one()
    assert noise_floors(db, method, method, select_pairs(db, method, method, Selection())) == []


def test_methods_that_are_taken_for_one_meet_in_a_dataset_and_in_a_comparison(db, made):
    other = DFTMethod.of_rules(**{**RULES, "settings": {"ngx": 40.0}})
    made((SMALL, -10.0, {}), (LARGE, -40.0, {}))
    strained = LARGE.copy()
    strained.set_cell(strained.cell * 1.02, scale_atoms=True)
    frames = made((strained, -39.0, {}), of=other)
    with pytest.raises(MixedMethodsError, match=r"settings.ngx: none \(2 of .*, 40 \(1 of"):
        recipe(db, frames)
    one = db.methods.one(id=next(m for m in db.methods.raw.distinct("_id") if m != other.id))
    with pytest.raises(InputError, match="needs a reason"):
        equate(db, one, other, " ")
    word = equate(db, one, other, "NGX as VASP would choose it")
    assert equate(db, other, one, "NGX as VASP would choose it").id == word.id
    found = recipe(db, frames)
    assert found.query["equated"] == [word.id]
    (step,) = [s for s in found.steps if isinstance(s, OneMethod)]
    assert (step.method, step.equal) == (one.id, (other.id,))
    compared = compare_labels(db, one, one)
    assert compared.n == 2, "both sides of the first method alone"
    against = compare_labels(db, other, one)
    assert against.n == 1
    assert against.on["equated"] == [word.id]
    set_taint(db, "equivalences", word.id, "they differ by 3 meV")
    assert stale_among(db, "validations", [against.id])
    with pytest.raises(MixedMethodsError):
        recipe(db, frames)
    remove_taint(db, word.id)


def test_a_dataset_of_equated_methods_names_them(db, imported, data_folder):
    imported(db, "wse2_gpaw_pbe.extxyz")
    whole = db.methods.one()
    rules = {name: getattr(whole, name) for name in DFTMethod.RULES}
    other = DFTMethod.of_rules(**{**rules, "settings": {"gpts": 1.0}})
    db.methods.add([other])
    some = db.calculations.find(limit=5, sort="id")
    for calculation in some:
        structure = db.structures.get(calculation.structure)
        moved = structure.to_atoms()
        moved.positions[0, 0] += 0.01
        copy = Structure.from_atoms(moved, family=structure.family, kind=structure.kind)
        db.structures.add([copy])
        given = {n: getattr(calculation, n) for n in ("k_mesh", "charge", "magnetic", "potentials")}
        labelled = Calculation.of(
            copy, other, energy=calculation.energy, forces=calculation.forces, **given
        )
        labelled.provenance.activity = calculation.provenance.activity
        db.calculations.add([labelled])
    word = equate(db, whole, other, "for the test")
    dataset = build_dataset(db, "both", {"n_atoms": 12})
    assert dataset.method == whole.id
    assert word.id in {edge.record for edge in dataset.provenance.edges}
    assert replace(CurationRecipe()).steps
