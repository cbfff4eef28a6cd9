"""Engines here and in a process of their own: the same answers, errors that say what to do."""

import io
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from forcebase.digest import bytes_digest
from forcebase.errors import InputError, IntegrityError, MissingDependencyError, ModelError
from forcebase.frames import Frames
from forcebase.models.evaluation import evaluate
from forcebase.models.third_party.engine import open_engine
from forcebase.models.third_party.environments import make_environment, python_of
from forcebase.models.third_party.message import read_message, write_message
from forcebase.models.third_party.model import load_third_party
from forcebase.models.third_party.process import EngineProcess

ARGUMENTS = {"callable": "ase.calculators.emt:EMT", "keywords": {}, "weights_as": None}
CELLS = [bulk("Cu", cubic=True), bulk("Au").repeat((2, 1, 1))]
CELLS[0].positions[0] += 0.1


@pytest.fixture(scope="module")
def process():
    """An engine in another process of this Python."""
    started = EngineProcess(Path(sys.executable))
    started.open("ASE", b"", "float64", ARGUMENTS)
    yield started
    started.close()


def test_messages_keep_all_bits():
    stream = io.BytesIO()
    numbers = np.random.default_rng(0).normal(size=(3, 2))
    write_message(stream, {"ask": "label"}, numbers=numbers, empty=np.empty((0, 3)))
    stream.seek(0)
    header, arrays = read_message(stream)
    assert header == {"ask": "label"}
    assert arrays["numbers"].tobytes() == numbers.tobytes()
    assert arrays["empty"].shape == (0, 3)
    assert read_message(stream) is None


def close(found, expected):
    """Equal but for the last bits, which depend on where in memory the arrays lie."""
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_a_process_gives_the_answers_of_this_one(process):
    there, here = process.label(CELLS), open_engine("ASE", b"", "float64", ARGUMENTS).label(CELLS)
    for name in ("energies", "forces", "stresses"):
        np.testing.assert_allclose(
            getattr(there, name), getattr(here, name), rtol=1e-12, atol=1e-13
        )
    atoms = CELLS[0].copy()
    atoms.calc = EMT()
    assert there.energies[0] == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    assert process.versions["ase"]


def test_an_error_in_the_process_is_an_error_here_and_it_goes_on(process):
    with pytest.raises(ModelError, match="EMT failed on Na2"):
        process.label([Atoms("Na2", [[0, 0, 0], [0, 0, 1]], cell=[5, 5, 5], pbc=True)])
    assert len(process.label(CELLS).energies) == 2


def test_a_process_that_dies_is_an_error_with_its_last_words():
    process = EngineProcess(Path(sys.executable))
    process.open("ASE", b"", "float64", ARGUMENTS)
    os.kill(process._process.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match="ended with code -9"):
        process.label(CELLS)


def test_what_packages_print_does_not_disturb(tmp_path):
    module = tmp_path / "loud.py"
    module.write_text(
        "from ase.calculators.emt import EMT\n"
        "class Loud(EMT):\n"
        "    def calculate(self, *args, **kwargs):\n"
        "        print('hello', flush=True)\n"
        "        super().calculate(*args, **kwargs)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        process = EngineProcess(Path(sys.executable))
    process.open("ASE", b"", "float64", {"callable": "loud:Loud"})
    assert np.isfinite(process.label(CELLS).forces).all()
    process.close()


def test_a_foreign_model_is_checked_and_answers_like_any_other():
    model = load_third_party("ASE", b"w", bytes_digest(b"w"), "float64", ARGUMENTS, ["Cu", "Au"])
    frames = Frames.from_atoms(CELLS, ids=["a", "b"])
    found = evaluate(frames, model).frames
    atoms = CELLS[1].copy()
    atoms.calc = model.calculator()
    assert atoms.get_potential_energy() == pytest.approx(found.energies[1], rel=1e-12)
    close(atoms.get_stress(), found.stresses[1])
    assert model.environment["where"] == "here"
    with pytest.raises(ModelError, match="does not know Ag"):
        evaluate(Frames.from_atoms([bulk("Ag")], ids=["c"]), model)
    with pytest.raises(IntegrityError, match="not loaded"):
        load_third_party("ASE", b"x", bytes_digest(b"w"), "float64", ARGUMENTS, ["Cu"])


def test_callables_that_are_none_are_named():
    for text in ("ase.calculators.emt:EMTT", "no_such_module:x", "ase", "ase:__version__"):
        with pytest.raises(InputError, match=r"names nothing|cannot be called"):
            open_engine("ASE", b"", "float64", {"callable": text})
    with pytest.raises(ModelError, match="could not be made"):
        open_engine("ASE", b"", "float64", {"callable": "ase.build:molecule"})


def test_environments_are_found_or_their_making_is_named(tmp_path):
    python = tmp_path / "sevennet" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert python_of("SevenNet", {"FORCEBASE_ENVIRONMENTS": str(tmp_path)}) == python
    named = {"FORCEBASE_PYTHON_SEVENNET": str(python)}
    assert python_of("SevenNet", named) == python
    with pytest.raises(MissingDependencyError, match="not there"):
        python_of("SevenNet", {"FORCEBASE_PYTHON_SEVENNET": str(tmp_path / "none")})
    assert python_of("ASE", {"FORCEBASE_ENVIRONMENTS": str(tmp_path)}) is None
    with pytest.raises(InputError, match="run in this environment"):
        make_environment("ASE")
