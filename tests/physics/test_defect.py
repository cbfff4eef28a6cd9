from __future__ import annotations

import numpy as np
import pytest
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.errors import InputError
from forcebase.physics.defect import (
    NO_SITE,
    Change,
    Defect,
    apply_defect,
    central_site,
    from_pymatgen,
    read_defect,
)


@pytest.fixture
def perfect(wse2):
    return wse2.repeat((4, 4, 1))


def test_a_vacancy_takes_the_top_atom_nearest_the_middle(perfect):
    defect = read_defect("v_Se", perfect)
    made = apply_defect(perfect, defect)
    assert made.atoms.get_chemical_formula() == "Se31W16"
    (change,) = defect.changes
    site = perfect[change.site]
    assert site.symbol == "Se"
    assert site.position[2] == pytest.approx(perfect.positions[:, 2].max())
    in_plane = perfect.get_scaled_positions()[change.site, :2]
    assert np.abs(in_plane - 0.5).max() < 0.25
    np.testing.assert_allclose(made.centre @ perfect.cell.array, site.position, atol=1e-9)
    np.testing.assert_allclose(made.atoms.positions, perfect.positions[made.origin])


def test_every_kind_of_change_does_what_it_says(perfect):
    defect = read_defect("remove:4,swap:6:Mo,move:9:0/0/0.25,add:H:1/2/12.5", perfect)
    made = apply_defect(perfect, defect)
    assert made.atoms.get_chemical_formula() == "HMoSe31W15"
    assert made.origin.tolist() == [*range(4), *range(5, 48), NO_SITE]
    where = {int(site): i for i, site in enumerate(made.origin)}
    assert made.atoms[where[6]].symbol == "Mo"
    shift = made.atoms.positions[where[9]] - perfect.positions[9]
    np.testing.assert_allclose(shift, [0, 0, 0.25])
    np.testing.assert_allclose(made.atoms.positions[-1], [1, 2, 12.5])
    assert str(defect.changes[2]) == "move:9:0/0/0.25"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("swap:0:W", "Site 0 is W already"),
        ("W_W", "W already"),
        ("swap:0:X", "'X' is not an element"),
    ],
)
def test_a_swap_that_changes_nothing_is_refused(perfect, text, message):
    with pytest.raises(InputError, match=message):
        read_defect(text, perfect)


def test_a_substitution_is_named_new_on_old(perfect):
    made = apply_defect(perfect, read_defect("Mo_W", perfect))
    assert made.atoms.get_chemical_formula() == "MoSe32W15"


def test_the_centre_of_two_sites_lies_between_their_nearest_images(perfect):
    """Atoms 0 and 45 are in the first and the last cell: neighbours across the border."""
    defect = Defect("pair", (Change("remove", 0), Change("remove", 45)))
    centre = apply_defect(perfect, defect).centre
    apart = perfect.get_distance(0, 45, mic=True)
    probe = perfect.copy()
    probe.append("X")
    probe.positions[-1] = centre @ perfect.cell.array
    assert probe.get_distance(-1, 0, mic=True) == pytest.approx(apart / 2)
    assert probe.get_distance(-1, 45, mic=True) == pytest.approx(apart / 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("remove:48", "no site 48.*48, counted from 0"),
        ("remove:-1", "no site -1"),
        ("v_Mo", "no Mo"),
        ("swap:3:Xx", "not an element"),
        ("vanish:3", "not a defect"),
        ("remove:3,remove:3", "one site twice"),
        ("", "not a defect"),
        ("move:3:0/0", "not a defect"),
    ],
)
def test_a_defect_that_cannot_be_is_refused_by_name(perfect, text, message):
    with pytest.raises(InputError, match=message):
        apply_defect(perfect, read_defect(text, perfect))


def test_the_same_site_is_chosen_in_every_supercell_of_a_size(perfect):
    nudged = perfect.copy()
    nudged.positions += np.random.default_rng(0).normal(0, 1e-9, nudged.positions.shape)
    assert central_site(nudged, "Se") == central_site(perfect, "Se")


def test_defects_of_pymatgen_are_taken_over(wse2, perfect):
    generators = pytest.importorskip("pymatgen.analysis.defects.generators")
    host = AseAtomsAdaptor.get_structure(wse2)
    vacancies = list(generators.VacancyGenerator().generate(host, rm_species=["Se"]))
    defect = from_pymatgen(vacancies[0], perfect)
    assert defect.name == "v_Se"
    made = apply_defect(perfect, defect)
    assert made.atoms.get_chemical_formula() == "Se31W16"
    substitutes = list(
        generators.SubstitutionGenerator().generate(host, substitution={"W": ["Mo"]})
    )
    made = apply_defect(perfect, from_pymatgen(substitutes[0], perfect))
    assert made.atoms.get_chemical_formula() == "MoSe32W15"
