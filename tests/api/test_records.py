"""Records that lead to others, and how people see them."""

import copy
import pickle

import bson
import numpy as np
import pytest

from forcebase import records
from forcebase.database.database import Database
from forcebase.errors import InputError, NotFoundError
from forcebase.records.bound import RecordId
from forcebase.records.kinds import kinds


def test_a_calculation_leads_to_its_structure_and_method(silicon):
    calculation = silicon.calculations.find(kind="rattled", limit=1)[0]
    structure = silicon.structures.get(str(calculation.structure))
    np.testing.assert_array_equal(calculation.structure.atoms.positions, structure.positions)
    assert calculation.structure.record == structure
    assert calculation.method.title == silicon.get("tersoff").title
    assert calculation.method.elements == ["C", "Si"]
    assert calculation.atoms.get_potential_energy() == calculation.energy
    np.testing.assert_array_equal(calculation.atoms.get_forces(), calculation.forces)
    found = calculation.structure.to_pymatgen()
    np.testing.assert_allclose(found.cart_coords, structure.positions, atol=1e-10)


def test_all_kinds_lead_on(silicon, pair):
    phonon = silicon.get("si-phonon")
    assert phonon.structure.n_atoms == len(phonon.atoms) == 2
    assert phonon.initial_structure == silicon.structures.get("si").id
    validation = pair.validation
    assert validation.model.record == silicon.get("lj")
    assert validation.reference.kind == "ASE"
    dataset = silicon.get("si")
    assert isinstance(dataset, records.Dataset)  # called like the structure that it is of
    assert isinstance(silicon.get("si", "structures"), records.Structure)
    assert dataset.method.record == silicon.get("tersoff")
    members = dataset.members()
    assert len(members) == 12 == sum(len(dataset.members(s)) for s in ("train", "valid", "test"))
    assert {m.calculation.energy for m in members} == {
        a.get_potential_energy() for a in dataset.atoms()
    }
    assert not dataset.members("dropped")
    with pytest.raises(InputError, match="no split 'tests'"):
        dataset.members("tests")


def test_the_id_stays_the_text_that_it_was(silicon):
    calculation = silicon.calculations.find(limit=1)[0]
    held, text = calculation.structure, calculation.to_mongo()["structure"]
    assert isinstance(held, str)
    assert held == str(held) == text
    assert type(str(held)) is str
    assert {held: 1}[str(held)] == 1
    assert f"{held[:10]}..." == text[:10] + "..."
    assert bson.decode(bson.encode({"a": held})) == {"a": text}
    for away in (pickle.loads(pickle.dumps(held)), copy.deepcopy(held)):
        assert type(away) is str
        assert away == held
    assert silicon.structures.count(id=held) == 1
    assert silicon.calculations.checked(calculation) == calculation.to_mongo().to_dict()
    with pytest.raises(AttributeError, match="no_such_thing"):
        getattr(held, "no_such_thing")  # noqa: B009


def test_no_field_of_a_record_is_hidden_by_a_method_of_text():
    """`calculation.structure.count` would be the text's; `title` is taken over."""
    named = {one.collection for kind in kinds() for one in kind.references} | {"calculations"}
    fields = {name for kind in kinds() if kind.name in named for name in kind.field_types()}
    views = {"atoms", "activity", "bands", "calculator", "members", "to_pymatgen", "learning"}
    assert (fields | views) & set(dir(str)) == set()
    assert RecordId.title is not str.title


def test_what_a_model_made_and_what_made_it(silicon):
    calculation = silicon.calculations.find(kind="rattled", limit=1)[0]
    activity = calculation.activity
    assert (activity.kind, activity.name) == ("job", "predict")
    made = activity.made()
    assert set(made) == {"calculations"}
    assert len(made["calculations"]) == activity.n_records == 12
    assert calculation in list(made["calculations"])
    assert repr(made).startswith("12 calculations")
    assert made._repr_html_() == made["calculations"]._repr_html_()


def test_a_record_of_no_session_says_so(silicon):
    plain = Database(silicon.settings)
    try:
        calculation = plain.calculations.one()
        assert type(calculation.structure) is str
        for ask in (lambda: calculation.atoms, lambda: calculation.activity):
            with pytest.raises(InputError, match=r"forcebase.connect"):
                ask()
        assert calculation.structure[:10] not in repr(calculation)
        assert calculation.id[:10] in repr(calculation)
    finally:
        plain.close()


