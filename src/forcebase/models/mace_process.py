"""MACE's training program in a process that ends when its parent does, however that ends.

`python -m forcebase.models.mace_process ARGUMENTS` takes MACE's own arguments. Beside the file
that MACE writes it leaves the neutral form, so that nobody else need open that file.
"""

from __future__ import annotations

from pathlib import Path

from forcebase.models.parent_pipe import end_with_parent

NAME = "model"
MODEL_FILE = f"{NAME}.model"
SECOND_STAGE_FILE = f"{NAME}_stagetwo.model"
NEUTRAL_FILE = f"{NAME}.safetensors"


def main() -> None:
    """Train, until done or until the parent is gone; then write the model's neutral form."""
    end_with_parent()
    import mace.cli.run_train

    mace.cli.run_train.main()
    from forcebase.models.mace_conversion import convert_file

    if Path(SECOND_STAGE_FILE).is_file():  # of swa: the weights of the second stage
        Path(SECOND_STAGE_FILE).replace(MODEL_FILE)
    if Path(MODEL_FILE).is_file():
        convert_file(Path(MODEL_FILE), Path(NEUTRAL_FILE))


if __name__ == "__main__":
    main()
