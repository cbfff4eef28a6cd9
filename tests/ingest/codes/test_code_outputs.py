"""Outputs of codes that were run for real: labels, methods, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import re
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from forcebase.errors import InputError
from forcebase.ingest.codes.code_output import SPACING_RULE, Steps, output_batch
from forcebase.ingest.codes.espresso_output import read_pw_text
from forcebase.ingest.description import read_description
from forcebase.ingest.file_kinds import FileKind, kind_of
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import Source
from forcebase.physics.labelled_cell import LabelledCell
from forcebase.physics.stress_pairs import stress_pairs

CODES = Path(__file__).parents[2] / "data" / "codes"
ASE = Path(ase.__file__).parent / "test" / "testdata"
VASPRUN = ASE / "vasp" / "vasprun_pstress.xml"
needs_vasprun = pytest.mark.skipif(not VASPRUN.is_file(), reason="ASE brings it from 3.28 on")
ALL = ImportOptions(steps=Steps.ALL)


def batch_of(path: Path, options: ImportOptions = ALL):
    kind = kind_of(path)
    assert kind is not None
    parsed = parse(Source(path, path.name, kind), options)
    assert parsed.batch is not None, parsed.reason
    return parsed.batch


def reason_of(path: Path, options: ImportOptions = ALL) -> str:
    parsed = parse(Source(path, path.name, kind_of(path) or FileKind.EXTXYZ), options)
    assert parsed.batch is None
    return parsed.reason


def cells_of(batch) -> list[LabelledCell]:
    return [
        LabelledCell(s.numbers, s.cell, s.positions, c.energy, c.forces, c.stress)
        for s, c in zip(batch.structures, batch.calculations, strict=True)
        if c.stress is not None
    ]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("abinit/wse2.abo.gz", FileKind.ABINIT),
        ("cp2k/wse2.out.gz", FileKind.CP2K),
        ("cp2k_relaxation/wse2.out.xz", FileKind.CP2K),
        ("cp2k_relaxation/wse2-pos-1.xyz", None),
        ("cp2k/wse2.inp", None),
        ("gpaw/si.txt.gz", FileKind.GPAW_TEXT),
        ("gpaw/si.gpw", FileKind.GPW),
        ("quantum_espresso/si.pwo.gz", FileKind.PW_TEXT),
        ("quantum_espresso/data-file-schema.xml.bz2", FileKind.PW_XML),
        ("quantum_espresso/si.pwi", None),
    ],
)
def test_kinds_are_told_by_content_whatever_the_name(tmp_path, file, kind):
    other = tmp_path / "nameless"
    shutil.copy(CODES / file, other)
    assert kind_of(other) is kind


def test_quantum_espresso_text_and_xml_of_one_run_agree():
    text = batch_of(CODES / "quantum_espresso" / "si.pwo.gz")
    xml = batch_of(CODES / "quantum_espresso" / "data-file-schema.xml.bz2")
    assert len(text.calculations) == len(xml.calculations) == 4
    for one, other in zip(text.calculations, xml.calculations, strict=True):
        assert one.energy == pytest.approx(other.energy, abs=1e-4)  # ASE's Ry is of 2006
        np.testing.assert_allclose(one.forces, other.forces, atol=1e-3)
    np.testing.assert_allclose(text.calculations[-1].stress, xml.calculations[-1].stress, atol=1e-5)
    said, stored = text.methods[0], xml.methods[0]
    assert (said.code, said.functional) == ("quantum espresso", "PBE")
    assert stored.id == said.id, "one method, whatever file of the run tells it"
    assert {c.code_version for c in (*text.calculations, *xml.calculations)} == {"6.7MaX"}
    assert said.basis["cutoff_eV"] == pytest.approx(16 * 13.605693, abs=1e-4)
    assert said.smearing["type"] == "Marzari-Vanderbilt"
    silicon = text.calculations[0].potentials["Si"]
    assert silicon["hash"] == "78279d3766ecb5dbdc0623f3e93c9a23"
    assert silicon["name"] == xml.calculations[0].potentials["Si"]["name"]
    assert list(text.calculations[0].k_mesh) == [3, 3, 3]


def test_forces_of_quantum_espresso_are_the_slope_of_its_energies():
    batch = batch_of(CODES / "quantum_espresso" / "data-file-schema.xml.bz2")
    first, second = batch.calculations[:2]
    moved = batch.structures[1].positions - batch.structures[0].positions
    work = ((first.forces + second.forces) / 2 * moved).sum()
    assert second.energy - first.energy == pytest.approx(-work, rel=0.05)


def test_stresses_of_cp2k_are_the_slope_of_its_energies():
    cells = []
    for name in ("cp2k_strained_0.98", "cp2k", "cp2k_strained_1.02"):
        cells += cells_of(batch_of(CODES / name / "wse2.out.gz"))
    left, work = np.array([(p.left, p.work) for p in stress_pairs(cells)]).T
    assert float(left @ work / (work @ work)) == pytest.approx(1.0, abs=0.15)
    assert cells[0].stress[0] < 0 < cells[-1].stress[0]  # compressed, and stretched


def test_a_relaxation_of_cp2k_takes_positions_and_forces_from_beside(tmp_path):
    folder = CODES / "cp2k_relaxation"
    batch = batch_of(folder / "wse2.out.xz")
    assert [c.energy for c in batch.calculations] == pytest.approx([-2372.27679, -2372.33830])
    assert len({s.family for s in batch.structures}) == 1
    assert batch.structures[1].cell[0, 0] == pytest.approx(3.3109, abs=1e-9)
    assert batch.calculations[0].potentials == {
        "W": {"name": "GTH-PBE-q14", "basis": "DZVP-MOLOPT-SR-GTH"},
        "Se": {"name": "GTH-PBE-q6", "basis": "DZVP-MOLOPT-SR-GTH"},
    }
    assert batch.calculations[0].k_shift == [0.5, 0.5, 0.0]
    shutil.copy(folder / "wse2.out.xz", tmp_path)
    assert "three decimals" in reason_of(tmp_path / "wse2.out.xz")
    shutil.copy(folder / "wse2.inp", tmp_path)
    assert "PROJECT-frc-1.xyz" in reason_of(tmp_path / "wse2.out.xz")


@pytest.mark.parametrize(
    ("loops", "expected"),
    [
        ("*** SCF run NOT converged ***\n outer SCF loop converged in 2 iterations", True),
        ("*** SCF run NOT converged ***\n outer SCF loop FAILED to converge after 2", False),
        ("*** SCF run converged in 9 steps ***\n  *** SCF run NOT converged ***", False),
    ],
)
def test_the_last_loop_before_an_energy_of_cp2k_says_whether_it_converged(
    tmp_path, loops, expected
):
    for file in (CODES / "cp2k").iterdir():
        shutil.copy(file, tmp_path)
    text = gzip.decompress((tmp_path / "wse2.out.gz").read_bytes()).decode()
    line = "*** SCF run converged in    14 steps ***"
    assert line in text
    (tmp_path / "wse2.out.gz").write_bytes(gzip.compress(text.replace(line, loops).encode()))
    assert batch_of(tmp_path / "wse2.out.gz").calculations[0].converged is expected


def test_forces_that_cp2k_holds_at_zero_are_no_labels(tmp_path):
    """CP2K prints zeros for fixed atoms; pw.x, ABINIT, VASP and GPAW print their forces."""
    for file in (CODES / "cp2k").iterdir():
        shutil.copy(file, tmp_path)
    with (tmp_path / "wse2.inp").open("a") as text:
        text.write(
            "&MOTION\n &CONSTRAINT\n  &FIXED_ATOMS\n   LIST 1 2\n  &END FIXED_ATOMS\n"
            " &END CONSTRAINT\n&END MOTION\n"
        )
    assert "has constraints" in reason_of(tmp_path / "wse2.out.gz")


def test_an_input_of_another_cell_beside_cp2k_is_noticed(tmp_path):
    shutil.copy(CODES / "cp2k" / "wse2.out.gz", tmp_path)
    shutil.copy(CODES / "cp2k_strained_0.98" / "wse2.inp", tmp_path)
    assert "not the one of the input" in reason_of(tmp_path / "wse2.out.gz")


def test_abinit_wse2():
    batch = batch_of(CODES / "abinit" / "wse2.abo.gz")
    (calculation,), (method,) = batch.calculations, batch.methods
    assert calculation.energy == pytest.approx(-728.58835, abs=1e-4)
    assert calculation.stress[:3] == pytest.approx([0.01865, 0.01405, 0.02721], abs=1e-5)
    assert (method.code, calculation.code_version) == ("abinit", "9.6.2")
    assert method.functional == "LDA (Teter)"
    assert calculation.potentials == {"W": {"name": "74w.6.hgh"}, "Se": {"name": "34se.6.hgh"}}
    assert list(calculation.k_mesh) == [3, 3, 1]


def test_gpaw_text_and_restart_file_agree_on_the_last_step():
    text = batch_of(CODES / "gpaw" / "si.txt.gz")
    stored = batch_of(CODES / "gpaw" / "si.gpw")
    assert len(text.calculations) == 3
    one, other = text.calculations[-1], stored.calculations[-1]
    assert one.energy == pytest.approx(other.energy, abs=1e-6)
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-5)
    np.testing.assert_allclose(one.stress, other.stress, atol=1e-6)
    assert one.potentials["Si"]["name"] == other.potentials["Si"]["name"] == "Si.PBE"
    assert text.methods[0].id == stored.methods[0].id


def test_gpaw_texts_say_what_the_labelled_cells_of_the_same_runs_say(tmp_path, data_folder):
    with tarfile.open(data_folder / "gpaw_logs.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    frames = {a.info["dft_index"]: a for a in read(data_folder / "wse2_gpaw_pbe.extxyz", ":")}
    options, folder = ImportOptions(k_spacing=0.38), data_folder / "method.yaml"
    logs = sorted((tmp_path / "gpaw_logs").glob("*.txt"))[:6]
    for log in logs:
        batch = batch_of(log, options)
        atoms, calculation = frames[int(log.stem)], batch.calculations[-1]
        assert calculation.energy == pytest.approx(atoms.info["REF_energy"], abs=1e-5)
        np.testing.assert_allclose(calculation.forces, atoms.arrays["REF_forces"], atol=1e-4)
        assert calculation.k_rule == {"rule": SPACING_RULE, "spacing_per_A": 0.38}
        assert batch.methods[0].id == read_description(folder, "x", listed=False).method.id


def test_a_mesh_that_the_spacing_does_not_give_is_refused():
    reason = reason_of(CODES / "gpaw" / "si.txt.gz", ImportOptions(k_spacing=0.2))
    assert "3x3x3" in reason
    assert "spacing of 0.2" in reason


def test_the_last_step_is_taken_unless_all_are_asked_for():
    last = batch_of(CODES / "gpaw" / "si.txt.gz", ImportOptions())
    every = batch_of(CODES / "gpaw" / "si.txt.gz")
    assert [c.id for c in last.calculations] == [every.calculations[-1].id]
    assert last.structures[0].family == every.structures[0].family
    assert last.structures[0].recipe["parameters"] == {"step": 2}


def test_a_step_that_did_not_converge_is_marked(tmp_path):
    text = gzip.decompress((CODES / "quantum_espresso" / "si.pwo.gz").read_bytes()).decode()
    cut = tmp_path / "si.pwo"
    cut.write_text(text.replace("convergence has been achieved", "convergence NOT achieved", 1))
    assert not any(c.converged for c in batch_of(cut).calculations)


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.6])
@pytest.mark.parametrize(
    "file",
    ["abinit/wse2.abo.gz", "cp2k/wse2.out.gz", "gpaw/si.txt.gz", "quantum_espresso/si.pwo.gz"],
)
def test_files_cut_off_give_a_reason_or_whole_steps(tmp_path, file, keep):
    text = gzip.decompress((CODES / file).read_bytes())
    cut = tmp_path / "cut"
    cut.write_bytes(text[: int(len(text) * keep)])
    kind = kind_of(cut)
    if kind is None:
        return  # nothing tells what it was
    parsed = parse(Source(cut, cut.name, kind), ALL)
    whole = {c.energy for c in batch_of(CODES / file).calculations}
    if parsed.batch is None:
        assert parsed.reason
    else:
        assert {c.energy for c in parsed.batch.calculations} <= whole


@needs_vasprun
def test_vasprun_of_ase(tmp_path):
    batch = batch_of(VASPRUN)
    (calculation,), (method,) = batch.calculations, batch.methods
    assert calculation.code_version == "6.3.0"
    assert calculation.potentials == {"C": {"name": "PAW C 22Mar2012"}}
    assert method.pseudopotentials == {"type": "PAW", "library": "PAW"}
    assert method.basis == {"type": "plane waves", "cutoff_eV": 400.0}
    # 165.9956 kbar of tension, in VASP's sign
    assert calculation.stress[:3] == pytest.approx([0.103606] * 3, abs=1e-5)
    assert calculation.converged
    packed = tmp_path / "x.bz2"
    packed.write_bytes(bz2.compress(VASPRUN.read_bytes()))
    assert batch_of(packed).calculations[0].id == calculation.id


POTCAR = """ PAW C 22Mar2012
 4.00000000000000
 parameters from PSCTR are:
   VRHFIN =C: s2p2
   LEXCH  = CA
   EATOM  =   147.1560 eV,   10.8157 Ry
   TITEL  = PAW C 22Mar2012
   LULTRA =        F    use ultrasoft PP ?
   POMASS =   12.011; ZVAL   =    4.000    mass and valenz
   ENMAX  =  413.992; ENMIN  =  310.494 eV
