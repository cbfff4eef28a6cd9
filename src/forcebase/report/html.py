"""The report as one self-contained page, its pictures beside it as PNGs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from forcebase.errors import InputError
from forcebase.report.content import SHORT_ID, ReportContent
from forcebase.report.curves import draw_learning_curve
from forcebase.report.parity import draw_energy_parity, draw_force_parity
from forcebase.report.phonons import draw_bands, draw_pdos
from forcebase.report.timing import draw_timing

FILE_NAME = "report.html"
CAPTIONS = {
    "bands": "Phonon bands on one path: the reference, the model, and both with their DOS.",
    "pdos": "Element-projected DOS of both; below, the model's minus the reference's.",
    "parity_energy": "Energies of the test split, by kind of configuration.",
    "parity_forces": "Force components of the test split, by element.",
    "learning_curve": "Errors on the valid split after each epoch.",
    "timing": "Seconds per configuration, from the records of both sides.",
}


def write_report(content: ReportContent, folder: Path) -> Path:
    """Write the pictures and report.html, each whole or not at all, and give the page's path.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    pictures = {name: _png(figure) for name, figure in _figures(content).items()}
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
    figures = {
        "bands": draw_bands(content.bands, content.dos),
        "pdos": draw_pdos(content.dos),
        "parity_energy": draw_energy_parity(content.parity),
        "parity_forces": draw_force_parity(content.parity),
        "learning_curve": draw_learning_curve(content.learning_curve),
    }
    if content.timings:
        figures["timing"] = draw_timing(content.timings)
    return figures


def _render(content: ReportContent, pictures: dict[str, bytes]) -> str:
    environment = Environment(
        loader=PackageLoader("forcebase.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        content=content,
        titles={node.record: node.title for node in content.provenance},
        pictures={name: base64.b64encode(data).decode() for name, data in pictures.items()},
        captions=CAPTIONS,
        short=SHORT_ID,
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> Path:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
