"""What tells methods and calculations apart, and what does not, on small runs of VASP.

Each file stands for a kind of fault: `tests/data/cases/README.md`.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from forcebase.ingest.codes.harmless import HARMLESS, is_harmless
from forcebase.ingest.codes.telling import telling
from forcebase.ingest.codes.vasp_run import found_moments
from forcebase.ingest.file_kinds import kind_of
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import Source
from forcebase.physics.magnetic_state import alike

CASES = Path(__file__).parents[2] / "data" / "cases"


def read(path: Path, **options):
    found = parse(Source(path, path.name, kind_of(path)), ImportOptions(**options))
    assert found.batch is not None, found.reason
    return found.batch.methods[0], found.batch.calculations[-1]


def case(name: str):
    return read(CASES / name / "vasprun.xml.gz")


def reason(path: Path) -> str:
    found = parse(Source(path, path.name, kind_of(path)), ImportOptions())
    assert found.batch is None
    return found.reason


def text_of(name: str = "vasp_base") -> str:
    return gzip.decompress((CASES / name / "vasprun.xml.gz").read_bytes()).decode()


@pytest.fixture
def edited(tmp_path):
    """Writes a case with replacements, in a folder of its own, and gives method and calculation."""

    def write(*changes, name="vasp_base", folder="run"):
        text = text_of(name)
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "vasprun.xml"
        path.write_text(text)
        return path

    return write


def asked(**tags) -> tuple[str, str]:
    """Replacement that puts tags into the INCAR, as VASP writes them."""
    lines = ""
    for name, value in tags.items():
        kind = "logical" if value in ("T", "F") else "string" if isinstance(value, str) else ""
        kind = "int" if isinstance(value, int) else kind
        lines += (
            f'<i {f"type={chr(34)}{kind}{chr(34)} " if kind else ""}name="{name}"> {value} </i>'
        )
    return "</incar>", f"{lines}</incar>"


def test_a_charged_cell_has_the_method_of_the_neutral_one_and_its_charge():
    (method, neutral), (same, charged) = case("vasp_base"), case("vasp_charged")
    assert method.id == same.id
    assert (neutral.charge, charged.charge) == (0.0, 1.0)


def test_the_exchange_fraction_tells_hybrids_apart_and_is_in_the_title():
    (one, _), (other, _) = case("vasp_hse25"), case("vasp_hse35")
    assert one.id != other.id
    assert one.functional_parameters == {"exchange_fraction": 0.25, "screening_per_A": 0.2}
    assert one.title == "vasp HSE06 (25 % exchange) 400 eV"
    assert other.title == "vasp HSE (35 % exchange) 400 eV"


def test_schemes_of_hubbard_terms_are_methods_and_values_are_calculations():
    (dudarev, one), (liechtenstein, other) = case("vasp_ldau"), case("vasp_ldau1")
    assert dudarev.id != liechtenstein.id
    assert one.plus_u == other.plus_u == {"Si": {"u_eV": 4.0, "j_eV": 0.0, "l": 2}}


def test_another_u_is_another_calculation_of_the_same_method(edited):
    changed = edited(('name="LDAUU"> 4.0 ', 'name="LDAUU"> 3.0 '), name="vasp_ldau")
    method, calculation = read(changed)
    other, base = case("vasp_ldau")
    assert method.id == other.id
    assert calculation.id != base.id
    assert calculation.plus_u["Si"]["u_eV"] == 3.0


def test_a_scheme_that_is_on_for_no_element_here_is_none(edited):
    method, calculation = read(
        edited(('name="LDAUU"> 4.0 ', 'name="LDAUU"> 0.0 '), name="vasp_ldau")
    )
    assert method.id == case("vasp_base")[0].id
    assert calculation.plus_u == {}


@pytest.mark.parametrize(
    ("name", "functional"),
    [
        ("vasp_base", "PBE"),
        ("vasp46_pbe", "PBE"),
        ("vasp_lda_plain", "LDA"),
        ("vasp_vdwdf2", "vdW-DF2"),
    ],
)
def test_functionals_have_their_names(name, functional):
    assert case(name)[0].functional == functional


def test_a_field_makes_another_method():
    method, _ = case("vasp_dipole")
    assert method.corrections == {"ldipol": True, "idipol": 3.0, "efield": 0.5}
    assert method.id != case("vasp_base")[0].id


def test_magnetic_states_are_told_apart_and_keep_their_moments():
    (method, afm), (same, fm) = case("vasp_mag_afm"), case("vasp_mag_fm")
    assert method.id == same.id
    assert (afm.magnetic["order"], fm.magnetic["order"]) == ("antiferromagnetic", "ferromagnetic")
    assert afm.magnetic["asked_moments"] == [1.0, -1.0]
    assert afm.id != fm.id
    assert not alike(afm.magnetic, fm.magnetic)
    assert alike(afm.magnetic, afm.magnetic)


def test_what_is_no_label_is_refused_with_its_reason(edited):
    assert "not self-consistent: ICHARG = 11" in reason(CASES / "vasp_icharg11" / "vasprun.xml.gz")
    assert "cut off inside the energy of step 2" in reason(
        CASES / "vasp_cut_energy" / "vasprun.xml.gz"
    )
    assert "ALGO = GW0" in reason(edited(asked(ALGO="GW0"), folder="gw"))
    assert "ALGO = BSE" in reason(edited(asked(ALGO="BSE"), folder="bse"))
    assert "ALGO = None" in reason(edited(asked(ALGO="None"), folder="none"))
    assert "images of a band" in reason(edited(asked(IMAGES=5), folder="band"))


def test_a_name_that_vasp_cut_is_the_element_of_its_potential():
    _, calculation = case("vasp_truncated_name")
    assert calculation.elements == ["Zr"]
    assert calculation.potentials == {"Zr": {"name": "PAW_PBE Zr_sv 04Jan2005"}}


@pytest.mark.parametrize(
    "change",
    [
        (" 6 6 6 ", " 8 8 8 "),
        ("6.4.2  ", "5.4.4  "),
        ("PAW_PBE Si 05Jan2001", "PAW_PBE Si_d 05Jan2001"),
        asked(NCORE=4, KPAR=2, LWAVE="F", SYSTEM="silicon", ALGO="Fast", NELM=100),
        asked(IBRION=2, NSW=10, ISIF=3, EDIFFG=-0.01),
        asked(ISYM=0, LORBIT=11, NEDOS=1000, LMAXMIX=4, AMIX=0.1),
        asked(NELECT=8.0),
        asked(LMIXTAU="T", LMAXFOCK=4, VOSKOWN=0),
    ],
)
def test_what_changes_no_rule_leaves_the_method(edited, change):
    assert read(edited(change))[0].id == case("vasp_base")[0].id


@pytest.mark.parametrize(
    "change",
    [
        ("accurate", "normal"),
        ("400.00000000", "500.00000000"),
        ('name="SIGMA"> 0.05', 'name="SIGMA"> 0.10'),
        ('name="ISPIN"> 1 ', 'name="ISPIN"> 2 '),
        ("PAW_PBE", "PAW"),
        asked(LASPH="T"),
        asked(NGX=48),
        asked(VOSKOWN=1),
        asked(LREAL="Auto"),
        asked(IVDW=12),
        asked(EDIFF_OF_TOMORROW=1),
        asked(LSOL="T", EB_K=78.4),
        asked(METAGGA="SCAN"),
    ],
)
def test_what_changes_answers_or_is_unknown_makes_another_method(edited, change):
    assert read(edited(change))[0].id != case("vasp_base")[0].id


def test_ways_of_projecting_are_told_apart(edited):
    ways = {"Auto": "auto", "On": "old", "T": True}
    for value, way in ways.items():
        method, _ = read(edited(asked(LREAL=value), folder=value))
        assert method.settings["lreal"] == way


def test_parameters_of_a_dispersion_correction_are_kept(edited):
    one, _ = read(edited(asked(IVDW=12), folder="one"))
    other, _ = read(edited(asked(IVDW=12, VDW_S8=0.5), folder="other"))
    assert one.dispersion == other.dispersion == "D3(BJ)"
    assert other.dispersion_parameters == {"vdw_s8": 0.5}
    assert one.id != other.id


def test_cells_by_one_spacing_share_a_method_and_state_the_rule(edited):
    method, calculation = read(edited(asked(KSPACING=0.4)))
    assert method.id == case("vasp_base")[0].id
    assert calculation.k_rule == {"rule": "KSPACING, with Gamma", "spacing_per_A": 0.4}
    assert calculation.k_spacing == pytest.approx(2 * np.pi * 0.18416206 * 3**0.5 / 6, abs=1e-3)


def test_moments_of_an_outcar_beside_are_the_ones_found(edited):
    path = edited(name="vasp_mag_afm")
    path.with_name("OUTCAR").write_text(OUTCAR_TABLE)
    _, calculation = read(path)
    assert calculation.magnetic["moments"] == [0.9, 0.95]
    assert calculation.magnetic["order"] == "ferromagnetic"
    (finding,) = calculation.findings
    assert "begun antiferromagnetic (+-) and ended ferromagnetic (++" in finding


OUTCAR_TABLE = """
 number of electron       8.0000000 magnetization       1.8500000
 magnetization (x)

