"""pw.x's input: what was asked for, from the file beside the text or from the XML."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from forcebase.ingest.codes.telling import plain, telling
from forcebase.ingest.codes.text import first, integers

NOT_RECORDED = "not recorded"
TOLD = (
    *("ecutwfc", "ecutrho", "occupations", "smearing", "degauss", "nspin", "noncolin", "lspinorb"),
    *("input_dft", "vdw_corr", "london", "lda_plus_u", "lda_plus_u_kind", "ts_vdw", "xdm"),
    "u_projection_type",
)
DEFAULTS: dict[str, Any] = {
    "tefield": False,
    "dipfield": False,
    "lelfield": False,
    "gate": False,
    "assume_isolated": "none",
    "esm_bc": "pbc",
    "one_atom_occupations": False,
    "lorbm": False,
    "lfcp": False,
    "noncolin": False,
    "nelec_cond": 0.0,
    "starting_spin_angle": False,
    "constrained_magnetization": "none",
    "block": False,
    "domag": False,
    "screening_parameter": 0.106,
    "exxdiv_treatment": "gygi-baldereschi",
    "x_gamma_extrapolation": True,
    "ecutvcut": 0.0,
    "nqx1": 1.0,
    "nqx2": 1.0,
    "nqx3": 1.0,
    "london_s6": 0.75,
    "london_rcut": 200.0,
    "dftd3_version": 3.0,
    "dftd3_threebody": True,
    "xdm_a1": 0.6836,
    "xdm_a2": 1.5045,
    "ts_vdw_econv_thr": 1e-6,
    "ts_vdw_isolated": False,
    "real_space": False,
    "cell_factor": 0.0,
    "qcutz": 0.0,
    "q2sigma": 0.1,
    "ecfixed": 0.0,
    "use_spinflip": False,
}
"""pw.x's own values, as `telling.plain` writes them."""
OF_XML = {
    "input/dft/hybrid/exx_fraction": "exx_fraction",
    "input/dft/hybrid/screening_parameter": "screening_parameter",
    "input/dft/hybrid/ecutfock": "ecutfock",
    "input/dft/hybrid/exxdiv_treatment": "exxdiv_treatment",
    "input/dft/hybrid/x_gamma_extrapolation": "x_gamma_extrapolation",
    "input/dft/hybrid/ecutvcut": "ecutvcut",
    "input/dft/vdW/london_s6": "london_s6",
    "input/dft/vdW/london_rcut": "london_rcut",
    "input/dft/vdW/dftd3_version": "dftd3_version",
    "input/dft/vdW/dftd3_threebody": "dftd3_threebody",
    "input/dft/vdW/xdm_a1": "xdm_a1",
    "input/dft/vdW/xdm_a2": "xdm_a2",
    "input/boundary_conditions/assume_isolated": "assume_isolated",
    "input/boundary_conditions/esm/bc": "esm_bc",
    "input/boundary_conditions/esm/w": "esm_w",
    "input/boundary_conditions/esm/efield": "esm_efield",
    "input/electric_field/electric_potential": "electric_potential",
    "input/electric_field/dipole_correction": "dipfield",
    "input/electric_field/electric_field_direction": "edir",
    "input/electric_field/potential_max_position": "emaxpos",
    "input/electric_field/potential_decrease_width": "eopreg",
    "input/electric_field/electric_field_amplitude": "eamp",
    "input/ekin_functional/ecfixed": "ecfixed",
    "input/ekin_functional/qcutz": "qcutz",
    "input/ekin_functional/q2sigma": "q2sigma",
    "input/spin_constraints/spin_constraints": "constrained_magnetization",
    "input/spin_constraints/lagrange_multiplier": "lambda",
}
"""Elements of data-file-schema.xml, by the names of the input."""
MERGED = ("control_variables", "electron_control", "ion_control", "cell_control", "symmetry_flags",
          "atomic_species", "atomic_structure", "k_points_IBZ", "free_positions", "bands", "basis",
          "spin", "external_atomic_forces", "starting_atomic_velocities")  # fmt: skip
"""Parts of the XML's input that change no answer, or that other rules tell."""


OF_FUNCTIONAL = ("dft/functional", "dft/vdW", "dft/hybrid", "dft/dftU")


