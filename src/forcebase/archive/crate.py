"""The description of an archive for people and other tools: RO-Crate 1.1 with PROV lineage.

https://w3id.org/ro/crate/1.1; PROV-O's terms are added to its context.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import Any

from bson import decode

from forcebase.archive.contents import ACTIVITIES, Contents
from forcebase.archive.layout import MANIFEST, METADATA, PREVIEW, Member
from forcebase.integrity.stored_view import StoredView, shape_of
from forcebase.provenance.references import blobs_of, references_of
from forcebase.records.kinds import kind_of

SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROV = "http://www.w3.org/ns/prov#"
TERMS: dict[str, Any] = {
    "sha256": "https://schema.org/sha256",
    **{
        name: {"@id": PROV + name, "@type": "@id"}
        for name in ("wasDerivedFrom", "wasGeneratedBy", "used")
    },
}
MANY = 2000
"""Records of one collection that are described one by one; of more, the stream alone."""
SOFTWARE = "#forcebase"
ENCODINGS = {"bson": "application/bson", "json": "application/json", "html": "text/html"}
Entity = dict[str, Any]


@dataclass(frozen=True)
class Description:
    """What people are to know of an archive.

    Attributes:
        name: a title; made of the records' where it is "".
        text: a description, likewise.
        license: a URL or a name; "" where none is given.
        authors: their names.
    """

    name: str = ""
    text: str = ""
    license: str = ""
    authors: tuple[str, ...] = ()


@dataclass
class Facts:
    """What is said of the records, noted while they pass.

    Attributes:
        entities: of records and activities, by collection and id.
        counts: records of each collection.
        latest: when the newest of them was written, UTC.
    """

    entities: dict[tuple[str, str], Entity] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    latest: datetime | None = None
    _used: dict[str, set[str]] = field(default_factory=dict)

    def noted(self, collection: str, documents: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the documents again."""
        for n, raw in enumerate(documents):
            self.counts[collection] = n + 1
            if kind_of(collection).is_record or collection == ACTIVITIES:
                self._note(collection, decode(raw), n < MANY)
            yield raw

    def _note(self, collection: str, document: dict[str, Any], named: bool) -> None:
        written = document.get("created_at")
        if written and (self.latest is None or written > self.latest):
            self.latest = written
        record = document["_id"]
        if not named:
            return
        if collection == ACTIVITIES:
            self.entities[collection, record] = _activity(document)
            return
        named_by_it = set(references_of(collection, document))
        parents = sorted({(place, r) for _, place, r in named_by_it if place != ACTIVITIES})
        entity: Entity = {
            "@id": _id(collection, record),
            "@type": "CreativeWork",
            "name": _title(collection, document),
            "identifier": record,
            "isPartOf": {"@id": f"records/{collection}.bson"},
        }
        if parents:
            entity["wasDerivedFrom"] = [{"@id": _id(*parent)} for parent in parents]
        if made_by := (document.get("provenance") or {}).get("activity"):
            entity["wasGeneratedBy"] = {"@id": _id(ACTIVITIES, made_by)}
            self._used.setdefault(made_by, set()).update(_id(*parent) for parent in parents)
        if blobs := sorted(set(blobs_of(collection, document))):
            files = [{"@id": f"blobs/{blob}"} for blob in blobs]
            entity["encoding"] = files[0] if len(files) == 1 else files
        self.entities[collection, record] = entity

    def described(
        self, contents: Contents, about: Description, members: list[Member]
    ) -> list[Entity]:
        """Give all entities of the crate: the description itself, the root, files, records."""
        for record, used in self._used.items():
            activity = self.entities.get((ACTIVITIES, record))
            if activity is not None and used:
                activity["used"] = [{"@id": name} for name in sorted(used)]
        files = [_file(member) for member in members]
        beside = [
            {"@id": MANIFEST, "@type": "File", "name": "Digests of all files"},
            {"@id": PREVIEW, "@type": "File", "name": "This description for people"},
        ]
        for entity in beside:
            entity["encodingFormat"] = ENCODINGS[entity["@id"].rpartition(".")[2]]
        people = [
            {"@id": f"#author-{i + 1}", "@type": "Person", "name": name}
            for i, name in enumerate(about.authors)
        ]
        license = _license(about.license)
        root = self._root(contents, about, [*files, *beside])
        root["license"] = {"@id": license["@id"]}
        root["author"] = [{"@id": p["@id"]} for p in people] or {"@id": SOFTWARE}
        described = [entity for _, entity in sorted(self.entities.items())]
        return [_descriptor(), root, license, _software(), *people, *files, *beside, *described]

    def _root(self, contents: Contents, about: Description, files: list[Entity]) -> Entity:
        titles = [self.entities[r]["name"] for r in contents.roots if r in self.entities]
        name = about.name or ", ".join(titles[:3]) or "All records of a forcebase database"
        counts = ", ".join(f"{n} {c.replace('_', ' ')}" for c, n in self.counts.items())
        root: Entity = {
            "@id": "./",
            "@type": "Dataset",
            "name": name,
            "description": about.text or f"Records and all that they were made from: {counts}.",
            "datePublished": (self.latest or datetime(1970, 1, 1)).isoformat() + "Z",
            "creator": {"@id": SOFTWARE},
            "hasPart": [{"@id": file["@id"]} for file in files],
        }
        mentioned = [_id(*r) for r in contents.roots if r in self.entities]
        if mentioned:
            root["mentions"] = [{"@id": name} for name in mentioned]
        return root


