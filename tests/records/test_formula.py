"""Formulas, however they are written."""

import pytest
from ase import Atoms

from forcebase.cli.filters import parse_filters
from forcebase.errors import InputError
from forcebase.records import Structure
from forcebase.records.formula import as_stored, hill_formula, reduced_formula


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
