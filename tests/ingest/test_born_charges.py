"""Born charges of the file, of BORN, of VASP's LEPSILON and of ph.x: phonopy's own answers."""

import gzip
import shutil

import numpy as np
import pytest
from ase import Atoms
from phonopy.file_IO import get_BORN_lines, parse_BORN
from small_phonons import (
    at,
    gamma_frequencies,
    loaded_by_phonopy,
    unpacked_case,
)

from forcebase.database.crystals import crystal_of, response_of
from forcebase.ingest.importing import import_paths

WAYS = ((1, 0, 0), (1, 1, 0), (0.2, -0.4, 0.9))
SALT = {"Na": 1.08875538, "Cl": -1.08875538}
EPSILON = 2.43533967


@pytest.fixture
def folder(tmp_path):
    """NaCl without its `nac`."""
    folder = unpacked_case("ph_nac_params", tmp_path)
    file = folder / "phonopy_params.yaml"
    text = file.read_text()
    start = text.index("\nnac:")
    end = text.index("\n\n", start + 1)
    file.write_text(text[:start] + text[end:])
    assert "born" not in file.read_text()
    return folder


@pytest.fixture
def expected(folder):
    """phonopy's frequencies along `WAYS` with BORN."""
    born = folder / "BORN"
    made = loaded_by_phonopy(folder / "phonopy_params.yaml", is_nac=False, symmetrize_fc=False)
    born.write_text("\n".join(salt_born(made.primitive)))
    theirs = loaded_by_phonopy(folder / "phonopy_params.yaml", symmetrize_fc=False)
    born.unlink()
    assert theirs.nac_params is not None
    return [at(theirs, (0, 0, 0), way)[0] for way in WAYS]


def salt_born(primitive):
    borns = [SALT[symbol] * np.eye(3) for symbol in primitive.symbols]
    return get_BORN_lines(primitive, np.array(borns), EPSILON * np.eye(3))


def imported(db, folder):
    report = import_paths(db, [folder])
    phonons = list(db.phonons.find())
    assert len(phonons) == 1, report.failed
    return phonons[0]


def check(db, phonon, expected):
    crystal = crystal_of(db, phonon)
    for way, right in zip(WAYS, expected, strict=True):
        np.testing.assert_allclose(gamma_frequencies(crystal, way), right, atol=1e-5)
    assert right.max() > 7.3


@pytest.mark.parametrize("sodium", [1.08, 2.2])
def test_charges_that_do_not_add_up_are_named(db, folder, sodium):
    tensors = (EPSILON * np.eye(3), sodium * np.eye(3), -1.08 * np.eye(3))
    lines = [" ".join(map(str, tensor.ravel())) for tensor in tensors]
    (folder / "BORN").write_text("\n".join(["default value", *lines]))
    said = [finding for finding in imported(db, folder).findings if "add up to" in finding]
    assert len(said) == (sodium == 2.2)
    assert all("1.12 e (0.56 e an atom)" in finding for finding in said)


def test_a_file_with_nac(db, tmp_path):
    folder = unpacked_case("ph_nac_params", tmp_path)
    phonon = imported(db, folder)
    theirs = loaded_by_phonopy(folder / "phonopy_params.yaml", symmetrize_fc=False)
    check(db, phonon, [at(theirs, (0, 0, 0), way)[0] for way in WAYS])
    assert phonon.born.shape == (2, 3, 3)
    assert phonon.epsilon_static.shape == (3, 3)
    assert phonon.nac["source"] == "nac of the file"
    assert phonon.nac["factor_eV_A"] == pytest.approx(14.4, abs=1e-3)
    assert phonon.findings == []


def test_without_charges_there_are_none(db, folder):
    phonon = imported(db, folder)
    assert (phonon.born, phonon.epsilon_static, phonon.nac) == (None, None, {})
    assert response_of(phonon) is None


