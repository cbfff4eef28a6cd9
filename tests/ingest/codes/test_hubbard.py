"""Hubbard terms: U is of the calculation, element by element, and the scheme is of the method."""

from __future__ import annotations

import bz2
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.units import Hartree

from forcebase.errors import InputError
from forcebase.ingest.codes.espresso_hubbard import hubbard_of_text
from forcebase.ingest.codes.hubbard import of_setups
from forcebase.ingest.file_kinds import kind_of
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import Source

CODES = Path(__file__).parents[2] / "data" / "codes"
OLD_TEXT = """
     Simplified LDA+U calculation (l_max = 1) with parameters (eV):
     atomic species    L          U    alpha       J0     beta
        Si             1     {u:.4f}   0.0000   0.0000   0.0000


"""
NEW_TEXT = """
     Hubbard projectors: {projectors}
     Hubbard parameters of DFT+U (Dudarev formulation) in eV:
     U(Si-3p) =  {u:.4f}
     Internal variables: lda_plus_u =T, lda_plus_u_kind = 0

"""
XML = """<dftU{form}><lda_plus_u_kind>{kind}</lda_plus_u_kind>{rows}
<U_projection_type>{projectors}</U_projection_type></dftU></dft>"""
ROW = '<Hubbard_U specie="Si" label="3p">{:.15e}</Hubbard_U>'


def parsed(path: Path):
    found = parse(Source(path, path.name, kind_of(path)), ImportOptions())
    return (found.batch.methods[0], found.batch.calculations[-1]) if found.batch else found.reason


@pytest.fixture
def twin(tmp_path):
    def read(file: str, old: str, new: str, asked=()):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree((CODES / file).parent, folder)
        packed = folder / Path(file).name
        opened = bz2.open if packed.suffix == ".bz2" else gzip.open
        with opened(packed, "rt") as stream:
            text = stream.read()
        packed.unlink()
        assert old in text
        (folder / packed.stem).write_text(text.replace(old, new, 1))
        if asked:
            beside = folder / "si.pwi"
            beside.write_text(beside.read_text().replace(*asked))
        return parsed(folder / packed.stem)

    return read


@pytest.fixture
def pw_text(twin):
    start = "     Exchange-correlation="

    def read(block: str, asked=()):
        return twin("quantum_espresso/si.pwo.gz", start, block + start, asked)

    return read


@pytest.fixture
def pw_xml(twin):
    def read(rows: str, kind=0, projectors="atomic", form=""):
        block = XML.format(rows=rows, kind=kind, projectors=projectors, form=form)
        return twin("quantum_espresso/data-file-schema.xml.bz2", "</dft>", block)

    return read


def test_pw_tells_its_terms_by_text_and_xml(pw_text, pw_xml):
    """The text's are in eV, the XML's in Hartree."""
    method, calculation = pw_text(OLD_TEXT.format(u=3.32))
    same, other = pw_xml(ROW.format(3.32 / Hartree))
    assert calculation.plus_u == other.plus_u == {"Si": {"u_eV": 3.32, "j_eV": 0.0, "l": 1}}
    assert method.id == same.id
    assert method.plus_u == {"scheme": "Dudarev", "projectors": "atomic"}
    assert pw_xml("")[0].plus_u == {}


def test_projectors_are_a_rule_and_u_is_not(pw_text, pw_xml):
    method, one = pw_text(NEW_TEXT.format(u=3.32, projectors="ortho-atomic"))
    same, two = pw_text(NEW_TEXT.format(u=4.5, projectors="ortho-atomic"))
    other, _ = pw_text(NEW_TEXT.format(u=3.32, projectors="atomic"))
    by_xml, three = pw_xml(
        ROW.format(3.32 / Hartree), projectors="ortho-atomic", form=' new_format="true"'
    )
    assert method.id == same.id == by_xml.id != other.id
    assert one.plus_u == three.plus_u != two.plus_u
    system = ("&SYSTEM\n", "&SYSTEM\n lda_plus_u=.true.\n Hubbard_U(1)=3.32\n")
    asked, _ = pw_text(OLD_TEXT.format(u=3.32), system)
    assert asked.id == other.id
    ortho = (system[0], f"{system[1]} U_projection_type='ortho-atomic'\n")
    assert pw_text(OLD_TEXT.format(u=3.32), ortho)[0].id == method.id


def test_terms_of_liechtensteins_scheme_and_between_sites(pw_xml):
    rows = ROW.format(4.0 / Hartree).replace("3p", "3d")
    more = f'<Hubbard_J specie="Si" label="3d">{0.9 / Hartree} {0.1 / Hartree} 0.0</Hubbard_J>'
    method, calculation = pw_xml(rows + more, kind=1)
    assert method.plus_u["scheme"] == "Liechtenstein"
    assert calculation.plus_u == {"Si": {"u_eV": 4.0, "j_eV": 0.9, "l": 2, "b_eV": 0.1}}
    between = '<Hubbard_V specie1="Si" index1="1" specie2="Si" index2="2">0.02</Hubbard_V>'
    assert "between two sites" in pw_xml(rows + between, kind=2)


