"""The connected database with the use cases as methods: what a user of Python works with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from mongoengine import Document

from forcebase.api.collections import Collection, Datasets, Models, Structures
from forcebase.api.home import HomeDatabase
from forcebase.database.collections import RecordCollection
from forcebase.database.results import Results
from forcebase.errors import InputError, NotFoundError
from forcebase.progress import Progress
from forcebase.records import (
    Calculation,
    Dataset,
    DatasetMember,
    Method,
    ModelMethod,
    Phonon,
    Structure,
)
from forcebase.records.bound import bind

if TYPE_CHECKING:
    from forcebase.actions.running import Where
    from forcebase.comparison import Comparison
    from forcebase.models.training_settings import TrainingSettings

R = TypeVar("R", bound=Document)
ForceConstantsMethod = Literal["auto", "analytic", "displacements"]
SPECIAL: dict[type[Document], type[Collection]] = {Structure: Structures, Dataset: Datasets}


class Session(HomeDatabase):
    """Everything that is stored, and what can be done with it. `forcebase.connect()` gives one.

    It is the database, with the use cases of `forcebase.actions` as methods. What it reads is
    bound to it: `calculation.structure` is the id, and leads to the record too
    (`calculation.structure.atoms`). Wherever a record is asked for, its name, tag, id or first
    digits will do.
    """

    structures: Structures
    datasets: Datasets

    def of_class(self, document: type[R]) -> RecordCollection[R]:
        """The collection of a class of documents; the same object each time."""
        found = super().of_class(document)
        if isinstance(found, Collection):
            found.session = self
        return found

    def collection_class(self, document: type[Document]) -> type[RecordCollection]:
        """Of what class the collection of a class of documents is."""
        return SPECIAL.get(document, Collection)

    @cached_property
    def models(self) -> Models:
        """The models among the methods; `db.models.add` adds one from elsewhere."""
        return Models(self)

    def train(
        self,
        dataset: Dataset | str,
        settings: TrainingSettings | str | Path | None = None,
        *,
        name: str | None = None,
        parent: ModelMethod | str | None = None,
        where: Where | None = None,
        progress: Progress | None = None,
        **changes: Any,
    ) -> Any:
        """Train MACE on a dataset; the same data and settings give the model there is.

        Args:
            dataset: what to train on: the record, name@version, or its name (the newest).
            settings: settings, the preset "demo" (the default) or "full", or a YAML file.
            name: to call the model by.
            parent: a MACE to begin from.
            where: elsewhere: a worker's name, or a place.
            progress: told of each epoch after which the valid split was looked at.
            **changes: of the settings, by forcebase's names or MACE's, as device="cuda",
                num_channels=64, seed=3.

        Returns:
            The model; elsewhere a handle, whose `result()` waits for it.

        Raises:
            InputError: there is no such setting, or it cannot have this value.
            MissingDependencyError: MACE is not installed here, where the training is to run.
        """
        from forcebase.actions.training import train_model

        chosen = _settings(settings, changes)
        data = self._dataset(dataset)
        start = None if parent is None else self._model(parent)
        if where is not None:
            return train_model(self, data, chosen, parent=start, name=name, where=where)
        return train_model(self, data, chosen, parent=start, name=name, progress=progress)

    def predict(
        self,
        model: ModelMethod | str,
        on: Any,
        *,
        again: bool = False,
        where: Where | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Have a model label structures; those that it has labelled are not computed again.

        Args:
            model: the model.
            on: a structure, several, what `db.structures.find` or `db.calculations.find` gave, or
                a dataset, also as "dataset:split".
            again: label all of them, to compare the model with what it gave before; that stays.
            where: elsewhere: a worker's name, or a place.
            progress: told of each batch.

        Returns:
            The calculations, one a structure; elsewhere a handle, whose `result()` waits for the
            number of new ones.

        Raises:
            MissingDependencyError: the model's package is not installed here, where it is to run.
            ModelError: it does not know an element.
        """
        from forcebase.actions.predictions import predict

        chosen, ids = self._model(model), self._structure_ids(on)
        if where is not None:
            return predict(self, chosen, ids, again=again, where=where)
        predict(self, chosen, ids, again=again, progress=progress)
        return self.calculations.find(method=chosen.id, structure=ids)

    def phonon(
        self,
        model: ModelMethod | str,
        structure: Structure | str,
        supercell: Sequence[int] | Sequence[Sequence[int]] | str,
        *,
        method: ForceConstantsMethod = "auto",
        displacement: float = 0.02,
        tolerance: float = 1e-8,
        fmax: float = 1e-5,
        max_steps: int = 500,
        name: str | None = None,
        where: Where | None = None,
        progress: Progress | None = None,
    ) -> Any:
        """Relax a structure with a model (vacuum fixed) and compute its force constants.

        What is there already, of the same model, start, supercell and settings, is found again.

        Args:
            model: whose energy surface.
            structure: unit cell, not relaxed.
            supercell: as (4, 4, 4) or "4x4x4", or a (3, 3) matrix of whole numbers.
            method: of the force constants: analytic (of a MACE), displacements, or auto.
            displacement: of displacements, angstrom.
            tolerance: of analytic force constants, eV/angstrom^2.
            fmax: of the relaxation, eV/angstrom.
            max_steps: of the relaxation.
            name: to call the phonon by; not with `where`.
            where: elsewhere: a worker's name, or a place.
            progress: told of each stage.

        Returns:
            The phonon; elsewhere a handle, whose `result()` waits for it.

        Raises:
            InputError: it is not a supercell.
            ModelError: the model does not know an element, or has no analytic force constants.
        """
        from forcebase.actions.phonons import compute_phonon
        from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
        from forcebase.makers.relaxation import RelaxMaker

        maker = PhononMaker(
            relax_maker=RelaxMaker(fmax=fmax, max_steps=max_steps),
            force_constants_maker=ForceConstantsMaker(
                method=method, tolerance=tolerance, displacement=displacement
            ),
        )
        asked = (self, self._model(model), self._structure(structure), _matrix(supercell), maker)
        if name is not None:
            self.names.check(name)
        if where is not None:
            if name is not None:
                raise InputError(
                    "A phonon that is computed elsewhere cannot be named yet.",
                    hint="Name it when it is there: db.names.name(name, 'phonons', phonon.id).",
                )
            return compute_phonon(*asked, where=where)
        found = compute_phonon(*asked, progress=progress)
        if name is not None:
            self.names.name(name, "phonons", found.id)
        return found

    def compare(
        self,
        model: Method | Phonon | str,
        reference: Method | Phonon | str,
        on: str | Dataset | Mapping[str, Any] | None = None,
        *,
        fill: bool = True,
        **options: Any,
    ) -> Comparison:
        """Compare a model (or any method, or a phonon) with a reference.

        Args:
            model: a method or a phonon.
            reference: the same kind of record.
            on: for methods: "dataset", "dataset:split", or keyword arguments of
                `db.calculations.find`; None for all structures that both have labelled.
            fill: have a model label what it has not yet of what `on` names.
            **options: align, only, host, edges, allow, nac, recompute, progress: see
                `forcebase.comparison.compare`.

        Raises:
            InputError: a method and a phonon cannot be compared, or there is no such split.
            NotFoundError: the two have no structure in common.
        """
        from forcebase.actions.filling import fill_labels
        from forcebase.comparison import compare, selection
        from forcebase.comparison.comparing import only_of
        from forcebase.comparison.leakage import Only

        left, right = self._record(model), self._record(reference)
        chosen = on.title if isinstance(on, Dataset) else on
        if isinstance(chosen, Mapping):
            chosen = _calculations(self).with_ids(chosen)
        wanted = fill and chosen is not None and self.access.may_write
        if wanted and isinstance(left, ModelMethod) and isinstance(right, Method):
            selected = selection(self, chosen, only_of(options.get("only", Only.ALL)))
            progress = options.get("progress")
            fill_labels(self, [left], [right], selected, progress=progress)
        found = compare(self, left.id, right.id, chosen, **options)
        bind(found.validation, self)
        return found

    def _record(self, given: Any) -> Any:
        return given if isinstance(given, Document) else self.get(given)

    def _dataset(self, given: Any) -> Dataset:
        found = given if isinstance(given, Document) else self.get(given, self.datasets.name)
        if not isinstance(found, Dataset):
            raise InputError(
                f"{found!r} is not a dataset.", hint="db.datasets.find() gives those there are."
            )
        return found

    def _model(self, given: Any) -> ModelMethod:
        found = given if isinstance(given, Document) else self.get(given, self.methods.name)
        if not isinstance(found, ModelMethod):
            raise InputError(
                f"{found!r} is not a model.", hint="db.models.find() gives those there are."
            )
        return found

    def _structure(self, given: Any) -> Structure:
        if isinstance(given, Structure):
            return given
        if isinstance(given, (Calculation, DatasetMember, Phonon)):
            return self.structures.get(given.structure)
        if not isinstance(given, str):
            raise InputError(
                f"{type(given).__name__} is not a structure of the database.",
                hint="Add it first: db.structures.add(it).",
            )
        try:  # a dataset may be called like the structure that it is of
            return self.structures.get(given)
        except NotFoundError:
            return self.require_structure(given)

    def _structure_ids(self, on: Any) -> list[str]:
        """Ids of the structures that somebody means."""
        from forcebase.datasets import check_split, dataset_frames

        if isinstance(on, Dataset):
            return [str(s) for s in dataset_frames(self, on).structures]
        if isinstance(on, str):
            name, colon, split = on.partition(":")
            if not colon and not self._is_dataset(name):
                return [self._structure(name).id]
            data = self._dataset(name)
            check_split(split or None)
            return [str(s) for s in dataset_frames(self, data, split or None).structures]
        if isinstance(on, (Sequence, Results)):
            return list(dict.fromkeys(i for one in on for i in self._structure_ids(one)))
        return [self._structure(on).id]

    def _is_dataset(self, text: str) -> bool:
        """Whether a text that is not a structure's name is a dataset's."""
        named = self.names.named(text)
        if named is not None and named[0] == self.structures.name:
            return False
        return self.resolve(text)[0] == self.datasets.name

    def __repr__(self) -> str:
        counts = [
            f"{collection.raw.estimated_document_count()} {name}"
            for name, collection in self.record_collections.items()
        ]
        return f"<forcebase database {self.settings.database!r}: {', '.join(counts)}>"


