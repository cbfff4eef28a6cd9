"""OUTCAR against vasprun.xml of one run, and what an OUTCAR tells by itself or not."""

from __future__ import annotations

import gzip
from pathlib import Path

import ase
import numpy as np
import pytest
from pymatgen.io.vasp.outputs import Outcar

from forcebase.ingest.file_kinds import kind_of
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import Source

CASES = Path(__file__).parents[2] / "data" / "cases"
ASE = Path(ase.__file__).parent / "test" / "testdata" / "vasp"
HEAD = """ vasp.{version} 18Apr17 (build) complex
 executed on             LinuxIFC date 2025.01.01  10:00:00


--------------------------------------------------------------------------------------------------------


 INCAR:
{echo} POTCAR:    PAW_PBE Si 05Jan2001
 POTCAR:    PAW_PBE Si 05Jan2001
   VRHFIN =Si: s2p2
   LEXCH  = PE
   TITEL  = PAW_PBE Si 05Jan2001
   POMASS =   28.085; ZVAL   =    4.000    mass and valenz
   ENMAX  =  245.345; ENMIN  =  184.009 eV
   EAUG   =  644.873

   ions per type =               2
   dimension x,y,z NGXF=    40 NGYF=   40 NGZF=   40
   support grid    NGXF=    40 NGYF=   40 NGZF=   40
Automatic generation of k-mesh.
 generate k-points for:    6    6    6

 Startparameter for this run:
   PREC   = accura    normal or accurate (medium, high low for compatibility)
   ISTART =      0    job   : 0-new  1-cont  2-samecut
   ICHARG =      2    charge: 1-file 2-atom 10-const
   ISPIN  =      {spin}    spin polarized calculation?
   LNONCOLLINEAR =      F non collinear calculations
   LSORBIT =      F    spin-orbit coupling
   LASPH  =      F    aspherical Exc in radial PAW
   METAGGA=      F    non-selfconsistent MetaGGA calc.

 Electronic Relaxation 1
   ENCUT  =  400.0 eV  29.40 Ry    5.42 a.u.
   ENAUG  =  644.9 eV  augmentation charge cutoff
   NELM   =     60;   NELMIN=  2; NELMDL= -5     # of ELM steps
   EDIFF  = 0.1E-05   stopping-criterion for ELM
   LREAL  =      F    real-space projection
   VOSKOWN=      0    Vosko Wilk Nusair interpolation
   IBRION =     -1    ionic relax: 0-MD 1-quasi-New 2-CG
   PSTRESS=    0.0 pullay stress
   NELECT =       8.0000    total number of electrons
   NUPDOWN=      -1.0000    fix difference up-down
   ISMEAR =     0;   SIGMA  =   0.05  broadening in eV -4-tet -1-fermi 0-gaus
   IALGO  =     38    algorithm
{more}
 Dipole corrections
   LMONO  =      F    monopole corrections only (constant potential shift)
   LDIPOL =      F    correct potential (dipole corrections)
   IDIPOL =      0    1-x, 2-y, 3-z, 4-all directions
   EPSILON=  1.0000000 bulk dielectric constant

 Exchange correlation treatment:
   GGA     =    --    GGA type
   LEXCH   =     8    internal setting for exchange type
   VOSKOWN=      0    Vosko Wilk Nusair interpolation
   LHFCALC =     {hybrid}    Hartree Fock is set to
   AEXX    =    {aexx} exact exchange contribution
{exchange}
 k-points in reciprocal lattice and weights: Automatic mesh
   0.00000000  0.00000000  0.00000000       0.100
   0.16666667  0.00000000  0.00000000       0.900

----------------------------------- Iteration      1(  10)  -----------------------------------
---------------- aborting loop because EDIFF is reached ---------------------------------------
{end}
  FORCE on cell =-STRESS in cart. coord.  units (eV):
  Direction    XX          YY          ZZ          XY          YZ          ZX
  --------------------------------------------------------------------------------------
  Total       0.29980    -0.19986     0.12491     0.02498     0.07495     0.04997
  in kB      12.00000    -8.00000     5.00000     1.00000     3.00000     2.00000
  external pressure =        3.00 kB  Pullay stress =        0.00 kB

 VOLUME and BASIS-vectors are now :
 -----------------------------------------------------------------------------
  energy-cutoff  :      400.00
  volume of cell :       40.03
      direct lattice vectors                 reciprocal lattice vectors
     0.000000000  2.715000000  2.715000000    -0.184162063  0.184162063  0.184162063
     2.715000000  0.000000000  2.715000000     0.184162063 -0.184162063  0.184162063
     2.715000000  2.715000000  0.000000000     0.184162063  0.184162063 -0.184162063

 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
      0.00000      0.00000      0.00000         0.300000      0.100000     -0.200000
      1.34392      1.37108      1.38465        -0.300000     -0.100000      0.200000
 -----------------------------------------------------------------------------------
    total drift:                                0.000000      0.000000      0.000000

  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  =       -10.80000000 eV

  energy  without entropy=      -10.82000000  energy(sigma->0) =      -10.81000000

"""
PLUS_U = """ LDA+U is selected, type is set to LDAUTYPE =  {kind}
   angular momentum for each species LDAUL =     2
   U (eV)           for each species LDAUU =   {u}
   J (eV)           for each species LDAUJ =   {j}
"""
HYBRID = """   HFSCREEN=   0.2000 screening length (either q_TF or 0.3 A-1)
   ALDAX   =    {rest} LDA exchange part
   AGGAX   =    {rest} GGA exchange part
   ALDAC   =    1.0000 LDA correlation
   AGGAC   =    1.0000 GGA correlation
"""
MOMENTS = """
 number of electron       8.0000000 magnetization       0.0000000
 magnetization (x)

# of ion       s       p       d       tot
------------------------------------------
    1        0.100   0.800   0.000   {one:.3f}
    2        0.150   0.800   0.000   {other:.3f}
--------------------------------------------------
tot          0.250   1.600   0.000   0.000
"""
TAGS = {"LDAUTYPE": "int", "LDAU": "logical", "LHFCALC": "logical", "ISPIN": "int",
        "ADDGRID": "logical", "VOSKOWN": "int", "IVDW": "int"}  # fmt: skip


