"""Files that claim more than they hold, lead elsewhere, or are wrong without looking so."""

import gzip
import os
import re
import shutil
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.db import connect
from ase.io import read

from forcebase.errors import InputError
from forcebase.ingest import extxyz
from forcebase.ingest.file_kinds import FileKind, kind_of
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import Source
from forcebase.physics.phonopy_contents import from_phonopy_yaml
from forcebase.safety.limits import ATOMS

CODES = Path(__file__).parents[1] / "data" / "codes"
UNIT_CELL = "wse2_gpaw_unitcell.extxyz"


@pytest.fixture
def cells(data_folder, tmp_path):
    """One labelled cell in a folder of its own, with its method."""
    folder = tmp_path / "cells"
    folder.mkdir()
    shutil.copy(data_folder / UNIT_CELL, folder)
    method = (data_folder / "method.yaml").read_text().partition("\nfiles:")[0]
    (folder / "method.yaml").write_text(method + "\n")
    return folder / UNIT_CELL


def reason_of(path: Path) -> str:
    parsed = parse(Source(path, path.name, kind_of(path) or FileKind.EXTXYZ), ImportOptions())
    assert parsed.batch is None
    assert parsed.reason
    return parsed.reason


@pytest.mark.parametrize(
    ("count", "words"),
    [
        ("100000000000000000000", "limit is"),
        ("9000000", "cut off"),
        ("-1", "-1 atoms"),
        ("2", "not a number"),
    ],
)
def test_a_count_of_atoms_is_held_to_the_lines(cells, count, words):
    lines = cells.read_text().splitlines(keepends=True)
    cells.write_text("".join([count + "\n", *lines[1:]]))
    assert words in reason_of(cells)


def test_a_file_cut_at_any_byte_gives_its_records_or_none(cells):
    whole = parse(Source(cells, "c", FileKind.EXTXYZ), ImportOptions()).batch
    data = cells.read_bytes()
    for end in range(len(data) - 1, len(data) - 60, -1):
        cells.write_bytes(data[:end])
        parsed = parse(Source(cells, "c", FileKind.EXTXYZ), ImportOptions())
        if parsed.batch is not None:
            assert [c.id for c in parsed.batch.calculations] == [c.id for c in whole.calculations]
        else:
            assert "cut off" in parsed.reason or "cannot be read" in parsed.reason


def test_a_method_cut_at_any_byte_gives_the_same_method_or_none(cells):
    whole = parse(Source(cells, "c", FileKind.EXTXYZ), ImportOptions()).batch.methods[0].id
    method = cells.with_name("method.yaml")
    data = method.read_bytes()
    for end in range(0, len(data), 7):
        method.write_bytes(data[:end])
        parsed = parse(Source(cells, "c", FileKind.EXTXYZ), ImportOptions())
        if parsed.batch is not None:
            assert parsed.batch.methods[0].id == whole
        else:
            assert "method.yaml" in parsed.reason


def test_a_key_twice_in_a_method_is_named(cells):
    method = cells.with_name("method.yaml")
    method.write_text(method.read_text().replace("  spin:", "  functional: PBEsol\n  spin:"))
    assert "'functional' twice" in reason_of(cells)


def test_a_file_that_the_method_leaves_out_is_named(cells):
    method = cells.with_name("method.yaml")
    method.write_text(method.read_text() + "files:\n  other.extxyz: {kind: pristine}\n")
    assert f"leave out {UNIT_CELL}" in reason_of(cells)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Se ", "X  ", "no element"),
        ("Se ", "Sx ", ""),
        (r'Lattice="\S+', 'Lattice="3e10', "no structure"),
    ],
)
def test_a_flipped_letter_or_a_lost_point_is_named(cells, old, new, words):
    text = cells.read_text()
    cells.write_text(re.sub(old, new, text, count=1))
    assert words in reason_of(cells)


def test_coordinates_of_no_structure_are_named(cells):
    lines = cells.read_text().splitlines()
    words = lines[2].split()
    lines[2] = " ".join([words[0], "2e10", *words[2:]])
    cells.write_text("\n".join(lines) + "\n")
    assert "in no structure" in reason_of(cells)


@pytest.mark.parametrize("key", ["logs", "family_file"])
@pytest.mark.parametrize("where", ["../../elsewhere", "/etc/hostname", "link"])
def test_paths_of_a_description_stay_in_its_folder(cells, tmp_path, key, where):
    (tmp_path / "elsewhere").write_bytes(cells.read_bytes())
    (cells.parent / "link").symlink_to(tmp_path / "elsewhere")
    value = f"{{archive: {where}, member: x}}" if key == "logs" else where
    method = cells.with_name("method.yaml")
    method.write_text(method.read_text() + f"files:\n  {UNIT_CELL}: {{{key}: {value}}}\n")
    assert "leads out of the folder" in reason_of(cells)


