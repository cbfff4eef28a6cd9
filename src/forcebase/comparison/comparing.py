"""Any record compared with another of its kind, and any methods with any others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forcebase.comparison.energies import energies_told
from forcebase.comparison.labels import Selection, compare_pairs, select_pairs
from forcebase.comparison.leakage import Only
from forcebase.comparison.noise import Floor, noise_floors
from forcebase.comparison.phonon_floor import PhononFloor, phonon_floors
from forcebase.comparison.phonon_protocol import parts_of
from forcebase.comparison.phonons import compare_with_spectra
from forcebase.database.database import Database
from forcebase.database.filters.texts import is_filter
from forcebase.errors import InputError
from forcebase.physics.alignment import Align
from forcebase.physics.polar_splitting import Nac, nac_of
from forcebase.physics.shells import Shells
from forcebase.physics.spectra import Spectra
from forcebase.progress import Progress
from forcebase.records import Dataset, Method, Phonon, Validation
from forcebase.records.numbers import Numbers


@dataclass(frozen=True, eq=False)
class Comparison:
    """One record compared with another, with all that was computed for it.

    Attributes:
        validation: the record, found or made.
        floors: how far each side is from itself, as far as the database can tell; they are looked
            up each time, for the records that tell it may come later.
        energies: of labels, where the kinds of energies of the two are unlike or not known, in
            words; "" else.
        spectra: of phonons, bands and densities of states of both in one setting of the cell; None
            where the record was found again.
    """

    validation: Validation
    floors: Sequence[Floor] | Sequence[PhononFloor]
    energies: str = ""
    spectra: Spectra | None = None

    @property
    def metrics(self) -> dict[str, Any]:
        """Those of the record."""
        return dict(self.validation.metrics)

    @property
    def errors(self) -> Numbers:
        """The metrics by attribute, as `errors.forces.mae` of labels, `errors.band_mae_THz`."""
        return self.validation.errors

    def parity(self) -> Any:
        """Both sides' energies and forces, with `.plot()`: see `Validation.parity`."""
        return self.validation.parity()

    def force_errors(self) -> Any:
        """Force errors, structure by structure: see `Validation.force_errors`."""
        return self.validation.force_errors()

    def plot(self) -> Any:
        """A matplotlib figure: see `Validation.plot`."""
        return self.validation.plot()

    def __repr__(self) -> str:
        return repr(self.validation).replace("<Validation", "<Comparison", 1)

    def _repr_html_(self) -> str:
        return str(self.validation._repr_html_())


def compare(
    db: Database,
    model: str,
    reference: str,
    on: str | Mapping[str, Any] | None = None,
    *,
    align: Align | str = Align.NONE,
    only: Only | str = Only.ALL,
    host: str | None = None,
    edges: Sequence[float] | None = None,
    allow: Sequence[str] = (),
    nac: Nac | str | None = None,
    recompute: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Compare one record with another: method to method on common structures, or phonon to phonon.

    Args:
        db: the database.
        model: id, name or tag of a method or phonon.
        reference: the same kind of record.
        on: for methods: "dataset", "dataset:split", a text of the filter language, or keyword
            arguments of `db.calculations.find`; None for all structures that both have labelled.
        align: for methods: what is taken from the model's energies first, as "composition", where
            the two have other zeros of energy.
        only: for methods: "unseen" leaves out what the model was trained on, and its near copies.
        host: for methods: unit cell of the perfect crystal, as id or name; adds the errors of
            forces by distance from the defects.
        edges: of the shells of distance, angstrom; only with a host.
        allow: for phonons: parts of the protocol that may be unlike, as "supercell".
        nac: for phonons: whose Born charges both sides have, "reference" (the default), "own"
            or "none".
        recompute: compute what is there once more, and compare it with the record.
        progress: for methods: told of the structures that are done.

    Raises:
        InputError: a method and a phonon cannot be compared, there is no such split, or a
            structure is not a supercell of the host.
        NotFoundError: the two have no structure in common.
        IntegrityError: computed again, it is not what the record says.
    """
    if edges is not None and host is None:
        raise InputError("Shells need to know where the defects are.", hint="Give the host too.")
    place, left = db.resolve(model)
    other_place, right = db.resolve(reference)
    align, only = align_of(align), only_of(only)
    if isinstance(left, Phonon) and isinstance(right, Phonon):
        if on is not None or host is not None or align is not Align.NONE or only is not Only.ALL:
            raise InputError(
                "Phonons are compared whole: leave `on`, `host`, `align` and `only` out."
            )
        chosen = Nac.REFERENCE if nac is None else nac_of(nac)
        parts = parts_of(allow)
        validation, spectra = compare_with_spectra(db, left, right, parts, chosen, recompute)
        return Comparison(validation, phonon_floors(db, validation), spectra=spectra)
    if not (isinstance(left, Method) and isinstance(right, Method)):
        raise InputError(
            f"{model!r} is in {place} and {reference!r} in {other_place}.",
            hint="Compare a method with a method, or a phonon with a phonon.",
        )
    if allow:
        raise InputError("Only phonons have a protocol to allow parts of.")
    if nac is not None:
        raise InputError("Only phonons have Born charges: leave `nac` out.")
    choices: dict[str, Any] = {"alignment": align, "recompute": recompute, "progress": progress}
    if host is not None:
        shells = None if edges is None else Shells(tuple(edges))
        choices |= {"host": db.require_structure(host), "shells": shells}
    selected = selection(db, on, only)
    pairs = select_pairs(db, left, right, selected)
    validation = compare_pairs(db, left, right, selected, pairs, **choices)
    floors = noise_floors(db, left, right, pairs)
    return Comparison(validation, floors, energies_told(db, left, right, pairs))


def selection(db: Database, on: str | Mapping[str, Any] | None, only: Only = Only.ALL) -> Selection:
    """Read what methods are compared on: see `compare`.

    Raises:
        InputError: it names no dataset.
    """
    if isinstance(on, str) and is_filter(on):
        on = {"query": on}
    if not isinstance(on, str):
        return Selection(
            query=db.calculations.selector(**(on or {})), text=_in_words(on or {}), only=only
        )
    name, _, split = on.partition(":")
    dataset = db.resolve(name, "datasets")[1]
    if not isinstance(dataset, Dataset):
        raise InputError(f"{name!r} is not a dataset.")
    return Selection(dataset=dataset, split=split or None, only=only)


def _in_words(on: Mapping[str, Any]) -> str:
    """Arguments of `find` as a validation keeps them where a text is among them; "" else."""
    if not isinstance(on.get("query"), str):
        return ""
    return " ".join([*(f"{k}={v}" for k, v in on.items() if k != "query"), on["query"]])


def align_of(text: Align | str) -> Align:
    """Read how energies are aligned.

    Raises:
        InputError: there is no such way.
    """
    if text not in set(Align):
        ways = ", ".join(Align)
        raise InputError(f"Energies are not aligned by {text!r}.", hint=f"It is one of {ways}.")
    return Align(text)


def only_of(text: Only | str) -> Only:
    """Read which structures are compared.

    Raises:
        InputError: there is no such choice.
    """
    if text not in set(Only):
        raise InputError(f"There are no {text!r} structures.", hint=f"Take {' or '.join(Only)}.")
    return Only(text)