@dataclass(frozen=True)
class PwInput:
    """What an input of pw.x asks for.

    Attributes:
        settings: those that tell methods apart.
        mesh: of k-points, () where there is none.
        shift: in steps of it.
        total: muB that the cell was held at.
        projectors: of Hubbard terms.
        dispersion: correction, as it names it; None where there is no input.
        occupations: None where there is no input.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    mesh: tuple[int, ...] = ()
    shift: tuple[float, ...] = (0.0, 0.0, 0.0)
    total: float | None = None
    projectors: str = "atomic"
    dispersion: str | None = None
    occupations: str | None = None


def input_beside(path: Path, text: str) -> PwInput:
    """Read the input that a text names, where it lies beside it."""
    name = first(r"Reading input from (\S+)", text, str, "")
    beside = path.parent / Path(name).name
    if not (name and beside.is_file()):
        return PwInput({"input": NOT_RECORDED})
    content = beside.read_text(errors="replace")
    asked = namelists(content)
    total = asked.get("tot_magnetization")
    mesh, shift = _mesh(content)
    return PwInput(
        telling("quantum espresso", asked, DEFAULTS, TOLD),
        mesh,
        shift,
        None if total is None else float(str(total).lower().replace("d", "e")),
        str(plain(asked.get("u_projection_type", "atomic"))),
        _dispersion(asked),
        str(plain(asked.get("occupations", "fixed"))),
    )


def _dispersion(asked: dict[str, str]) -> str:
    """By `vdw_corr`, or by the switches of before it."""
    switches = {"london": "grimme-d2", "xdm": "xdm", "ts_vdw": "ts"}
    old = (name for switch, name in switches.items() if plain(asked.get(switch, False)) is True)
    return str(plain(asked["vdw_corr"])) if "vdw_corr" in asked else next(old, "none")


def namelists(content: str) -> dict[str, str]:
    """Names and values of all namelists of an input, without comments."""
    found = {}
    for block in re.findall(r"^\s*&\w+(.*?)^\s*/", content, re.MULTILINE | re.DOTALL):
        lines = [re.sub(r"!.*", "", line) for line in block.splitlines()]
        for name, value in re.findall(
            r"(\w+ *(?:\([\d, ]+\))?)\s*=\s*('[^']*'|\"[^\"]*\"|[^,\s]+)", "\n".join(lines)
        ):
            found[re.sub(r"\s", "", name).lower()] = value
    return found


def _mesh(content: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    if re.search(r"^ *K_POINTS.*gamma", content, re.MULTILINE | re.IGNORECASE):
        return (1, 1, 1), (0.0, 0.0, 0.0)
    row = first(r"(?i)^ *K_POINTS.*automatic.*\n *([\d ]+)", content, integers, ())
    return row[:3], tuple(n / 2 for n in row[3:]) or (0.0, 0.0, 0.0)


def settings_of_xml(root: ElementTree.Element) -> dict[str, Any]:
    """Settings that tell methods apart, by the names that they have in an input."""
    asked: dict[str, Any] = {}
    node = root.find("input")
    for path, value in _leaves(node, "input") if node is not None else ():
        part = path.split("/")[1]
        if path in OF_XML:
            asked[OF_XML[path]] = value
        elif part not in MERGED and "/".join(path.split("/")[1:3]) not in OF_FUNCTIONAL:
            asked[path.removeprefix("input/").replace("/", "_")] = value
    if "ecutfock" in asked:  # in Hartree here, in Rydberg in an input
        asked["ecutfock"] = 2 * float(asked["ecutfock"])
    grid = root.find("input/dft/hybrid/qpoint_grid")
    if grid is not None:
        asked |= grid.attrib
    potential = asked.pop("electric_potential", "none")
    if potential != "none":
        asked["tefield" if potential == "sawtooth_potential" else "electric_potential"] = (
            True if potential == "sawtooth_potential" else potential
        )
    asked.pop("input_real_space_q", None)
    return telling("quantum espresso", asked, DEFAULTS, TOLD)


def _leaves(node: ElementTree.Element, path: str) -> list[tuple[str, str]]:
    children = list(node)
    if not children:
        return [(path, (node.text or "").strip())]
    return [leaf for child in children for leaf in _leaves(child, f"{path}/{child.tag}")]