# of ion       s       p       d       tot
------------------------------------------
    1        0.100   0.800   0.000   0.900
    2        0.150   0.800   0.000   0.950
--------------------------------------------------
tot          0.250   1.600   0.000   1.850
"""


@pytest.mark.parametrize(
    ("total", "order"), [("0.0000001", "none"), ("1.8500000", "ferromagnetic")]
)
def test_a_total_that_is_told_is_the_states_where_no_moments_are(edited, total, order):
    """Silicon with spin, begun with VASP's 1 muB each, was called a ferromagnet of 2 muB."""
    path = edited(('name="ISPIN"> 1 ', 'name="ISPIN"> 2 '))
    line = f" number of electron       8.0000000 magnetization       {total}\n"
    path.with_name("OUTCAR").write_text(line)
    _, calculation = read(path)
    assert calculation.magnetic["order"] == order
    assert calculation.magnetic["total"] == pytest.approx(float(total), abs=1e-4)
    assert calculation.magnetic["asked_moments"] == [1.0, 1.0]
    assert calculation.magnetic["of"] == ("total" if order == "none" else "asked")


def test_moments_of_vectors_are_read_too():
    table = OUTCAR_TABLE.replace("number of electron", "")
    axes = "".join(table.replace("(x)", f"({axis})") for axis in "xyz")
    (moments,) = found_moments(axes, 2)
    assert moments.shape == (2, 3)


