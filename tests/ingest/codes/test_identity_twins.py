"""Charge, spin, U and functional parameters of other codes: real outputs with one thing changed."""

from __future__ import annotations

import bz2
import gzip
import shutil
from pathlib import Path

import ase
import pytest

from forcebase.ingest.file_kinds import kind_of
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.parsing import parse
from forcebase.ingest.sources import Source

CODES = Path(__file__).parents[2] / "data" / "codes"
AIMS = Path(ase.__file__).parent / "test" / "testdata" / "aims" / "relax.out"
FILES = {
    "pw": "quantum_espresso/si.pwo.gz",
    "xml": "quantum_espresso/data-file-schema.xml.bz2",
    "abinit": "abinit/wse2.abo.gz",
    "cp2k": "cp2k/wse2.out.gz",
    "gpaw": "gpaw/si.txt.gz",
}
INPUTS = {"pw": "si.pwi", "cp2k": "wse2.inp"}
AIMS_HEAD = (
    "          Invoking FHI-aims ...\n          FHI-aims version      : 221103\n"
    "  Parsing control.in\n  xc                 pbe\n  relativistic       atomic_zora scalar\n"
    "  k_grid             5 5 5\n{more}  species        Si\n    nucleus 14\n"
    "    cut_pot 3.5 1.5 1.0\n"
    "{last}\n"
)


@pytest.fixture
def twin(tmp_path):
    """Reads an output of a code with replacements in it and in its input; or gives the reason."""

    def read(code, output=(), asked=()):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree((CODES / FILES[code]).parent, folder)
        packed = folder / Path(FILES[code]).name
        opened = bz2.open if packed.suffix == ".bz2" else gzip.open
        with opened(packed, "rt") as file:
            text = file.read()
        packed.unlink()
        path = folder / packed.stem
        path.write_text(_changed(text, output))
        if asked:
            beside = folder / INPUTS[code]
            beside.write_text(_changed(beside.read_text(), asked))
        return _parsed(path)

    return read


def _changed(text, changes):
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def _parsed(path):
    found = parse(Source(path, path.name, kind_of(path)), ImportOptions())
    if found.batch is None:
        return found.reason
    return found.batch.methods[0], found.batch.calculations[-1]


@pytest.fixture
def aims(tmp_path):
    def read(more="", last=""):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.out"
        path.write_text(AIMS_HEAD.format(more=more, last=last) + AIMS.read_text())
        return _parsed(path)

    return read


@pytest.mark.parametrize(
    ("code", "change", "charge"),
    [
        ("pw", ("electrons       =         8.00", "electrons       =         7.00"), 1),
        ("xml", ("<tot_charge>0.0", "<tot_charge>1.0"), 1),
        ("abinit", ("charge:   0.00000000E+00", "charge:   1.00000000E+00"), 1),
        ("cp2k", (f"DFT| Charge{' ' * 67}0", f"DFT| Charge{' ' * 66}-1"), -1),
        ("gpaw", ("  Charge: 0.0  # |e|", "  Charge: 2.0  # |e|"), 2),
    ],
)  # fmt: skip
def test_charges_stand_with_the_calculation(twin, code, change, charge):
    method, neutral = twin(code)
    same, charged = twin(code, [change])
    assert same.id == method.id
    assert (neutral.charge, charged.charge) == (0.0, charge)


def test_the_charge_of_aims(aims):
    (method, neutral), (same, charged) = aims(), aims(more="  charge 1.\n")
    assert same.id == method.id
    assert (neutral.charge, charged.charge) == (0.0, 1.0)


def test_hubbard_terms_of_cp2k_and_aims_are_kept_by_element(twin, aims):
    kind = "POTENTIAL GTH-PBE-q14\n"
    terms = kind + "&DFT_PLUS_U\n L 2\n U_MINUS_J [eV] {}\n&END DFT_PLUS_U\n"
    plain = twin("cp2k")[0]
    one, less = twin("cp2k", asked=[(kind, terms.format(3.0))])
    other, more = twin("cp2k", asked=[(kind, terms.format(4.0))])
    assert one.id == other.id != plain.id
    assert less.plus_u == {"W": {"u_eV": 3.0, "j_eV": 0.0, "l": 2}}
    assert more.plus_u["W"]["u_eV"] == 4.0
    method, calculation = aims(last="    plus_u 3 p 2.5")
    assert calculation.plus_u == {"Si": {"u_eV": 2.5, "j_eV": 0.0, "l": 1}}
    assert method.id != aims()[0].id


