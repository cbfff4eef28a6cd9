"""Names move, tags gather, and neither touches a record."""

import pytest

from forcebase.errors import InputError, NotFoundError

A, B = "a" * 64, "b" * 64


def test_a_name_stands_for_one_record_and_moves(db):
    assert db.labels.named("best") is None
    db.labels.name("best", "methods", A)
    db.labels.name("best", "methods", B)
    assert db.labels.named("best") == ("methods", B)
    assert db.labels.of(A) == []
    assert db.labels.of(B) == ["best"]


def test_a_tag_stands_for_many_records_in_many_collections(db):
    db.labels.tag("paper", "methods", A)
    db.labels.tag("paper", "methods", A)
    db.labels.tag("paper", "datasets", B)
    assert db.labels.tagged("paper") == [A, B]
    assert db.labels.tagged("paper", "datasets") == [B]
    db.labels.untag("paper", A)
    assert db.labels.tagged("paper") == [B]
    with pytest.raises(NotFoundError, match="does not carry the tag"):
        db.labels.untag("paper", A)


def test_a_name_and_a_tag_of_the_same_text_are_two_labels(db):
    db.labels.name("x", "methods", A)
    db.labels.tag("x", "methods", B)
    assert db.labels.named("x") == ("methods", A)
    assert db.labels.tagged("x") == [B]


@pytest.mark.parametrize("text", ["", " ", " x", "x ", "a:b", "\n"])
def test_a_text_that_cannot_be_typed_back_is_refused(db, text):
    for label in (db.labels.name, db.labels.tag):
        with pytest.raises(InputError, match="no colon"):
            label(text, "methods", A)
    assert db.raw["labels"].count_documents({}) == 0


@pytest.mark.parametrize("text", ["WSe₂ αβ", "$where", "a.b", "x" * 500, "two words"])
def test_any_other_text_is_a_label(db, text):
    db.labels.name(text, "methods", A)
    db.labels.tag(text, "methods", A)
    assert db.labels.named(text) == ("methods", A)
    assert db.labels.tagged(text) == [A]


def test_a_name_taken_away_stands_for_nothing(db):
    db.labels.name("gone", "methods", A)
    db.labels.unname("gone")
    db.labels.unname("gone")
    assert db.labels.named("gone") is None