END of PSCTR-controll parameters
 local part
 {value}
 End of Dataset
"""


@needs_vasprun
def test_a_vasprun_has_the_hashes_of_the_potcar_beside_it(tmp_path):
    """Two files of one title are two pseudopotentials; one of another title is not the run's."""
    text = VASPRUN.read_bytes()

    def pseudopotentials(folder, potcar):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "POTCAR").write_text(potcar)
        packed = tmp_path / folder / "vasprun.xml.gz"
        packed.write_bytes(gzip.compress(text))
        return batch_of(packed).calculations[0].potentials["C"]

    one, other = (pseudopotentials(str(x), POTCAR.format(value=x)) for x in (0.5, 0.6))
    assert one["name"] == other["name"] == "PAW C 22Mar2012"
    assert one["hash"] != other["hash"]
    foreign = pseudopotentials("foreign", POTCAR.format(value=1).replace("PAW C", "PAW N"))
    assert "hash" not in foreign


@needs_vasprun
def test_a_vasprun_that_ran_out_of_electronic_steps_is_marked(tmp_path):
    text = VASPRUN.read_text()
    assert '<i type="int" name="NELM">    60</i>' in text
    path = tmp_path / "vasprun.xml"
    path.write_text(text.replace('name="NELM">    60</i>', 'name="NELM">     9</i>'))
    assert not batch_of(path).calculations[0].converged


