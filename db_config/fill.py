"""Print a template of this folder with the settings of the environment filled in.

The output holds the database's password: write it to a file that only you can read.

    umask 077; python db_config/fill.py db_config/embedded/jobflow.yaml > ~/.jobflow.yaml
"""

import sys
from pathlib import Path
from string import Template

from forcebase.database.connection import open_client, server_uri
from forcebase.errors import ForcebaseError
from forcebase.settings import Settings


def fill(template: str, settings: Settings) -> str:
    """Fill in the database's address and name, the home folder and this environment."""
    open_client(settings).close()  # the embedded server has no address before its first start
    return Template(template).substitute(
        MONGODB_URI=server_uri(settings),
        DATABASE=settings.database,
        HOME=Path.home(),
        ENVIRONMENT=sys.prefix,
    )


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(__doc__)
    try:
        print(fill(Path(sys.argv[1]).read_text(), Settings.from_environment()), end="")
    except ForcebaseError as error:
        sys.exit(str(error))
