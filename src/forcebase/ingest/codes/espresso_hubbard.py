"""Hubbard terms of pw.x: from its text, in the forms before and after 7.1, and from its XML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from ase.units import Hartree

from forcebase.errors import InputError
from forcebase.ingest.codes.hubbard import join, shell_of, term
from forcebase.ingest.codes.text import first

SCHEMES = {0: "Dudarev", 1: "Liechtenstein"}
NAMES = {"U": "u_eV", "J": "j_eV", "J0": "j0_eV", "B": "b_eV", "E2": "e2_eV", "E3": "e3_eV",
         "alpha": "alpha_eV", "beta": "beta_eV"}  # fmt: skip
OLD_ROW = r"^ +(\S+) +(\d) +(-?\d+\.\d+) +(-?\d+\.\d+) +(-?\d+\.\d+) +(-?\d+\.\d+) *$"
"""Species, l, U, alpha, J0, beta."""
NEW_ROW = r"^ +(\w+) *\((\w+)-(\w+)\) *= *(-?\d+\.\d+) *$"
Terms = dict[str, dict[str, Any]]


def hubbard_of_text(text: str, projectors: str) -> tuple[dict[str, Any], Terms]:
    """Scheme of the Hubbard terms, and symbol -> term; both empty where there are none.

    Args:
        text: that pw.x printed.
        projectors: that its input asks for; texts of 7.1 and later say them.

    Raises:
        InputError: there are Hubbard terms that it does not tell in full, or between two sites.
    """
    if not re.search(r"LDA\+U|DFT\+U|Hubbard", text):
        return {}, {}
    said = first(r"^ +Hubbard projectors: +(\S+)", text, str, projectors)
    old = text.partition("Simplified LDA+U calculation")[2].partition("\n\n")[0]
    found: Terms = {}
    for species, shell, u, alpha, j0, beta in re.findall(OLD_ROW, old, re.MULTILINE):
        more = {"alpha_eV": float(alpha), "j0_eV": float(j0), "beta_eV": float(beta)}
        join(found, _element(species), term(float(u), 0.0, int(shell), **more))
    if found:
        return _scheme(0, said), found
    words = re.search(r"Hubbard parameters of DFT\+U \((\w+) formulation\) in eV:", text)
    if words is None:
        raise InputError(
            "it has Hubbard terms that its text does not tell in full.",
            hint="Import its data-file-schema.xml.",
        )
    block = text[words.end() :].partition("Internal variables")[0].partition("\n\n")[0]
    values: dict[tuple[str, str], dict[str, float]] = {}
    for name, species, shell, number in re.findall(NEW_ROW, block, re.MULTILINE):
        values.setdefault((species, shell), {})[NAMES.get(name, f"{name.lower()}_eV")] = float(
            number
        )
    return _scheme_named(words.group(1), said), _joined(values)


def hubbard_of_xml(root: ElementTree.Element) -> tuple[dict[str, Any], Terms]:
    """Scheme and terms of data-file-schema.xml, whose energies are in Hartree.

    Raises:
        InputError: there are terms between two sites, which no element's record can hold.
    """
    block = root.find("input/dft/dftU")
    if block is None:
        return {}, {}
    if any(_numbers(node)[0] for node in block.findall("Hubbard_V")):
        _refuse_intersite()
    kind = int((block.findtext("lda_plus_u_kind") or "0").strip())
    values: dict[tuple[str, str], dict[str, float]] = {}
    for node in block:
        name = node.tag.removeprefix("Hubbard_")
        species, shell = node.attrib.get("specie"), node.attrib.get("label", "")
        if name not in NAMES or species is None or not re.fullmatch(r"\d?[spdf]", shell.lower()):
            continue
        numbers = [x * Hartree for x in _numbers(node)]
        names = _of_j(shell) if name == "J" else [NAMES[name]]
        entry = {key: x for key, x in zip(names, numbers, strict=False) if x}
        if entry:
            values.setdefault((species, shell), {}).update(entry)
    found = _joined(values)
    projectors = (block.findtext("U_projection_type") or "atomic").strip()
    return (_scheme(kind, projectors) if found else {}), found


def _of_j(shell: str) -> list[str]:
    """What the numbers of Hubbard_J are: J, then B of d shells, or E2 and E3 of f shells."""
    return ["j_eV", *{"d": ["b_eV"], "f": ["e2_eV", "e3_eV"]}.get(shell[-1].lower(), [])]


def _joined(values: Mapping[tuple[str, str], Mapping[str, float]]) -> Terms:
    found: Terms = {}
    for (species, shell), entry in values.items():
        more = {k: x for k, x in entry.items() if k not in ("u_eV", "j_eV")}
        one = term(entry.get("u_eV", 0.0), entry.get("j_eV", 0.0), shell_of(shell), **more)
        join(found, _element(species), one)
    return found


def _scheme_named(name: str, projectors: str) -> dict[str, Any]:
    return {"scheme": name, "projectors": projectors}


def _scheme(kind: int, projectors: str) -> dict[str, Any]:
    if kind not in SCHEMES:
        _refuse_intersite()
    return _scheme_named(SCHEMES[kind], projectors)


def _refuse_intersite() -> None:
    raise InputError("it has Hubbard terms between two sites (V), which no record can hold.")


def _element(species: str) -> str:
    return re.sub(r"[\d_-].*", "", species)


def _numbers(node: ElementTree.Element) -> list[float]:
    return [float(x) for x in (node.text or "0").split()] or [0.0]
