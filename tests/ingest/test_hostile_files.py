"""Files that would run code, read elsewhere, or fill the machine: refused by name, one line each."""

import shutil
import tarfile

import pytest

from forcebase.ingest.importing import import_paths

PHONON = "phonopy_wse2_gpaw_3x3.yaml"


@pytest.fixture
def phonon(data_folder, tmp_path):
    """The phonopy file in a folder of its own, with its method."""
    folder = tmp_path / "phonon"
    folder.mkdir()
    for name in (PHONON, "method.yaml", "wse2_gpaw_unitcell.extxyz"):
        shutil.copy(data_folder / name, folder)
    return folder / PHONON


def assert_nothing_came(db, report):
    assert report.added == {}
    assert not db.phonons.count()


@pytest.mark.parametrize("in_tar", [False, True], ids=["file", "tar"])
@pytest.mark.parametrize("place", ["alone", "unused key", "inside a number"])
def test_a_phonopy_file_with_a_tag_runs_nothing(db, phonon, tmp_path, place, in_tar):
    mark = tmp_path / "ran"
    tag = f"!!python/object/apply:os.system ['touch {mark}']"
    text = phonon.read_text()
    phonon.write_text(
        {
            "alone": f"phonopy: {tag}\n",
            "unused key": f"{text}\nnotes: {tag}\n",
            "inside a number": text.replace("supercell_matrix:", f"supercell_matrix: {tag}\nx:"),
        }[place]
    )
    target = phonon
    if in_tar:
        target = tmp_path / "runs.tar.gz"
        with tarfile.open(target, "w:gz") as archive:
            archive.add(phonon, "runs/phonopy.yaml")
            archive.add(phonon.parent / "method.yaml", "runs/method.yaml")
    report = import_paths(db, [target])
    assert not mark.exists()
    ((name, reason),) = report.failed
    assert name.endswith(".yaml")
    assert "tag" in reason
    assert_nothing_came(db, report)
