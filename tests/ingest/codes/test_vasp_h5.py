"""vaspout.h5 and steps that VASP's own force field predicted."""

from __future__ import annotations

import gzip

import h5py
import numpy as np
import pytest
from vasp_files import case_text, learning_run, potcar, write_vaspout

from forcebase.ingest.codes.code_output import Steps
from forcebase.ingest.file_kinds import FileKind, kind_of
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import Source

INCAR = {"ENCUT": 400.0, "ISMEAR": 0, "SIGMA": 0.05, "PREC": "Accurate", "GGA": "PE", "EDIFF": 1e-6}
ALL = ImportOptions(steps=Steps.ALL)


def parsed(path):
    kind = kind_of(path)
    assert kind is not None
    return parse(Source(path, path.name, kind), ALL)


@pytest.fixture
def run(tmp_path):
    """A vasprun.xml with the POTCAR beside it."""
    (tmp_path / "vasprun.xml").write_text(case_text())
    (tmp_path / "POTCAR").write_text(potcar())
    return tmp_path / "vasprun.xml"


def made(run, name="vaspout.h5", incar=INCAR, **options):
    path = run.parent / name
    write_vaspout(path, run, incar, **options)
    return path


def test_it_says_what_the_vasprun_of_the_run_says(run):
    xml, h5 = parsed(run).batch, parsed(made(run)).batch
    (one,), (other,) = xml.calculations, h5.calculations
    assert one.id == other.id, "structure, method and labels"
    assert [m.id for m in xml.methods] == [m.id for m in h5.methods]
    assert other.energy_kind == one.energy_kind == "extrapolated"
    assert other.free_energy == pytest.approx(one.free_energy)
    assert (other.converged, other.charge, other.potentials) == (True, 0.0, one.potentials)
    assert list(other.k_mesh) == list(one.k_mesh) == [6, 6, 6]
    np.testing.assert_array_equal(other.stress, one.stress)


def test_it_is_told_by_its_content_and_may_be_compressed(run):
    path = made(run, "anything")
    assert kind_of(path) is FileKind.VASPOUT
    packed = run.parent / "vaspout.h5.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert parsed(packed).batch.calculations[0].id == parsed(path).batch.calculations[0].id
    with h5py.File(run.parent / "vaspwave.h5", "w") as file:
        file["wave/rispin"] = 1
    assert kind_of(run.parent / "vaspwave.h5") is None


def test_of_molecular_dynamics_it_has_the_free_energy(run):
    (found,) = parsed(made(run, dynamics=True)).batch.calculations
    (direct,) = parsed(run).batch.calculations
    assert (found.energy, found.energy_kind) == (direct.free_energy, "free")


def test_logicals_are_written_as_numbers(run):
    found = parsed(made(run, incar={**INCAR, "LASPH": True, "LWAVE": False})).batch
    assert found.methods[0].settings["lasph"] is True
    assert found.methods[0].id != parsed(run).batch.methods[0].id


def test_electronic_steps_tell_what_did_not_converge(run):
    found = parsed(made(run, incar={**INCAR, "NELM": 10})).batch
    assert found.calculations[0].converged is False


def outside(path):
    with h5py.File(path, "a") as file:
        del file["intermediate/ion_dynamics/forces"]
        file["intermediate/ion_dynamics/forces"] = h5py.ExternalLink("/etc/passwd", "/forces")


def virtual(path):
    """Forces that HDF5 puts together of another file's bytes."""
    other = path.with_name("other.h5")
    with h5py.File(path, "a") as file:
        forces = file["intermediate/ion_dynamics/forces"][()]
        del file["intermediate/ion_dynamics/forces"]
        with h5py.File(other, "w") as source:
            source["forces"] = forces
        layout = h5py.VirtualLayout(forces.shape, float)
        layout[...] = h5py.VirtualSource(str(other), "forces", forces.shape)
        file.create_virtual_dataset("intermediate/ion_dynamics/forces", layout)


def tags_without_end(path):
    with h5py.File(path, "a") as file:
        del file["intermediate/ion_dynamics/energies_tags"]
        group = file["intermediate/ion_dynamics"]
        group.create_dataset("energies_tags", (1 << 40,), "S23", chunks=(1 << 20,))


def no_group(path):
    with h5py.File(path, "a") as file:
        del file["intermediate/ion_dynamics"]
        file["intermediate/ion_dynamics"] = [1.0, 2.0]


def flat(path):
    with h5py.File(path, "a") as file:
        found = file["intermediate/ion_dynamics/forces"][()]
        del file["intermediate/ion_dynamics/forces"]
        file["intermediate/ion_dynamics/forces"] = found.ravel()


def without_forces(path):
    with h5py.File(path, "a") as file:
        del file["intermediate/ion_dynamics/forces"]


def without_potcar(path):
    with h5py.File(path, "a") as file:
        del file["input/potcar"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-3000])


def learning(path):
    with h5py.File(path, "a") as file:
        file["input/incar/ML_LMLFF"] = 1


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (outside, "in another file"),
        (virtual, "in another file"),
        (tags_without_end, "the limit is"),
        (no_group, "it has no"),
        (flat, "Forces of shape () for 2 atoms"),
        (without_forces, "it has no forces"),
        (without_potcar, "does not say its POTCAR"),
        (cut, "no whole HDF5 file"),
        (learning, "not told apart"),
    ],
)
def test_one_that_cannot_be_used_is_refused_in_a_sentence(run, harm, word):
    path = made(run)
    harm(path)
    reason = parsed(path).reason
    assert word in reason
    assert "Error" not in reason


def test_beside_a_vasprun_it_is_left(db, run):
    made(run)
    report = import_paths(db, [run.parent])
    assert (report.files, report.left, report.failed) == (1, 2, [])


def test_predicted_steps_are_told_apart(tmp_path):
    plain, learns = tmp_path / "plain.xml", tmp_path / "learning.xml"
    plain.write_text(case_text())
    learns.write_text(learning_run(computed=2, predicted=7))
    found = parsed(learns).batch
    assert len(found.calculations) == 2
    assert {c.energy for c in found.calculations} == {-10.81}
    assert found.notes == [
        "7 steps that VASP's own force field predicted are left out; 2 of DFT are labels."
    ]
    assert found.methods[0].id == parsed(plain).batch.methods[0].id, "DFT is the same DFT"


def test_a_run_of_predictions_alone_holds_no_labels(tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(learning_run(computed=0, predicted=5))
    reason = parsed(path).reason
    assert "its 5 steps are predictions of VASP's own force field" in reason
    assert "ML_AB" in reason


@pytest.mark.parametrize("at", ["</scstep>", '<varray name="forces"', "</atominfo>", "<incar>"])
def test_a_run_that_was_cut_off_before_its_first_step_ended_says_so(tmp_path, at):
    path = tmp_path / "vasprun.xml"
    path.write_text(case_text().partition(at)[0])
    reason = parsed(path).reason
    assert "cut off" in reason
    assert "Error" not in reason
