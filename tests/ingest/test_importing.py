"""The real data and bad files, through `import_paths`: all of a file, or nothing and one line."""

import shutil
import uuid

import pytest
import yaml
from ase.io import read, write

from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.ingest.importing import import_paths
from forcebase.settings import Settings

FILES = (
    "wse2_gpaw_pbe.extxyz",
    "wse2_gpaw_unitcell.extxyz",
    "wse2_gpaw_3x3_displacements.extxyz",
    "phonopy_wse2_gpaw_3x3.yaml",
)


def counts(db):
    return {
        name: db.raw[name].count_documents({}) for name in sorted(db.raw.list_collection_names())
    }


def n_records(db):
    return {name: c.count() for name, c in db.record_collections.items() if c.count()}


@pytest.fixture
def copied(data_folder, tmp_path):
    """A folder of its own with the unit cell and the method."""
    for name in ("wse2_gpaw_unitcell.extxyz", "method.yaml"):
        shutil.copy(data_folder / name, tmp_path)
    return tmp_path


def test_the_real_data_becomes_records_once(db, data_folder):
    paths = [data_folder / name for name in FILES]
    report = import_paths(db, paths)
    assert (report.failed, report.files) == ([], 4)
    found = n_records(db)
    assert {k: found[k] for k in ("calculations", "methods", "phonons")} == {
        "calculations": 72,
        "methods": 1,
        "phonons": 1,
    }
    assert report.added == found
    _check_logs(db)
    _check_families(db)
    meshes = {(c.kind, tuple(c.k_mesh)) for c in db.calculations.find()}
    assert {m for k, m in meshes if k.endswith("1x1")} == {(6, 6, 1)}
    assert {m for k, m in meshes if k.endswith("2x2")} == {(3, 3, 1)}
    assert {m for k, m in meshes if k.endswith("3x3")} == {(2, 2, 1)}

    before = counts(db)
    again = import_paths(db, paths)
    assert (again.files, len(again.unchanged), again.added) == (0, 4, {})
    assert counts(db) == before
    folder = import_paths(db, [data_folder])  # where the archive of logs is not a file of its own
    assert (folder.failed, len(folder.unchanged), folder.added) == ([], 4, {})
    assert counts(db) == before


def _check_logs(db):
    labelled = [c for c in db.calculations.find() if c.log]
    assert len(labelled) == 68
    text = db.blobs.get(labelled[0].log).decode()
    assert "gpaw" in text.lower()
    assert f"{labelled[0].energy:.4f}"[:8] in text


def _check_families(db):
    """One family per draw, and all that the phonon was made of in the unit cell's."""
    unit_cell = db.structures.get(db.calculations.find(tag="wse2-unit-cell")[0].structure)
    phonon = db.phonons.one()
    assert db.structures.get(phonon.structure).family == unit_cell.family
    displaced = db.structures.find(kind="phonon-displacement-3x3")
    assert len(displaced) == 3
    assert {s.family for s in displaced} == {unit_cell.family} == {unit_cell.id}
    drawn = [s for s in db.structures.find() if s.recipe.get("seed") is not None]
    assert len(drawn) == 68
    families = {}
    for structure in drawn:
        families.setdefault(structure.family, set()).add(structure.recipe["seed"])
    assert all(len(seeds) == 1 for seeds in families.values())
    assert len(families) == len({s.recipe["seed"] for s in drawn})
    assert unit_cell.family not in families


def test_another_method_gives_new_calculations_only(db, copied):
    import_paths(db, [copied])
    before = n_records(db)
    description = yaml.safe_load((copied / "method.yaml").read_text())
    description["method"]["functional"] = "PBEsol"
    (copied / "method.yaml").write_text(yaml.safe_dump(description))
    assert import_paths(db, [copied]).added == {"methods": 1, "calculations": 1}
    assert n_records(db) == {**before, "methods": 2, "calculations": 2}
    energies = [c.energy for c in db.calculations.find()]
    assert energies[0] == energies[1]


def test_a_file_named_twice_and_its_folder_is_read_once(db, copied):
    path = copied / "wse2_gpaw_unitcell.extxyz"
    report = import_paths(db, [path, copied, path.parent / "." / path.name])
    assert (report.files, report.added["calculations"]) == (1, 1)


def test_the_same_bytes_elsewhere_add_nothing_but_the_activity(db, copied):
    import_paths(db, [copied])
    shutil.copy(copied / "wse2_gpaw_unitcell.extxyz", copied / "copy.extxyz")
    description = yaml.safe_load((copied / "method.yaml").read_text())
    description["files"]["copy.extxyz"] = description["files"]["wse2_gpaw_unitcell.extxyz"]
    (copied / "method.yaml").write_text(yaml.safe_dump(description))
    before = n_records(db)
    assert import_paths(db, [copied]).added == {}
    assert n_records(db) == before