def test_exchange_and_unknown_settings_make_methods_of_cp2k(twin):
    functional = "&XC\n"
    hybrid = functional + "&HF\n FRACTION {}\n&END HF\n"
    quarter, third = (
        twin("cp2k", asked=[(functional, hybrid.format(share))])[0] for share in ("0.25", "0.33")
    )
    assert quarter.id != third.id
    assert quarter.functional_parameters["exchange_fraction"] == 0.25
    assert "(25 % exchange)" in quarter.title
    plain = twin("cp2k")[0]
    assert twin("cp2k", asked=[("MAX_SCF 60", "MAX_SCF 90")])[0].id == plain.id
    assert twin("cp2k", asked=[("EPS_DEFAULT 1.0E-8", "EPS_DEFAULT 1.0E-12")])[0].id != plain.id
    assert twin("cp2k", asked=[("&MGRID\n", "&MGRID\n NGRIDS 5\n")])[0].id != plain.id


def test_fields_and_unknown_settings_make_methods_of_pw(twin):
    system = "&SYSTEM\n"
    plain = twin("pw")[0]
    field = twin("pw", asked=[(system, "&SYSTEM\n tefield = .true.\n dipfield=.true.\n")])[0]
    assert field.corrections == {"dipfield": True, "tefield": True}
    assert twin("pw", asked=[(system, "&SYSTEM\n nosym = .true.\n nbnd = 12\n")])[0].id == plain.id
    assert twin("pw", asked=[(system, "&SYSTEM\n nr1 = 48\n")])[0].id != plain.id
    isolated = twin(
        "xml",
        [
            (
                "</input>",
                "<boundary_conditions><assume_isolated>esm"
                "</assume_isolated></boundary_conditions></input>",
            )
        ],
    )[0]
    assert isolated.corrections == {"assume_isolated": "esm"}
    asked = twin("pw", asked=[(system, "&SYSTEM\n assume_isolated = 'esm'\n")])[0]
    assert asked.id == isolated.id, "the text and the XML of one run"


def test_what_was_asked_of_abinit_tells_methods_apart(twin):
    plain = twin("abinit")[0]
    echo = "           istwfk        2"
    assert twin("abinit", [(echo, f"           efield      0.1 0.0 0.0\n{echo}")])[0].corrections
    assert twin("abinit", [(echo, f"        tomorrow           1\n{echo}")])[0].id != plain.id
    assert twin("abinit", [("nstep          60", "nstep          90")])[0].id == plain.id


def test_parameters_of_gpaw_tell_methods_apart(twin):
    plain = twin("gpaw")[0]
    heading = "Input parameters:\n"
    field = twin("gpaw", [(heading, f"{heading}  external=ConstantElectricField(0.1),\n")])[0]
    assert field.corrections
    assert field.id != plain.id
    assert twin("gpaw", [(heading, f"{heading}  eigensolver=Davidson(),\n")])[0].id == plain.id
    assert twin("gpaw", [(heading, f"{heading}  tomorrow=1,\n")])[0].id != plain.id


def test_settings_and_species_of_aims(aims):
    method, calculation = aims()
    assert aims(more="  sc_accuracy_rho 1e-6\n  output_level normal\n")[0].id == method.id
    assert aims(more="  tomorrow 1\n")[0].id != method.id
    same, other = aims(last="    hydro 3 d 4.2")
    assert same.id == method.id
    assert other.potentials["Si"]["name"] == calculation.potentials["Si"]["name"]
    assert other.potentials["Si"]["hash"] != calculation.potentials["Si"]["hash"]


