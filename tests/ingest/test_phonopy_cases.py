"""phonopy's files of other codes, crystals and amplitudes: records with phonopy's own answers."""

import shutil

import numpy as np
import phonopy
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.spacegroup import crystal as spacegroup
from phonopy.file_IO import write_FORCE_SETS
from small_phonons import (
    CASES,
    FCC,
    at,
    displaced,
    loaded_by_phonopy,
    phonopy_atoms,
    solved,
    unpacked_case,
    with_forces,
)

from forcebase.database.crystals import crystal_of
from forcebase.ingest.importing import import_paths
from forcebase.physics.vibrations import modes

METHOD = CASES / "phonopy_units_missing" / "method.yaml"
ALL = {"force_sets": True, "displacements": True, "force_constants": False}


def stored(db, folder, n=1):
    report = import_paths(db, [folder])
    assert report.failed == []
    phonons = list(db.phonons.find())
    assert len(phonons) == n
    return phonons[0]


def frequencies(db, phonon, q_points):
    return modes(crystal_of(db, phonon), q_points).frequencies


def test_units_of_the_calculator_where_the_unit_block_is_missing(db, tmp_path):
    phonon = stored(db, unpacked_case("phonopy_units_missing", tmp_path))
    found = frequencies(db, phonon, [(0, 0, 0), (0.5, 0, 0)])
    np.testing.assert_allclose(found[0], [0, 0, 0, 4.526, 4.526, 4.526], atol=1e-4)
    expected = [3.1251, 3.1251, 3.7944, 3.7944, 5.0269, 6.2709]
    np.testing.assert_allclose(found[1], expected, atol=1e-4)
    assert phonon.protocol["displacement_A"] == pytest.approx(0.02 * 0.529177, abs=1e-6)
    cell = db.structures.get(phonon.structure).to_atoms().cell.lengths()
    np.testing.assert_allclose(cell, 5.6903, atol=1e-4)


def test_magnetic_moments_are_kept_and_used(db, tmp_path):
    folder = unpacked_case("phonopy_magnetic", tmp_path)
    phonon = stored(db, folder)
    np.testing.assert_array_equal(phonon.magnetic_moments, [[1], [1], [-1], [-1]])
    points = [(0, 0, 0), (0.5, 0, 0)]
    theirs = loaded_by_phonopy(folder / "phonopy_params.yaml")
    found = frequencies(db, phonon, points)
    np.testing.assert_allclose(found, at(theirs, points), atol=1e-5)
    assert found[0].max() == pytest.approx(5.0210, abs=1e-4)
    assert phonon.protocol["fit"]["residual_relative"] < 0.02
    assert phonon.findings == []


def test_a_file_without_its_moments_has_a_finding(db, tmp_path):
    folder = unpacked_case("phonopy_magnetic", tmp_path)
    file = folder / "phonopy_params.yaml"
    lines = [x for x in file.read_text().splitlines(keepends=True) if "magnetic_moment" not in x]
    file.write_text("".join(lines))
    phonon = stored(db, folder)
    assert phonon.magnetic_moments is None
    assert any("magnetic moments that the file does not tell" in f for f in phonon.findings)


def test_the_primitive_cell_is_found_where_the_file_names_none(db, tmp_path):
    """Anatase TiO2: 12 atoms in the conventional cell, 6 in the primitive one."""
    titania = spacegroup(
        ["Ti", "O"],
        [(0, 0, 0), (0, 0, 0.2081)],
        spacegroup=141,
        cellpar=[3.7842, 3.7842, 9.5146, 90, 90, 90],
    )
    spring = lambda: LennardJones(sigma=1.73, epsilon=0.5, rc=3.6, smooth=True)  # noqa: E731
    made = displaced(titania, [2, 2, 1], np.eye(3), spring)
    made.save(tmp_path / "phonopy_params.yaml", settings=ALL)
    file = tmp_path / "phonopy_params.yaml"
    text = file.read_text()
    start = text.index("primitive_matrix:")
    file.write_text(text[:start] + text[text.index("supercell_matrix:", start) :])
    shutil.copy(METHOD, tmp_path)
    phonon = stored(db, tmp_path)
    assert len(crystal_of(db, phonon).primitive_atoms) == 6
    points = [(0, 0, 0), (0.5, 0, 0), (0.1, 0.2, 0.3)]
    found = frequencies(db, phonon, points)
    assert found.shape == (3, 18)
    theirs = solved(loaded_by_phonopy(file, primitive_matrix="auto", produce_fc=False))
    np.testing.assert_allclose(found, at(theirs, points), atol=1e-5)


