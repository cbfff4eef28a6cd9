"""The report as one self-contained page, its pictures beside it as PNGs."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from forcebase.errors import InputError
from forcebase.report.chain import chain
from forcebase.report.content import SHORT_ID, ProvenanceNode, ReportContent
from forcebase.report.curves import draw_learning_curve
from forcebase.report.parity import draw_energy_parity, draw_force_parity
from forcebase.report.phonons import draw_bands, draw_pdos
from forcebase.report.shells import draw_force_shells
from forcebase.report.style import png
from forcebase.report.timing import draw_timing, timings_by_kind

FILE_NAME = "report.html"
MANY_IDS = 4
"""Up to so many record ids stand in a line; more are folded away."""


def write_report(content: ReportContent, folder: Path) -> Path:
    """Write the pictures and report.html, each whole or not at all, and give the page's path.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    pictures = {name: png(figure) for name, figure in _figures(content).items()}
    page = _render(content, pictures)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in pictures.items():
            _write(folder / f"{name}.png", data)
        return _write(folder / FILE_NAME, page.encode())
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {folder}: {error.strerror}.",
            hint="Make room, or choose another folder.",
        ) from None


def _figures(content: ReportContent) -> dict[str, Figure]:
    names = content.names
    figures = {"learning_curve": draw_learning_curve(content.learning_curve)}
    for pair in content.phonons:
        figures[f"bands{pair.key}"] = draw_bands(pair.bands, pair.dos, names)
        figures[f"pdos{pair.key}"] = draw_pdos(pair.dos, names)
    if content.parity:
        figures["parity_energy"] = draw_energy_parity(content.parity, names)
        figures["parity_forces"] = draw_force_parity(content.parity, names)
    if content.shells:
        figures["force_shells"] = draw_force_shells(content.shells, names)
    if content.timings:
        figures["timing"] = draw_timing(content.timings, names)
    return figures


def captions(content: ReportContent) -> dict[str, str]:
    """What stands under each figure."""
    reference, model = content.names.reference, content.names.model
    found = {
        "parity_energy": "Energies of the test split, by kind of configuration.",
        "parity_forces": "Force components of the test split, by element.",
        "force_shells": (
            "Force errors of the test split by distance from the defect, beside the cells without "
            "one: of all atoms (bars) and by element (points); right, how large the forces of "
            f"{reference} are."
        ),
        "learning_curve": "Errors on the valid split; the dot is the model that was kept.",
        "timing": (
            f"Wall times of the test split, as recorded ({model}: a cell's share, by atoms, of its "
            "batch); bars join the medians."
        ),
    }
    for pair in content.phonons:
        found[f"bands{pair.key}"] = (
            f"Phonon bands of {pair.name} on one path: {reference}, {model}, and both with their "
            "densities of states."
        )
        found[f"pdos{pair.key}"] = (
            f"Densities of states of {pair.name} projected on elements, and below "
            f"{content.names.difference}."
        )
    return found


def _render(content: ReportContent, pictures: dict[str, bytes]) -> str:
    environment = Environment(
        loader=PackageLoader("forcebase.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typeset"] = typeset
    return environment.get_template("report.html.j2").render(
        content=content,
        records=_by_collection(content.provenance),
        chain=chain(content.provenance),
        titles={node.record: node.title for node in content.provenance},
        kind_timings=timings_by_kind(content.timings),
        shell_elements=sorted({symbol for s in content.shells for symbol in s.mae_by_element}),
        pictures={name: base64.b64encode(data).decode() for name, data in pictures.items()},
        captions=captions(content),
        short=SHORT_ID,
        many=MANY_IDS,
    )


def typeset(unit: str) -> Markup:
    """Turn a unit as scripts write it ("meV/A^3", "cm^-1") into one as people do."""
    angstrom = re.sub(r"\bA\b", "Å", str(escape(unit)))
    powers = re.sub(r"\^(-?)(\d+)", lambda m: f"<sup>{'−' if m[1] else ''}{m[2]}</sup>", angstrom)
    return Markup(powers)


def _by_collection(provenance: list[ProvenanceNode]) -> dict[str, list[ProvenanceNode]]:
    """Group records, collections in the order in which the chain meets them."""
    groups: dict[str, list[ProvenanceNode]] = {}
    for node in provenance:
        groups.setdefault(node.collection, []).append(node)
    return groups


def _write(path: Path, data: bytes) -> Path:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
