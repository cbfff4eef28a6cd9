"""The picture of the architecture shows the imports of the sources."""

import runpy
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

from documents import ROOT

REPAIR = "run `python docs/architecture.py` and look at what it changed"
SVG = "{http://www.w3.org/2000/svg}"
script = runpy.run_path(str(ROOT / "docs" / "architecture.py"))


def test_the_picture_is_that_of_the_imports():
    """By the graph that it carries as text, and not by where its lines run."""
    picture = ElementTree.parse(script["PICTURE"])
    assert picture.findtext(f"{SVG}desc") == script["read_house"]().text(), REPAIR
    shown = {text.text for text in picture.iter(f"{SVG}text")}
    assert {room for rooms in script["read_house"]().floors for room in rooms} <= shown, REPAIR


def test_an_import_that_follows_from_others_is_left_out():
    graph = {"top": {"middle", "low"}, "middle": {"low"}, "low": set(), "other": {"low"}}
    assert script["reduction"](graph) == {
        "top": {"middle"},
        "middle": {"low"},
        "low": set(),
        "other": {"low"},
    }


def test_no_two_rooms_lie_on_each_other():
    house = script["read_house"]()
    layout, width = script["lay_out"](house), script["_width"]
    for floor, row in enumerate(layout.rows):
        places = [(layout.x[floor, node], width(node)) for node in row]
        for (one, its), (other, others) in pairwise(places):
            assert other - one >= (its + others) / 2
