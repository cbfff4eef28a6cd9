"""Names move, tags gather, and neither touches a record."""

import pytest

from forcebase.errors import InputError, NotFoundError

A, B = "a" * 64, "b" * 64


def test_a_name_stands_for_one_record_and_moves(db):
    assert db.names.named("best") is None
    db.names.name("best", "methods", A)
    db.names.name("best", "methods", B)
    assert db.names.named("best") == ("methods", B)
    assert db.names.of(A) == []
    assert db.names.of(B) == ["best"]


def test_a_tag_stands_for_many_records_in_many_collections(db):
    db.names.tag("paper", "methods", A)
    db.names.tag("paper", "methods", A)
    db.names.tag("paper", "datasets", B)
    assert db.names.tagged("paper") == [A, B]
    assert db.names.tagged("paper", "datasets") == [B]
    db.names.untag("paper", A)
    assert db.names.tagged("paper") == [B]
    with pytest.raises(NotFoundError, match="does not carry the tag"):
        db.names.untag("paper", A)


def test_a_name_and_a_tag_of_the_same_text_are_two_labels(db):
    db.names.name("x", "methods", A)
    db.names.tag("x", "methods", B)
    assert db.names.named("x") == ("methods", A)
    assert db.names.tagged("x") == [B]


@pytest.mark.parametrize("text", ["", " ", " x", "x ", "a:b", "\n"])
def test_a_text_that_cannot_be_typed_back_is_refused(db, text):
    for label in (db.names.name, db.names.tag):
        with pytest.raises(InputError, match="no colon"):
            label(text, "methods", A)
    assert db.raw["labels"].count_documents({}) == 0


@pytest.mark.parametrize("text", ["WSe₂ αβ", "$where", "a.b", "x" * 500, "two words"])
def test_any_other_text_is_a_label(db, text):
    db.names.name(text, "methods", A)
    db.names.tag(text, "methods", A)
    assert db.names.named(text) == ("methods", A)
    assert db.names.tagged(text) == [A]


def test_a_name_taken_away_stands_for_nothing(db):
    db.names.name("gone", "methods", A)
    db.names.unname("gone")
    db.names.unname("gone")
    assert db.names.named("gone") is None