def test_species_of_one_element_keep_terms_of_their_own():
    rows = OLD_TEXT.format(u=5.2).replace("Si ", "Fe1")
    rows = (
        rows.rstrip("\n") + "\n        Fe2            2     4.1000   0.0000   0.0000   0.0000\n\n"
    )
    _, terms = hubbard_of_text(rows, "atomic")
    assert [kind["u_eV"] for kind in terms["Fe"]["kinds"]] == [5.2, 4.1]


ABINIT = """          usepawu           1
            lpawu         {shells}
            upawu      {u}
            jpawu      {j}
            znucl """


def test_abinit_tells_its_terms_by_type_of_atoms(twin):
    """U and J are in Hartree."""
    file, old = "abinit/wse2.abo.gz", "            znucl "
    plain = parsed(CODES / file)[0]
    u, j = (f"{x / Hartree:.8E}  0.00000000E+00 Hartree" for x in (3.0, 0.5))
    method, calculation = twin(file, old, ABINIT.format(shells="2   -1", u=u, j=j))
    assert calculation.plus_u == {"W": {"u_eV": 3.0, "j_eV": 0.5, "l": 2}}
    assert method.plus_u == {"scheme": "FLL"}
    assert method.id != plain.id
    other = ABINIT.replace("usepawu           1", "usepawu           2")
    amf, _ = twin(file, old, other.format(shells="2   -1", u=u, j=j))
    assert amf.plus_u == {"scheme": "AMF"}
    off, none = twin(file, old, ABINIT.format(shells="-1   -1", u=u, j=j))
    assert (off.plus_u, none.plus_u) == ({}, {})


def test_gpaw_tells_its_terms_by_its_setups(twin):
    path = CODES / "gpaw_plus_u" / "si.txt.gz"
    method, calculation = parsed(path)
    assert calculation.plus_u == {"Si": {"u_eV": 4.0, "j_eV": 0.0, "l": 1}}
    assert method.plus_u == {"scheme": "Dudarev"}
    assert calculation.potentials["Si"]["name"] == "Si.PBE"
    with gzip.open(path, "rt") as file:
        text = file.read()
    assert "Hubbard: {U: 4.0,  # eV" in text  # which GPAW itself said of it
    same, other = twin("gpaw_plus_u/si.txt.gz", "':p,4.0'", "':p,2.5'")
    assert same.id == method.id
    assert other.plus_u["Si"]["u_eV"] == 2.5
    for old in ("  setups: {Si: :p,2.5}\n", "  setups: {Si: :p,2.5,\n           O: paw}\n"):
        yaml, by_yaml = twin("gpaw_plus_u/si.txt.gz", "  setups={'Si': ':p,4.0'},\n", old)
        assert (yaml.id, by_yaml.plus_u) == (method.id, other.plus_u)
    plain, none = twin("gpaw_plus_u/si.txt.gz", "  setups={'Si': ':p,4.0'},\n", "")
    assert plain.id != method.id
    assert none.plus_u == {}


@pytest.mark.parametrize(
    ("setups", "terms"),
    [
        (":d,6.0", {"Ni": (6.0, 2), "O": (6.0, 2)}),
        ({"Ni": ":d,6.0"}, {"Ni": (6.0, 2)}),
        ({"default": ":p,1", "Ni": "paw"}, {"O": (1.0, 1)}),
        ({"Ni": ":d,0.0", "O": "paw"}, {}),
        ("sg15", {}),
    ],
)
def test_names_of_setups(setups, terms):
    found = of_setups(setups, {"Ni", "O"})
    assert {s: (t["u_eV"], t["l"]) for s, t in found.items()} == terms


def test_names_of_setups_that_no_element_can_hold():
    assert of_setups({"Ni": "paw:d,6.0,0"}, {"Ni"})["Ni"]["scaled"] is False
    assert len(of_setups({"Ni": ":d,6;p,2"}, {"Ni"})["Ni"]["kinds"]) == 2
    for setups in ({0: ":d,6.0"}, {"Ni": ":g,1"}, {"Ni": ":d,x"}):
        with pytest.raises(InputError, match="Hubbard"):
            of_setups(setups, {"Ni"})


def test_labels_of_gpaw_with_u_are_those_of_its_text():
    _, calculation = parsed(CODES / "gpaw_plus_u" / "si.txt.gz")
    with gzip.open(CODES / "gpaw_plus_u" / "si.txt.gz", "rt") as file:
        text = file.read()
    energy = float(text.partition("Extrapolated:")[2].split()[0])
    assert calculation.energy == pytest.approx(energy)
    assert np.abs(calculation.forces.sum(axis=0)).max() < 0.05