def test_a_primitive_cell_that_the_file_names_stays(db, tmp_path):
    made = displaced(bulk("Cu", cubic=True), [2, 2, 2], np.eye(3))
    made.save(tmp_path / "phonopy_params.yaml", settings=ALL)
    shutil.copy(METHOD, tmp_path)
    assert frequencies(db, stored(db, tmp_path), [(0, 0, 0)]).shape == (1, 12)


def thermal(folder, distance, n=6):
    """Copper in random displacements of all atoms, as phonopy's file."""
    atoms = bulk("Cu", cubic=True)
    made = displaced(atoms, [2, 2, 2], FCC, distance=distance, number_of_snapshots=n, random_seed=7)
    made.save(folder / "phonopy_params.yaml", settings=ALL)
    shutil.copy(METHOD, folder)
    return made


def test_a_fit_says_how_well_it_fits_and_at_what_amplitude(db, tmp_path):
    thermal(tmp_path, 0.3)
    phonon = stored(db, tmp_path)
    protocol = phonon.protocol
    assert (protocol["displacements"], protocol["amplitude_A"]) == ("random", 0.3)
    assert protocol["fit"]["n_supercells"] == 6
    assert protocol["fit"]["residual_relative"] > 0.1
    assert any("at displacements of 0.3 angstrom" in finding for finding in phonon.findings)
    linked = [e for e in phonon.provenance.edges if e.role == "displaced supercell"]
    assert len(linked) == 6


def test_temperature_statistics_and_source_are_of_the_protocol(db, tmp_path):
    thermal(tmp_path, 0.1)
    with (tmp_path / "method.yaml").open("a") as file:
        file.write(
            "files:\n  phonopy_params.yaml:\n    protocol: {temperature_K: 300, "
            "statistics: classical, source: molecular dynamics}\n"
        )
    phonon = stored(db, tmp_path)
    kept = {key: phonon.protocol[key] for key in ("temperature_K", "statistics", "source")}
    assert kept == {
        "temperature_K": 300,
        "statistics": "classical",
        "source": "molecular dynamics",
    }
    text = (tmp_path / "method.yaml").read_text()
    for wrong, named in (
        ("classical", "statistics are 'warm'"),
        ("300", "temperature_K is 'warm'"),
    ):
        (tmp_path / "method.yaml").write_text(text.replace(wrong, "warm"))
        ((_, reason),) = import_paths(db, [tmp_path]).failed
        assert named in reason


def test_the_temperature_of_phonopys_own_draws_is_told_by_its_file(db, tmp_path):
    rest = solved(displaced(bulk("Cu", cubic=True), [2, 2, 2], FCC))
    rest.generate_displacements(number_of_snapshots=4, temperature=300, random_seed=3)
    made = with_forces(rest)
    made.save(tmp_path / "phonopy_disp.yaml", settings={"force_sets": False})
    file = tmp_path / "phonopy_disp.yaml"
    said = "  configuration:\n    random_displacement_temperature: 300\n"
    file.write_text(file.read_text().replace("phonopy:\n", "phonopy:\n" + said, 1))
    write_FORCE_SETS(made.dataset, tmp_path / "FORCE_SETS")
    shutil.copy(METHOD, tmp_path)
    phonon = stored(db, tmp_path)
    assert phonon.protocol["temperature_K"] == 300
    assert phonon.protocol["statistics"] == "quantum"
    assert phonon.protocol["fit"]["residual_relative"] > 0


def test_bare_displacements_at_rest_have_no_protocol_of_a_temperature(db, tmp_path):
    made = phonopy.Phonopy(phonopy_atoms(bulk("Cu", cubic=True)), [2, 2, 2], FCC)
    made.generate_displacements(distance=0.01)
    with_forces(made).save(tmp_path / "phonopy_params.yaml", settings=ALL)
    shutil.copy(METHOD, tmp_path)
    phonon = stored(db, tmp_path)
    assert "temperature_K" not in phonon.protocol
    assert phonon.protocol["displacement_A"] == 0.01