@pytest.mark.parametrize("change", [{"LEPSILON": "T"}, {"IBRION": 8}])
def test_linear_response_whose_steps_are_all_alike_is_read(edited, change):
    """Its electronic steps have three energies each: pymatgen looks for one that has more."""
    method, calculation = read(edited(asked(**change)))
    assert method.id == case("vasp_base")[0].id
    assert calculation.energy == pytest.approx(case("vasp_base")[1].energy)
    assert calculation.converged


def test_a_run_with_spin_orbit_begins_with_vasps_own_moments(edited):
    """1 muB along each axis where no MAGMOM is set; two such runs may be replicates."""
    on = [(f'name="{name}"> F ', f'name="{name}"> T ') for name in ("LNONCOLLINEAR", "LSORBIT")]
    method, one = read(edited(*on, folder="one"))
    _, other = read(edited(*on, (" 6 6 6 ", " 8 8 8 "), folder="other"))
    assert method.spin == "noncollinear"
    assert one.magnetic["asked_moments"] == [[1.0, 1.0, 1.0]] * 2
    assert alike(one.magnetic, other.magnetic)


def test_unknown_settings_tell_apart_and_lists_say_why():
    assert telling("vasp", {"NCORE": 4, "LTOMORROW": "T", "PREC": "n"}) == {
        "ltomorrow": True,
        "prec": "n",
    }
    assert not is_harmless("vasp", "AEXX")
    assert not is_harmless("some other code", "ncore")
    names = [
        name for groups in HARMLESS.values() for group in groups for name in group.names.split()
    ]
    assert all(re.fullmatch(r"[\w*./-]+", name) for name in names)
    assert all(group.reason for groups in HARMLESS.values() for group in groups)


TITLES = {
    "W": "PAW_PBE W_pv 06Sep2000",
    "Se": "PAW_PBE Se 06Sep2000",
    "Si": "PAW_PBE Si 05Jan2001",
    "O": "PAW_PBE O 08Apr2002",
}


def of_elements(*symbols):
    """Replacement that makes the two atoms those of two POTCARs, in this order."""
    text = text_of()
    old = re.search(r"<atominfo>.*?</atominfo>", text, re.DOTALL).group()
    atoms = "".join(f"<rc><c>{s:2}</c><c> {i + 1} </c></rc>" for i, s in enumerate(symbols))
    types = "".join(
        f"<rc><c> 1 </c><c>{s:2}</c><c> 28.0 </c><c> 4.0 </c><c> {TITLES[s]} </c></rc>"
        for s in symbols
    )
    atom, kind = (re.findall(r"<set>.*?</set>", old, re.DOTALL)[i] for i in (0, 1))
    new = old.replace(atom, f"<set>{atoms}</set>").replace(kind, f"<set>{types}</set>")
    return old, new.replace("<types> 1 </types>", "<types> 2 </types>")


def test_the_order_of_potentials_and_other_elements_leave_the_method(edited):
    base, _ = case("vasp_base")
    found = [
        read(edited(of_elements(*symbols), folder="".join(symbols)))
        for symbols in (("W", "Se"), ("Se", "W"), ("Si", "O"))
    ]
    assert {method.id for method, _ in found} == {base.id}
    assert found[0][1].potentials == found[1][1].potentials
    assert found[0][1].potentials["W"] == {"name": TITLES["W"]}
    assert found[2][1].potentials["O"] == {"name": TITLES["O"]}


def test_terms_of_two_potentials_belong_to_their_elements(edited):
    text = of_elements("O", "W")
    terms = asked(LDAU="T", LDAUTYPE=2)
    lists = (
        "</incar>",
        '<v type="int" name="LDAUL"> -1 2 </v><v name="LDAUU"> 0.0 6.2 </v>'
        '<v name="LDAUJ"> 0.0 0.0 </v></incar>',
    )
    _, calculation = read(edited(text, ('name="LDAU"> F ', 'name="LDAU"> T '), terms, lists))
    assert calculation.plus_u == {"W": {"u_eV": 6.2, "j_eV": 0.0, "l": 2}}
