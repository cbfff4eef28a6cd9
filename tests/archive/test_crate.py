"""The description in an archive: what RO-Crate 1.1 requires, and lineage in the words of PROV."""

import json
import zipfile
from datetime import datetime
from html.parser import HTMLParser

import pytest

from forcebase.archive import Description, write_archive
from forcebase.archive.layout import MANIFEST, METADATA, PREVIEW
from forcebase.digest import bytes_digest

CRATE = "https://w3id.org/ro/crate/1.1"


@pytest.fixture(scope="module")
def described(shelf, tmp_path_factory):
    """An archive with all that people may say of it, and its JSON-LD."""
    about = Description("Judged", "A test <b>.", "https://spdx.org/licenses/CC-BY-4.0", ("A. B.",))
    target = tmp_path_factory.mktemp("crate") / "a.zip"
    place, record = shelf.resolve("judged")
    path, _ = write_archive(shelf, [(place, record.id)], target, about)
    return path, _metadata(path)


def _metadata(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(METADATA))


def _entities(metadata):
    entities = {entity["@id"]: entity for entity in metadata["@graph"]}
    assert len(entities) == len(metadata["@graph"]), "an @id is there once"
    return entities


def _links(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for item in value.values():
            yield from _links(item)
    if isinstance(value, list):
        for item in value:
            yield from _links(item)


def test_the_descriptor_and_the_root_are_those_of_the_specification(described):
    _, metadata = described
    assert metadata["@context"][0] == f"{CRATE}/context"
    entities = _entities(metadata)
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["conformsTo"] == {"@id": CRATE}
    assert descriptor["about"] == {"@id": "./"}
    assert root["@type"] == "Dataset"
    assert (root["name"], root["description"]) == ("Judged", "A test <b>.")
    assert datetime.fromisoformat(root["datePublished"])
    license = entities[root["license"]["@id"]]
    assert license["@id"].endswith("CC-BY-4.0")
    assert license["name"]
    assert license["description"]
    [author] = root["author"]
    assert entities[author["@id"]] == {"@id": author["@id"], "@type": "Person", "name": "A. B."}


def test_every_file_is_part_of_the_root_with_its_size_and_digest(described):
    path, metadata = described
    entities = _entities(metadata)
    parts = {part["@id"] for part in entities["./"]["hasPart"]}
    with zipfile.ZipFile(path) as archive:
        assert parts == set(archive.namelist()) - {METADATA}
        for name in parts:
            file = entities[name]
            assert file["@type"] == "File"
            assert file["name"]
            assert "/" in file["encodingFormat"]
            if name in (MANIFEST, PREVIEW):
                continue
            data = archive.read(name)
            assert file["contentSize"] == str(len(data))
            assert file["sha256"] == bytes_digest(data)


def test_every_link_leads_to_an_entity(described):
    entities = _entities(described[1])
    known = {*entities, CRATE}
    assert {link for entity in entities.values() for link in _links(entity)} <= known


def test_lineage_is_that_of_the_records(described, shelf):
    metadata = described[1]
    entities = _entities(metadata)
    terms = metadata["@context"][1]
    assert terms["wasDerivedFrom"]["@id"] == "http://www.w3.org/ns/prov#wasDerivedFrom"
    validation = shelf.resolve("judged")[1]
    model = shelf.require_model("mace")
    judged = entities[f"#validations-{validation.id}"]
    assert f"#methods-{model.id}" in set(_links(judged["wasDerivedFrom"]))
    activity = entities[judged["wasGeneratedBy"]["@id"]]
    assert activity["@type"] == "CreateAction"
    assert activity["used"] == judged["wasDerivedFrom"]
    trained = entities[f"#methods-{model.id}"]
    assert trained["wasDerivedFrom"] == [{"@id": f"#datasets-{model.dataset}"}]
    blobs = sorted({model.weights, model.neutral})
    assert trained["encoding"] == [{"@id": f"blobs/{blob}"} for blob in blobs]


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_preview_is_a_page_that_runs_nothing(described):
    with zipfile.ZipFile(described[0]) as archive:
        page = _Page()
        page.feed(archive.read(PREVIEW).decode())
    assert "A test <b>." in page.text
    assert not {"script", "b"} & set(page.tags)


def test_a_license_that_nobody_gave_is_not_made_up(judged):
    entities = _entities(_metadata(judged[0]))
    root = entities["./"]
    assert entities[root["license"]["@id"]]["name"] == "none given"
    assert root["author"] == {"@id": "#forcebase"}
    assert root["name"].startswith("validation")