def test_what_is_called_in_find_may_be_named(silicon):
    method = silicon.get("tersoff")
    by_name = silicon.calculations.find(method="tersoff")
    assert len(by_name) == 13
    assert [c.id for c in by_name] == [c.id for c in silicon.calculations.find(method=method.id)]
    assert len(silicon.calculations.find(method=method, kind="rattled")) == 12
    assert len(silicon.calculations.find(method=["tersoff", method.id[:8]])) == 13
    assert silicon.calculations.count(structure=by_name[0].structure) >= 1
    with pytest.raises(NotFoundError, match="'tersof'"):
        silicon.calculations.find(method="tersof")


def test_get_takes_what_people_type(silicon):
    method = silicon.get("tersoff")
    same = (method.id, method.id[:6], "tersoff")
    assert {silicon.methods.get(text).id for text in same} == {method.id}
    assert silicon.datasets.get("si@1") == silicon.datasets.get("si")
    with pytest.raises(NotFoundError, match="structures has no record ffff"):
        silicon.structures.get("f" * 64)
    activity = method.activity
    assert silicon.activities.get(activity.id) == activity


def test_reprs_are_for_people(silicon, pair):
    calculation = silicon.calculations.find(kind="rattled", method="tersoff", limit=1)[0]
    told = repr(calculation)
    assert told == str(calculation)
    for part in ("Si8", f"{calculation.energy:.6f} eV", "tersoff", calculation.id[:10]):
        assert part in told
    assert repr(calculation.structure) == repr(calculation.structure.record)
    for record in (
        *(silicon.get(name) for name in ("si@1", "si-phonon", "tersoff")),
        *(silicon.structures.get("si"), pair.validation, pair, calculation.activity),
        silicon.datasets.get("si").members()[0],
    ):
        assert "object" not in repr(record)
        assert "\n" not in repr(record)
        assert len(repr(record)) < 200
        assert record._repr_html_().startswith("<div><b>")
    assert "tersoff" in repr(pair)
    assert "forces MAE" in pair._repr_html_()
    assert "2 methods" in repr(silicon)


def test_reprs_of_lists(silicon):
    found = silicon.calculations.find(kind="rattled", method="tersoff")
    lines = repr(found).splitlines()
    assert lines[0] == "12 calculations"
    assert len(lines) == 12  # ten of them, and how many more
    assert lines[-1] == "  ... and 2 more"
    page = found._repr_html_()
    assert page.count("<tr>") == 11
    assert "tersoff" in page
    assert "the first 10" in page
    assert repr(found[:1]).startswith("1 calculation\n")
    empty = silicon.calculations.find(kind="nothing")
    assert repr(empty) == "no records"
    assert "no records" in empty._repr_html_()
    assert "tersoff" in repr(silicon.models)


def test_a_list_after_the_session_is_closed(settings):
    from ase.build import bulk

    from forcebase.api import Session

    session = Session(settings)
    record = session.structures.add(bulk("Si"), name="si")
    assert "'si'" in repr(record)
    session.close()
    assert record.id[:10] in repr(record)


EVIL = "<script>alert('&')</script>"


def test_html_is_escaped(session):
    from ase.build import bulk

    record = session.structures.add(bulk("Cu"), name=EVIL, kind=EVIL)
    emt = session.models.add("ase", "ase.calculators.emt:EMT", elements=["Cu"], name=EVIL + "2")
    found = session.predict(emt, record)
    phonon = session.phonon(emt, record, supercell=(2, 2, 2), fmax=0.1)
    pages = [
        record._repr_html_(),
        session.structures.find()._repr_html_(),
        found._repr_html_(),
        found[0]._repr_html_(),
        found[0].structure._repr_html_(),
        phonon._repr_html_(),
        phonon.bands()._repr_html_(),
        phonon.dos()._repr_html_(),
        phonon.thermal([300])._repr_html_(),
        session.compare(emt, emt)._repr_html_(),
        session.compare(emt, emt).errors._repr_html_(),
        session.compare(emt, emt).parity()._repr_html_(),
        session.compare(emt, emt).force_errors()._repr_html_(),
    ]
    assert not [page for page in pages if "<script" in page]
    assert sum("&lt;script&gt;" in page for page in pages) >= 10
