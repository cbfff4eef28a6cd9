"""schemas/: the contract of each collection as a file, for readers of the database."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from forcebase.database.schema import SCHEMA_VERSION, collection_schemas

REPAIR = "make schemas"


def render() -> dict[str, str]:
    """Text of each schema file, by its name."""
    return {
        f"{name}.json": json.dumps(
            {"$comment": f"schema version {SCHEMA_VERSION}", **schema}, indent=2, sort_keys=True
        )
        + "\n"
        for name, schema in collection_schemas().items()
    }


def differences(folder: Path) -> list[str]:
    """Names of files that are missing, out of step, or of no collection."""
    wanted = render()
    found = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )


def write(folder: Path) -> None:
    """Write all files, and remove those of collections that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = render()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


def main() -> None:
    """Write the folder, or with --check say what is out of step and exit with 1."""
    parser = argparse.ArgumentParser(description="Write schemas/, or check it.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if not arguments.check:
        write(arguments.folder)
        return
    out_of_step = differences(arguments.folder)
    if out_of_step:
        sys.exit(f"schemas/ is out of step ({', '.join(out_of_step)}): run `{REPAIR}`.")


if __name__ == "__main__":
    main()