def test_spin_is_read_where_a_code_says_it(twin, aims):
    method, calculation = aims(more="  spin collinear\n  default_initial_moment 1.\n")
    assert method.spin == "collinear"
    assert method.id != aims()[0].id
    text = (
        "     Starting magnetic structure \n     atomic species   magnetization\n"
        "        Si           0.250\n\n     No symmetry found\n"
    )
    method, calculation = twin("pw", [("     No symmetry found\n", text)])
    assert method.spin == "collinear"
    assert calculation.magnetic["asked_moments"] == [1.0, 1.0]
    assert calculation.magnetic["order"] == "ferromagnetic"


@pytest.mark.parametrize(
    ("code", "output", "asked", "said"),
    [
        ("pw", [("     No symmetry found\n", "     Band Structure Calculation\n")], [],
         "not self-consistent"),
        ("xml", [("<calculation>relax", "<calculation>nscf")], [], "not self-consistent"),
        ("abinit", [("iscf =       7", "iscf =      -2")], [], "not self-consistent"),
        ("abinit", [("optdriver: 0", "optdriver: 4")], [], "GW or BSE"),
        ("cp2k", [], [("RUN_TYPE ENERGY_FORCE", "RUN_TYPE BAND")], "images of a band"),
        ("gpaw", [("Input parameters:\n", "Input parameters:\n  fixdensity=True,\n")], [],
         "not self-consistent"),
    ],
)  # fmt: skip
def test_what_is_no_ground_state_is_refused(twin, code, output, asked, said):
    assert said in twin(code, output, asked)


TEXT_XC = "     Exchange-correlation="
HYBRID = (
    '<hybrid><qpoint_grid nqx1="1" nqx2="1" nqx3="1"/><ecutfock>{}</ecutfock>'
    "<exx_fraction>0.25</exx_fraction><screening_parameter>0.106</screening_parameter>"
    "<exxdiv_treatment>gygi-baldereschi</exxdiv_treatment>"
    "<x_gamma_extrapolation>true</x_gamma_extrapolation><ecutvcut>0.0</ecutvcut></hybrid>"
)
EXX = (
    "                           (   1",
    "     EXX-fraction              =        0.25\n                           (   1",
)
DISPERSION = "<vdW><vdw_corr>{}</vdw_corr>{}</vdW>"
D3_TEXT = "     DFT-D3 Dispersion Correction (3-body terms):\n"
D2_TEXT = "     Parameters for Dispersion (Grimme-D2) Correction:\n"
D3_XML = "<dftd3_version>{}</dftd3_version><dftd3_threebody>true</dftd3_threebody>"
SAWTOOTH = (
    "<electric_field><electric_potential>sawtooth_potential</electric_potential>"
    "<dipole_correction>true</dipole_correction>"
    "<electric_field_direction>3</electric_field_direction></electric_field></input>"
)
END = "</functional>"


@pytest.mark.parametrize(
    ("text", "asked", "xml", "rules"),
    [
        (
            [(TEXT_XC, D3_TEXT + TEXT_XC)],
            "vdw_corr='dft-d3'",
            [(END, END + DISPERSION.format("grimme-d3", D3_XML.format(3)))],
            {"dispersion": "D3", "dispersion_parameters": {}},
        ),
        (
            [(TEXT_XC, D3_TEXT + TEXT_XC)],
            "vdw_corr='dft-d3', dftd3_version=4",
            [(END, END + DISPERSION.format("grimme-d3", D3_XML.format(4)))],
            {"dispersion": "D3", "dispersion_parameters": {"dftd3_version": 4.0}},
        ),
        (
            [(TEXT_XC, D2_TEXT + TEXT_XC)],
            "london=.true.",
            [(END, END + DISPERSION.format("grimme-d2", "<london_s6>7.5e-1</london_s6>"))],
            {"dispersion": "D2"},
        ),
        (
            [(f"{TEXT_XC} PBE", f"{TEXT_XC} HSE"), EXX],
            "input_dft='hse'",
            [("<functional>PBE", "<functional>HSE"), (END, END + HYBRID.format("32.0"))],
            {"functional": "HSE", "functional_parameters": {"exchange_fraction": 0.25}},
        ),
        (
            [(f"{TEXT_XC} PBE", f"{TEXT_XC} HSE"), EXX],
            "input_dft='hse', ecutfock = 40",
            [("<functional>PBE", "<functional>HSE"), (END, END + HYBRID.format("20.0"))],
            {"functional": "HSE"},
        ),
        (
            [("Marzari-Vanderbilt smearing", "gaussian smearing")],
            "",
            [(">mv</smearing>", ">gaussian</smearing>")],
            {},
        ),
        (
            [(f"{TEXT_XC} PBE", f"{TEXT_XC}  SLA  PW   PBX  PBC ( 1  4  3  4 0 0)")],
            "",
            [],
            {"functional": "PBE"},
        ),
        (
            [],
            "tefield = .true., dipfield=.true., edir=3",
            [("</input>", SAWTOOTH)],
            {"corrections": {"dipfield": True, "edir": 3.0, "tefield": True}},
        ),
    ],
)
def test_text_and_xml_of_one_run_of_pw_are_of_one_method(twin, text, asked, xml, rules):
    """However each of them spells it, and whether it says what is pw.x's own."""
    change = [("&SYSTEM\n", f"&SYSTEM\n {asked}\n")] if asked else []
    (method, _), (same, _) = twin("pw", text, change), twin("xml", xml)
    assert {name: getattr(method, name) for name in rules} == rules
    assert method.rules() == same.rules()
    assert method.id == same.id
    if text or asked:
        plain = twin("pw")[0]
        assert (method.id == plain.id) == (rules == {"functional": "PBE"})


