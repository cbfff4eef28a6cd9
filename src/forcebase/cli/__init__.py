"""The command line: a thin skin of typer and rich."""
