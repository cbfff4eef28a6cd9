"""Cards of real datasets."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from forcebase.actions.datasets import build_dataset
from forcebase.curation.recipe import CurationRecipe
from forcebase.datasets.card import make_card
from forcebase.datasets.card_text import COLOURS, html, markdown, write_card
from forcebase.datasets.frozen import dataset_frames
from forcebase.errors import InputError


@pytest.fixture(scope="module")
def carded(new_database, imported):
    """Version 2 of a dataset, with a license, and its card."""
    db = new_database()
    imported(db, "wse2_gpaw_pbe.extxyz")
    build_dataset(db, "d", {"kind": ["pristine-1x1", "pristine-2x2"]})
    dataset = build_dataset(db, "d", {}, recipe=CurationRecipe(license="CC-BY-4.0"))
    return db, dataset, make_card(db, dataset)


def test_counts_and_ranges_are_those_of_the_members(carded):
    db, dataset, card = carded
    frames = dataset_frames(db, dataset)
    assert sum(c["records"] for c in card.counts.values()) == len(frames)
    assert sum(c["atoms"] for c in card.counts.values()) == frames.n_atoms.sum()
    assert sum(c["families"] for c in card.counts.values()) == len(np.unique(frames.families))
    assert card.elements == {"Se": (frames.numbers == 34).sum(), "W": (frames.numbers == 74).sum()}
    assert sum(n for kind in card.kinds.values() for n in kind.values()) == len(frames)
    forces = next(q for q in card.quantities if q.name.startswith("force"))
    assert forces.summary["max"] == pytest.approx(np.linalg.norm(frames.forces, axis=1).max())


def test_markdown_tells_digest_license_drops_changes_and_recipe(carded):
    _, dataset, card = carded
    text = markdown(card)
    for part in (dataset.id, dataset.parent, "CC-BY-4.0", "energy -6.119 eV/atom", "since d@1: "):
        assert part in text
    assert "license: CC-BY-4.0" in card.recipe
    assert card.recipe in text


def test_the_page_holds_its_picture_and_asks_for_nothing_outside(carded, tmp_path):
    _, dataset, card = carded
    page = write_card(card, tmp_path / "new" / "card.html").read_text()
    assert page == html(card)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    [data] = re.findall(r'base64,([^"]+)"', page)
    pixels = imread(io.BytesIO(base64.b64decode(data)))[..., :3]
    for colour in COLOURS.values():
        wanted = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        assert (np.abs(pixels - wanted).max(axis=-1) < 0.01).sum() > 100, colour
    assert dataset.id in page


def test_other_endings_are_refused(carded, tmp_path):
    with pytest.raises(InputError, match="no kind of card"):
        write_card(carded[2], tmp_path / "card.pdf")