@needs_vasprun
def test_steps_of_a_linear_response_do_not_make_a_run_unconverged(tmp_path):
    text = (VASPRUN.parent / "vasprun_dfpt.xml").read_text()
    assert text.count("<scstep>") == 80
    path = tmp_path / "vasprun.xml"
    for limit, converged in ((60, True), (13, False)):
        path.write_text(re.sub(r'(name="NELM"> +)100<', rf"\g<1>{limit}<", text))
        assert batch_of(path).calculations[0].converged is converged


def test_outcar_of_ase():
    batch = batch_of(ASE / "vasp" / "OUTCAR_example_1")
    (calculation,), (method,) = batch.calculations, batch.methods
    assert calculation.energy == pytest.approx(-68.23102426)
    assert (method.functional, method.spin) == ("PBE", "collinear")
    assert calculation.code_version == "5.3.3"
    assert calculation.potentials == {"Ni": {"name": "PAW_PBE Ni 02Aug2007"}}
    assert calculation.charge == 0.0
    assert calculation.magnetic == {}  # it prints neither moments nor its INCAR


def test_aims_without_its_first_part_is_refused_as_it_does_not_say_its_method():
    assert "control.in" in reason_of(ASE / "aims" / "relax.out")


def test_aims_with_its_input_repeated(tmp_path):
    """The labels are of a real run; its heading, which ASE's copy leaves out, is written here."""
    heading = (
        "          Invoking FHI-aims ...\n          FHI-aims version      : 221103\n"
        "  Parsing control.in\n  xc                 pbe\n  relativistic       atomic_zora scalar\n"
        "  k_grid             5 5 5\n  species        Si\n"
    )
    path = tmp_path / "aims.out"
    path.write_text(heading + (ASE / "aims" / "relax.out").read_text())
    batch = batch_of(path)
    assert len(batch.calculations) == 8
    assert batch.methods[0].functional == "pbe"
    assert batch.methods[0].smearing["energy"] == "free energy"
    assert list(batch.calculations[0].k_mesh) == [5, 5, 5]