@pytest.mark.parametrize("packed", [False, True])
def test_born_beside_the_file(db, folder, expected, packed):
    made = loaded_by_phonopy(folder / "phonopy_params.yaml", is_nac=False)
    text = "\n".join(salt_born(made.primitive))
    if packed:
        (folder / "BORN.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "BORN").write_text(text)
    phonon = imported(db, folder)
    check(db, phonon, expected)
    assert phonon.nac["source"] == "BORN.gz" if packed else "BORN"


def test_born_makes_another_record_of_the_same_file(db, folder, expected):
    without = imported(db, folder)
    made = loaded_by_phonopy(folder / "phonopy_params.yaml", is_nac=False)
    (folder / "BORN").write_text("\n".join(salt_born(made.primitive)))
    assert import_paths(db, [folder]).added["phonons"] == 1
    assert {p.id for p in db.phonons.find()} > {without.id}
    (other,) = [p for p in db.phonons.find() if p.id != without.id]
    check(db, other, expected)


def test_a_factor_and_settings_of_the_sum_in_borns_first_line(db, folder):
    made = loaded_by_phonopy(folder / "phonopy_params.yaml", is_nac=False, symmetrize_fc=False)
    lines = salt_born(made.primitive)
    (folder / "BORN").write_text("\n".join(["14.0 0.9 0.3", *lines[1:]]))
    theirs = loaded_by_phonopy(folder / "phonopy_params.yaml", symmetrize_fc=False)
    phonon = imported(db, folder)
    assert {k: v for k, v in phonon.nac.items() if k != "source"} == {
        "method": "gonze",
        "factor_eV_A": 14.0,
        "g_cutoff_per_A": 0.9,
        "ewald_per_A": 0.3,
    }
    check(db, phonon, [at(theirs, (0, 0, 0), way)[0] for way in WAYS])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "BORN beside it cannot be read"),
        ("14.4\n1 0 0 0 1 0 0 0\n", "line 2"),
        ("14.4\n" + "2.4 0 0 0 2.4 0 0 0 2.4\n", "not enough"),
        ("14.4\n" + "2.4 0 0 0 2.4 0 0 0 2.4\n" + 5 * "1 0 0 0 1 0 0 0 1\n", "Too many"),
        ("14.4\n" + "-2.4 0 0 0 2.4 0 0 0 2.4\n" + 2 * "1 0 0 0 1 0 0 0 1\n", "not positive"),
    ],
)
def test_a_born_that_cannot_be_read_is_named(db, folder, text, named):
    (folder / "BORN").write_text(text)
    ((_, reason),) = import_paths(db, [folder]).failed
    assert "BORN beside it cannot be read" in reason
    assert named in reason
    assert db.phonons.count() == 0


CHARGES = ("2.4 0 0 0 2.4 0 0 0 2.4", "1.1 0 0 0 1.1 0 0 0 1.1", "-1.1 0 0 0 -1.1 0 0 0 -1.1")


@pytest.mark.parametrize(
    ("first", "charge", "words"),
    [
        ("14.4", "1e5 0 0 0 1e5 0 0 0 1e5", "that no crystal has"),
        ("14.4", "1e300 0 0 0 1e300 0 0 0 1e300", "that no crystal has"),
        ("nan", None, "factor of the non-analytical term is nan"),
        ("0", None, "factor of the non-analytical term is 0"),
        ("-14.4", None, "factor of the non-analytical term is -14.4"),
        ("2.0", None, "another calculator's units"),
        ("14.4 1e6", None, "terms; phonopy's own choice has 300"),
        ("14.4 -1.0 0.3", None, "The cutoff of the sum"),
        ("14.4 1.0 0", None, "The width of the sum"),
    ],
)
def test_numbers_of_a_born_that_mean_nothing_are_refused(db, folder, first, charge, words):
    """Taken as they are they gave no splitting, an endless sum, or thousands of THz."""
    epsilon, sodium, chlorine = CHARGES
    lines = (first, epsilon, charge or sodium, chlorine)
    (folder / "BORN").write_text("\n".join(lines) + "\n")
    ((_, reason),) = import_paths(db, [folder]).failed
    assert words in reason
    assert "BORN" in reason
    assert ".." not in reason


def vasprun_with_charges(path, atoms, borns, epsilon):
    """What VASP writes with LEPSILON, as far as charges and cell are concerned."""

    def rows(values):
        return "".join(f"<v> {' '.join(f'{x:.8f}' for x in row)} </v>" for row in values)

    sets = "".join(f"<set>{rows(born)}</set>" for born in borns)
    symbols = "".join(f"<rc><c>{s} </c><c> 1</c></rc>" for s in atoms.get_chemical_symbols())
    structure = (
        f'<crystal><varray name="basis">{rows(atoms.cell.array)}</varray></crystal>'
        f'<varray name="positions">{rows(atoms.get_scaled_positions())}</varray>'
    )
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?><modeling>'
        '<incar><i type="logical" name="LEPSILON"> T  </i></incar>'
        f'<atominfo><array name="atoms"><set>{symbols}</set></array></atominfo>'
        f"<calculation><structure>{structure}</structure>"
        f'<varray name="epsilon">{rows(epsilon)}</varray>'
        f'<array name="born_charges"><dimension dim="1">ion</dimension>{sets}</array>'
        "</calculation></modeling>"
    )


def conventional_salt(folder):
    cell = loaded_by_phonopy(folder / "phonopy_params.yaml", is_nac=False).unitcell
    return Atoms(cell.symbols, cell.positions, cell=cell.cell, pbc=True)


def primitive_salt(folder):
    cell = loaded_by_phonopy(folder / "phonopy_params.yaml", is_nac=False).primitive
    return Atoms(cell.symbols, cell.positions, cell=cell.cell, pbc=True)


def turned(atoms):
    """Turned, shifted, the last atom first."""
    other = atoms[::-1]
    other.rotate(37, (1, 2, 3), rotate_cell=True)
    other.positions += [0.3, -0.2, 1.0]
    return other


