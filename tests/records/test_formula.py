"""Formulas, however they are written."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import chemical_symbols
from hypothesis import given
from hypothesis import strategies as st
from optimade.models.utils import anonymize_formula, reduce_formula
from pymatgen.io.optimade import OptimadeStructureAdapter

from forcebase.cli.filters import parse_filters
from forcebase.errors import InputError
from forcebase.records import Structure
from forcebase.records.formula import (
    alphabetical_formula,
    anonymous_formula,
    as_stored,
    composition,
    hill_formula,
    reduced_formula,
)


@pytest.mark.parametrize("written", ["W4Se8", "Se8W4", "(WSe2)4", "W2Se4W2Se4", "W4 Se8"])
def test_any_order_is_the_records_order(written):
    record = Structure.from_atoms(
        Atoms("W4Se8", positions=[[i, 0, 0] for i in range(12)], cell=[50, 50, 50])
    )
    assert hill_formula(written) == record.formula == "Se8W4"
    assert reduced_formula(written) == record.reduced_formula == "WSe2"


@pytest.mark.parametrize("formula", ["WSe2", "MgO", "CH3NH3PbI3", "Si8", "H2O", "LiFePO4", "C60"])
def test_as_structures_write_it(formula):
    atoms = Atoms(formula, cell=[50, 50, 50])
    atoms.positions[:, 0] = range(len(atoms))
    record = Structure.from_atoms(atoms)
    assert hill_formula(formula) == record.formula
    assert reduced_formula(formula) == record.reduced_formula


@pytest.mark.parametrize("text", ["", "tungsten", "W0.5Se", "Xx2", "WSe2)", "3"])
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(InputError, match=r"formula|whole numbers|no element"):
        hill_formula(text)


def test_lists_and_other_fields():
    assert as_stored("formula", ["WSe2", "OMg"]) == ["Se2W", "MgO"]
    assert as_stored("kind", "WSe2") == "WSe2"
    assert as_stored("formula", {"$ne": "Se2W"}) == {"$ne": "Se2W"}


def test_records_are_found_however_it_is_written(db):
    cells = [Atoms("W4Se8", cell=[50, 50, 50]), Atoms("Se2W", cell=[50, 50, 50]), Atoms("Si")]
    for atoms in cells:
        atoms.positions[:, 0] = range(len(atoms))
    cells[2].cell = [5, 5, 5]
    db.structures.add([Structure.from_atoms(atoms) for atoms in cells])

    def sizes(**fields):
        return sorted(record.n_atoms for record in db.structures.find(**fields))

    assert sizes(formula="WSe2") == [3]
    assert sizes(formula=["W4Se8", "Si"]) == [1, 12]
    assert sizes(reduced_formula="Se2W") == [3, 12]
    assert sizes(**parse_filters(db, ["formula=WSe2,Si"], "structures")) == [1, 3]
    with pytest.raises(InputError, match="not a formula"):
        sizes(formula="tungsten")


ORACLE = [
    bulk("Si"),
    bulk("NaCl", "rocksalt", a=5.64),
    bulk("NaCl", "rocksalt", a=5.64, cubic=True),
    bulk("Cu", cubic=True).repeat((4, 4, 4)),
    bulk("GaAs", "zincblende", a=5.65),
    molecule("C60"),
    molecule("CH3CH2OH"),
    molecule("H2O"),
    Atoms("TiO2Sr2", positions=np.arange(15).reshape(5, 3), cell=[9, 9, 20], pbc=(1, 1, 0)),
    Atoms("".join(chemical_symbols[1:31]), positions=np.arange(90).reshape(30, 3), cell=[99] * 3),
]


@pytest.mark.parametrize("atoms", ORACLE, ids=lambda atoms: atoms.get_chemical_formula())
def test_the_fields_of_a_structure_are_those_of_pymatgen_and_optimade(atoms):
    atoms = atoms.copy()
    if not atoms.cell.rank:
        atoms.center(vacuum=4.0)
    record = Structure.from_atoms(atoms)
    theirs = OptimadeStructureAdapter.get_optimade_structure(record.to_pymatgen())["attributes"]
    for name in ("nelements", "elements", "chemical_formula_reduced", "chemical_formula_anonymous",
                 "dimension_types", "nperiodic_dimensions"):  # fmt: skip
        ours = getattr(record, name)
        assert (list(ours) if isinstance(ours, list) else ours) == theirs[name], name
    assert list(record.elements_ratios) == pytest.approx(theirs["elements_ratios"], abs=1e-15)
    assert record.n_atoms == theirs["nsites"]
    assert sum(record.elements_ratios) == pytest.approx(1)
    assert record.chemical_formula_reduced == reduce_formula(record.formula)
    assert record.chemical_formula_anonymous == anonymize_formula(record.formula)


@given(st.dictionaries(st.sampled_from(chemical_symbols[1:]), st.integers(1, 400), min_size=1))
def test_any_composition_is_that_of_optimade(counts):
    formula = "".join(f"{symbol}{n}" for symbol, n in counts.items())
    found = composition(formula)
    assert found["chemical_formula_reduced"] == reduce_formula(formula)
    assert found["chemical_formula_anonymous"] == anonymize_formula(formula)
    assert alphabetical_formula(formula) == found["chemical_formula_reduced"]
    assert anonymous_formula(found["chemical_formula_anonymous"]) == anonymize_formula(formula)


@pytest.mark.parametrize("text", ["", "a2b", "A0", "A2-B", "A 2", "(AB)2", "2A"])
def test_what_is_no_anonymous_formula(text):
    with pytest.raises(InputError):
        anonymous_formula(text)


@pytest.mark.parametrize("symbol", ["X", "D"])
def test_atoms_of_no_element_are_in_no_structure(symbol):
    atoms = Atoms("H", cell=[3] * 3, pbc=True)
    if symbol == "X":
        atoms.set_chemical_symbols(["X"])
        with pytest.raises(InputError, match="no element"):
            Structure.from_atoms(atoms)
    else:  # ASE reads deuterium as no symbol at all
        with pytest.raises(InputError, match="no element D"):
            alphabetical_formula("D2O")


def test_elements_ratios_are_in_the_order_of_the_elements():
    record = Structure.from_atoms(Atoms("W2Se", positions=np.eye(3), cell=[5] * 3, pbc=True))
    assert dict(zip(record.elements, record.elements_ratios, strict=True)) == {
        "Se": pytest.approx(1 / 3),
        "W": pytest.approx(2 / 3),
    }
