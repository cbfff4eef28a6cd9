"""Whether Ctrl-C was pressed, whatever other exception a library makes of it on the way up."""

CODE = 130
"""Exit code, as shells have it."""
SAID = "Interrupted."
KEPT = "What was finished before is kept."

_pressed = False


def interrupt(*_: object) -> None:
    """Handle SIGINT as Python does, and remember it."""
    global _pressed
    _pressed = True
    raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Whether it was pressed since the process began."""
    return _pressed
