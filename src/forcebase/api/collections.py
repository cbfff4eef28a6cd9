"""Collections of a connected database: what they give knows its way back, and names are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mongoengine import Document

from forcebase.api.home import HomeDatabase
from forcebase.database.collections import RecordCollection
from forcebase.database.results import Results
from forcebase.progress import Progress
from forcebase.records import Dataset, ModelMethod, Structure
from forcebase.records.bound import bind
from forcebase.records.kinds import kind_of

if TYPE_CHECKING:
    from forcebase.curation.recipe import CurationRecipe

R = TypeVar("R", bound=Document)
DIGEST_LENGTH = 64


class Collection(RecordCollection[R]):
    """Records of one class, that reach others by the ids in their fields.

    `find` takes records and their names where a field holds the id of another record.
    """

    session: HomeDatabase
    """The connected database; set by it."""

    def _made(self, stored: dict[str, Any]) -> R:
        return cast("R", bind(super()._made(stored), self.session))

    def get(self, record_id: str) -> R:
        """Give a record by its id, its first digits, its name or its tag.

        Raises:
            NotFoundError: no record, or more than one, is called so.
        """
        text = str(record_id)
        if len(text) < DIGEST_LENGTH and self.name in self.session.record_collections:
            return cast("R", self.session.resolve(text, self.name)[1])
        return super().get(text)

    def selector(
        self,
        query: str | Mapping[str, Any] | None = None,
        *,
        tag: str | None = None,
        **equal: Any,
    ) -> dict[str, Any]:
        """The MongoDB query that `find` makes of its arguments, names and records as ids."""
        return super().selector(query, tag=tag, **self.with_ids(equal))

    def with_ids(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Values of fields, with records and their names as ids.

        Raises:
            NotFoundError: no record is called so.
        """
        about = kind_of(self.name).about
        places = {one.field: one.collection for one in about.references}
        found = dict(fields)
        for field in places.keys() & fields.keys():
            value = fields[field]
            several = isinstance(value, (list, tuple, Results))
            ids = [self._id(one, places[field]) for one in (value if several else [value])]
            found[field] = ids if several else ids[0]
        return found

    def _id(self, value: Any, place: str) -> Any:
        if isinstance(value, Document):
            return str(value.pk)
        if isinstance(value, str) and 0 < len(value) < DIGEST_LENGTH:
            return self.session.resolve(value, place)[1].pk
        return value


class Structures(Collection[Structure]):
    """The structures."""

    def add(self, given: Any, *, name: str | None = None, kind: str = "") -> Any:
        """Keep a structure; one that is there already is given as it is.

        Args:
            given: path of a file with one structure (CIF, POSCAR, extxyz, ...), ASE Atoms, a
                pymatgen Structure, or a list of records.
            name: to call it by from now on.
            kind: configuration kind, as "pristine-2x2".

        Returns:
            The record; of a list of records, how many are new.

        Raises:
            InputError: it is none of these, cannot be read, or is not a periodic structure of whole
                atoms.
        """
        from forcebase.actions.structures import add_structure

        if isinstance(given, list) and all(isinstance(one, Structure) for one in given):
            return super().add(given)
        return add_structure(self.session, given, name=name, kind=kind)


class Datasets(Collection[Dataset]):
    """The datasets, all versions."""

    def build(
        self,
        name: str,
        *,
        seed: int | None = None,
        recipe: CurationRecipe | str | Path | None = None,
        progress: Progress | None = None,
        **filters: Any,
    ) -> Dataset:
        """Curate calculations into the next version of a dataset.

        The same calculations and recipe as an earlier version's give that version.

        Args:
            name: of the dataset.
            seed: of the split; by default the recipe's, which is 0.
            recipe: steps, shares, E0s, license; or the file of one.
            progress: told of each stage.
            **filters: keyword arguments of `db.calculations.find`, as method="pbe"; converged DFT
                by default. For labels of a model: method_class="model".

        Raises:
            InputError: the name could not be told from name@version, or from a path.
            NotFoundError: no calculation fits.
        """
        from forcebase.actions.datasets import build_dataset
        from forcebase.curation.recipe import CurationRecipe, read_recipe

        if isinstance(recipe, (str, Path)):
            recipe = read_recipe(Path(recipe))
        chosen = recipe or CurationRecipe()
        if seed is not None:
            chosen = replace(chosen, seed=seed)
        calculations = cast("Collection[Any]", self.session.calculations)
        if chosen.e0s_method:
            method = self.session.resolve(chosen.e0s_method, "methods")[1]
            chosen = replace(chosen, e0s_method=str(method.pk))
        chosen = replace(chosen, filters=calculations.with_ids(chosen.filters))
        wanted = calculations.with_ids(filters)
        return build_dataset(self.session, name, wanted, recipe=chosen, progress=progress)

    def get(self, record_id: str) -> Dataset:
        """Give a dataset by name@version, its name (the newest), id or tag."""
        return super().get(record_id)


class Models:
    """The models among the methods, and the way to add one from elsewhere.

    Args:
        session: the connected database.
    """

    def __init__(self, session: HomeDatabase) -> None:
        self._session = session

    def add(
        self,
        kind: str,
        source: str | Path,
        *,
        name: str | None = None,
        elements: list[str] | tuple[str, ...] = (),
        weights: tuple[str, str | Path] | None = None,
        dtype: str = "float64",
        head: str | None = None,
        **keywords: Any,
    ) -> ModelMethod:
        """Keep a model from elsewhere; one that is there already is given as it is.

        This runs code of the file, where it is a pickle, and of the package: give only what you
        would run.

        Args:
            kind: mace, sevennet, chgnet, ase, or of a plug-in.
            source: a file; the name of a model that the package brings; for ase a
                `module:callable`, as ase.calculators.emt:EMT.
            name: to call it by.
            elements: that it knows, where the package does not say.
            weights: for ase: which keyword takes the path of a file, and the file.
            dtype: float64 or float32.
            head: of a MACE with several.
            **keywords: of the callable, or arguments of the kind.

        Raises:
            InputError: no such kind, file, bundled model, callable or element.
            MissingDependencyError: the package is not installed.
            ModelError: the package cannot read the file.
        """
        from forcebase.actions.models import add_model
        from forcebase.models.sources import Source

        if name is not None:
            self._session.names.check(name)
        with_file = None if weights is None else (weights[0], Path(weights[1]))
        made = Source(kind, str(source), keywords, with_file, list(elements), dtype, head)
        model = add_model(self._session, made)
        if name is not None:
            self._session.names.name(name, "methods", model.id)
        return model

    def find(self, query: Mapping[str, Any] | None = None, **options: Any) -> Results:
        """Find models: arguments as of `db.methods.find`."""
        models = {"_cls": ModelMethod._class_name}
        asked = {"$and": [models, dict(query)]} if query else models
        return self._session.methods.find(asked, **options)

    def get(self, text: str) -> ModelMethod:
        """Give a model by id, its first digits, name or tag.

        Raises:
            NotFoundError: no record, or more than one, is called so.
            InputError: it is a DFT method.
        """
        return self._session.require_model(text)

    def __repr__(self) -> str:
        return repr(self.find())

    def _repr_html_(self) -> str:
        return self.find()._repr_html_()