def test_a_dispersion_correction_of_pw_is_seen_without_its_input(twin):
    """Grimme's of 2006 stands in a title of its own, and was taken for none."""
    lost = ("Reading input from si.pwi", "Reading input from other.pwi")
    found = [twin("pw", [(TEXT_XC, more + TEXT_XC), lost])[0] for more in ("", D2_TEXT, D3_TEXT)]
    assert [method.dispersion for method in found] == ["none", "D2", "D3"]


def test_tetrahedra_of_pw_are_no_fixed_occupations(twin):
    line = "number of k points=    14  Marzari-Vanderbilt smearing, width (Ry)=  0.0100"
    for said in ("tetrahedra", "tetrahedra_opt"):
        asked = [("occupations = 'smearing'", f"occupations = '{said}'")]
        method, _ = twin("pw", [(line, "number of k points=    14 (tetrahedron method)")], asked)
        assert method.smearing["type"] == said
    fixed, _ = twin("pw", [(line, "number of k points=    14")], [("'smearing'", "'fixed'")])
    assert fixed.smearing["type"] == "fixed"


XC = "xc=XC(name='PBE')"


def test_numbers_of_a_functional_of_gpaw_are_kept(twin):
    """As GPAW 26.7 repeats them; hybrids of unlike shares were one method."""
    changes = {
        "usual": "xc=XC(name='HSE06')",
        "told": "xc=XC(name='HSE06', fraction=0.25, omega=0.11)",
        "yaml": "xc: {name: HSE06, fraction: 0.25, backend: pw}",
        "more": "xc=XC(name='HSE06', fraction=0.3, omega=0.11)",
        "pbe0": "xc=XC(name='PBE0')",
    }
    found = {name: twin("gpaw", [(XC, new)])[0] for name, new in changes.items()}
    assert found["usual"].id == found["told"].id == found["yaml"].id != found["more"].id
    assert found["usual"].functional == "HSE06"
    assert found["usual"].functional_parameters["exchange_fraction"] == 0.25
    assert found["usual"].functional_parameters["screening_per_A"] == pytest.approx(
        0.2079, abs=1e-4
    )
    assert "30 % exchange" in found["more"].title
    assert found["pbe0"].functional_parameters == {"exchange_fraction": 0.25}
    assert twin("gpaw")[0].functional_parameters == {}


def test_families_of_data_sets_of_gpaw_are_a_rule(twin):
    start = "Input parameters:\n"
    plain = twin("gpaw")[0]
    for setups, library in (
        ("'sg15'", "sg15"),
        ("{'Si': 'hgh'}", "gpaw-data+hgh"),
        ("{'default': 'hgh.sc'}", "hgh.sc"),
        ("{'Si': 'paw'}", "gpaw-data"),
    ):
        method, _ = twin("gpaw", [(start, f"{start}  setups={setups},\n")])
        assert method.pseudopotentials["library"] == library
        assert (method.id == plain.id) == (library == "gpaw-data")