def test_a_folder_of_all_codes_becomes_records_once(db):
    report = import_paths(db, [CODES], options=ALL)
    assert report.failed == []
    assert report.files == 12
    assert {m.code for m in db.methods.find()} == {"abinit", "cp2k", "gpaw", "quantum espresso"}
    again = import_paths(db, [CODES], options=ALL)
    assert (again.files, len(again.unchanged), again.added) == (0, 12, {})


def test_outcar_is_left_where_vasprun_lies_beside_it(db, tmp_path):
    shutil.copy(ASE / "vasp" / "OUTCAR_example_1", tmp_path / "OUTCAR")
    shutil.copy(ASE / "vasp" / "vasprun_dfpt.xml", tmp_path / "vasprun.xml")
    assert import_paths(db, [tmp_path]).files == 1
    assert import_paths(db, [tmp_path / "OUTCAR"]).files == 1


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("quantum_espresso/si.pwo.gz", "Exchange-correlation=", "Hubbard\n Exchange-correlation="),
        ("abinit/wse2.abo.gz", " znucl ", " usepawu           1\n            znucl "),
        ("gpaw/si.txt.gz", "Input parameters:", "Input parameters:\n  setups={'Si': ':p,x'},"),
        (
            "gpaw/si.txt.gz",
            "Input parameters:",
            "Input parameters:\n  setups={0: ':p,4.0', 'Si': 'paw'},",
        ),
    ],
)
def test_hubbard_terms_are_refused_where_they_are_not_told(tmp_path, file, old, new):
    text = gzip.decompress((CODES / file).read_bytes()).decode()
    assert old in text
    (tmp_path / "output").write_text(text.replace(old, new, 1))
    assert "Hubbard" in reason_of(tmp_path / "output")