@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("which", [conventional_salt, primitive_salt])
def test_a_vasprun_with_lepsilon(db, folder, expected, which, below):
    atoms = turned(which(folder))
    borns = [SALT[symbol] * np.eye(3) for symbol in atoms.get_chemical_symbols()]
    path = folder / ("born/vasprun.xml" if below else "vasprun.xml")
    path.parent.mkdir(exist_ok=True)
    vasprun_with_charges(path, atoms, borns, EPSILON * np.eye(3))
    phonon = imported(db, folder / "phonopy_params.yaml")
    check(db, phonon, expected)
    assert phonon.nac["source"] == "vasprun.xml"


def test_charges_of_another_crystal_are_passed_over(db, folder, expected):
    atoms = primitive_salt(folder)
    atoms.symbols[:] = ["Mg", "O"]
    vasprun_with_charges(folder / "a-vasprun.xml", atoms, 2 * [np.eye(3)], np.eye(3))
    assert imported(db, folder / "phonopy_params.yaml").born is None
    atoms = primitive_salt(folder)
    borns = [SALT[symbol] * np.eye(3) for symbol in atoms.get_chemical_symbols()]
    vasprun_with_charges(folder / "vasprun.xml", atoms, borns, EPSILON * np.eye(3))
    assert import_paths(db, [folder / "phonopy_params.yaml"]).added["phonons"] == 1
    (polar,) = [p for p in db.phonons.find() if p.born is not None]
    check(db, polar, expected)


def test_charges_that_are_not_whole_are_named(db, folder):
    atoms = primitive_salt(folder)
    vasprun_with_charges(folder / "vasprun.xml", atoms, [np.eye(3)], np.eye(3))
    ((_, reason),) = import_paths(db, [folder / "phonopy_params.yaml"]).failed
    assert "vasprun.xml has Born charges that cannot be read: charges of some atoms" in reason


PH_X = """
     Program PHONON v.7.2 starts on  1Jan2026 at 10: 0: 0

     bravais-lattice index     =            0
     lattice parameter (alat)  =      {alat:.4f}  a.u.
     number of atoms/cell      =            2

     crystal axes: (cart. coord. in units of alat)
{axes}
     Atoms inside the unit cell:

     Cartesian axes

     site n.  atom      mass           positions (alat units)
{sites}
     Dielectric constant in cartesian axis

          (       2.435339670      -0.000000000       0.000000000 )
          (       0.000000000       2.435339670       0.000000000 )
          (       0.000000000       0.000000000       2.435339670 )

     Effective charges (d Force / dE) in cartesian axis without acoustic sum rule applied (asr)

{charges}
     Effective charges (d Force / dE) in cartesian axis with asr applied:
"""


def test_an_output_of_ph_x(db, folder, expected):
    from ase.units import Bohr

    atoms = primitive_salt(folder)[::-1]
    alat = 5.6903 / Bohr
    axes = "".join(
        f"               a({i}) = ( {a[0]:9.6f} {a[1]:9.6f} {a[2]:9.6f} )\n"
        for i, a in enumerate(atoms.cell.array / alat / Bohr, 1)
    )
    sites = charges = ""
    for i, (symbol, place) in enumerate(
        zip(atoms.get_chemical_symbols(), atoms.positions / alat / Bohr, strict=True), 1
    ):
        x, y, z = place
        sites += (
            f"        {i}     {symbol}  22.9898   tau(    {i}) = ( {x:9.5f} {y:9.5f} {z:9.5f} )\n"
        )
        charge = SALT[symbol]
        charges += f"           atom      {i}   {symbol}  Mean Z*:  {charge:15.5f}\n"
        for k, name in enumerate("xyz"):
            row = "".join(f"{charge if j == k else 0:15.8f}" for j in range(3))
            charges += f"      E{name}  ({row} )\n"
    text = PH_X.format(alat=alat, axes=axes, sites=sites, charges=charges)
    (folder / "ph.out").write_text(text)
    phonon = imported(db, folder / "phonopy_params.yaml")
    check(db, phonon, expected)
    assert phonon.nac["source"] == "ph.out"
    (folder / "ph.out").write_text(text.replace("crystal axes", "axes").replace(" a(", " b("))
    ((_, reason),) = import_paths(db, [folder / "phonopy_params.yaml"]).failed
    assert "its cell is not printed" in reason


def test_a_layers_charges_are_kept_and_not_applied_and_that_is_said(db, data_folder, tmp_path):
    for name in ("phonopy_wse2_gpaw_3x3.yaml", "method.yaml"):
        shutil.copy(data_folder / name, tmp_path)
    made = loaded_by_phonopy(tmp_path / "phonopy_wse2_gpaw_3x3.yaml")
    borns = [{"W": -1.0, "Se": 0.5}[symbol] * np.eye(3) for symbol in made.primitive.symbols]
    lines = get_BORN_lines(made.primitive, np.array(borns), np.diag([4.0, 4.0, 1.5]))
    (tmp_path / "BORN").write_text("\n".join(lines))
    assert len(parse_BORN(made.primitive, filename=tmp_path / "BORN")["born"]) == 3
    phonon = imported(db, tmp_path)
    np.testing.assert_allclose(phonon.born[0], -np.eye(3), atol=1e-7)
    (finding,) = phonon.findings
    assert "kept and not applied" in finding
    assert crystal_of(db, phonon).applied_response is None
