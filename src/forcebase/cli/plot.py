"""forcebase plot: pictures of one record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from forcebase.cli.commands import CommandGroup
from forcebase.cli.completion import names
from forcebase.cli.console import open_database, say
from forcebase.errors import InputError
from forcebase.paths import check_writable

app = CommandGroup(help="Draw a record: bands, DOS, heat, parity, errors, learning curve.")
ENDINGS = (".png", ".svg", ".pdf")
PhononArgument = Annotated[
    str,
    typer.Argument(help="Phonon: id, name or tag.", autocompletion=names("phonons")),
]
ValidationArgument = Annotated[str, typer.Argument(help="Comparison: id, name or tag.")]
ModelArgument = Annotated[
    str, typer.Argument(help="Model: id, name or tag.", autocompletion=names("methods"))
]
OutOption = Annotated[
    Path | None, typer.Option(help="PNG, SVG or PDF; by default a PNG named after the picture.")
]
UnitOption = Annotated[Literal["THz", "cm-1", "meV"], typer.Option(help="Of the frequencies.")]


@app.command()
def bands(record: PhononArgument, out: OutOption = None, unit: UnitOption = "THz") -> None:
    """Draw the bands of a phonon along the usual path of its lattice.

    Examples:
      forcebase plot bands wse2-dft-phonon
      forcebase plot bands wse2-dft-phonon --unit cm-1 --out bands.svg
    """
    _draw(record, "phonons", out, "bands", lambda found: found.bands().plot(unit))


@app.command()
def dos(record: PhononArgument, out: OutOption = None, unit: UnitOption = "THz") -> None:
    """Draw the density of states of a phonon, in total and by element.

    Example:
      forcebase plot dos wse2-dft-phonon
    """
    _draw(record, "phonons", out, "dos", lambda found: found.dos().plot(unit))


@app.command()
def thermal(
    record: PhononArgument,
    out: OutOption = None,
    highest: Annotated[float, typer.Option(min=1, max=10_000, help="K, up to where.")] = 1000,
) -> None:
    """Draw free energy, entropy and heat capacity of a phonon over the temperature.

    Example:
      forcebase plot thermal wse2-dft-phonon --highest 600
    """
    steps = [highest * i / 100 for i in range(101)]
    _draw(record, "phonons", out, "thermal", lambda found: found.thermal(steps).plot())


@app.command()
def parity(record: ValidationArgument, out: OutOption = None) -> None:
    """Draw energies and forces of a comparison over those of its reference.

    Of a comparison of two phonons, their bands and densities of states are drawn.

    Examples:
      forcebase plot parity VALIDATION
      forcebase plot parity VALIDATION --out parity.pdf
    """
    _draw(record, "validations", out, "parity", lambda found: found.plot())


@app.command()
def errors(record: ValidationArgument, out: OutOption = None) -> None:
    """Draw how often a comparison has which error of the forces.

    Example:
      forcebase plot errors VALIDATION
    """
    _draw(record, "validations", out, "errors", lambda found: found.parity().histogram())


@app.command()
def learning(record: ModelArgument, out: OutOption = None) -> None:
    """Draw the errors on the valid split over the epochs of a model's training.

    Example:
      forcebase plot learning wse2-mace
    """
    _draw(record, "methods", out, "learning", lambda found: found.learning().plot())


def _draw(
    text: str, collection: str, out: Path | None, what: str, picture: Callable[[Any], Any]
) -> None:
    """Find the record, draw it, and say which file was written."""
    path = out or Path(f"{what}.png")
    check_writable(path, ENDINGS)
    with open_database(session=True) as db:
        found = db.get(text, collection)
        if collection == "methods" and not found.is_model:
            raise InputError(f"{found.title} is a DFT method.", hint="Give a model.")
        picture(found).savefig(path)
    say(f"{path}")