def test_unlike_k_points_of_pw_without_its_input_are_unlike_calculations(tmp_path):
    whole = gzip.decompress((CODES / "quantum_espresso" / "si.pwo.gz").read_bytes()).decode()
    batches = []
    for name, text in (
        ("mesh", whole),
        ("other", whole.replace("0.2357023", "0.2357024", 1).replace("0.4714045", "0.5", 1)),
    ):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "si.pwo"
        file.write_text(text)
        batches.append(batch_of(file))
    assert batches[0].methods[0].id == batches[1].methods[0].id
    assert batches[0].methods[0].settings == {"input": "not recorded"}
    one, other = (batch.calculations[0].k_rule for batch in batches)
    assert one["rule"] == other["rule"] == "points named one by one"
    assert one["points"] != other["points"]
    output = read_pw_text(file)
    with pytest.raises(InputError, match="does not tell its k-points"):
        output_batch(replace(output, k_points=()), Steps.LAST)


@pytest.mark.parametrize(
    ("file", "rows"),
    [
        ("gpaw/si.txt.gz", 11),
        ("cp2k/wse2.out.gz", 4),
        ("abinit/wse2.abo.gz", 1),
        ("quantum_espresso/data-file-schema.xml.bz2", 14),
    ],
)
def test_k_points_are_read_where_there_is_no_mesh(file, rows, monkeypatch):
    """Of runs with a mesh, read as if there were none."""
    outputs = []
    monkeypatch.setattr(
        "forcebase.ingest.parsing.output_batch", lambda output, *_: outputs.append(output)
    )
    path = CODES / file
    parse(Source(path, path.name, kind_of(path)), ALL)
    assert len(outputs[0].k_points) == rows