def test_a_larger_basis_for_cells_that_change_is_a_rule_of_abinit(twin):
    line = "            znucl "
    plain = twin("abinit")[0]
    method, _ = twin("abinit", [(line, f"          dilatmx      1.05\n{line}")])
    assert method.id != plain.id


def test_keywords_of_aims_that_stand_alone_are_rules(aims):
    """A dipole correction has no value behind it, and was lost."""
    plain = aims()[0]
    field = aims(more="  use_dipole_correction\n")[0]
    assert field.corrections == {"use_dipole_correction": True}
    mbd = aims(more="  many_body_dispersion\n")[0]
    other = aims(more="  many_body_dispersion beta=0.81\n")[0]
    assert mbd.dispersion == other.dispersion == "many_body_dispersion"
    assert other.dispersion_parameters == {"beta": 0.81}
    assert len({method.id for method in (plain, field, mbd, other)}) == 4


def test_numbers_of_a_functional_and_small_thresholds_of_cp2k_are_kept(twin):
    """PBEsol is a parametrisation of PBE in CP2K; thresholds below 5e-11 were all zero."""
    plain = twin("cp2k")[0]
    functional, end = "&XC_FUNCTIONAL PBE\n", "&END PBE\n"
    sol, orig = (
        twin("cp2k", asked=[(functional, f"{functional}&PBE\nPARAMETRIZATION {name}\n{end}")])[0]
        for name in ("PBESOL", "ORIG")
    )
    assert sol.id != plain.id == orig.id
    tight, tighter = (
        twin("cp2k", asked=[("EPS_DEFAULT 1.0E-8", f"EPS_DEFAULT {x}")])[0]
        for x in ("1.0E-12", "1.0E-14")
    )
    assert tight.id != tighter.id
    assert tighter.settings["qs eps_default"] == 1e-14


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("&MGRID\n", "&MGRID\n NGRIDS 4\n"),
        ("&XC\n", "&XC\n DENSITY_CUTOFF 1.0E-10\n"),
    ],
)
def test_what_is_cp2ks_own_value_tells_nothing_apart(twin, old, new):
    assert twin("cp2k", asked=[(old, new)])[0].id == twin("cp2k")[0].id


def test_memory_and_files_of_cp2k_tell_nothing_apart(twin):
    start = "&XC\n"
    hybrid = "&HF\n FRACTION 0.25\n&MEMORY\n MAX_MEMORY {}\n&END MEMORY\n&END HF\n"
    pair = (
        "&VDW_POTENTIAL\n POTENTIAL_TYPE PAIR_POTENTIAL\n&PAIR_POTENTIAL\n TYPE DFTD3(BJ)\n"
        " PARAMETER_FILE_NAME {}\n R_CUTOFF {}\n&END PAIR_POTENTIAL\n&END VDW_POTENTIAL\n"
    )

    def method(more):
        return twin("cp2k", asked=[(start, start + more)])[0].id

    assert method(hybrid.format(2000)) == method(hybrid.format(4000))
    here, there = (method(pair.format(file, 15)) for file in ("d3.dat", "/opt/d3.dat"))
    assert here == there != method(pair.format("d3.dat", 25))


def test_smearings_and_keywords_of_aims_in_any_spelling(aims):
    """A kind with a hyphen was taken for aims' own; keywords in capitals were not seen."""
    plain = aims()[0]
    paxton = aims(more="  occupation_type methfessel-paxton 0.1 1\n")[0]
    assert paxton.smearing["type"] == "methfessel-paxton 1"
    assert paxton.smearing["width_eV"] == 0.1
    assert aims(more="  occupation_type gaussian 0.01\n")[0].id == plain.id
    assert aims(more="  RI_method V\n")[0].settings == {"ri_method": "v"}
    assert aims(more="  KS_method parallel\n")[0].id == plain.id
    hybrid = aims(more="  hybrid_xc_coeff 0.3\n")[0]
    assert hybrid.functional_parameters == {"exchange_fraction": 0.3}
    assert "30 % exchange" in hybrid.title