def cell(folder):
    return read(folder / "wse2_gpaw_unitcell.extxyz")


def without_forces(folder):
    atoms = cell(folder)
    del atoms.calc.results["forces"]
    write(folder / "wse2_gpaw_unitcell.extxyz", atoms)


def wrong_shape(folder):
    path = folder / "wse2_gpaw_unitcell.extxyz"
    lines = path.read_text().replace("forces:R:3:", "forces:R:2:x:R:1:").splitlines()
    path.write_text("\n".join(lines) + "\n")


def nan_energy(folder):
    path = folder / "wse2_gpaw_unitcell.extxyz"
    text = path.read_text()
    energy = text.split(" energy=")[1].split()[0]
    path.write_text(text.replace(f" energy={energy}", " energy=nan"))


def nan_force(folder):
    path = folder / "wse2_gpaw_unitcell.extxyz"
    path.write_text(path.read_text().replace(" 0.00006192", "        nan"))


def text_energy(folder):
    path = folder / "wse2_gpaw_unitcell.extxyz"
    text = path.read_text()
    energy = text.split(" energy=")[1].split()[0]
    path.write_text(text.replace(f" energy={energy}", " energy=converged"))


def garbage(folder):
    (folder / "wse2_gpaw_unitcell.extxyz").write_bytes(bytes(range(256)) * 40)


def empty(folder):
    (folder / "wse2_gpaw_unitcell.extxyz").write_bytes(b"")


def truncated(folder):
    path = folder / "wse2_gpaw_unitcell.extxyz"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))


def second_frame_bad(folder):
    good, bad = cell(folder), cell(folder)
    bad.rattle(0.05)
    bad.calc.results.pop("energy", None)
    bad.calc.results.pop("free_energy", None)
    write(folder / "wse2_gpaw_unitcell.extxyz", [good, bad])


def no_cell(folder):
    atoms = cell(folder)
    atoms.cell[:] = 0
    atoms.pbc = False
    write(folder / "wse2_gpaw_unitcell.extxyz", atoms)


def no_method(folder):
    (folder / "method.yaml").unlink()


def empty_method(folder):
    (folder / "method.yaml").write_text("")


def half_method(folder):
    description = yaml.safe_load((folder / "method.yaml").read_text())
    del description["method"]["functional"]
    (folder / "method.yaml").write_text(yaml.safe_dump(description))


def of_method(folder, **changes):
    description = yaml.safe_load((folder / "method.yaml").read_text())
    description["method"] |= changes
    (folder / "method.yaml").write_text(yaml.safe_dump(description))


def no_table(folder):
    of_method(folder, smearing=0.1)


def no_mesh(folder):
    of_method(folder, k_points="3x3x3")


def no_truth(folder):
    of_method(folder, spin_orbit="unknown")


def misspelt_rule(folder):
    of_method(folder, spins="none")


def misspelt_label(folder):
    described(folder, keys={"enrgy": "REF_energy"})


def keys_in_a_list(folder):
    described(folder, keys=["REF_energy"])


def total_energy(folder):
    described(folder, energy_kind="total")


def broken_method(folder):
    (folder / "method.yaml").write_text("method: {code: [gpaw\nfiles:\n")


def unknown_entry(folder):
    described(folder, colour="red")


def wrong_keys(folder):
    described(folder, keys={"energy": "dft_energy", "forces": "dft_forces", "stress": ""})


def missing_family_file(folder):
    described(folder, family_file="parent.extxyz")


def missing_logs(folder):
    described(folder, logs={"archive": "logs.tar", "member": "a"})


def broken_logs(folder):
    described(folder, logs={"archive": "logs.tar.xz", "member": "a"})
    (folder / "logs.tar.xz").write_bytes(b"\xfd7zXZ\x00 no archive")


def described(folder, **changes):
    description = yaml.safe_load((folder / "method.yaml").read_text())
    description["files"]["wse2_gpaw_unitcell.extxyz"].update(changes)
    (folder / "method.yaml").write_text(yaml.safe_dump(description))