def test_gpaw_restart_files_tell_basis_grid_spin_and_points(tmp_path):
    from gpaw import GPAW

    batches = {}
    for name, more in {
        "sz": {"basis": "sz(dzp)", "h": 0.3},
        "finer": {"basis": "sz(dzp)", "h": 0.25},
        "dzp": {"basis": "dzp", "h": 0.3},
        "dense": {"basis": "sz(dzp)", "h": 0.3, "kpts": {"density": 1.0, "gamma": True}},
    }.items():
        atoms = bulk("Li", "bcc", a=3.5)
        common = {
            "mode": "lcao",
            "kpts": {"size": (2, 2, 2), "gamma": True},
            "occupations": {"name": "fermi-dirac", "width": 0.1},
            "txt": str(tmp_path / f"{name}.txt"),
        }
        atoms.calc = GPAW(**{**common, **more})
        atoms.get_forces()
        atoms.calc.write(tmp_path / f"{name}.gpw")
        batches[name] = batch_of(tmp_path / f"{name}.gpw")
    methods = {name: batch.methods[0] for name, batch in batches.items()}
    assert len({methods[name].id for name in ("sz", "finer", "dzp")}) == 3
    assert methods["dense"].id == methods["sz"].id, "meshes are the calculations'"
    assert methods["sz"].basis == {
        "type": "lcao",
        "grid": {"spacing_A": 0.3},
        "orbitals": "sz(dzp)",
    }
    assert list(batches["dense"].calculations[0].k_mesh) == []
    assert batches["dense"].calculations[0].k_rule["points"]
    text = batch_of(tmp_path / "dzp.txt").methods[0]
    assert text.basis == methods["dzp"].basis
    assert text.smearing["type"] == methods["dzp"].smearing["type"]


def test_smearings_and_held_moments_of_metals_by_gpaw():
    """The line of a moment that is held stood for the smearing, and an order was lost."""
    folder = CODES / "gpaw_metal"
    paxton, held = (batch_of(folder / f"al_{name}.txt.gz") for name in ("mp1", "fix"))
    assert paxton.methods[0].smearing == {"type": "Methfessel-Paxton 1", "width_eV": 0.1}
    assert held.methods[0].smearing == {"type": "Fermi-Dirac", "width_eV": 0.1}
    magnetic = held.calculations[0].magnetic
    assert (magnetic["constrained_total"], magnetic["total"]) == (1.0, 1.0)
    (calculation,) = paxton.calculations
    assert calculation.free_energy != calculation.energy
    assert calculation.energy_kind == "extrapolated"
