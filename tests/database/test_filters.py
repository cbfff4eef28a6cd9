"""The filter language against a second reading of it, in Python, of the stored records."""

from __future__ import annotations

import operator
import re
from contextlib import suppress
from datetime import datetime

import numpy as np
import pytest
from ase.build import bulk, molecule
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forcebase.actions.datasets import build_dataset
from forcebase.comparison import compare
from forcebase.database.filters import conditions, language
from forcebase.database.filters.texts import is_filter, short_form
from forcebase.errors import InputError, NotFoundError
from forcebase.records import Calculation, ModelMethod, Structure
from forcebase.records.fields import FieldType, fields_of

ODD_KINDS = (
    "",
    "$where",
    'quoted "text"',
    "back\\slash",
    ".*",
    "a+b(c)[d]^$|?",
    "ends in a line\n",
    "Füße 😀",
    "{'$gt': ''}",
    "pristine-2x2",
)


@pytest.fixture(scope="module")
def db(new_database, imported):
    """Records of every kind, some odd, and some that lack what others have."""
    db = new_database()
    imported(db, "wse2_gpaw_unitcell.extxyz", "wse2_gpaw_pbe.extxyz", "phonopy_wse2_gpaw_3x3.yaml")
    db.names.name("gpaw-pbe", "methods", db.methods.one().id)
    crystals = [
        bulk("Si"),
        bulk("NaCl", "rocksalt", a=5.64),
        bulk("Cu", cubic=True).repeat((2, 2, 2)),
        molecule("C60"),
        molecule("CH3CH2OH"),
        bulk("GaAs", "zincblende", a=5.65).repeat((1, 1, 2)),
    ]
    for atoms in crystals:
        atoms.center(2.0) if not atoms.cell.rank else None
    cells = [bulk("Si", a=4 + 0.1 * i) for i in range(len(ODD_KINDS))]
    structures = [Structure.from_atoms(atoms) for atoms in crystals]
    structures += [
        Structure.from_atoms(cell, kind=kind) for cell, kind in zip(cells, ODD_KINDS, strict=True)
    ]
    db.structures.add(structures)
    method, random = db.methods.one(), np.random.default_rng(3)
    made = []
    for i, structure in enumerate(structures):
        stress = random.normal(size=6) if i % 2 else None
        energy = float(random.normal() * structure.n_atoms)
        forces = random.normal(size=(structure.n_atoms, 3))
        more = {"charge": float(i % 3 - 1)} if i % 3 else {}
        made.append(
            Calculation.of(
                structure,
                method,
                energy=energy,
                forces=forces,
                stress=stress,
                converged=bool(i % 4),
                findings=["odd"] * (i % 3),
                k_mesh=[i % 5] * (i % 4),
                convergence={"n_steps": i, "Name": f"run {i}", "ok": i % 2 == 0},
                **more,
            )
        )
    db.calculations.add(made)
    build_dataset(db, "d", {"elements": ["Se", "W"]})
    compare(db, "gpaw-pbe", "gpaw-pbe", "d@1:test")
    model = ModelMethod(
        kind="MACE", weights="a" * 64, dtype="float64", elements=["Se", "W"], seed=3,
        dataset=db.datasets.one().id, e0s={"Se": -1.5, "W": -4.0},
    )  # fmt: skip
    db.methods.add([model.sealed()])
    return db


# --- a second reading -------------------------------------------------------------------------

COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def at(document, path):
    """The value at a dotted path; None where there is none."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def alike(a, b):
    """Whether MongoDB compares two values by their order: numbers with numbers."""
    kinds = [bool if isinstance(v, bool) else float if isinstance(v, (int, float)) else type(v)
             for v in (a, b)]  # fmt: skip
    return kinds[0] is kinds[1]


def ordered(op, a, b):
    if not alike(a, b):
        return op == "!="
    return COMPARE[op](a, b)


def verdict(node, document):
    """True, False, or None where a field is not known."""
    kind, *rest = node
    if kind == "not":
        found = verdict(rest[0], document)
        return None if found is None else not found
    if kind in ("and", "or"):
        found = [verdict(part, document) for part in rest[0]]
        decisive = kind == "or"
        if decisive in found:
            return decisive
        return None if None in found else not decisive
    path, *rest = rest
    value = at(document, path)
    if kind == "known":
        return (value is not None) == rest[0]
    if value is None:
        return None
    if kind == "compare":
        return ordered(rest[0], value, rest[1])
    if kind == "text":
        how, text = rest
        tests = {"CONTAINS": str.__contains__, "STARTS": str.startswith, "ENDS": str.endswith}
        return isinstance(value, str) and tests[how](value, text)
    if kind == "length":
        return COMPARE[rest[0]](len(value), rest[1])
    if kind == "has":
        which, items = rest
        return several(which, [[value]], [[item] for item in items], document)
    others, which, rows = rest
    lists = [value, *(at(document, other) for other in others)]
    return several(which, [lists], rows, document)


def several(which, wrapped, rows, _):
    [lists] = wrapped
    items = list(zip(*lists, strict=True))

    def fits(item, row):
        return all(ordered(op, part, v) for part, (op, v) in zip(item, row, strict=True))

    if which == "ONLY":
        return bool(items) and all(any(fits(i, row) for row in rows) for i in items)
    combine = all if which == "ALL" else any
    return combine(any(fits(item, row) for item in items) for row in rows)


# --- what is written --------------------------------------------------------------------------


def quoted(value):
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def written(node):
    kind, *rest = node
    if kind == "not":
        return f"NOT ({written(rest[0])})"
    if kind in ("and", "or"):
        return f" {kind.upper()} ".join(f"({written(part)})" for part in rest[0])
    path, *rest = rest
    path = path.replace("_id", "id") if path == "_id" else path
    if kind == "known":
        return f"{path} IS {'KNOWN' if rest[0] else 'UNKNOWN'}"
    if kind == "compare":
        return f"{path} {rest[0]} {quoted(rest[1])}"
    if kind == "text":
        how = {"CONTAINS": "CONTAINS", "STARTS": "STARTS WITH", "ENDS": "ENDS"}[rest[0]]
        return f"{path} {how} {quoted(rest[1])}"
    if kind == "length":
        return f"{path} LENGTH {rest[0]} {rest[1]}"
    if kind == "has":
        items = ", ".join(f"{op} {quoted(v)}" for op, v in rest[1])
        return f"{path} HAS {rest[0]} {items}"
    others, which, rows = rest
    told = ", ".join(":".join(f"{op}{quoted(v)}" for op, v in row) for row in rows)
    return f"{':'.join([path, *others])} HAS {which} {told}"


def found(collection, text):
    return {row["_id"] for row in collection.raw.find(collection.selector(text), {"_id": 1})}


def expected(collection, node):
    return {row["_id"] for row in collection.raw.find() if verdict(node, row) is True}


ops = st.sampled_from(sorted(COMPARE))
numbers = st.sampled_from([-3, -1.0, 0, 0.25, 0.5, 1 / 3, 2, 2.0, 3, 1e3, -1e300, 10**20])
symbols = st.sampled_from(["Si", "W", "Se", "C", "H", "Na", "Cl", "$gt", "", "Xx"])
kinds_asked = st.sampled_from([k for k in ODD_KINDS if "\n" not in k] + ["zzz"])
pieces = st.sampled_from(
    ["", "a", ".", ".*", "$", "^", "\\", '"', "2x2", "😀", "ü", "where", "[d]"]
)
which = st.sampled_from(["ALL", "ANY", "ONLY"])


def lists_of(values):
    return st.lists(st.tuples(ops, values), min_size=1, max_size=3)


def leaves(field_numbers, texts, text_lists, number_lists, lengths, known, correlated):
    parts = [
        st.tuples(st.just("known"), st.sampled_from(known), st.booleans()),
        st.tuples(st.just("compare"), st.sampled_from(field_numbers), ops, numbers),
        st.tuples(st.just("compare"), st.sampled_from(texts), ops, kinds_asked),
        st.tuples(st.just("text"), st.sampled_from(texts),
                  st.sampled_from(["CONTAINS", "STARTS", "ENDS"]), pieces),
        st.tuples(st.just("length"), st.sampled_from(lengths), ops, st.integers(-1, 5)),
    ]  # fmt: skip
    if text_lists:
        parts.append(
            st.tuples(st.just("has"), st.sampled_from(text_lists), which, lists_of(symbols))
        )
    if number_lists:
        parts.append(
            st.tuples(st.just("has"), st.sampled_from(number_lists), which, lists_of(numbers))
        )
    if correlated:
        row = st.tuples(st.tuples(ops, symbols), st.tuples(ops, numbers))
        rows = st.lists(row, min_size=1, max_size=3)
        parts.append(st.tuples(st.just("zip"), st.just("elements"),
                               st.just(["elements_ratios"]), which, rows))  # fmt: skip
    return st.one_of(parts)


def trees(leaf):
    return st.recursive(
        leaf,
        lambda sub: st.one_of(
            st.tuples(st.just("not"), sub),
            st.tuples(st.sampled_from(["and", "or"]), st.lists(sub, min_size=2, max_size=3)),
        ),
        max_leaves=5,
    )


STRUCTURES = leaves(
    ["nelements", "n_atoms", "nperiodic_dimensions"],
    ["kind", "formula"],
    ["elements"],
    ["elements_ratios", "dimension_types"],
    ["elements", "elements_ratios", "pbc"],
    ["kind", "defect", "positions", "recipe.parent", "recipe.seed"],
    True,
)
CALCULATIONS = leaves(
    ["energy", "energy_per_atom", "max_force", "charge", "n_atoms", "convergence.n_steps"],
    ["kind", "energy_kind", "convergence.Name"],
    ["elements", "findings"],
    ["k_mesh"],
    ["findings", "k_mesh", "elements"],
    ["charge", "stress", "energy_kind", "convergence.n_steps", "free_energy"],
    False,
)


def comparable(node):
    """Formulas are read as formulas where they are compared; the odd texts are none."""
    kind, *rest = node
    if kind == "not":
        return comparable(rest[0])
    if kind in ("and", "or"):
        return all(map(comparable, rest[0]))
    return not (kind == "compare" and rest[0] == "formula" and rest[1] in ("=", "!="))


@settings(max_examples=400)
@given(trees(STRUCTURES).filter(comparable))
@example(("has", "elements", "ONLY", [("!=", "Si"), ("!=", "W")]))
@example(("zip", "elements", ["elements_ratios"], "ALL", [(("=", "Se"), (">", 0.5))]))
@example(("not", ("compare", "kind", "=", "")))
def test_structures_are_found_as_python_finds_them(db, node):
    assert found(db.structures, written(node)) == expected(db.structures, node), written(node)


@settings(max_examples=400)
@given(trees(CALCULATIONS))
@example(("not", ("compare", "charge", "!=", 0)))
@example(("not", ("has", "findings", "ONLY", [("=", "odd")])))
@example(("length", "findings", "!=", 0))
@example(("length", "findings", "<", 0))
def test_calculations_are_found_as_python_finds_them(db, node):
    assert found(db.calculations, written(node)) == expected(db.calculations, node), written(node)


@pytest.mark.parametrize("value", [True, False])
def test_booleans(db, value):
    for path in ("converged", "convergence.ok"):
        for op in ("=", "!="):
            node = ("compare", path, op, value)
            assert found(db.calculations, written(node)) == expected(db.calculations, node)
            turned = f"{str(value).upper()} {op} {path}"
            with pytest.raises(InputError):  # the grammar has no boolean in front
                db.calculations.selector(turned)
    assert found(db.structures, "vacuum_axes HAS TRUE") == {
        row["_id"] for row in db.structures.raw.find() if True in row["vacuum_axes"]
    }


def test_a_value_may_stand_first(db):
    for op in COMPARE:
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
        node = ("compare", "max_force", op, 1.5)
        assert found(db.calculations, f"1.5 {turned} max_force") == expected(db.calculations, node)
    assert found(db.structures, '"" = kind') == found(db.structures, 'kind = ""')


def test_dates_are_instants(db):
    made = db.structures.raw.find_one(sort=[("created_at", 1)])["created_at"]
    rows = list(db.structures.raw.find())
    for text in (made.isoformat(), made.isoformat() + "Z", made.isoformat() + "+00:00"):
        for op, compared in COMPARE.items():
            right = {row["_id"] for row in rows if compared(row["created_at"], made)}
            assert found(db.structures, f'created_at {op} "{text}"') == right
            assert found(db.structures, f'last_modified {op} "{text}"') == right
    assert found(db.structures, 'created_at > "2020-01-01"') == {row["_id"] for row in rows}
    east = datetime.fromisoformat(made.isoformat() + "+02:00")
    assert found(db.structures, f'created_at <= "{east.isoformat()}"') == set()
    for wrong in (
        'created_at > "yesterday"',
        "created_at > 5",
        'created_at > "0001-01-01T00:00+23:00"',
    ):
        with pytest.raises(InputError, match="date"):
            db.structures.selector(wrong)


@pytest.mark.parametrize(
    ("collection", "text", "n"),
    [
        ("structures", 'formula = "WSe2"', 28),
        ("structures", 'chemical_formula_hill="Se2W"', 28),
        ("structures", 'chemical_formula_reduced="NaCl"', 1),
        ("structures", 'chemical_formula_reduced="ClNa"', 1),
        ("structures", 'chemical_formula_reduced="(NaCl)4"', 1),
        ("structures", 'chemical_formula_anonymous="A"', 2 + len(ODD_KINDS) + 1),
        ("structures", 'chemical_formula_anonymous = "BA2" AND nsites = 3', 28),
        ("structures", "nsites = 60", 1),
        ("structures", "nperiodic_dimensions = 0", 2),
        ("methods", 'functional = "PBE" AND basis.cutoff_eV >= 350', 1),
        ("methods", 'basis.cutoff_eV > 350 OR code STARTS "vasp"', 0),
        ("methods", 'elements HAS "W" AND e0s.Si IS UNKNOWN', 1),
        ("methods", "e0s.W < -3 AND e0s.Se > -2", 1),
        ("methods", 'dataset.name = "d" AND dataset.version = 1', 1),
        ("methods", "dataset.name IS KNOWN", 1),
        ("methods", "dataset.name IS UNKNOWN", 1),
        ("methods", 'dataset.method.functional != "PBE"', 0),
        ("methods", 'id = "gpaw-pbe"', 1),
        ("methods", 'NOT id = "gpaw-pbe"', 1),
        ("datasets", "counts.train > 5", 1),
        ("datasets", 'steps.name = "one-method"', 1),
        ("datasets", 'NOT steps.name = "no such"', 1),
        ("datasets", 'method = "gpaw-pbe" AND e0s.W IS KNOWN', 1),
        ("phonons", 'structure.elements HAS ALL "Se","W" AND n_atoms_supercell = 27', 1),
        ("phonons", 'NOT method.code = "gpaw"', 0),
        ("validations", 'model = "gpaw-pbe" AND metrics.overall.forces.mae < 1e-9', 1),
        ("validations", "metrics.overall.forces.mae > 1e-9", 0),
        ("activities", 'kind = "import" AND run.state = "finished"', 3),
        ("activities", 'name ENDS WITH ".yaml"', 1),
        ("calculations", 'method = "gpaw-pbe" AND method.functional = "PBE" AND nsites = 60', 1),
        ("calculations", 'structure.family IS KNOWN AND chemical_formula_reduced = "C60"', 1),
    ],
)  # fmt: skip
def test_collections_of_all_kinds(db, collection, text, n):
    records = db.collection(collection)
    assert len(records.find(text)) == records.count(text) == n
    assert len(list(records.iterate(text))) == n


def test_what_a_filter_means_does_not_depend_on_how_its_words_are_set(db):
    tight = 'elements HAS ALL "Se","W"AND(max_force<5OR nsites>=12)'
    wide = ' elements  HAS ALL\n"Se" ,\t"W" AND ( max_force < 5 OR nsites >= 12 ) '
    assert found(db.calculations, tight) == found(db.calculations, wide) != set()


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("max_force", "ends too early"),
        ("max_force <", "ends too early"),
        ("max_force < 5 kind = \"x\"", "stands AND or OR"),
        ("max_force < 5 AND", "ends too early"),
        ("(max_force < 5", "ends too early"),
        ("max_force < 5)", "character 14"),
        ("max_force == 5", "character 12"),
        ('kind = "x', "no end"),
        ("kind = 'x'", "character 8"),
        ("kind = x", "double quotes"),
        ("max_force < energy", "double quotes"),
        ("5 < 6", "cannot be read|compares no field"),
        ('"a" = "b"', "compares no field"),
        ("max_force < NaN", "cannot be read"),
        ("max_force < nan", "double quotes"),
        ("max_force < 1e999", "beyond all numbers"),
        ("max_force < -1e999", "beyond all numbers"),
        ("n_atoms = " + "9" * 5000, "beyond all numbers"),
        ('max_force < "5"', r"of type number \(in eV/angstrom\)"),
        ("max_force = TRUE", "a boolean"),
        ("kind = 5", "is a number"),
        ("kind CONTAINS 5", "double quotes"),
        ('max_force CONTAINS "5"', "is for text"),
        ("converged > TRUE", "no order"),
        ('converged = "true"', "of type boolean"),
        ('elements = "Si"', "is a list"),
        ('elements CONTAINS "S"', "is a list"),
        ("elements HAS 5", "is a number"),
        ('kind HAS "x"', "not a list"),
        ("kind LENGTH 3", "not a list"),
        ("forces = 5", "an array"),
        ("convergence = 5", "an object"),
        ('elements:energy HAS "Si":1', "not a list"),
        ('elements:k_mesh HAS "Si"', "cannot be read|ends too early"),
        ('elements:k_mesh HAS "Si":1:2', "2 values"),
        ('formula = "Wolfram"', "formula"),
        ("energi < 5", "Did you mean energy"),
        ("provenance.activty IS KNOWN", "Did you mean provenance.activity"),
        ("energy.mean < 5", "nothing inside energy"),
        ("method.functionl = \"PBE\"", "methods has no field 'functionl'.*Did you mean functional"),
        ("_id = 5", "no field '_id'"),
        ("checksum = \"x\"", "no field"),
        ("$where = 5", "character 1"),
        ("kind.$where = 5", "character"),
        ("kind = \"a\x00b\"", "no text has"),
        ("kind = \"a\nb\"", "end of a line"),
        ("kind = \"\ud800\"", "no text has"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(db, text, words):
    with pytest.raises(InputError) as refused:
        db.calculations.find(text)
    assert re.search(words, str(refused.value)), refused.value


def test_a_name_that_stands_for_nothing_is_said(db):
    with pytest.raises(NotFoundError, match="no-such-method"):
        db.calculations.find('method = "no-such-method"')


@pytest.mark.parametrize("depth", [1, language.DEEPEST])
def test_brackets_as_deep_as_are_allowed_are_answered(db, depth):
    inner = 'kind="a" OR n_atoms=2 AND NOT kind="b"'
    for _ in range(depth):
        inner = f'NOT (kind="q" AND n_atoms=1 OR ({inner}) AND kind="z")'[:]
        depth -= 1
        if inner.count("(") >= language.DEEPEST:
            break
    assert db.calculations.count(inner) >= 0


@pytest.mark.parametrize("n", [language.DEEPEST + 1, 5_000])
def test_deeper_brackets_are_refused_before_they_are_read(db, n):
    with pytest.raises(InputError, match="brackets"):
        db.calculations.find("(" * n + "n_atoms=1" + ")" * n)


def test_long_texts(db):
    many = " OR ".join(f'kind="{i}"' for i in range(1_000))
    assert db.calculations.count(many) == 0
    with pytest.raises(InputError, match="characters"):
        db.calculations.find(" OR ".join(["n_atoms=1"] * 100_000))
    with pytest.raises(InputError, match="characters"):
        db.calculations.find("(" * 10_000_000)
    path = ".".join(["structure"] * 3_000)
    with pytest.raises(InputError, match=r"structures has no field|characters"):
        db.calculations.find(f"{path} IS KNOWN")
    far = ".".join(["dataset.method"] * 6) + ".kind"
    with pytest.raises(InputError, match="more than 4 records"):
        db.methods.find(f'{far} = "MACE"')


@pytest.mark.parametrize("unit", ["\\t", "\\\\", "a ", "\t", '\\"'])
def test_no_text_takes_exponential_time(db, unit):
    with pytest.raises(InputError):
        db.calculations.find('kind="' + unit.replace("\\t", "\t") * 5_000)


@settings(max_examples=300)
@given(st.text(max_size=60) | st.text('abkind_.=<>"()\\ $ANDORT:,1.5e+-', max_size=60))
def test_any_text_is_answered_or_refused(db, text):
    with suppress(InputError, NotFoundError):
        db.calculations.count(text)


@settings(max_examples=300)
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30))
@example("$where")
@example('" OR n_atoms > 0 OR kind = "')
@example("\\")
@example('\\" OR "')
@example("function() { return true }")
def test_a_value_stays_a_value(db, text):
    for op in ("=", "CONTAINS", "STARTS WITH", "ENDS WITH"):
        query = db.calculations.selector(f"kind {op} {quoted(text)}")
        [condition] = query["$and"]
        operand = text if op == "=" else re.escape(text)
        stored = {"=": operand, "CONTAINS": operand, "STARTS WITH": f"^{operand}"}
        expected_value = stored.get(op, rf"{operand}\z")
        assert condition == {"kind": {"$eq" if op == "=" else "$regex": expected_value}}
        there = db.calculations.raw.distinct("kind")
        tests = {"=": str.__eq__, "CONTAINS": str.__contains__, "STARTS WITH": str.startswith,
                 "ENDS WITH": str.endswith}  # fmt: skip
        right = {kind for kind in there if tests[op](kind, text)}
        assert set(db.calculations.raw.distinct("kind", query)) == right


def test_text_in_correlated_lists_is_no_expression(db):
    for text in ("$elements", "$$ROOT", "$where"):
        assert db.structures.count(f'elements:elements_ratios HAS "{text}":>0') == 0
        assert db.structures.count(f'elements:elements_ratios HAS != "{text}":>0') > 0


# --- keywords, and MongoDB's own queries --------------------------------------------------------


def test_keywords_know_their_fields(db):
    with pytest.raises(InputError, match=r"no field 'formla'.*Did you mean formula"):
        db.calculations.find(formla="WSe2")
    with pytest.raises(InputError, match="no field"):
        db.calculations.find(**{"$where": "true"})
    with pytest.raises(InputError, match="field of other records"):
        db.calculations.find(**{"method.functional": "PBE"})
    assert db.calculations.count(**{"convergence.n_steps": 3}) == 1
    assert db.calculations.count(method="gpaw-pbe") == db.calculations.count()
    assert db.calculations.count(method=["gpaw-pbe"]) == db.calculations.count()
    assert db.calculations.count(nsites=60) == db.calculations.count(n_atoms=60) == 1
    assert db.structures.count(chemical_formula_reduced="WSe2") == db.structures.count(
        reduced_formula="WSe2"
    )


@pytest.mark.parametrize(
    "value", [{"$gt": ""}, {"$where": "true"}, [{"$regex": "."}], {"a": {"$ne": 1}}]
)
def test_values_of_keywords_are_no_operators(db, value):
    for name in ("kind", "convergence", "elements"):
        with pytest.raises(InputError, match="no operators"):
            db.calculations.find(**{name: value})


def test_a_mongodb_query_is_taken_in_python(db):
    query = {"n_atoms": {"$gt": 50}}
    assert db.calculations.count(query) == db.calculations.count("nsites > 50") >= 1
    assert db.calculations.count({**query, "kind": "x"}) == 0
    with pytest.raises(InputError, match="not a filter"):
        db.calculations.find(5)


def test_text_keywords_and_a_tag_together(db):
    some = db.calculations.find("n_atoms = 2", limit=3)
    db.names.tag("chosen", "calculations", *[c.id for c in some])
    assert db.calculations.count("n_atoms = 2", tag="chosen") == 3
    assert db.calculations.count("n_atoms = 2", tag="chosen", converged=True) == sum(
        c.converged for c in some
    )
    assert len(db.calculations.find("n_atoms > 2", tag="chosen")) == 0


# --- order, pages, fields -----------------------------------------------------------------------


def test_sorting_skipping_and_limits(db):
    every = sorted(row["energy"] for row in db.calculations.raw.find())
    assert [c.energy for c in db.calculations.find(sort="energy")] == every
    assert [c.energy for c in db.calculations.find(sort="-energy", limit=3)] == every[::-1][:3]
    pages = [db.calculations.find(sort="energy", limit=4, skip=n) for n in range(0, len(every), 4)]
    assert [c.energy for page in pages for c in page] == every
    unsorted = [db.calculations.find(limit=4, skip=n) for n in range(0, len(every), 4)]
    assert len({c.id for page in unsorted[1:] for c in page}) == len(every) - 4
    ties = [
        db.calculations.find(sort="-nsites", limit=4, skip=n + 1) for n in range(0, len(every), 4)
    ]
    assert len({c.id for page in ties for c in page}) == len(every) - 1
    for wrong in ("engy", "method.functional"):
        with pytest.raises(InputError):
            db.calculations.find(sort=wrong)
    with pytest.raises(InputError, match="0 or more"):
        db.calculations.find(limit=-1)


def test_sorting_over_pieces_of_a_query(db, monkeypatch):
    monkeypatch.setattr("forcebase.database.pieces.IDS_AT_ONCE", 5)
    ids = [row["_id"] for row in db.calculations.raw.find({}, {"_id": 1})]
    rows = db.calculations.find(id=ids, sort="-max_force", skip=2, limit=7, fields=["n_atoms"])
    right = db.calculations.raw.find(sort=[("max_force", -1)]).skip(2).limit(7)
    assert [row.id for row in rows] == [row["_id"] for row in right]


def test_some_fields_only(db):
    asked = ["energy", "nsites", "convergence.n_steps", "charge", "forces"]
    rows = db.calculations.find("nsites <= 4", sort="energy", fields=asked, limit=5)
    whole = db.calculations.find("nsites <= 4", sort="energy", limit=5)
    for row, record in zip(rows, whole, strict=True):
        assert row.id == record.id
        assert row.energy == row["energy"] == record.energy
        assert row["nsites"] == record.n_atoms
        assert row["convergence.n_steps"] == record.convergence.get("n_steps")
        assert row.charge == record.charge
        assert np.array_equal(row.forces, record.forces)
        with pytest.raises(AttributeError, match="was not read"):
            row.created_at  # noqa: B018
    table = db.calculations.find(fields=["energy", "kind"], limit=4).to_dataframe()
    assert list(table.columns) == ["id", "energy", "kind"]
    with pytest.raises(AttributeError, match="was not read"):
        rows.to_atoms()
    with pytest.raises(InputError, match="no field"):
        db.calculations.find(fields=["engy"])
    nested = db.activities.find(fields=["run", "run.state"], limit=1)[0]
    assert nested["run.state"] == nested["run"]["state"] == "finished"


# --- the list of fields -------------------------------------------------------------------------


def test_every_listed_field_can_be_asked_of(db):
    for name, records in {**db.record_collections, "activities": db.activities}.items():
        for field in fields_of(name).values():
            records.count(f"{field.name} IS KNOWN")
            if field.type in (FieldType.OBJECT, FieldType.ARRAY):
                continue
            if field.type is FieldType.ANY and field.many:
                records.count(f"{field.name} LENGTH > 1")
                continue
            value = {
                FieldType.BOOLEAN: "TRUE",
                FieldType.DATE: '"2026-01-01"',
                FieldType.TEXT: '"Se2"' if "formula" in field.name else f'"{"a" * 64}"',
            }.get(field.type, "1")
            value = '"A2"' if field.name.endswith("anonymous") else value
            records.count(f"{field.name} {'HAS' if field.many else '='} {value}")


def test_fields_say_their_units():
    known = fields_of("calculations")
    assert (known["max_force"].unit, known["energy_per_atom"].unit) == ("eV/angstrom", "eV/atom")
    assert known["nsites"].stored == "n_atoms"
    assert known["method"].reference == "methods"
    assert known["elements"].type_name == "list of text"
    assert fields_of("structures")["created_at"].type is FieldType.DATE
    assert "checksum" not in known


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("kind=pristine-2x2", ("kind", "pristine-2x2")),
        ("elements=W,Se", ("elements", "W,Se")),
        ("defect.name=v_Se", ("defect.name", "v_Se")),
        ("name=", ("name", "")),
        ('kind="x"', None),
        ("max_force<5", None),
        ("max_force<=5", None),
        ("n_atoms!=5", None),
        ("converged=TRUE AND n_atoms=3", None),
        ('elements HAS "W"', None),
    ],
)
def test_the_short_form_is_told_from_the_language(text, short):
    assert short_form(text) == short


def test_a_filter_is_told_from_the_name_of_a_dataset():
    for name in ("wse2-pbe@1:test", "wse2-pbe", "IS_KNOWN", "my set:test"):
        assert not is_filter(name)
    for text in ("kind=x", "max_force<5", 'elements HAS "W"', "charge IS KNOWN"):
        assert is_filter(text)


def test_inverse_operators_are_the_opposite():
    for op, compared in COMPARE.items():
        for a in (1, 2, 3):
            assert compared(a, 2) != COMPARE[conditions.INVERSE[op]](a, 2)