def metadata_text(entities: list[Entity]) -> str:
    """The JSON-LD of the crate."""
    context = [f"{SPECIFICATION}/context", TERMS]
    return json.dumps({"@context": context, "@graph": entities}, indent=1, sort_keys=True) + "\n"


def preview_text(entities: list[Entity]) -> str:
    """One short page of HTML for people, without scripts."""
    root, license = entities[1], entities[2]
    names = {entity["@id"]: entity.get("name", entity["@id"]) for entity in entities}
    mentioned = [names[link["@id"]] for link in root.get("mentions", [])]
    files = [entity for entity in entities if entity["@type"] == "File"]
    rows = "".join(
        f"<tr><td><a href='{escape(f['@id'])}'>{escape(f['@id'])}</a></td>"
        f"<td>{escape(str(f['name']))}</td><td>{escape(str(f.get('contentSize', '')))}</td></tr>\n"
        for f in files
    )
    chosen = "".join(f"<li>{escape(str(name))}</li>\n" for name in mentioned)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(root['name'])}</title></head>\n<body>\n<h1>{escape(root['name'])}</h1>\n"
        f"<p>{escape(root['description'])}</p>\n<ul>\n{chosen}</ul>\n"
        f"<p>Newest record: {escape(root['datePublished'])}. "
        f"License: {escape(license['name'])}.</p>\n"
        "<p>Read it with <code>forcebase import FILE.zip</code>.</p>\n"
        f"<table>\n<tr><th>file</th><th>holds</th><th>bytes</th></tr>\n{rows}</table>\n"
        "</body></html>\n"
    )


def _descriptor() -> Entity:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": SPECIFICATION},
        "about": {"@id": "./"},
    }


def _software() -> Entity:
    return {"@id": SOFTWARE, "@type": "SoftwareApplication", "name": "forcebase"}


def _license(text: str) -> Entity:
    license: Entity = {"@type": "CreativeWork"}
    if not text:
        words = "Its authors gave no license: ask them before you use it."
        return {**license, "@id": "#license", "name": "none given", "description": words}
    place = text if text.startswith(("https://", "http://")) else "#license"
    words = f"The license that the authors gave: {text}."
    return {**license, "@id": place, "name": text, "description": words}


def _file(member: Member) -> Entity:
    suffix = member.name.rpartition(".")[2]
    place = member.name.split("/")[1]
    words = f"{member.documents} {place.removesuffix('.bson').replace('_', ' ')}"
    return {
        "@id": member.name,
        "@type": "File",
        "name": words if member.documents else f"Blob {place[:10]}",
        "encodingFormat": ENCODINGS.get(suffix, "application/octet-stream"),
        "contentSize": str(member.bytes),
        "sha256": member.sha256,
    }


def _activity(document: dict[str, Any]) -> Entity:
    entity: Entity = {
        "@id": _id(ACTIVITIES, document["_id"]),
        "@type": "CreateAction",
        "name": f"{document['kind']} {document['name']}",
        "identifier": document["_id"],
        "instrument": {"@id": SOFTWARE},
    }
    if document.get("finished_at"):
        entity["endTime"] = document["finished_at"].isoformat() + "Z"
    return entity


def _id(collection: str, record: str) -> str:
    return f"#{collection}-{record}"


def _title(collection: str, document: dict[str, Any]) -> str:
    """The kind, the title, and the first digits of the id where the title has none."""
    shape: Any = shape_of(document, kind_of(collection).document)
    words = [collection.removesuffix("s"), str(StoredView(shape, document).title)]
    short = document["_id"][:10]
    return " ".join(words if short in words[1] else [*words, short])