def _calculations(session: Session) -> Collection:
    found: Any = session.calculations
    return found


def _settings(given: TrainingSettings | str | Path | None, changes: Mapping[str, Any]) -> Any:
    """Settings, a preset or a file, with what is changed of it."""
    from forcebase.models.settings_file import changed, read_settings, settings_from
    from forcebase.models.training_settings import TrainingSettings

    if given is None or (isinstance(given, str) and re.fullmatch(r"\w+", given)):
        return settings_from({**({"preset": given} if given else {}), **changes})
    base = given if isinstance(given, TrainingSettings) else read_settings(Path(given))
    return changed(base, changes)


def _matrix(given: Any) -> list[list[int]]:
    """A supercell as a matrix.

    Raises:
        InputError: it is none.
    """
    parts = given.split("x") if isinstance(given, str) else given
    try:
        found = np.asarray(() if parts is None else parts, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    whole = np.round(found).astype(int)
    matrix = np.diag(whole) if whole.shape == (3,) else whole
    if matrix.shape != (3, 3) or (found != whole).any() or round(np.linalg.det(matrix)) < 1:
        raise InputError(
            f"{given!r} is not a supercell.",
            hint="Give three whole numbers, as (4, 4, 4), or a 3x3 matrix of positive determinant.",
        )
    return [[int(n) for n in row] for row in matrix]
