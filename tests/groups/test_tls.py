"""A server that speaks TLS only, set up as docs/groups.md says."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from forcebase.database.mongod_binary import find_mongod

DOCS = Path(__file__).parents[2] / "docs" / "groups.md"
COMMAND = (sys.executable, "-m", "forcebase.cli.main")
STRANGER = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=stranger "
    "-keyout no.key -out no.pem"
)
pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None and "FORCEBASE_GATE" not in os.environ, reason="needs openssl"
)


def block_with(words: str) -> str:
    """The block of the documentation that has these words in it."""
    blocks = re.findall(r"```\w+\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if words in block]
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The mongod of docs/groups.md with its first user; gives folder and port."""
    folder = tmp_path_factory.mktemp("tls")
    environment = {**os.environ, "HOST": "localhost"}
    for script in (block_with("openssl x509"), STRANGER):
        subprocess.run(
            ["sh", "-e", "-c", script], cwd=folder, env=environment, check=True, capture_output=True
        )
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (folder / "data").mkdir()
    text = block_with("requireTLS").replace("/srv/forcebase", "data")
    config = yaml.safe_load(text.replace("/etc/forcebase/", "").replace(",db.example.org", ""))
    (folder / "mongod.conf").write_text(yaml.safe_dump(config))
    command = [find_mongod(folder), "--config", "mongod.conf", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, "--oplogSize", "990"], cwd=folder, stdout=log)
    try:
        first_user(folder, port)
        yield folder, port
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder / "data")


def first_user(folder: Path, port: int) -> None:
    """What docs/groups.md has typed into mongosh."""
    assert 'rs.initiate({_id: "group", members: [{_id: 0, host:' in DOCS.read_text()
    member = {"_id": 0, "host": f"localhost:{port}"}
    uri = f"mongodb://localhost:{port}/?tls=true&tlsCAFile={folder}/ca.pem&directConnection=true"
    end = time.monotonic() + 90
    with MongoClient(uri, serverSelectionTimeoutMS=60_000) as client:
        client.admin.command("replSetInitiate", {"_id": "group", "members": [member]})
        while not client.admin.command("hello").get("isWritablePrimary"):
            assert time.monotonic() < end
            time.sleep(0.1)
        client.admin.command("createUser", "root", pwd="first of all", roles=["root"])


def forcebase(server, *arguments, uri, **changes):
    folder, _ = server
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    place = {"FORCEBASE_HOME": str(folder / "home"), "FORCEBASE_MONGODB_URI": uri}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**kept, "OMP_NUM_THREADS": "1", **place, **changes},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def address(server, options: str, host: str = "localhost") -> str:
    return f"mongodb://root:first%20of%20all@{host}:{server[1]}/?authSource=admin{options}"


def test_members_work_over_tls(server, data_folder):
    folder, _ = server
    root = address(server, "&tls=true&tlsCAFile=ca.pem&directConnection=true")
    added = forcebase(server, "db", "users", "add", "carl", "--role", "curator", "--json", uri=root)
    assert added.returncode == 0, added.stderr
    carl = json.loads(added.stdout)["uri"]
    assert "authSource=forcebase&tls=true&tlsCAFile=ca.pem" in carl
    done = forcebase(server, "import", data_folder / "wse2_gpaw_unitcell.extxyz", uri=carl)
    assert done.returncode == 0, done.stderr
    listed = forcebase(server, "ls", "calculations", "--json", uri=carl)
    assert len(json.loads(listed.stdout)) == 1
    built = forcebase(server, "dataset", "ls", uri=carl.replace("localhost", "127.0.0.1"))
    assert "certificate for other names" in built.stderr
    assert not (folder / "home").exists(), "no embedded server beside it"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("&tls=true&tlsCAFile=no.pem", "is signed by no authority known here"),
        ("&tls=true", "is signed by no authority known here"),
        ("&tls=true&tlsCAFile=nothing.pem", "cannot be used: No such file"),
        ("&tls=true&tlsCAFile=names.txt", "cannot be used"),
        ("", "may want TLS: add tls=true"),
    ],
)
def test_what_is_not_trusted_is_said(server, options, words):
    done = forcebase(server, "ls", "methods", uri=address(server, options))
    assert (done.returncode, done.stdout) == (4, "")
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2
    assert "Traceback" not in done.stderr
    assert "first" not in done.stderr


def test_without_tls_the_server_answers_nobody(server):
    with (
        pytest.raises(PyMongoError) as error,
        MongoClient("localhost", server[1], serverSelectionTimeoutMS=1000) as client,
    ):
        client.admin.command("ping")
    assert not isinstance(error.value, OperationFailure)