def read(path: Path):
    found = parse(Source(path, path.name, kind_of(path)), ImportOptions())
    return (found.batch.methods[0], found.batch.calculations[-1]) if found.batch else found.reason


@pytest.fixture
def outcar(tmp_path):
    """Writes an OUTCAR of the run of `vasp_base`, with changes, and reads it."""

    def write(*changes, version="5.4.4", echo="", incar="", **fields):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        usual = {"spin": 1, "hybrid": "F", "aexx": "0.0000", "more": "", "exchange": "", "end": ""}
        text = HEAD.format(version=version, echo=echo, **{**usual, **fields})
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (folder / "OUTCAR").write_text(text)
        if incar:
            (folder / "INCAR").write_text(incar)
        return read(folder / "OUTCAR")

    return write


@pytest.fixture
def vasprun(tmp_path):
    """Writes the vasprun.xml of a run like `vasp_base`, with tags in its INCAR, and reads it."""

    def write(*, version="5.4.4", of=(), **tags):
        folder = tmp_path / f"xml{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        text = gzip.decompress((CASES / "vasp_base" / "vasprun.xml.gz").read_bytes()).decode()
        text = text.replace("6.4.2 ", f"{version} ")
        for old, new in of:
            assert old in text, old
            text = text.replace(old, new)
        lines = ""
        for name, value in tags.items():
            if isinstance(value, list):
                lines += f'<v name="{name}"> {" ".join(map(str, value))} </v>'
                continue
            kind = TAGS.get(name, "")
            kind = f'type="{kind}" ' if kind else ""
            lines += f'<i {kind}name="{name}"> {value} </i>'
        (folder / "vasprun.xml").write_text(text.replace("</incar>", f"{lines}</incar>"))
        return read(folder / "vasprun.xml")

    return write


def on(name: str, old: str = "F", new: str = "T") -> tuple[str, str]:
    return f'name="{name}"> {old} <', f'name="{name}"> {new} <'


@pytest.mark.parametrize(("version", "echo"), [("5.4.4", ""), ("6.4.2", "   ENCUT = 400\n")])
def test_both_outputs_of_one_run_are_of_one_method_and_say_the_same(outcar, vasprun, version, echo):
    (method, one), (same, other) = outcar(version=version, echo=echo), vasprun(version=version)
    assert method.id == same.id
    for name in ("charge", "plus_u", "potentials", "magnetic", "k_mesh", "k_shift", "k_spacing",
                 "convergence", "converged", "energy", "free_energy", "energy_kind"):  # fmt: skip
        assert getattr(one, name) == getattr(other, name), name
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-6)
    np.testing.assert_allclose(one.stress, other.stress, atol=1e-9)


@pytest.mark.parametrize(("kind", "name"), [(1, "Liechtenstein"), (2, "Dudarev")])
def test_hubbard_terms_are_read_where_they_are_printed(outcar, vasprun, kind, name):
    """VASP 5 prints no `LDAU = T`: the terms were lost without a word."""
    method, calculation = outcar(more=PLUS_U.format(kind=kind, u="4.0", j="0.5"))
    assert method.plus_u == {"scheme": name}
    assert calculation.plus_u == {"Si": {"u_eV": 4.0, "j_eV": 0.5, "l": 2}}
    same, other = vasprun(
        of=[on("LDAU")], LDAU="T", LDAUTYPE=kind, LDAUL=[2], LDAUU=[4.0], LDAUJ=[0.5]
    )
    assert (same.id, other.plus_u) == (method.id, calculation.plus_u)


