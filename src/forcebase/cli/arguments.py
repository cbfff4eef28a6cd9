"""Arguments that several commands take, each with what the Tab key offers for it."""

from __future__ import annotations

from typing import Annotated

import typer

from forcebase.cli.completion import names

RecordArgument = Annotated[
    str,
    typer.Argument(help="Id (or its first digits), name or tag.", autocompletion=names()),
]
ModelArgument = Annotated[
    str, typer.Argument(help="Model: id, name or tag.", autocompletion=names("methods"))
]
MethodArgument = Annotated[
    str,
    typer.Argument(help="Id (or its first digits), name or tag.", autocompletion=names("methods")),
]
DatasetArgument = Annotated[
    str,
    typer.Argument(help="name@version, name (newest) or id.", autocompletion=names("datasets")),
]
StructureArgument = Annotated[
    str, typer.Argument(help="Unit cell: id, name or tag.", autocompletion=names("structures"))
]
SubjectArgument = Annotated[
    str,
    typer.Argument(
        help="Id or its first digits, name or tag; a job or import too.", autocompletion=names()
    ),
]