@pytest.fixture(scope="module")
def untouched(server_home):
    """One database for all files that are refused: nothing is ever written to it."""
    settings = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    opened = Database(settings)
    yield opened
    opened.client.drop_database(settings.database)
    opened.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_forces, ["frame 0", "no forces", "'forces'"]),
        (wrong_shape, ["frame 0", "(3, 2)", "(3, 3)"]),
        (nan_energy, ["frame 0", "NaN"]),
        (nan_force, ["frame 0", "NaN"]),
        (text_energy, ["frame 0", "converged"]),
        (garbage, ["is not a number of atoms"]),
        (empty, ["wse2_gpaw_unitcell.extxyz"]),
        (truncated, ["frame 0", "cut off"]),
        (second_frame_bad, ["frame 1", "no energy"]),
        (no_cell, ["frame 0", "no volume"]),
        (no_method, ["no method.yaml"]),
        (empty_method, ["method.yaml", "no `method`"]),
        (half_method, ["method.yaml", "`method` lacks functional.", "type: none"]),
        (no_table, ["`smearing` of the method is 0.1", "smearing: {type"]),
        (no_mesh, ["`k_points` of the method is '3x3x3'"]),
        (no_truth, ["`spin_orbit` of the method is 'unknown'", "true or false"]),
        (misspelt_rule, ["`method` has spins", "It may have code, functional"]),
        (misspelt_label, ["`keys`", "energy, free_energy, forces, stress"]),
        (keys_in_a_list, ["`keys`", "energy, free_energy, forces, stress"]),
        (total_energy, ["`energy_kind`", "free or extrapolated"]),
        (broken_method, ["method.yaml", "line"]),
        (unknown_entry, ["method.yaml", "colour, which nothing reads", "family_from"]),
        (wrong_keys, ["frame 0", "'dft_energy'"]),
        (missing_family_file, ["parent.extxyz"]),
        (missing_logs, ["logs.tar"]),
        (broken_logs, ["logs.tar.xz"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_file_is_named_in_one_line_and_nothing_is_written(untouched, copied, spoil, words):
    before = counts(untouched)
    spoil(copied)
    report = import_paths(untouched, [copied / "wse2_gpaw_unitcell.extxyz"])
    [(path, reason)] = report.failed
    assert path.endswith("wse2_gpaw_unitcell.extxyz")
    assert "\n" not in reason
    for word in words:
        assert word in reason, reason
    assert (report.files, report.added) == (0, {})
    assert counts(untouched) == before


def test_a_bad_file_does_not_stop_the_others(db, data_folder, copied):
    (copied / "a.json").write_text('{"k_mesh": 1, "converged": true}')
    (copied / "z.extxyz").write_text("2\n\nW 0 0 0\n")
    (copied / "notes.yaml").write_text("a: 1\n")
    (copied / "picture.png").write_bytes(b"\x89PNG")
    report = import_paths(db, [copied])
    assert report.files == 1
    assert sorted(path.rsplit("/", 1)[1] for path, _ in report.failed) == ["a.json", "z.extxyz"]
    assert db.calculations.count() == 1


@pytest.mark.parametrize("name", ["nothing.extxyz", "nowhere/at/all"])
def test_a_path_that_is_not_there(untouched, tmp_path, name):
    with pytest.raises(InputError, match="is not there"):
        import_paths(untouched, [tmp_path / name])


@pytest.mark.parametrize(
    ("name", "content"),
    [("notes.yaml", b"a: 1\n"), ("picture.png", b"\x89PNG"), ("garbage.yaml", bytes(range(256)))],
)
def test_a_file_of_no_known_kind(untouched, copied, name, content):
    (copied / name).write_bytes(content)
    with pytest.raises(InputError, match="no kind that can be imported"):
        import_paths(untouched, [copied / name])
    assert n_records(untouched) == {}


def test_notes_about_phonopy_are_no_phonopy_file(db, tmp_path):
    (tmp_path / "notes.txt").write_text("To do:\nphonopy -d --dim 3 3 1\n")
    report = import_paths(db, [tmp_path])
    assert (report.failed, report.files) == ([], 0)


def test_a_file_is_retried_once_it_is_mended(db, copied):
    good = (copied / "wse2_gpaw_unitcell.extxyz").read_text()
    nan_energy(copied)
    assert import_paths(db, [copied]).failed
    (copied / "wse2_gpaw_unitcell.extxyz").write_text(good)
    assert import_paths(db, [copied]).added["calculations"] == 1


def test_progress_counts_files(db, copied):
    seen = []
    (copied / "a.json").write_text('{"k_mesh": 1, "converged": true}')
    import_paths(db, [copied], lambda name, done, total: seen.append((name, done, total)))
    assert seen == [("a.json", 1, 2), ("wse2_gpaw_unitcell.extxyz", 2, 2)]