def test_an_incar_tells_more_digits_of_u_than_the_text(outcar):
    printed = PLUS_U.format(kind=2, u="3.2", j="0.0")
    incar = "ENCUT = 400\nLDAU = .TRUE.\nLDAUTYPE = 2\nLDAUL = 2\nLDAUU = 3.25\nLDAUJ = 0\n"
    echo = "".join(f"   {line}\n" for line in incar.splitlines())
    for told in ({"incar": incar}, {"echo": echo, "version": "6.4.2"}):
        assert outcar(more=printed, **told)[1].plus_u["Si"]["u_eV"] == 3.25
    assert outcar(more=printed)[1].plus_u["Si"]["u_eV"] == 3.2


def test_hubbard_terms_without_u_are_refused(outcar):
    said = outcar(more=" LDA+U is selected, type is set to LDAUTYPE =  2\n")
    assert "LDAU" in said
    assert "INCAR" in said


def test_hybrids_are_read_where_their_numbers_are_printed(outcar, vasprun):
    exchange = HYBRID.format(rest="0.7500")
    method, _ = outcar(hybrid="T", aexx="0.2500", exchange=exchange)
    assert method.functional == "HSE06"
    assert method.functional_parameters["exchange_fraction"] == 0.25
    numbers = [
        ("LHFCALC", "F", "T"),
        ("AEXX", "0.00000000", "0.25"),
        ("HFSCREEN", "0.00000000", "0.2"),
    ]
    same, _ = vasprun(of=[on(*n) for n in numbers], LHFCALC="T", HFSCREEN=0.2)
    assert same.id == method.id
    other, _ = outcar(hybrid="T", aexx="0.3500", exchange=HYBRID.format(rest="0.6500"))
    assert other.id != method.id
    assert "LHFCALC" in outcar(hybrid="T", aexx="0.2500")


def test_what_is_printed_and_not_the_default_tells_methods_apart(outcar, vasprun):
    plain, _ = outcar()
    grid = ("support grid    NGXF=    40", "support grid    NGXF=    80")
    for change, tags in (
        (grid, {"ADDGRID": "T"}),
        (("ENAUG  =  644.9", "ENAUG  =  800.0"), {"ENAUG": 800.0}),
        (("VOSKOWN=      0", "VOSKOWN=      1"), {"VOSKOWN": 1}),
    ):
        method, _ = outcar(change)
        assert method.id != plain.id
        assert method.id == vasprun(**tags)[0].id


def test_an_incar_beside_an_older_outcar_is_read_if_it_is_the_runs(outcar):
    plain, _ = outcar()
    told, _ = outcar(incar="ENCUT = 400\nNGX = 48\nNCORE = 4\n")
    assert told.settings["ngx"] == 48
    assert outcar(incar="ENCUT = 400\nNCORE = 4\n")[0].id == plain.id
    assert outcar(incar="ENCUT = 520\nNGX = 48\n")[0].id == plain.id


def test_moments_that_an_outcar_does_not_say_were_asked_are_unknown(outcar):
    """They were taken for 1 muB each, so that antiferromagnets seemed to have left an order."""
    end = MOMENTS.format(one=0.9, other=-0.9)
    _, calculation = outcar(spin=2, end=end)
    assert calculation.magnetic["order"] == "antiferromagnetic"
    assert "asked_moments" not in calculation.magnetic
    assert calculation.findings == []
    _, asked = outcar(spin=2, end=end, incar="ENCUT = 400\nISPIN = 2\nMAGMOM = 2.0 -2.0\n")
    assert asked.magnetic["asked_moments"] == [2.0, -2.0]
    _, usual = outcar(spin=2, end=end, incar="ENCUT = 400\nISPIN = 2\n")
    assert "begun ferromagnetic" in usual.findings[0]


def test_corrections_that_are_not_named_are_refused(outcar):
    assert "dispersion" in outcar(end="  Edisp (eV)    -0.23456\n")
    assert outcar(end="  Edisp (eV)    -0.23456\n", incar="ENCUT = 400\nIVDW = 12\n")[
        0
    ].dispersion == ("D3(BJ)")
    assert "solvent" in outcar(end="  Ediel_sol  =        -0.51000000\n")
    assert outcar(end="  Ediel_sol  =         0.00000000\n")[0].corrections == {}


def test_labels_are_those_that_pymatgen_reads():
    """An independent reader of the same file."""
    path = ASE / "OUTCAR_example_1"
    _, calculation = read(path)
    other = Outcar(str(path))
    assert calculation.free_energy == pytest.approx(other.final_fr_energy)
    assert calculation.energy == pytest.approx(other.final_energy)
    assert calculation.magnetic == {}  # neither INCAR nor moments are printed
    assert calculation.findings == []
