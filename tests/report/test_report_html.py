"""The page: every number with its unit and records, nothing from outside, whole or not at all."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from forcebase.errors import InputError
from forcebase.report.content import SHORT_ID
from forcebase.report.html import typeset, write_report

FIGURES = {
    "bands",
    "pdos",
    "parity_energy",
    "parity_forces",
    "force_shells",
    "learning_curve",
    "timing",
}


class Page(HTMLParser):
    """A page's ids, links, sources, tags, and the text in each element that has an id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.rows: dict[str, str] = {}
        self._row = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        if tag == "tr":
            self._row = given.get("id", "")
            self.rows[self._row] = ""
        if "id" in given:
            self.ids.append(given["id"])
        if "href" in given:
            self.links.append(given["href"])
            if self._row:
                self.rows[self._row] += f" {given['href']} "
        if "src" in given:
            self.sources.append(given["src"])

    def handle_endtag(self, tag):
        if tag == "tr":
            self._row = ""

    def handle_data(self, data):
        if self._row:
            self.rows[self._row] += data


@pytest.fixture(scope="module")
def folder(content, tmp_path_factory):
    made = tmp_path_factory.mktemp("report") / "new" / "folder"
    assert write_report(content, made) == made / "report.html"
    return made


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_each_picture_is_a_file_and_in_the_page(folder, page):
    assert {path.stem for path in folder.glob("*.png")} == FIGURES
    embedded = {base64.b64decode(source.split(",", 1)[1]) for source in page.sources}
    assert embedded == {path.read_bytes() for path in folder.glob("*.png")}


def test_nothing_is_left_half_written(folder):
    assert {path.name for path in folder.iterdir()} == {f"{n}.png" for n in FIGURES} | {
        "report.html"
    }


def test_the_page_needs_nothing_from_outside(text, page):
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert all(link.startswith("#") for link in page.links)
    assert not page.tags & {"script", "link", "iframe", "object", "embed"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import|https?:", style)


def test_links_lead_somewhere(page):
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_each_metric_has_value_unit_and_sources(content, page):
    for metric in content.metrics:
        row = page.rows[f"m-{metric.name}"]
        assert metric.label in row
        assert f"{metric.value:,.{metric.precision}f}" in row
        for source in metric.sources:
            assert f"#r-{source} " in row
            assert source[:SHORT_ID] in row


def test_targets_are_met_or_missed(page):
    assert "below 1.5" in page.rows["m-energy_mae"]
    assert "misses 0.05" in page.rows["m-band_mae_cm1"]
    assert "meV/Å3" in page.rows["m-stress_mae"]


def test_each_record_has_a_row_with_what_it_was_made_from(content, page):
    for node in content.provenance:
        row = page.rows[f"r-{node.record}"]
        assert node.record[:SHORT_ID] in row
        assert node.made_by in row
        for role, parent in node.parents:
            assert role in row
            assert f"#r-{parent} " in row


def test_each_figure_names_its_records(content, text):
    for name, sources in content.figure_sources.items():
        figure = text[text.index(f'<figure id="f-{name}">') :]
        caption = figure[figure.index("<figcaption>") : figure.index("</figcaption>")]
        assert re.findall(r'href="#r-([0-9a-f]{64})"', caption) == sources


def test_names_are_escaped(text):
    assert "<title>MACE &amp; &lt;i&gt;GPAW&lt;/i&gt;</title>" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "labels &lt;b&gt;n=12&lt;/b&gt;" in text
    assert "<script" not in text


def test_what_was_dropped_is_shown_with_its_reason(text):
    assert "energy-outliers" in text
    assert "robust z = 6.4 &gt; 5" in text


def test_steps_name_their_activities(text):
    row = text[text.index("<td>train</td>") :].split("</tr>")[0]
    assert "185.2" in row
    assert 'title="33818194-a5d1:1"' in row


def test_the_same_content_gives_the_same_page(content, folder, text):
    write_report(content, folder)
    assert (folder / "report.html").read_text() == text


def test_shells_are_a_table_with_a_column_for_each_element(content, text):
    table = text[text.index('<h3 id="shells">') : text.index('<h2 id="training">')]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", table)
    rows = [cells[i : i + 8] for i in range(0, len(cells), 8)]
    assert rows[0] == ["≤ 3 Å", "1", "3", "1791", "29.0", "38.7", "", "29.0"]
    assert rows[-1] == ["pristine", "11", "66", "1898", "17.5", "25.9", "15.6", "21.3"]
    assert len(rows) == len(content.shells)


def test_without_a_defect_there_are_no_shells(content, tmp_path):
    write_report(replace(content, shells=[]), tmp_path)
    assert not (tmp_path / "force_shells.png").exists()
    assert 'id="shells"' not in (tmp_path / "report.html").read_text()


def test_without_timings_there_is_no_picture_of_them(content, tmp_path):
    write_report(replace(content, timings=[]), tmp_path)
    assert not (tmp_path / "timing.png").exists()
    assert 'id="f-timing"' not in (tmp_path / "report.html").read_text()


def test_what_could_not_be_compared_is_said_with_the_reason(content, tmp_path):
    missing = {"energies and forces": "a force is <NaN>.", "phonons, WSe2 in 3x3x1": "It ran away."}
    remarks = ["the relaxation did not reach 1e-05 eV/angstrom in 500 steps"]
    bare = replace(content, parity=None, phonons=[], shells=[], timings=[], metrics=[])
    write_report(replace(bare, missing=missing, remarks=remarks), tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == {"learning_curve"}
    text = (tmp_path / "report.html").read_text()
    assert "Not compared: phonons, WSe2 in 3x3x1.</b> It ran away." in text
    assert "Not compared: energies and forces.</b> a force is &lt;NaN&gt;." in text
    assert "The relaxation did not reach" in text
    page = Page(text)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_a_second_phonon_has_figures_of_its_own(content, tmp_path):
    first = content.phonons[0]
    second = replace(first, key="_2", name="v_Se in 2x2x1")
    sources = {**content.figure_sources, "bands_2": first.sources, "pdos_2": first.sources}
    write_report(replace(content, phonons=[first, second], figure_sources=sources), tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == FIGURES | {"bands_2", "pdos_2"}
    assert "Phonon bands of v_Se in 2x2x1" in (tmp_path / "report.html").read_text()


def test_a_folder_that_is_a_file_is_refused(content, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(InputError, match="cannot be written to"):
        write_report(content, tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        ("meV/A", "meV/Å"),
        ("meV/A^3", "meV/Å<sup>3</sup>"),
        ("cm^-1", "cm<sup>−1</sup>"),
        ("meV/atom", "meV/atom"),
        ("<b>", "&lt;b&gt;"),
        ("", ""),
    ],
)
def test_units_are_typeset(unit, shown):
    assert str(typeset(unit)) == shown