def test_members_of_logs_are_named_by_simple_patterns(cells):
    with tarfile.open(cells.with_name("logs.tar"), "w") as archive:
        archive.add(cells, "x")
    said = "{archive: logs.tar, member: '{energy.__class__}'}"
    method = cells.with_name("method.yaml")
    method.write_text(method.read_text() + f"files:\n  {UNIT_CELL}: {{logs: {said}}}\n")
    assert "not a pattern of names" in reason_of(cells)


def test_a_zip_of_gigabytes_is_refused_before_it_is_unpacked(db, tmp_path):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("cells.extxyz", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(1 << 20))
    report = import_paths(db, [path, path.parent])
    assert "bytes for each packed one; the limit is 200" in report.failed[0][1]


@pytest.mark.parametrize("ending", ["gz", "xz"])
def test_a_tar_of_gigabytes_is_refused(db, tmp_path, ending):
    path = tmp_path / f"bomb.tar.{ending}"
    (tmp_path / "zeros").write_bytes(bytes(200 << 20))
    with tarfile.open(path, f"w:{ending}") as archive:
        archive.add(tmp_path / "zeros", "cells.extxyz")
    (tmp_path / "zeros").unlink()
    report = import_paths(db, [path, path.parent])
    assert "the limit is" in report.failed[0][1]


def test_a_compressed_file_of_gigabytes_is_refused(tmp_path):
    path = tmp_path / "OUTCAR.gz"
    with gzip.open(path, "wb") as file:
        file.write(b" vasp.6.3.0 \n")
        for _ in range(200):
            file.write(bytes(1 << 20))
    assert "the limit is" in reason_of(path)


def test_a_name_that_is_not_utf8_is_named_and_the_others_go_on(db, cells):
    strange = os.fsencode(cells.parent) + b"/cells-\xff.extxyz"
    shutil.copy(cells, strange)
    with tarfile.open(cells.parent / "runs.tar", "w") as archive:
        archive.add(strange, os.fsdecode(b"in-\xfe.extxyz"))
    report = import_paths(db, [cells.parent])
    assert report.added["calculations"] == 1
    names = sorted(name for name, reason in report.failed if "not UTF-8" in reason)
    assert [name.rpartition("/")[2] for name in names] == [
        r"cells-\udcff.extxyz",
        r"in-\udcfe.extxyz",
    ]


def test_a_pipe_is_no_file(db, tmp_path, cells):
    os.mkfifo(tmp_path / "pipe")
    report = import_paths(db, [tmp_path / "pipe", cells])
    assert "neither a file nor a folder" in report.failed[0][1]


@pytest.mark.parametrize(
    "line", ["@include /etc/passwd", "@INCLUDE '../x'", "@SET a(b) c", "@set x (a+)+$"]
)
def test_an_input_of_cp2k_includes_nothing_from_elsewhere(tmp_path, line):
    for name in ("wse2.out.gz", "wse2.inp"):
        shutil.copy(CODES / "cp2k" / name, tmp_path)
    (tmp_path / "wse2.inp").write_text(f"{line}\n{(tmp_path / 'wse2.inp').read_text()}")
    assert "only files beside it are included" in reason_of(tmp_path / "wse2.out.gz")


def test_an_input_of_cp2k_is_taken_from_beside_whatever_the_output_says(tmp_path):
    with gzip.open(CODES / "cp2k" / "wse2.out.gz", "rt") as file:
        text = file.read()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(CODES / "cp2k" / "wse2.inp", elsewhere)
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "wse2.out"
    path.write_text(text.replace(" wse2.inp", f" {elsewhere}/wse2.inp"))
    assert "its input is not beside it" in reason_of(path)
    shutil.copy(CODES / "cp2k" / "wse2.inp", path.parent)
    assert parse(Source(path, "run", FileKind.CP2K), ImportOptions()).batch is not None


