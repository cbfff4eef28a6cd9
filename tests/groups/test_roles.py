"""What a reader, a curator and an admin may do, tried by users of a real server."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from forcebase.actions.models import convert_model
from forcebase.archive import read_archive
from forcebase.database import installation
from forcebase.database.access import access_of
from forcebase.database.connection import open_client, server_uri
from forcebase.database.database import Database
from forcebase.database.mongod_binary import find_mongod
from forcebase.database.mongod_process import free_port
from forcebase.database.roles import Role
from forcebase.database.trust import trust
from forcebase.database.users import add_user, list_users, remove_user, user_uri
from forcebase.errors import AccessError, DatabaseError, InputError, NotFoundError
from forcebase.integrity.migrating import migrate_database
from forcebase.provenance.taint import remove_taint, set_taint
from forcebase.records import Activity, Structure
from forcebase.records.kinds import kinds

RECORDS = (
    *("structures", "methods", "equivalences", "calculations", "datasets", "phonons"),
    *("validations", "journal"),
)

OLDER = installation.FIRST_SEALED - 1
"""A version whose number has no checksum: tests set it by hand."""


@pytest.fixture
def as_(group):
    """Connect as a user of this role."""
    opened = []

    def connect(role: Role) -> Database:
        opened.append(Database(group.members[role]))
        return opened[-1]

    yield connect
    for db in opened:
        db.close()


def structure() -> Structure:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]], cell=np.eye(3) * 4, pbc=True)
    return Structure.from_atoms(atoms)


def refused(what) -> bool:
    """Whether the server itself refuses."""
    with pytest.raises(OperationFailure) as error:
        what()
    return error.value.code == 13


def test_a_reader_is_told_by_name_and_role_what_it_may_not(as_):
    db = as_(Role.READER)
    made, wanted = structure(), r"User 'rita' \(reader of database 'test_\w+'\) may not write"
    for write in (
        lambda: db.structures.add([made]),
        lambda: db.activities.add([Activity(id="x", kind="import", name="x")]),
        lambda: db.names.name("a", "structures", made.id),
        lambda: db.names.untag("a", made.id),
        lambda: db.blobs.put(b"bytes"),
        db.check_writing,
    ):
        with pytest.raises(AccessError, match=wanted) as error:
            write()
        assert "curator" in error.value.hint
    assert db.structures.count() == db.raw["labels"].count_documents({}) == 0
    assert db.raw["blobs.chunks"].count_documents({}) == 0


def test_a_curator_adds_names_tags_and_taints(as_):
    db, made = as_(Role.CURATOR), structure()
    assert db.structures.add([made]) == 1
    assert db.structures.add([made]) == 0
    db.names.name("a", "structures", made.id)
    db.names.tag("t", "structures", made.id)
    db.names.untag("t", made.id)
    set_taint(db, "structures", made.id, "too short")
    remove_taint(db, made.id)
    assert db.blobs.get(db.blobs.put(b"bytes")) == b"bytes"
    assert db.names.of(made.id) == ["a"]


def test_a_curator_neither_deletes_nor_changes_records_nor_the_schema(as_):
    db, made = as_(Role.CURATOR), structure()
    db.structures.add([made])
    for name in RECORDS:
        assert refused(lambda name=name: db.raw[name].delete_one({}))
        assert refused(lambda name=name: db.raw[name].update_one({}, {"$set": {"kind": "x"}}))
    for place in db.raw.list_collection_names():
        assert refused(db.raw[place].drop)
        assert refused(lambda place=place: db.raw[place].create_index("kind"))
        assert refused(lambda place=place: db.raw[place].drop_indexes())
        assert refused(lambda place=place: db.raw.command("collMod", place, validator={}))
        assert refused(lambda place=place: db.raw[place].rename("elsewhere"))
    assert refused(lambda: db.raw["meta"].update_one({}, {"$set": {"version": 1}}))
    assert refused(lambda: db.raw["activities"].delete_one({}))
    assert refused(lambda: db.raw["new"].insert_one({}))
    assert refused(lambda: db.raw.create_collection("new"))
    assert refused(lambda: db.client.drop_database(db.raw.name))
    assert refused(
        lambda: db.raw["structures"].insert_one({"_id": "x"}, bypass_document_validation=True)
    )
    assert refused(lambda: db.client["elsewhere"]["new"].insert_one({}))
    assert db.structures.count() == 1


def test_an_admin_may_all_that_in_its_own_database_alone(as_):
    db, made = as_(Role.ADMIN), structure()
    db.structures.add([made])
    assert db.raw["structures"].delete_one({"_id": made.id}).deleted_count == 1
    db.raw["structures"].create_index("n_atoms")
    db.raw.command("collMod", "structures", validator={})
    db.raw["structures"].drop()
    assert refused(lambda: db.client["elsewhere"]["new"].insert_one({}))
    assert refused(lambda: db.client.admin.command("usersInfo"))
    db.client.drop_database(db.raw.name)


def test_only_an_admin_sees_adds_and_removes_users(as_):
    for role in (Role.READER, Role.CURATOR):
        db = as_(role)
        with pytest.raises(AccessError, match=rf"\({role} of database"):
            add_user(db.raw, "mallory", Role.ADMIN, "a long password")
        with pytest.raises(AccessError, match="may not"):
            list_users(db.raw)
        with pytest.raises(AccessError, match="may not"):
            remove_user(db.raw, "anna")
    db = as_(Role.ADMIN)
    add_user(db.raw, "mallory", Role.READER, "a long password")
    found = [(user.name, user.role) for user in list_users(db.raw)]
    assert found == [
        ("anna", Role.ADMIN),
        ("carl", Role.CURATOR),
        ("mallory", Role.READER),
        ("rita", Role.READER),
    ]
    with pytest.raises(InputError, match="has a user 'mallory' already"):
        add_user(db.raw, "mallory", Role.ADMIN, "a long password")
    assert remove_user(db.raw, "mallory").role is Role.READER
    with pytest.raises(NotFoundError, match="no user 'mallory'"):
        remove_user(db.raw, "mallory")
    with pytest.raises(InputError, match="connected as 'anna' yourself"):
        remove_user(db.raw, "anna")


def test_users_of_other_rights_are_listed_and_left_alone(group, as_):
    with open_client(group.settings) as client:
        client[group.settings.database].command("createUser", "tool", pwd="x" * 9, roles=["read"])
    db = as_(Role.ADMIN)
    assert {user.name: user.role for user in list_users(db.raw)}["tool"] is None
    with pytest.raises(NotFoundError, match="rights of another kind"):
        remove_user(db.raw, "tool")


def test_removal_ends_open_connections_at_once(group, as_):
    db, made = as_(Role.CURATOR), structure()
    db.structures.add([made])
    db.raw["label_blocks"].find_one()
    cursor = db.raw["structures"].find().batch_size(1)
    with open_client(group.settings) as client:
        remove_user(client[group.settings.database], "carl")
    assert refused(lambda: db.raw["structures"].find_one())
    cursor.close()
    with pytest.raises(AccessError, match="A user who was removed, or never logged in"):
        db.names.name("a", "structures", made.id)
    with pytest.raises(DatabaseError, match="does not accept the user or password"):
        open_client(group.members[Role.CURATOR])


def test_roles_are_of_one_database(group, settings):
    with pytest.raises(DatabaseError, match="gives no right to database 'other'"):
        open_client(replace(group.members[Role.ADMIN], database="other"))


def test_who_may_not_make_or_migrate_a_database_changes_nothing(group, tmp_path):
    with open_client(group.settings) as client:
        database = client[group.settings.database]
        version = database["meta"].find_one({"_id": "schema"})["version"]
        database["meta"].replace_one({"_id": "schema"}, {"version": OLDER})
        for role in (Role.READER, Role.CURATOR):
            wanted = rf"has schema version {OLDER}, not {version}, and User '\w+' \({role}"
            with pytest.raises(DatabaseError, match=f"schema version {OLDER}.*Nothing was"):
                Database(group.members[role])
            with pytest.raises(AccessError, match=wanted) as error:
                migrate_database(group.members[role], tmp_path)
            assert "admin" in error.value.hint
        assert database["meta"].find_one({"_id": "schema"})["version"] == OLDER
        assert list(tmp_path.iterdir()) == []
        migrate_database(group.members[Role.ADMIN], tmp_path)
        assert database["meta"].find_one({"_id": "schema"})["version"] == version
        client.drop_database(group.settings.database)
        for role in (Role.READER, Role.CURATOR):
            with pytest.raises(AccessError, match="is not made yet, and User"):
                Database(group.members[role])
        assert database.list_collection_names() == []
        Database(group.members[Role.ADMIN]).close()
        Database(group.members[Role.READER]).close()


def test_a_migration_renews_the_roles(group, tmp_path):
    """A new version's collections are a curator's too, without anyone adding it anew."""
    with open_client(group.settings) as client:
        database = client[group.settings.database]
        surplus = {"resource": {"db": database.name, "collection": "meta"}, "actions": ["remove"]}
        database.command("updateRole", "forcebase-curator", privileges=[surplus])
        with open_client(group.members[Role.CURATOR]) as curator:
            assert not access_of(curator[database.name]).may_write
        database["meta"].replace_one({"_id": "schema"}, {"version": OLDER})
        migrate_database(group.members[Role.ADMIN], tmp_path)
        with open_client(group.members[Role.CURATOR]) as curator:
            access = access_of(curator[database.name])
        assert access.may_write
        assert not access.may({"remove"}, "meta")


def test_built_in_roles_of_mongodb_do_as_well(group):
    """A group that has users already: read and readWrite, one of whom makes the database."""
    with open_client(group.settings) as client:
        database = client[group.settings.database]
        client.drop_database(database.name)
        for name in ("read", "readWrite"):
            database.command("createUser", name + "r", pwd="a long password", roles=[name])
        uri = server_uri(group.settings)
    writer, reader = (
        replace(
            group.settings,
            mongodb_uri=user_uri(uri, group.settings.database, name, "a long password"),
        )
        for name in ("readWriter", "readr")
    )
    db = Database(writer)
    assert db.structures.add([structure()]) == 1
    assert db.access.role is None
    db.close()
    db = Database(reader)
    with pytest.raises(AccessError, match=r"User 'readr' \(read of database"):
        db.structures.add([structure()])
    db.close()


def test_every_collection_of_records_has_its_rule():
    """A new collection is insert-only for curators unless its class says otherwise."""
    inserted = {kind.name for kind in kinds() if kind.about.rights == ("insert",)}
    assert inserted == set(RECORDS)


@pytest.fixture
def open_server(tmp_path):
    """URI of a mongod that asks nobody for a password."""
    port, data = free_port(None), tmp_path / "open"
    data.mkdir()
    command = [find_mongod(tmp_path), "--dbpath", data, "--bind_ip", "127.0.0.1", "--nounixsocket"]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL) as process:
        with MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=60_000) as client:
            client.admin.command("ping")
        yield f"mongodb://127.0.0.1:{port}"
        process.terminate()


def test_a_server_that_asks_nobody_takes_no_users(settings, open_server):
    db = Database(replace(settings, mongodb_uri=open_server))
    assert db.access.may_write
    assert not db.access.is_checked
    with pytest.raises(DatabaseError, match="asks nobody for a password"):
        add_user(db.raw, "rita", Role.READER, "a long password")
    db.client.drop_database(db.raw.name)
    db.close()


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        (
            "mongodb://a:b@h:1/?authSource=admin&directConnection=true",
            "mongodb://r%40x:p%2Fw@h:1/?authSource=d&directConnection=true",
        ),
        ("mongodb://h1,h2:2", "mongodb://r%40x:p%2Fw@h1,h2:2/?authSource=d"),
        (
            "mongodb+srv://a:b@h/other?tls=true&tlsCAFile=/a@b/ca.pem&authMechanism=SCRAM-SHA-1",
            "mongodb+srv://r%40x:p%2Fw@h/?authSource=d&tls=true&tlsCAFile=/a@b/ca.pem",
        ),
        (
            "mongodb://h/?tlsCertificateKeyFile=mine.pem&replicaSet=rs",
            "mongodb://r%40x:p%2Fw@h/?authSource=d&replicaSet=rs",
        ),
    ],
)
def test_the_address_of_a_user(uri, wanted):
    assert user_uri(uri, "d", "r@x", "p/w") == wanted


def test_the_admin_of_the_server_keeps_all_rights(settings, db):
    assert db.access.may_write
    assert re.match(r"User 'forcebase' \(root of database", db.access.who)
    with MongoClient(server_uri(settings)) as client:
        assert access_of(client[settings.database]).is_checked


def test_a_curator_is_told_who_converts_a_model_before_its_file_is_opened(group, as_, monkeypatch):
    """A record is changed by an admin alone; nothing is opened, and nothing is trusted by half."""
    admin, curator = as_(Role.ADMIN), as_(Role.CURATOR)
    read_archive(admin, Path(__file__).parents[1] / "data" / "versions" / "6" / "archive.zip")
    model = admin.require_model("quick")
    trust(admin, model)
    opened = []
    monkeypatch.setattr("forcebase.actions.models.convert_stored", lambda *a: opened.append(a))
    with pytest.raises(AccessError, match=r"'carl' \(curator .*neutral form") as told:
        convert_model(curator, model)
    assert f"forcebase model convert {model.id[:10]}" in told.value.hint
    assert opened == []