@pytest.mark.parametrize("how", ["external link", "external bytes", "virtual", "size"])
def test_force_constants_in_hdf5_are_of_the_file_itself(data_folder, tmp_path, how):
    source = data_folder / "phonopy_wse2_gpaw_3x3.yaml"
    crystal = from_phonopy_yaml(source)
    text = source.read_text().partition("\ndisplacements:")[0]
    (tmp_path / "phonopy.yaml").write_text(text)
    method = (data_folder / "method.yaml").read_text().partition("\nfiles:")[0]
    (tmp_path / "method.yaml").write_text(method + "\n")
    secret = tmp_path.parent / "secret.hdf5"
    constants = crystal.force_constants
    with h5py.File(secret, "w") as file:
        file["force_constants"] = constants
    with h5py.File(tmp_path / "force_constants.hdf5", "w") as file:
        if how == "external link":
            file["force_constants"] = h5py.ExternalLink(str(secret), "force_constants")
        elif how == "virtual":
            layout = h5py.VirtualLayout(constants.shape, float)
            source = h5py.VirtualSource(str(secret), "force_constants", constants.shape)
            layout[...] = source
            file.create_virtual_dataset("force_constants", layout)
        elif how == "size":
            file.create_dataset("force_constants", (4000, 4000, 3, 3), chunks=True, dtype=float)
        else:
            file.create_dataset(
                "force_constants",
                constants.shape,
                float,
                external=[(str(secret), 0, constants.nbytes)],
            )
    words = "larger than" if how == "size" else "in another file"
    assert words in reason_of(tmp_path / "phonopy.yaml")


def test_a_supercell_of_millions_is_refused(data_folder, tmp_path):
    text = (data_folder / "phonopy_wse2_gpaw_3x3.yaml").read_text()
    at = text.index("supercell_matrix:")
    end = text.index("\n\n", at)
    text = text[:at] + "supercell_matrix:\n- [900,0,0]\n- [0,900,0]\n- [0,0,1]\n" + text[end:]
    (tmp_path / "phonopy.yaml").write_text(text)
    assert "atoms in the supercell; the limit is" in reason_of(tmp_path / "phonopy.yaml")


def rows(folder: Path, suffix: str, cell: Path) -> Path:
    atoms = read(cell)
    with connect(folder / f"rows{suffix}") as database:
        database.write(atoms, key_value_pairs={"dft_energy": 1.0})
    return folder / f"rows{suffix}"


@pytest.mark.parametrize(
    "sql",
    ["CREATE VIEW v AS SELECT 1", "CREATE TRIGGER t AFTER INSERT ON systems BEGIN SELECT 1; END"],
)
def test_an_ase_database_that_runs_sql_of_its_own_is_refused(cells, sql):
    path = rows(cells.parent, ".db", cells)
    with sqlite3.connect(path) as database:
        database.execute(sql)
    assert "no database of ASE has" in reason_of(path)


def test_an_ase_database_that_is_cut_off_is_refused(cells):
    path = rows(cells.parent, ".db", cells)
    path.write_bytes(path.read_bytes()[:-3000])
    assert "cut off" in reason_of(path) or "malformed" in reason_of(path)


def test_an_array_of_an_ase_database_is_held_to_its_numbers(cells):
    path = rows(cells.parent, ".json", cells)
    text = path.read_text()
    assert "__ndarray__" in text
    path.write_text(text.replace('"__ndarray__": [[3, 3]', '"__ndarray__": [[30000, 30000]'))
    assert "not of the shape it says" in reason_of(path)


def test_a_name_with_an_at_sign_is_no_index(cells):
    other = cells.with_name("cells@0.extxyz")
    other.write_bytes(cells.read_bytes() * 2)
    parsed = parse(Source(other, "c", FileKind.EXTXYZ), ImportOptions())
    assert len(parsed.batch.calculations) == 2


def test_time_and_memory_of_a_file_are_bounded(cells, monkeypatch):
    def never(path):
        while True:
            pass

    monkeypatch.setenv("FORCEBASE_LIMIT_SECONDS", "1")
    monkeypatch.setattr(extxyz, "read_frames", never)
    assert "more than 1 seconds" in reason_of(cells)
    monkeypatch.setenv("FORCEBASE_LIMIT_SECONDS", "100")
    monkeypatch.setenv("FORCEBASE_LIMIT_MEMORY_BYTES", str(1 << 30))
    monkeypatch.setattr(extxyz, "read_frames", lambda path: np.ones(1 << 30))
    assert "more memory" in reason_of(cells)


def test_an_odd_limit_is_named(monkeypatch):
    monkeypatch.setenv("FORCEBASE_LIMIT_ATOMS", "many")
    with pytest.raises(InputError, match="FORCEBASE_LIMIT_ATOMS"):
        ATOMS.check(1, "x")
